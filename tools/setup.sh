#!/bin/sh
# Prepares a make target: `setup.sh run` for the engine and the demo, `setup.sh test` also for the
# tests. As root on Debian or Ubuntu it installs missing system packages; otherwise it names them in
# one line.
set -eu
cd "$(dirname "$0")/.."
purpose=${1:-run}

find_python() {
    for name in python3 python3.14 python3.13 python3.12 python3.11; do
        if "$name" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
            2>/dev/null; then
            echo "$name"
            return
        fi
    done
}

java_version() {
    java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1
}

missing='' welcome=''
[ -n "$(find_python)" ] || [ -x .venv/bin/python ] || missing="$missing python3 python3-venv"
[ -x "$(git --exec-path 2>/dev/null)/git-http-backend" ] || missing="$missing git"
if [ "$purpose" = test ]; then
    command -v docker-registry >/dev/null || missing="$missing docker-registry"
    command -v openssl >/dev/null || missing="$missing openssl"
    command -v skopeo >/dev/null || missing="$missing skopeo"
    command -v ssh-keygen >/dev/null || missing="$missing openssh-client"
    command -v busybox >/dev/null || missing="$missing busybox"
    command -v gpg >/dev/null || missing="$missing gnupg"
    # Only root gets an SSH server. Without one, its tests are skipped and say so.
    [ "$(id -u)" != 0 ] || [ -x /usr/sbin/sshd ] || missing="$missing openssh-server"
    # Only root gets a Docker engine, too; tests/containers starts it if none is running.
    [ "$(id -u)" != 0 ] || [ -n "${DOCKER_HOST:-}" ] || [ -S /var/run/docker.sock ] ||
        [ -x /usr/sbin/dockerd ] || missing="$missing docker.io"
    command -v gradle >/dev/null || missing="$missing gradle"
    # Not every distribution has kubectl. Without it, tests that run kustomize itself are skipped.
    command -v kubectl >/dev/null || welcome="$welcome kubernetes-client"
    [ "$(java_version)" -ge 17 ] 2>/dev/null || missing="$missing default-jdk-headless"
fi
apt='apt-get update && apt-get install -y --no-install-recommends'
if [ -n "$missing" ]; then
    if ! command -v apt-get >/dev/null; then
        echo "towline: install what these Debian packages contain, and run this again:$missing" >&2
        exit 1
    fi
    if [ "$(id -u)" != 0 ]; then
        echo "towline: programs are missing; install them by this command, and run this again:" >&2
        echo "    sudo sh -c '$apt$missing'" >&2
        exit 1
    fi
    echo "towline: installing$missing (once, a minute or two)"
    log=$(mktemp)
    # RUNLEVEL=1: packages must not start services; the tests start the programs on free ports.
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086 # these are lists of packages
    if ! (apt-get update -q &&
        RUNLEVEL=1 apt-get install -q -y --no-install-recommends $missing) >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        echo "towline: apt could not install them; once this machine reaches its mirrors, run:" >&2
        echo "    $apt$missing" >&2
        exit 1
    fi
    # shellcheck disable=SC2086
    [ -z "$welcome" ] || apt-get install -q -y --no-install-recommends $welcome >"$log" 2>&1 ||
        echo "towline: continues without$welcome, which apt could not install"
    rm -f "$log"
fi

python=$(find_python)
if [ -z "$python" ] && [ ! -x .venv/bin/python ]; then
    echo "towline: there is no Python 3.11 or newer with venv, nor in the system's packages" >&2
    exit 1
fi

# Runs pip install. Prints a line for each package, and what to do if it fails.
install() {
    {
        .venv/bin/python -m pip install --disable-pip-version-check --retries 2 --progress-bar off \
            "$@" 2>&1 || echo "pip failed"
    } |
        tee .venv/towline-setup.log | sed -n 's/^Collecting \([^ ;]*\)==\([^ ;]*\).*/    \1 \2/p'
    if [ "$(tail -n 1 .venv/towline-setup.log)" = "pip failed" ]; then
        grep '^ERROR' .venv/towline-setup.log | tail -n 2 >&2
        echo "towline: the packages could not be installed; .venv/towline-setup.log says why." >&2
        echo "towline: behind a mirror, run this with its URL:" >&2
        echo "    PIP_INDEX_URL=https://mirror.example.com/simple make $goal" >&2
        exit 1
    fi
}

# The tests' lock contains the engine's: a machine that is set up for the tests can run the demo.
lock=requirements.lock goal=demo
[ "$purpose" = run ] || lock=requirements-test.lock goal=test
wanted=$(cat requirements*.lock pyproject.toml resources/towline/VERSION | sha256sum |
    cut -d ' ' -f 1)
set_up_for() {
    [ "$(cat ".venv/towline-setup-$1" 2>/dev/null)" = "$wanted" ] &&
        .venv/bin/towline --version >/dev/null 2>&1
}
if ! set_up_for test && ! set_up_for "$purpose"; then
    echo "towline: setting up .venv (once, half a minute)"
    .venv/bin/python -c '' 2>/dev/null || "$python" -m venv --clear .venv
    rm -f .venv/towline-setup*
    install --require-hashes -r "$lock"
    install --quiet --no-deps --no-build-isolation --editable .
    echo "$wanted" >".venv/towline-setup-$purpose"
fi

# Compiles the engine. Where Python writes no bytecode (PYTHONDONTWRITEBYTECODE, another user's
# checkout), every command would compile it anew. By timestamp, so that an edit takes effect.
.venv/bin/python -m compileall -q --invalidation-mode timestamp engine/towline
