# Finds the Towline engine on this machine and becomes it: $TOWLINE_ENGINE, else `towline` on PATH.
# Never one in the workspace, which a pull request can change: neither by a relative path nor by a folder in it.
set -eu
# What Python would load before the engine can look where it comes from.
unset PYTHONPATH PYTHONHOME PYTHONSTARTUP PYTHONUSERBASE PYTHONPLATLIBDIR PYTHONINSPECT PYTHONBREAKPOINT PYTHONWARNINGS

say() {
    echo "towline: $1" >&2
    exit 9
}

# Is the program $1, and what it is a link to, outside of the workspace (and of the folder the step runs in)?
outside() {
    lies_outside "$1" && lies_outside "$(command -p readlink -f -- "$1")"
}

lies_outside() {
    folder=$(CDPATH='' cd -P -- "${1%/*}/" && pwd -P) || return 1
    for inside in "$(pwd -P)" "${WORKSPACE:-$(pwd -P)}"; do
        inside=$(CDPATH='' cd -P -- "$inside" && pwd -P) || return 1
        case "$folder/" in "${inside%/}"/*) return 1 ;; esac
    done
}

usable() {
    [ -f "$1" ] && [ -x "$1" ] && outside "$1"
}

# Becomes the program $1, unless its first line names an interpreter that is not there: the shell's own words for that blame the program.
become() {
    first=''
    { IFS= read -r first < "$1"; } 2>/dev/null || :
    case $first in
        '#!/'*)
            interpreter=${first#'#!'}
            interpreter=${interpreter%% *}
            [ -x "$interpreter" ] || say "'$1' needs $interpreter, which is not on this agent; install Python 3.11 or newer there, or the engine anew" ;;
    esac
    exec "$@"
}

if [ -n "${TOWLINE_ENGINE:-}" ]; then
    case $TOWLINE_ENGINE in /*) ;; *) say "TOWLINE_ENGINE must be an absolute path, not '$TOWLINE_ENGINE'; set it on the agent" ;; esac
    usable "$TOWLINE_ENGINE" || say "TOWLINE_ENGINE ('$TOWLINE_ENGINE') is not an executable file outside of the workspace; set it on the agent to the engine's program"
    become "$TOWLINE_ENGINE" "$@"
fi

rest=${PATH:-}:
while [ -n "$rest" ]; do
    entry=${rest%%:*}
    rest=${rest#*:}
    case $entry in /*) ;; *) continue ;; esac
    if usable "${entry%/}/towline"; then
        become "${entry%/}/towline" "$@"
    fi
done
say "the engine is not on this agent; install it so that 'towline' is on PATH, or set TOWLINE_ENGINE on the agent to the absolute path of its program"
