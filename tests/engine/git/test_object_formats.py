"""Repositories with SHA-256 ids work like those with SHA-1, from the first commit on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.engine.git.conftest import Opened
from tests.fakes.git_server import GitServer
from towline.git.objects import Author
from towline.git.repository import GitRepository
from towline.git.sparse import scope_of

AUTHOR = Author(name="Ann Example", email="ann@example.com")
FILES = {
    f"c{cluster}/t{team}/app/{name}": b"n: %d\n" % team
    for cluster in range(3)
    for team in range(30)
    for name in "ab"
}
FORMS = {"sha1": 40, "sha256": 64}


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def bare(server: GitServer, form: str) -> Path:
    return server.create("demo", FILES, form=form)


def written(
    repository: GitRepository,
    changes: Mapping[str, bytes],
    branch: str,
    paths: tuple[str, ...],
    *,
    create: bool = False,
) -> str:
    tip = repository.fetch(branch, scope=scope_of(paths), create=create)
    commit = repository.commit(tip, changes, message="Change", author=AUTHOR)
    pushed = repository.push(commit, tip)
    assert pushed.done, pushed.text
    return commit


@pytest.mark.parametrize("paths", [(), ("c1/t2/app/a",)])
@pytest.mark.parametrize("filtered", ["true", "false"])
def test_a_file_of_a_large_repository_changes(
    server: GitServer,
    bare: Path,
    opened: Opened,
    *,
    form: str,
    paths: tuple[str, ...],
    filtered: str,
) -> None:
    server.git("config", "uploadpack.allowFilter", filtered, repository=bare)
    commit = written(opened(), {"c1/t2/app/a": b"n: new\n"}, "main", paths)
    assert len(commit) == FORMS[form]
    assert server.git("rev-parse", "main", repository=bare).strip() == commit
    assert server.git("diff", "--name-only", "main~", "main", repository=bare) == "c1/t2/app/a\n"
    server.git("fsck", "--strict", repository=bare)


@pytest.mark.parametrize("asked", ["", "stage"])
def test_the_first_commit_of_an_empty_repository(
    server: GitServer, opened: Opened, form: str, asked: str
) -> None:
    """Git before 2.41 treats the clone of an empty repository as one of SHA-1."""
    bare = server.create("empty", {}, branch="trunk", form=form)
    commit = written(
        opened(url=server.url("empty")), {"a/b.yaml": b"a: 1\n"}, asked, (), create=True
    )
    assert server.git("rev-parse", asked or "trunk", repository=bare).strip() == commit
    assert server.git("show", f"{commit}:a/b.yaml", repository=bare) == "a: 1\n"


def test_a_branch_of_its_own_is_made(server: GitServer, bare: Path, opened: Opened) -> None:
    commit = written(opened(), {"c1/t2/app/a": b"n: new\n"}, "stage", ("c1/t2/app/a",), create=True)
    assert server.git("rev-parse", "stage", repository=bare).strip() == commit


def test_a_branch_that_moved_is_read_again_and_its_past_is_known(
    server: GitServer, bare: Path, opened: Opened
) -> None:
    server.add("demo", {"c0/t0/app/a": b"more"}, message="Second")
    repository = opened()
    tip = repository.fetch("main", scope=scope_of(["c1/t2/app/a"]))
    other = server.add("demo", {"c0/t0/app/b": b"more"}, message="Third")
    pushed = repository.push(
        repository.commit(tip, {"c1/t2/app/a": b"n: new\n"}, message="Change", author=AUTHOR), tip
    )
    assert not pushed.done
    now = repository.refetch(tip)
    assert [
        (commit.id, commit.message.strip()) for commit in repository.commits_since(tip, now)
    ] == [(other, "Third")]
    assert [commit.message.strip() for commit in repository.history(tip)] == ["Second", "Begin"]
    assert repository.push(
        repository.commit(now, {"c1/t2/app/a": b"n: new\n"}, message="Change", author=AUTHOR), now
    ).done
    server.git("fsck", "--strict", repository=bare)


def test_the_diff_is_a_patch(bare: Path, opened: Opened) -> None:
    assert bare.exists()
    repository = opened()
    tip = repository.fetch("main", scope=scope_of(["c1/t2/app/a"]))
    repository.read(
        [entry for entry in repository.listing(tip.commit) if entry.path == "c1/t2/app/a"]
    )
    assert repository.diff(tip, {"c1/t2/app/a": b"n: new\n"}).endswith(
        "@@ -1 +1 @@\n-n: 2\n+n: new\n"
    )
