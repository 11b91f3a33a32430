"""Many processes deploy to one branch, and some are killed.

They are whole programs that use real git over HTTP with a login.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.calls import configure, request
from tests.fakes.git_server import GitServer

PASSWORD = "git-pass-word"
MANIFEST = (
    b"kind: Deployment\nspec:\n  template:\n    spec:\n      containers:\n      - {name: app,"
    b" image: 'registry.example.com/app:0'}\n"
)
WRITERS = 20


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitServer]:
    with GitServer(tmp_path / "git", "deployer", PASSWORD) as running:
        running.create(
            "ops", {f"apps/app-{number}/app.yaml": MANIFEST for number in range(WRITERS)}
        )
        yield running


class Writer:
    """One process of the engine that deploys `tag` to its own application.

    `temporary` is the folder that it shares with other processes of its host.
    """

    def __init__(
        self, server: GitServer, folder: Path, *, number: int, tag: int, temporary: Path
    ) -> None:
        self.folder, self.tag = folder, tag
        folder.mkdir()
        temporary.mkdir(exist_ok=True)
        configure(
            folder,
            f"steps:\n  gitOpsUpdateDeployment: {{serverUrl: '{server.url('ops')}', containerName:"
            " app}\n",
        )
        flag = request(
            folder,
            step="gitOpsUpdateDeployment",
            parameters={
                "filePath": f"apps/app-{number}/app.yaml",
                "containerImageNameTag": f"app:{tag}",
                "containerRegistryUrl": "https://registry.example.com",
            },
        )
        environ = {
            "PATH": os.environ["PATH"],
            "TMPDIR": str(temporary),
            "PIPER_username": "deployer",
            "PIPER_password": PASSWORD,
        }
        words = [
            sys.executable,
            "-m",
            "towline",
            "run",
            "gitOpsUpdateDeployment",
            *flag,
            "--result",
            "result.json",
        ]
        with (folder / "log").open("wb") as log:
            self.process = subprocess.Popen(words, cwd=folder, env=environ, stdout=log, stderr=log)

    @property
    def commit(self) -> str:
        """The commit that it reported; empty if it did not succeed."""
        path = self.folder / "result.json"
        result = json.loads(path.read_text()) if path.exists() else {}
        return str(result["outputs"]["commit"]) if result.get("status") == "success" else ""

    @property
    def log(self) -> str:
        """The log that it printed."""
        return (self.folder / "log").read_text(errors="replace")


def git(server: GitServer, *words: str) -> str:
    return server.git(*words, repository=server.folder / "ops.git")


def left(folder: Path) -> list[str]:
    """The files that the engine has left in temporary folders."""
    return [str(path) for path in folder.rglob("towline*")]


@pytest.mark.parametrize("shared", [True, False], ids=["on one host", "each on its own host"])
def test_twenty_processes_on_one_branch_all_land(
    server: GitServer, tmp_path: Path, *, shared: bool
) -> None:
    hosts = tmp_path / "hosts"
    hosts.mkdir()
    writers = [
        Writer(
            server,
            tmp_path / f"writer-{number}",
            number=number,
            tag=number + 1,
            temporary=hosts / ("one" if shared else str(number)),
        )
        for number in range(WRITERS)
    ]
    assert [
        (writer.process.wait(), writer.log) for writer in writers if writer.process.wait()
    ] == []
    history = git(server, "log", "--format=%H", "main").split()
    assert sorted(writer.commit for writer in writers) == sorted(history[:-1])
    for number in range(WRITERS):
        assert f"app:{number + 1}'" in git(server, "show", f"main:apps/app-{number}/app.yaml")
    assert git(server, "fsck", "--full", "--strict", "--no-dangling") == ""
    assert left(hosts) == []
    pushes = sum("service=git-receive-pack" in exchange.path for exchange in server.requests)
    assert (pushes == WRITERS) is shared, "on one host nobody is ever too late"


@pytest.mark.parametrize("times", [6, pytest.param(200, marks=pytest.mark.extra)])
def test_processes_that_are_killed_leave_history_and_disk_as_they_should_be(
    server: GitServer, tmp_path: Path, times: int
) -> None:
    host, drawn = tmp_path / "host", random.Random(times)
    begin = time.monotonic()
    first = Writer(server, tmp_path / "first", number=0, tag=1, temporary=host)
    assert first.process.wait() == 0, first.log
    usual = time.monotonic() - begin
    writers = [first]
    for number in range(times):
        writer = Writer(
            server,
            tmp_path / f"writer-{number}",
            number=number % WRITERS,
            tag=number + 2,
            temporary=host,
        )
        writers.append(writer)
        with_another = number % 3 == 0
        if with_another:  # a process that waits for the lock of the killed one
            writers.append(
                Writer(
                    server,
                    tmp_path / f"other-{number}",
                    number=(number + 1) % WRITERS,
                    tag=1000 + number,
                    temporary=host,
                )
            )
        time.sleep(drawn.uniform(0, usual))  # at any moment: none may do harm
        writer.process.kill()
        writer.process.wait()
        if with_another:
            assert writers[-1].process.wait() == 0, writers[-1].log
    for number in range(3):  # git may live a moment longer than the run that was killed
        for folder in map(Path, left(host)):
            if folder.is_dir() and not any(
                folder.iterdir()
            ):  # a run may still be about to lock it, for a minute
                os.utime(folder, (time.time() - 61, time.time() - 61))
        last = Writer(
            server, tmp_path / f"last-{number}", number=0, tag=5000 + number, temporary=host
        )
        assert last.process.wait() == 0, last.log
        writers.append(last)
    history = set(git(server, "log", "--format=%H", "main").split())
    assert {writer.commit for writer in writers} - {""} <= history
    assert len(git(server, "log", "--merges", "--format=%H", "main")) == 0
    assert git(server, "fsck", "--full", "--strict", "--no-dangling") == ""
    assert left(host) == []
