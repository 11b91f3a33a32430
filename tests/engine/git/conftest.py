"""Fixtures of the git tests: a server, an environment, and a clock that does not sleep."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.fakes.git_server import GitServer
from towline.git.objects import Author
from towline.git.remote import parse_remote
from towline.git.repository import BranchTip, GitRepository
from towline.retry import Clock, Deadline
from towline.secret import Login

Opened = Callable[..., GitRepository]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitServer]:
    with GitServer(tmp_path / "served") as running:
        yield running


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    return folder


@pytest.fixture
def environ(temporary: Path) -> Mapping[str, str]:
    return {"PATH": os.environ["PATH"], "TMPDIR": str(temporary)}


@pytest.fixture
def slept() -> list[float]:
    """The seconds that were waited, on a clock that does not let them pass."""
    return []


@pytest.fixture
def opened(server: GitServer, environ: Mapping[str, str], slept: list[float]) -> Iterator[Opened]:
    """Opens the server's repository `demo`, or another URL; closed after the test."""
    repositories: list[GitRepository] = []

    def open_one(
        login: Login | None = None, url: str = "", variables: Mapping[str, str] = environ
    ) -> GitRepository:
        deadline = Deadline.after(60, Clock(sleep=slept.append))
        repositories.append(
            GitRepository(
                parse_remote(url or server.url("demo"), login=login),
                environ=variables,
                deadline=deadline,
            )
        )
        return repositories[-1]

    yield open_one
    for repository in repositories:
        repository.__exit__()


AUTHOR = Author(name="Ann Example", email="ann@example.com")
FILES: Mapping[str, bytes | tuple[bytes, int]] = {
    "README": b"hello\n",
    "a/run.sh": (b"#!/bin/sh\n", 0o755),
    "a/deep/one.yaml": b"n: 1\n",
    "a/deep/two.yaml": b"n: 2\n",
    "link": (b"a/run.sh", 0o120000),
    '"caf\\351"': b"latin name\n",
}


@pytest.fixture
def bare(server: GitServer) -> Path:
    return server.create("demo", FILES)


@pytest.fixture
def repository(bare: Path, opened: Opened) -> GitRepository:
    assert bare.exists()
    return opened()


def pushed(repository: GitRepository, tip: BranchTip, changes: Mapping[str, bytes]) -> str:
    commit = repository.commit(tip, changes, message="Change", author=AUTHOR)
    assert repository.push(commit, tip).done
    return commit
