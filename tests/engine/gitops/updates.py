"""One update from its plan to its push, as the step does it for a single branch.

With the repository and the change that tests of updates use.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.fakes.git_server import GitServer
from towline.git.objects import Author
from towline.git.remote import parse_remote
from towline.git.repository import GitRepository
from towline.gitops.change import Change
from towline.gitops.provenance import Provenance
from towline.gitops.update import CommitText, Update, UpdateJob, UpdateOptions, plan_update, push
from towline.retry import Clock, Deadline

TEXT = CommitText(
    text="Updated demo to version 2",
    provenance=Provenance(stage="Release", request="run-1"),
    author=Author(name="ann"),
)
BEFORE, AFTER = b"# comment\nimage: demo:1\n", b"# comment\nimage: demo:2\n"
FILES = {"apps/demo.yaml": BEFORE, "apps/other.yaml": b"image: other:1\n"}


@dataclass(frozen=True)
class Replace:
    """A change for tests: replaces a text in files of some names, and adds new files."""

    paths: Sequence[str] = ("apps/demo.yaml",)
    old: bytes = b"demo:1"
    new: bytes = b"demo:2"
    besides: Mapping[str, bytes] | None = None

    def wants(self, listing: Sequence[str]) -> Sequence[str]:
        assert list(listing) == sorted(listing)
        return self.paths

    def apply(self, files: Mapping[str, bytes]) -> Mapping[str, bytes]:
        return {
            path: content.replace(self.old, self.new) for path, content in files.items()
        } | dict(self.besides or {})


@contextmanager
def serving(folder: Path) -> Iterator[GitServer]:
    """A git server with the repository `demo`."""
    with GitServer(folder / "served") as running:
        running.create("demo", FILES)
        yield running


@contextmanager
def opened(server: GitServer, folder: Path) -> Iterator[GitRepository]:
    """The repository `demo`, open for an update; no retry sleeps."""
    deadline = Deadline.after(60, Clock(sleep=lambda _seconds: None))
    with GitRepository(
        parse_remote(server.url("demo")),
        environ={"PATH": os.environ["PATH"], "TMPDIR": str(folder)},
        deadline=deadline,
    ) as repository:
        yield repository


def git(server: GitServer, *words: str) -> str:
    return server.git(*words, repository=server.folder / "demo.git")


def update(
    repository: GitRepository,
    *,
    branch: str,
    change: Change,
    text: CommitText,
    options: UpdateOptions | None = None,
) -> Update:
    """The result of `change` on `branch`."""
    job = UpdateJob(
        repository=repository,
        branch=branch,
        change=change,
        text=text,
        options=options or UpdateOptions(),
    )
    with repository.lock(branch):
        return push(job, plan_update(job))
