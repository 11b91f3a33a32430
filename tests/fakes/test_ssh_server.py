"""The SSH server of the tests, with the usual programs as its clients."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.fakes.git_server import GitServer
from tests.fakes.ssh_server import SshServer, make_key, missing

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "there is one")


def run(server: SshServer, key: Path, known: Path, *words: str) -> subprocess.CompletedProcess[str]:
    known.write_text(server.known_hosts)
    ssh = (
        f"ssh -F /dev/null -i {key} -o IdentitiesOnly=yes -o BatchMode=yes -o"
        f" UserKnownHostsFile={known}"
    )
    return subprocess.run(
        list(words),
        env={"PATH": os.environ["PATH"], "GIT_SSH_COMMAND": ssh},
        capture_output=True,
        text=True,
        check=False,
    )


def test_its_key_opens_a_repository_and_another_one_does_not(tmp_path: Path) -> None:
    with SshServer(tmp_path / "ssh") as server, GitServer(tmp_path / "served") as git:
        bare = git.create("demo", {"a": b"1"})
        assert (
            "refs/heads/main"
            in run(
                server,
                tmp_path / "ssh/client",
                tmp_path / "known",
                "git",
                "ls-remote",
                server.url(bare),
            ).stdout
        )
        make_key(tmp_path / "other")
        assert (
            "Permission denied"
            in run(
                server, tmp_path / "other", tmp_path / "known", "git", "ls-remote", server.url(bare)
            ).stderr
        )


def test_nothing_but_git_runs_there(tmp_path: Path) -> None:
    with SshServer(tmp_path / "ssh") as server:
        done = run(
            server,
            tmp_path / "ssh/client",
            tmp_path / "known",
            "ssh",
            "-F",
            "/dev/null",
            "-i",
            str(tmp_path / "ssh/client"),
            "-o",
            "BatchMode=yes",
            "-o",
            f"UserKnownHostsFile={tmp_path / 'known'}",
            "-p",
            str(server.port),
            f"{server.user}@127.0.0.1",
            "id",
        )
        assert "uid=" not in done.stdout
        assert "unrecognized command" in done.stderr
