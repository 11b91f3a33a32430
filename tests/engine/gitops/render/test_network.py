"""A process leaves the network, on systems that allow it and on others."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import towline
from tests.fakes.serve import Answer, LoopbackServer, Request
from towline.gitops.render.process import RenderLimits, run_renderer

ROOT = str(Path(towline.__file__).parent.parent)
NOBODY = [] if os.geteuid() else ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
NONE_LEFT = [
    "unshare",
    "--user",
    "--map-root-user",
    "sh",
    "-c",
    'echo 0 > /proc/sys/user/max_net_namespaces && exec "$@"',
    "sh",
]
LEAVES = (
    "import sys; sys.path[:0] = [sys.argv[1]];"
    " from towline.gitops.render.network import leave_network; print(leave_network())"
)
ASKS = (
    "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1])), 5);"
    " print('reached')"
)


class Open(LoopbackServer):
    def answer(self, request: Request) -> Answer:
        return Answer(status=200)


def works(*words: str) -> bool:
    return subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0


def leaves(*before: str) -> str:
    words = [*before, sys.executable, "-I", "-c", LEAVES, ROOT]
    return subprocess.run(words, capture_output=True, check=True, text=True).stdout.strip()


needs_networks = pytest.mark.skipif(
    not (works("unshare", "-n") or works("unshare", "-rn")),
    reason="this system gives no network namespace",
)


@needs_networks
def test_a_program_that_renders_reaches_nothing() -> None:
    with Open() as server:
        command = [sys.executable, "-I", "-c", ASKS, str(server.port)]
        assert subprocess.run(command, capture_output=True, check=True).stdout == b"reached\n"
        ended = run_renderer("program", {"command": command}, limits=RenderLimits())
    assert (ended.code, ended.out) == (1, b"")
    assert b"unreachable" in ended.err


@pytest.mark.skipif(
    not works(*NOBODY, "unshare", "-rn"), reason="this system gives no user namespace"
)
def test_who_is_not_root_leaves_by_a_user_namespace() -> None:
    assert leaves(*NOBODY) == "True"


@pytest.mark.skipif(not works(*NONE_LEFT), reason="this system gives no user namespace")
def test_where_the_system_gives_none_rendering_goes_on() -> None:
    assert leaves(*NONE_LEFT) == "False"
