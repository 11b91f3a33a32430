#!/bin/sh
# The launcher: finds the engine on this machine, else fills the user's cache with it, and runs it.
#
# With arguments it becomes `towline ARGUMENTS`. Without arguments it serves the library
# (docs/contract.md): it reads the call from variables, prints one result on standard output and
# exits with 0. If the engine leaves no result, it prints a result of its own. If Jenkins ends it,
# it prints nothing and exits with 143: then the step of Jenkins ends as aborted or timed out.
#
#   TOWLINE_CALL_COMMAND, _STEP, _STAGE, _IF_ACTIVE   the command line of the engine
#   TOWLINE_REQUEST, or TOWLINE_REQUEST_FILE          the request; the file is removed at the end
#   TOWLINE_DELIVERED                                 where the library has written its engine
#
# The engine is the first of: $TOWLINE_ENGINE; `towline` on PATH; TOWLINE_ENGINE_URL with
# TOWLINE_ENGINE_SHA256; the engine that the released library names. The last two are kept in
# $TOWLINE_HOME/engines/SHA256/engine.pyz, else in the user's cache, and are checked by their
# checksum before each start. Nothing is fetched from anywhere else.
#
# Nothing in the workspace is run, neither by a relative path nor by a folder on PATH, and no engine
# is kept there: a pull request can change it.
set -eu

# The engine of a released library; `make dist` writes its checksum here, and its URL if the library
# does not hold the engine itself.
library_sha256=''
library_url=''

# By these variables Python would load code before the engine can check where it comes from.
unset PYTHONPATH PYTHONHOME PYTHONSTARTUP PYTHONUSERBASE PYTHONPLATLIBDIR PYTHONINSPECT
unset PYTHONBREAKPOINT PYTHONWARNINGS

if [ $# -gt 0 ]; then for_library=''; else for_library=yes; fi
given_path=${PATH:-/usr/bin:/bin}
stopped='' held='' keep_request=''

# ---- results

# Prints the text $1 as JSON. Bytes that no pattern matches end it.
json() {
    LC_ALL=C
    text=$1 quoted=''
    while [ -n "$text" ]; do
        rest=${text#?}
        [ "$rest" != "$text" ] || break
        char=${text%"$rest"} text=$rest
        case $char in
            '"' | "\\") quoted=$quoted\\$char ;;
            [[:cntrl:]]) quoted="$quoted " ;;
            *) quoted=$quoted$char ;;
        esac
    done
    printf '"%s"' "$quoted"
}

# Prints a result: exit code $1, status $2, category $3, message $4, hint $5.
print_result() {
    printf '{"protocol": 1, "version": "", "step": %s, "stage": %s, "status": "%s", "summary": %s,' \
        "$(json "${TOWLINE_CALL_STEP:-}")" "$(json "${TOWLINE_CALL_STAGE:-}")" "$2" "$(json "$4")"
    printf ' "pipelineEnvironment": {}, "outputs": {}, "links": [], "reports": [], "bindings": [],'
    printf ' "error": {"category": "%s", "message": %s, "where": "", "hint": %s},' \
        "$3" "$(json "$4")" "$(json "$5")"
    printf ' "seconds": 0, "exitCode": %d}\n' "$1"
}

# Ends the call, since this machine has no engine that can run: message $1, hint $2.
fail() {
    if [ -n "$stopped" ]; then end_aborted; fi
    if [ -n "$for_library" ]; then
        print_result 9 failure infrastructure "$1" "$2"
        exit 0
    fi
    printf 'towline: %s; %s\n' "$1" "$2" >&2
    exit 9
}

end_aborted() {
    exit "$stopped"
}

note() {
    printf 'towline: %s\n' "$1" >&2
}

# ---- the workspace

# The folders in which nothing is trusted, as they lie on disk: this one and the workspace.
here=$(pwd -P)
workspace=$(CDPATH='' cd -P -- "${WORKSPACE:-$here}" 2>/dev/null && pwd -P) || workspace=$here

# Succeeds if the file $1 is outside of the workspace, as its folder lies on disk.
lies_outside() {
    folder=$(CDPATH='' cd -P -- "${1%/*}/" 2>/dev/null && pwd -P) || return 1
    case "$folder/" in "${here%/}"/* | "${workspace%/}"/*) return 1 ;; esac
}

# Succeeds if the file $1, and the file that it links to, are outside of the workspace.
outside() {
    lies_outside "$1" && lies_outside "$(command -p readlink -f -- "$1")"
}

usable() {
    [ -f "$1" ] && outside "$1" || return 1
    case $1 in *.pyz) ;; *) [ -x "$1" ] ;; esac
}

# PATH without relative folders and those of the workspace: for the programs that this script runs.
safe_path=''
rest=$given_path:
while [ -n "$rest" ]; do
    entry=${rest%%:*} rest=${rest#*:}
    case $entry in /?*) ;; *) continue ;; esac
    if lies_outside "${entry%/}/"; then safe_path=$safe_path${safe_path:+:}${entry%/}; fi
done
PATH=${safe_path:-/usr/bin:/bin}

# ---- programs

# Succeeds if the program $1 is a Python that can run the engine, and sets `sum` to the SHA-256
# checksum of the file $2, or to nothing if it cannot be read. Both at once: each start takes time.
check() {
    sum=$("$1" -I -S -c '
import sys
if sys.version_info < (3, 11):
    sys.exit(1)
import hashlib
try:
    with open(sys.argv[1], "rb") as file:
        print(hashlib.file_digest(file, "sha256").hexdigest())
except OSError:
    pass' "$2" 2>/dev/null)
}

# Sets `found` to the first usable program $1 on PATH; fails if there is none. A Python has to pass
# `check` with the file $2.
search() {
    rest=$PATH:
    while [ -n "$rest" ]; do
        found=${rest%%:*}/$1 rest=${rest#*:}
        if usable "$found" && { [ "$1" = towline ] || check "$found" "$2"; }; then return; fi
    done
    return 1
}

# Sets `python` to a Python that can run the engine, and `sum` to the checksum of the file $1.
find_python() {
    for name in python3 python3.14 python3.13 python3.12 python3.11; do
        if search "$name" "$1"; then
            python=$found
            return
        fi
    done
    fail 'there is no Python 3.11 or newer on this agent, which the engine needs' \
        "install it so that 'python3' or 'python3.11' is on PATH, outside of the workspace"
}

# Succeeds if the engine in the cache has the checksum $1.
is_cached() {
    check "$python" "$cache/engine.pyz" && [ "$sum" = "$1" ]
}

# Downloads $TOWLINE_FETCH_URL into the file $1. Prints why if it fails. By Python, which the engine
# needs anyway; the URL is not an argument, since it may hold a token.
download() {
    TOWLINE_FETCH_URL=$url "$python" -I -c '
import os, sys, time, urllib.parse, urllib.request
url, path, end = os.environ["TOWLINE_FETCH_URL"], sys.argv[1], time.monotonic() + 300
try:
    if urllib.parse.urlsplit(url).scheme not in ("https", "http", "file"):
        raise ValueError("it is not an https, http or file URL")
    size = 0
    with urllib.request.urlopen(url, timeout=30) as answer, open(path, "wb") as file:
        while part := answer.read(1 << 16):
            size += file.write(part)
            if size > 64 << 20:
                raise ValueError("it has more than 64 MiB")
            if time.monotonic() > end:
                raise ValueError("it takes more than 300 seconds")
except (OSError, ValueError) as fault:
    sys.exit(print(fault) or 1)' "$1"
}

# ---- the cache

# Succeeds if the folder $1 belongs to this user, and nobody else may write into it.
ours() {
    # shellcheck disable=SC2046 # the words of ls: mode, links, owner
    set -- $(ls -ldn -- "$1")
    [ "${3:-}" = "$(id -u)" ] || return 1
    case $1 in d????-??-*) ;; *) return 1 ;; esac
}

# Sets `cache` to the folder of the engine with checksum $2 below $1. If that is not possible, fails
# and sets `why`.
open_cache() {
    case $1 in /*) ;; *) why="'$1' is not an absolute path" && return 1 ;; esac
    cache=${1%/}/engines/$2 near=${1%/}/engines/$2
    while [ ! -d "$near" ] && [ -n "$near" ]; do near=${near%/*}; done
    if ! lies_outside "${near%/}/"; then
        why="'$1' is in the workspace" && return 1
    fi
    if ! (umask 077 && mkdir -p -- "$cache") 2>/dev/null || [ ! -w "$cache" ]; then
        why="'$1' cannot be written" && return 1
    fi
    if ! ours "$cache" || ! ours "${cache%/*}"; then
        why="'${cache%/*}' belongs to another user, is a link, or others may write into it" && return 1
    fi
}

# Sets `cache` as open_cache does: below $TOWLINE_HOME, else the user's cache, else beside the
# workspace, as in a pod whose user has no home.
find_cache() {
    if [ -n "${TOWLINE_HOME:-}" ]; then
        open_cache "$TOWLINE_HOME" "$1" || fail "TOWLINE_HOME cannot hold the engine: $why" \
            'set it on the agent to a folder of the user that runs the builds'
        return
    fi
    why='HOME is not set'
    user_cache=${XDG_CACHE_HOME:-${HOME:+${HOME%/}/.cache}}
    if [ -n "$user_cache" ] && open_cache "${user_cache%/}/towline" "$1"; then return; fi
    before=$why
    beside=${WORKSPACE_TMP:-$workspace@tmp}
    if open_cache "${beside%/}/towline" "$1"; then
        note "the engine is kept in $beside, since $before"
        return
    fi
    fail "no folder can hold the engine: $before; $why" \
        'set TOWLINE_HOME on the agent to a folder of the user that runs the builds'
}

# Sets `incoming` to a new file name in a folder of its own, so that no two builds write one file.
# What builds that were killed have left there for a day is removed.
new_incoming() {
    find "$cache" -name 'incoming.*' -prune -mtime +0 -exec rm -rf -- {} \; 2>/dev/null || :
    number=0
    while ! (umask 077 && mkdir -- "$cache/incoming.$$.$number") 2>/dev/null; do
        number=$((number + 1))
        [ $number -lt 100 ] || fail "cannot write into '$cache'" 'see if the disk is full'
    done
    incoming=$cache/incoming.$$.$number/engine.pyz
}

# Moves the complete file $1 into its place, if its checksum is $2; else fails. A rename replaces
# whatever another build has put there meanwhile by the same bytes.
accept() {
    if check "$python" "$1" && [ "$sum" = "$2" ] && mv -f -- "$1" "$cache/engine.pyz"; then
        rmdir -- "${1%/*}" 2>/dev/null || :
        return
    fi
    rm -rf -- "${1%/*}"
    return 1
}

# Fetches the engine with checksum $1. One build at a time does, while the others wait for it: this
# only saves downloads. A build that waits in vain, or for a dead one, goes on without the lock.
fetch() {
    lock=$cache/lock waited=0
    until (umask 077 && mkdir -- "$lock") 2>/dev/null; do
        if is_cached "$1"; then return; fi
        [ -z "$stopped" ] || end_aborted
        if { [ $waited -ge 320 ] || is_dead "$lock/owner"; } && rm -rf -- "$lock"; then continue; fi
        [ -d "$lock" ] && [ $waited -lt 330 ] || break
        sleep 1
        waited=$((waited + 1))
    done
    held=$lock
    (echo "$$ $(uname -n)" > "$lock/owner") 2>/dev/null || :
    is_cached "$1" || fetch_now "$1"
    release_lock
}

release_lock() {
    [ -z "$held" ] || rm -rf -- "$held"
    held=''
}

fetch_now() {
    new_incoming
    shown=${url%%\?*}
    case $shown in *://*@*) shown=${shown%%://*}://${shown#*@} ;; esac
    if ! fault=$(download "$incoming"); then
        rm -rf -- "${incoming%/*}"
        fail "the engine cannot be downloaded from $shown: $fault" \
            'see if the agent reaches that server; TOWLINE_ENGINE_URL names another one'
    fi
    accept "$incoming" "$1" || fail "the engine at $shown has another checksum than $1: $sum" \
        'correct TOWLINE_ENGINE_SHA256, or see who has changed the file'
}

# Succeeds if the process that wrote the file $1 ran on this machine and runs no more.
is_dead() {
    { read -r pid machine < "$1"; } 2>/dev/null || return 1
    [ "$machine" = "$(uname -n)" ] && ! kill -0 "$pid" 2>/dev/null
}

# Ends the call with the question for the library's own engine, whose checksum is $1. The request is
# kept for the next call.
ask_delivery() {
    [ -n "$for_library" ] || fail_missing
    new_incoming
    keep_request=yes
    printf '{"protocol": 1, "status": "deliver", "target": %s, "sha256": "%s"}\n' \
        "$(json "$incoming")" "$1"
    exit 0
}

# Takes the engine that the library has written to $TOWLINE_DELIVERED; its checksum is $1.
take_delivery() {
    case ${TOWLINE_DELIVERED#"$cache"/incoming.} in
        "$TOWLINE_DELIVERED" | */*/*) fail "the engine was delivered to '$TOWLINE_DELIVERED', which\
 is not in the cache '$cache'" 'see if HOME or TOWLINE_HOME changes during the build' ;;
    esac
    [ -f "$TOWLINE_DELIVERED" ] || fail "the engine was not delivered to '$TOWLINE_DELIVERED'" \
        'see if the disk of the agent is full'
    accept "$TOWLINE_DELIVERED" "$1" || fail "the engine that the library has delivered has another\
 checksum than $1: ${sum:-it cannot be read}" \
        'see if the disk of the agent is full, and release the library again if it is not'
}

# Runs the engine of the cache with the arguments $@; fills the cache if it lacks the engine.
run_cached() {
    url=${TOWLINE_ENGINE_URL:-} sha256=${TOWLINE_ENGINE_SHA256:-}
    if [ -n "$url$sha256" ]; then
        case $sha256 in *[!0-9a-f]* | '') sha256='' ;; esac
        [ -n "$url" ] && [ ${#sha256} = 64 ] || fail "TOWLINE_ENGINE_URL needs the checksum of the\
 engine in TOWLINE_ENGINE_SHA256, 64 digits in lower case" 'set both on the agent, or neither'
    else
        url=$library_url sha256=$library_sha256
        [ -n "$sha256" ] || fail_missing
    fi
    find_cache "$sha256"
    find_python "$cache/engine.pyz"
    if [ -n "${TOWLINE_DELIVERED:-}" ] && [ -z "$url" ]; then
        take_delivery "$sha256"
    elif [ "$sum" != "$sha256" ]; then
        [ -z "$sum" ] || note "'$cache/engine.pyz' has another checksum and is replaced"
        if [ -n "$url" ]; then fetch "$sha256"; else ask_delivery "$sha256"; fi
    fi
    run "$python" -I "$cache/engine.pyz" "$@"
}

fail_missing() {
    fail 'the engine is not on this agent' "install it so that 'towline' is on PATH, or set\
 TOWLINE_ENGINE on the agent to the absolute path of its program"
}

# ---- the engine

# Runs the program $1 with the arguments behind it. If the interpreter in its first line does not
# exist, says so: the shell's own message would say that the program does not exist.
run_program() {
    case $1 in
        *.pyz)
            find_python "$1"
            run "$python" -I "$@" ;;
    esac
    first=''
    { IFS= read -r first < "$1"; } 2>/dev/null || :
    case $first in
        '#!/'*)
            interpreter=${first#'#!'}
            interpreter=${interpreter%% *}
            [ -x "$interpreter" ] || fail "'$1' needs $interpreter, which is not on this agent" \
                'install Python 3.11 or newer there, or install the engine again' ;;
    esac
    run "$@"
}

# Runs the command $@ and ends as it does; for the library, with its result or one in its place.
run() {
    [ -z "$stopped" ] || end_aborted
    if [ -z "$for_library" ]; then
        PATH=$given_path
        exec "$@"
    fi
    code=0
    result=$(PATH=$given_path && exec "$@") || code=$?
    [ -z "$stopped" ] || end_aborted
    case $code:$result in
        0:'{'*'}' | "$code":'{'*"\"exitCode\": $code"[,\}]*)
            printf '%s\n' "$result"
            exit 0 ;;
    esac
    case $code in
        130 | 143)
            print_result "$code" aborted custom 'the engine was interrupted' \
                'see who has ended its process, and run the step again' ;;
        129 | 1[3-9]? | 2??)
            print_result "$code" failure infrastructure \
                "the engine was killed by signal $((code - 128)) and left no result" \
                'see if this machine or its container ran out of memory, and run the step again' ;;
        *)
            print_result "$((code ? code : 9))" failure infrastructure \
                "the engine ended with exit code $code and left no result" \
                "the lines above say why; '$1' may be older than the library, then install the\
 engine of the library's version" ;;
    esac
    exit 0
}

# ---- the call

# shellcheck disable=SC2329 # the trap calls it
clean_up() {
    release_lock
    case $for_library$keep_request:${TOWLINE_REQUEST_FILE:-} in
        yes:*/towline-*/request.json)
            rm -f -- "$TOWLINE_REQUEST_FILE"
            rmdir -- "${TOWLINE_REQUEST_FILE%/*}" 2>/dev/null || : ;;
    esac
}

# The engine gets the same signals, since Jenkins ends all processes of a build. This shell waits
# for its result.
trap 'stopped=143' TERM HUP
trap 'stopped=130' INT
trap clean_up EXIT
if [ -n "$for_library" ]; then
    [ -n "${TOWLINE_CALL_COMMAND:-}" ] || fail 'TOWLINE_CALL_COMMAND is not set' \
        'run this script with the arguments of the engine, or use it from the library'
    set -- "$TOWLINE_CALL_COMMAND" ${TOWLINE_CALL_STEP:+"$TOWLINE_CALL_STEP"} \
        --request "${TOWLINE_REQUEST_FILE:-env:TOWLINE_REQUEST}" --result - \
        ${TOWLINE_CALL_STAGE:+--stage "$TOWLINE_CALL_STAGE"} \
        ${TOWLINE_CALL_IF_ACTIVE:+--if-active}
fi

if [ -n "${TOWLINE_ENGINE:-}" ]; then
    case $TOWLINE_ENGINE in
        /*) ;;
        *) fail "TOWLINE_ENGINE must be an absolute path, not '$TOWLINE_ENGINE'" \
            'set it on the agent' ;;
    esac
    usable "$TOWLINE_ENGINE" || fail "TOWLINE_ENGINE ('$TOWLINE_ENGINE') is not an executable file\
 outside of the workspace" "set it on the agent to the engine's program"
    run_program "$TOWLINE_ENGINE" "$@"
fi
if search towline; then run_program "$found" "$@"; fi
run_cached "$@"
