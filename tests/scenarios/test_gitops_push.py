"""Many builds deploy at once.

The manifests, git over HTTP with a login, and the clone that checks the result are real.
"""

from __future__ import annotations

import os
import subprocess
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.engine.gitops.updates import update
from tests.fakes.git_server import GitServer
from towline.git.objects import Author
from towline.git.remote import parse_remote
from towline.git.repository import GitRepository
from towline.gitops.commit_message import default_message, parse_provenance
from towline.gitops.kubectl import ContainerImage
from towline.gitops.provenance import Provenance
from towline.gitops.update import CommitText, Update
from towline.retry import Clock, Deadline
from towline.secret import Login

LOGIN = Login(username="deployer", password="s3cret word", origin="PIPER_password")
MANIFEST = """\
# {name}: keep this comment
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  template:
    spec:
      containers:
      - name: {name}
        image: registry.example.com/{name}:1   # the one
"""
NAMES = ("ada", "bea", "cleo", "dora", "eve")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitServer]:
    with GitServer(tmp_path / "served", LOGIN.username, LOGIN.password) as running:
        shared = "---\n".join(MANIFEST.format(name=name) for name in NAMES)
        apart = {
            f"apps/{name}/deployment.yaml": MANIFEST.format(name=name).encode() for name in NAMES
        }
        running.create(
            "deployments",
            {**apart, "all.yaml": shared.encode(), "bin/check": (b"#!/bin/sh\n", 0o755)},
        )
        yield running


def deploy(server: GitServer, temporary: Path, name: str, pattern: str) -> Update:
    image = f"registry.example.com/{name}"
    text = CommitText(
        text=default_message(image, "2"),
        provenance=Provenance(deployment=name, images=(f"{image}:2",), request=uuid.uuid4().hex),
        author=Author(name=name),
    )
    temporary.mkdir(exist_ok=True)
    environ = {"PATH": os.environ["PATH"], "TMPDIR": str(temporary)}
    with GitRepository(
        parse_remote(server.url("deployments"), login=LOGIN),
        environ=environ,
        deadline=Deadline.after(60, Clock()),
    ) as repository:
        return update(
            repository,
            branch="",
            change=ContainerImage(pattern=pattern, container=name, image=f"{image}:2"),
            text=text,
        )


def starting_together(server: GitServer, writers: int) -> None:
    """Hold the first push of each writer until all have read the branch: a race for certain."""
    gate = threading.Barrier(writers)
    seen = threading.Semaphore(writers)

    def wait(_method: str, path: str) -> None:
        if path.endswith("?service=git-receive-pack") and seen.acquire(blocking=False):
            gate.wait(timeout=120)

    server.fault = wait


def clone(server: GitServer, folder: Path) -> Path:
    subprocess.run(
        ["git", "clone", "--quiet", str(server.folder / "deployments.git"), str(folder)],
        check=True,
        capture_output=True,
    )
    return folder


@pytest.mark.parametrize(
    "pattern", ["apps/{}/deployment.yaml", "all.yaml"], ids=["a file each", "one file for all"]
)
def test_builds_that_deploy_at_once_all_land_and_lose_nothing(
    server: GitServer, tmp_path: Path, pattern: str
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    starting_together(server, len(NAMES))
    with ThreadPoolExecutor(len(NAMES)) as pool:
        done = list(
            pool.map(
                lambda name: deploy(server, temporary / name, name, pattern.format(name)), NAMES
            )
        )
    folder = clone(server, tmp_path / "clone")
    log = server.git("log", "--format=%B%x00", "--reverse", repository=folder / ".git").split(
        "\0\n"
    )[1:-1]
    assert sorted(parse_provenance(message).deployment for message in log) == sorted(NAMES)
    assert sorted(update.commit for update in done) == sorted(
        server.git("rev-list", "main~5..main", repository=folder / ".git").split()
    )
    assert sum(update.attempts for update in done) > len(NAMES), "they did race"
    for name in NAMES:
        expected = MANIFEST.format(name=name).replace(f"{name}:1", f"{name}:2")
        assert expected in (folder / pattern.format(name)).read_text()
    assert os.access(folder / "bin/check", os.X_OK)
    assert (
        server.git(
            "fsck",
            "--full",
            "--strict",
            "--no-dangling",
            repository=server.folder / "deployments.git",
        )
        == ""
    )
    assert [path for host in temporary.iterdir() for path in host.iterdir()] == []


def test_the_same_deployment_again_is_no_commit(server: GitServer, tmp_path: Path) -> None:
    first = deploy(server, tmp_path, "ada", "apps/ada/deployment.yaml")
    second = deploy(server, tmp_path, "ada", "apps/ada/deployment.yaml")
    assert first.commit
    assert (second.commit, second.base) == ("", first.commit)


def test_two_runs_of_the_same_deployment_at_once_make_one_commit(
    server: GitServer, tmp_path: Path
) -> None:
    starting_together(server, 2)
    with ThreadPoolExecutor(2) as pool:
        done = list(
            pool.map(
                lambda host: deploy(server, tmp_path / f"host-{host}", "eve", "all.yaml"), range(2)
            )
        )
    bare = server.folder / "deployments.git"
    assert server.git("rev-list", "--count", "main", repository=bare) == "2\n"
    assert sorted(update.commit for update in done) == [
        "",
        server.git("rev-parse", "main", repository=bare).strip(),
    ]
