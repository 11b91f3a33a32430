"""A new branch that starts from a base branch, on git's own server."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.engine.git.conftest import Opened
from tests.fakes.git_server import GitServer
from towline.git.base_branch import MergeConflict
from towline.git.objects import Author
from towline.git.repository import BranchTip, GitRepository
from towline.git.sparse import scope_of

AUTHOR = Author(name="Ann", email="ann@example.com")
LINES = b"".join(b"line %d\n" % number for number in range(9))
FILES: Mapping[str, bytes | tuple[bytes, int]] = {
    "app.yaml": b"image: app:1\n",
    "long": LINES,
    "run.sh": b"#!/bin/sh\n",
    "apps/deep/one": b"1",
}


@pytest.fixture(params=["sha1", "sha256"])
def bare(server: GitServer, request: pytest.FixtureRequest) -> Path:
    made = server.create("demo", FILES, form=request.param)
    server.git("branch", "stage", "main", repository=made)
    return made


def merge_base_branch(repository: GitRepository) -> BranchTip:
    return repository.merge_base_branch(
        repository.fetch("stage", scope=scope_of(["app.yaml"]), create=True), author=AUTHOR
    )


def pushed(repository: GitRepository, tip: BranchTip) -> str:
    commit = repository.commit(
        tip, {"app.yaml": b"image: app:2\n"}, message="Deploy", author=AUTHOR
    )
    done = repository.push(commit, tip)
    assert done.done, done.text
    return commit


def files(server: GitServer, bare: Path, commit: str = "stage") -> dict[str, str]:
    names = server.git("ls-tree", "-r", "--name-only", commit, repository=bare).split()
    return {name: server.git("show", f"{commit}:{name}", repository=bare) for name in names}


def test_a_branch_that_has_all_of_its_base_stays_as_it_is(
    server: GitServer, bare: Path, opened: Opened
) -> None:
    assert bare.exists()
    own = server.add("demo", {"own": b"1"}, "stage")
    assert merge_base_branch(opened()) == BranchTip(branch="stage", commit=own)
    assert opened().merge_base_branch(BranchTip(branch="x", commit="", new=True), author=AUTHOR).new


def test_a_branch_without_commits_of_its_own_moves_on_to_its_base(
    server: GitServer, bare: Path, opened: Opened
) -> None:
    own, base = (
        server.git("rev-parse", "stage", repository=bare).strip(),
        server.add("demo", {"more": b"1"}),
    )
    repository = opened()
    tip = merge_base_branch(repository)
    assert tip == BranchTip(branch="stage", commit=base, merged_from=own)
    commit = pushed(repository, tip)
    assert server.git("rev-parse", f"{commit}~", repository=bare).strip() == base


def test_both_go_into_one_commit_and_nothing_of_either_is_lost(
    server: GitServer, bare: Path, opened: Opened
) -> None:
    server.add(
        "demo",
        {
            "app.yaml": b"image: app:own\n",
            "own": b"1",
            "long": LINES.replace(b"line 1", b"own line"),
            "both": b"same",
        },
        "stage",
    )
    own = server.git("rev-parse", "stage", repository=bare).strip()
    base = server.add(
        "demo",
        {
            "theirs": b"1",
            "long": LINES.replace(b"line 7", b"their line"),
            "both": b"same",
            "run.sh": (b"#!/bin/sh\n", 0o755),
        },
    )
    repository = opened()
    tip = merge_base_branch(repository)
    assert (tip.merged_from, tip.server_commit, tip.expected) == (own, own, own)
    commit = pushed(repository, tip)
    assert server.git("log", "-1", "--format=%P", f"{commit}~", repository=bare).split() == [
        own,
        base,
    ]
    assert (
        server.git("log", "-1", "--format=%s %an", f"{commit}~", repository=bare)
        == f"Bring stage up to date with {base[:12]} of its base Ann\n"
    )
    assert files(server, bare) == {
        "app.yaml": "image: app:2\n",
        "own": "1",
        "theirs": "1",
        "both": "same",
        "run.sh": "#!/bin/sh\n",
        "apps/deep/one": "1",
        "long": LINES.decode().replace("line 1", "own line").replace("line 7", "their line"),
    }
    assert server.git("ls-tree", "stage", "run.sh", repository=bare).startswith("100755")
    server.git("fsck", "--strict", repository=bare)
    again = merge_base_branch(opened())
    assert (again.commit, again.merged_from) == (commit, "")


@pytest.mark.parametrize(("own", "theirs"), [(0o755, 0o644), (0o644, 0o755), (0o755, 0o755)])
def test_a_file_that_both_edit_keeps_the_mode_that_one_has_given_it(
    server: GitServer, bare: Path, opened: Opened, *, own: int, theirs: int
) -> None:
    server.add("demo", {"long": (LINES.replace(b"line 1", b"own line"), own)}, "stage")
    server.add("demo", {"long": (LINES.replace(b"line 7", b"their line"), theirs)})
    repository = opened()
    pushed(repository, merge_base_branch(repository))
    assert server.git("ls-tree", "stage", "long", repository=bare).startswith("100755")


@pytest.mark.parametrize(
    ("own", "theirs", "what"),
    [
        ({"app.yaml": b"image: app:own\n"}, {"app.yaml": b"image: app:theirs\n"}, "app.yaml"),
        ({"new": b"own"}, {"new": b"theirs"}, "new"),
        ({"apps/deep/one": b"\0own"}, {"apps/deep/one": b"\0theirs"}, "apps/deep/one"),
        ({"run.sh": (b"app.yaml", 0o120000)}, {"run.sh": b"#!/bin/bash\n"}, "run.sh"),
        ({"place": b"a file"}, {"place/inner": b"below"}, "place"),
    ],
)
def test_what_both_have_changed_is_named_and_nothing_is_pushed(
    server: GitServer,
    bare: Path,
    opened: Opened,
    *,
    own: dict[str, bytes],
    theirs: dict[str, bytes],
    what: str,
) -> None:
    before = server.add("demo", own, "stage")
    server.add("demo", theirs)
    with pytest.raises(MergeConflict) as caught:
        merge_base_branch(opened())
    assert caught.value.message.startswith("branch stage cannot be merged with its base: ")
    assert what in caught.value.message
    assert "by hand" in caught.value.hint
    assert server.git("rev-parse", "stage", repository=bare).strip() == before


def test_what_one_has_deleted_and_the_other_changed_is_for_a_person(
    server: GitServer, bare: Path, opened: Opened
) -> None:
    tree = server.git("ls-tree", "stage", repository=bare)
    made = server.git(
        "mktree",
        repository=bare,
        stdin="".join(line + "\n" for line in tree.splitlines() if "app.yaml" not in line).encode(),
    ).strip()
    identity = ("-c", "user.name=a", "-c", "user.email=a@b")
    commit = server.git(
        *identity, "commit-tree", made, "-p", "stage", "-m", "Delete", repository=bare
    ).strip()
    server.git("update-ref", "refs/heads/stage", commit, repository=bare)
    server.add("demo", {"app.yaml": b"image: app:theirs\n"})
    with pytest.raises(MergeConflict, match=r"both have changed app\.yaml"):
        merge_base_branch(opened())


def test_branches_without_a_common_commit_are_for_a_person(
    server: GitServer, bare: Path, opened: Opened
) -> None:
    server.git("update-ref", "-d", "refs/heads/stage", repository=bare)
    server.add("demo", {"alone": b"1"}, "stage")
    with pytest.raises(MergeConflict, match="no commit in common"):
        merge_base_branch(opened())


def test_an_old_common_commit_is_found_too(server: GitServer, bare: Path, opened: Opened) -> None:
    stream = "".join(
        "commit refs/heads/main\ncommitter A <a@b> 1700000000 +0000\ndata"
        f" 1\nx\n{'' if number else 'from refs/heads/main^0' + chr(10)}M 644 inline busy\ndata"
        f" {len(str(number))}\n{number}\n"
        for number in range(520)
    )
    server.git("fast-import", "--quiet", repository=bare, stdin=stream.encode())
    server.add("demo", {"own": b"1"}, "stage")
    repository = opened()
    pushed(repository, merge_base_branch(repository))
    assert set(files(server, bare)) == {
        "app.yaml",
        "long",
        "run.sh",
        "apps/deep/one",
        "busy",
        "own",
    }


def test_a_branch_that_moves_meanwhile_is_read_again(
    server: GitServer, bare: Path, opened: Opened
) -> None:
    assert bare.exists()
    repository = opened()
    tip = repository.fetch("stage", scope=scope_of(["app.yaml"]), create=True)
    server.add("demo", {"theirs": b"1"})
    now = server.add("demo", {"own": b"1"}, "stage")
    assert repository.merge_base_branch(tip, author=AUTHOR) == BranchTip(branch="stage", commit=now)


def test_the_repositorys_own_branch_has_no_base(
    server: GitServer, bare: Path, opened: Opened
) -> None:
    server.add("demo", {"more": b"1"})
    repository = opened()
    tip = repository.fetch("main", create=True)
    assert repository.merge_base_branch(tip, author=AUTHOR) == tip
    assert bare.exists()


@pytest.mark.parametrize("times", [1, 3])
def test_a_server_that_fails_is_asked_again_and_then_the_branch_stays(
    server: GitServer, bare: Path, opened: Opened, slept: list[float], times: int
) -> None:
    assert bare.exists()
    server.add("demo", {"own": b"1"}, "stage")
    base = server.add("demo", {"theirs": b"2"})
    repository = opened()
    tip = repository.fetch("stage", create=True)
    left = iter([503] * times)
    server.fault = lambda _method, _path: next(left, None)
    found = repository.merge_base_branch(tip, author=AUTHOR)
    assert (bool(found.merged_from), len(slept)) == ((True, 1) if times == 1 else (False, 2))
    assert base in server.git("rev-parse", "main", repository=bare)


@pytest.mark.parametrize(
    "setting", [("uploadpack.allowFilter", "false"), ("uploadpackfilter.tree.allow", "false")]
)
def test_a_server_that_leaves_out_nothing_tells_it_as_well_or_the_branch_stays(
    server: GitServer, bare: Path, opened: Opened, setting: tuple[str, str]
) -> None:
    server.git("config", *setting, repository=bare)
    server.add("demo", {"own": b"1"}, "stage")
    server.add("demo", {"theirs": b"1"})
    repository = opened()
    pushed(repository, merge_base_branch(repository))
    assert ("theirs" in files(server, bare)) == (setting[0] == "uploadpack.allowFilter")
