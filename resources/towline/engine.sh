# Finds the Towline engine on this machine and replaces this shell by it: $TOWLINE_ENGINE, else
# `towline` on PATH. A program in the workspace is never used, neither by a relative path nor by a
# folder on PATH: a pull request can change it.
set -eu
# By these variables Python would load code before the engine can check where it comes from.
unset PYTHONPATH PYTHONHOME PYTHONSTARTUP PYTHONUSERBASE PYTHONPLATLIBDIR PYTHONINSPECT
unset PYTHONBREAKPOINT PYTHONWARNINGS

say() {
    echo "towline: $1" >&2
    exit 9
}

# Succeeds if the program $1, and the file that it links to, are outside the workspace and outside
# the folder in which the step runs.
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

# Replaces this shell by the program $1. If the interpreter in its first line does not exist, says
# so: the shell's own message would say that the program does not exist.
become() {
    first=''
    { IFS= read -r first < "$1"; } 2>/dev/null || :
    case $first in
        '#!/'*)
            interpreter=${first#'#!'}
            interpreter=${interpreter%% *}
            [ -x "$interpreter" ] || say "'$1' needs $interpreter, which is not on this agent;\
 install Python 3.11 or newer there, or install the engine again" ;;
    esac
    exec "$@"
}

if [ -n "${TOWLINE_ENGINE:-}" ]; then
    case $TOWLINE_ENGINE in
        /*) ;;
        *) say "TOWLINE_ENGINE must be an absolute path, not '$TOWLINE_ENGINE';\
 set it on the agent" ;;
    esac
    usable "$TOWLINE_ENGINE" || say "TOWLINE_ENGINE ('$TOWLINE_ENGINE') is not an executable file\
 outside of the workspace; set it on the agent to the engine's program"
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
say "the engine is not on this agent; install it so that 'towline' is on PATH, or set\
 TOWLINE_ENGINE on the agent to the absolute path of its program"
