"""A private copy of one branch, against git's own server."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.engine.git.conftest import AUTHOR, Opened, pushed
from tests.fakes.git_server import GitServer
from towline.errors import ConfigError, GitUnreachable, MachineError
from towline.git.partial_clone import OutOfScope
from towline.git.remote import parse_remote
from towline.git.repository import BranchTip, GitRepository
from towline.git.sparse import scope_of


def test_without_a_name_the_remotes_head_is_read(server: GitServer, opened: Opened) -> None:
    bare = server.create("demo", {"a": b"1"}, branch="trunk/one")
    tip = opened().fetch("")
    assert tip == BranchTip(
        branch="trunk/one", commit=server.git("rev-parse", "HEAD", repository=bare).strip()
    )
    assert tip.reference == "refs/heads/trunk/one"
    assert len(server.requests) == 3


def test_a_named_branch_is_read_and_nothing_else(
    server: GitServer, bare: Path, opened: Opened
) -> None:
    server.git("branch", "stage", "main", repository=bare)
    commit = server.add("demo", {"only-here": b"1"}, "stage")
    repository = opened()
    assert repository.fetch("stage") == BranchTip(branch="stage", commit=commit)
    assert repository._clone.branches() == {"stage": commit}
    assert repository._clone.plain.output("rev-list", "--count", commit) == b"1\n"


def test_a_missing_branch_names_the_nearest_that_is_there(
    server: GitServer, repository: GitRepository, slept: list[float]
) -> None:
    server.git("branch", "develop", "main", repository=server.folder / "demo.git")
    with pytest.raises(ConfigError) as caught:
        repository.fetch("develp")
    assert caught.value.message == "there is no branch 'develp' in the repository"
    assert caught.value.hint == "did you mean 'develop'?; createBranch: true makes it"
    assert slept == []


def test_a_tag_is_no_branch(server: GitServer, bare: Path, repository: GitRepository) -> None:
    server.git("tag", "v1", "main", repository=bare)
    with pytest.raises(ConfigError) as caught:
        repository.fetch("v1")
    assert caught.value.message == "there is no branch 'v1' in the repository"


@pytest.mark.parametrize("branch", ["", "main"])
def test_an_empty_repository_is_called_that(server: GitServer, opened: Opened, branch: str) -> None:
    server.create("demo", {})
    with pytest.raises(ConfigError) as caught:
        opened().fetch(branch)
    assert caught.value.message.startswith("the repository is empty")


def test_a_head_that_names_no_branch_asks_for_one(
    server: GitServer, bare: Path, repository: GitRepository
) -> None:
    server.git("symbolic-ref", "HEAD", "refs/heads/gone", repository=bare)
    with pytest.raises(ConfigError) as caught:
        repository.fetch("")
    assert caught.value.hint == "configure the branch; known: main"


@pytest.mark.parametrize("branch", ["a..b", "a b", "-x..", "a\nb", "x.lock", "a\0b", "/x", "@{-1}"])
def test_what_git_takes_for_no_branch_name_never_reaches_the_server(
    server: GitServer, repository: GitRepository, branch: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        repository.fetch(branch)
    assert "is not a branch name" in caught.value.message
    assert server.requests == []


@pytest.mark.parametrize(
    "branch",
    [
        "HEAD",
        "refs/heads/main",
        "refs/heads/new",
        "-x",
        "@",
        "heads/main",
        "tags/v1",
        "remotes/origin/main",
        "origin/main",
        "FETCH_HEAD",
        "ORIG_HEAD",
        "a1" * 20,
        "a1" * 32,
    ],
)
def test_a_branch_that_git_would_take_for_something_else_is_not_made(
    repository: GitRepository, branch: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        repository.fetch(branch, create=True)
    assert (caught.value.message, "short name" in caught.value.hint) == (
        f"no branch {branch!r} is created: git reads that name as something else",
        True,
    )


@pytest.mark.parametrize(
    "branch", ["stage/origin/x", "AHEAD2", "a@b", "a1" * 19, "head", "release/HEAD"]
)
def test_a_branch_with_a_name_that_is_nearly_so_is_made(
    repository: GitRepository, branch: str
) -> None:
    assert repository.fetch(branch, create=True).new


@pytest.mark.parametrize("branch", ["", "stage"])
def test_where_head_names_no_branch_that_is_there_a_new_one_would_lack_all_that_is(
    server: GitServer,
    bare: Path,
    opened: Opened,
    branch: str,
) -> None:
    server.git("symbolic-ref", "HEAD", "refs/heads/gone", repository=bare)
    with pytest.raises(
        ConfigError, match="there is no commit at which a new branch could begin"
    ) as caught:
        opened().fetch(branch, create=True)
    assert caught.value.hint.endswith("known: main")
    assert opened().fetch("main", create=True).commit
    server.create("empty", {})
    left = iter([503])

    # the server is asked again for its branches
    def once(_method: str, _path: str) -> int | None:
        asked = [
            exchange
            for exchange in server.requests
            if exchange.path.startswith("/empty.git/git-upload-pack")
        ]
        return next(left, None) if asked else None

    server.fault = once
    assert opened(url=server.url("empty")).fetch(branch, create=True).new


def test_a_branch_that_looks_like_an_option_is_only_a_branch(repository: GitRepository) -> None:
    with pytest.raises(ConfigError) as caught:
        repository.fetch("--upload-pack=id")
    assert "there is no branch" in caught.value.message


def test_the_listing_has_every_path_with_its_mode(repository: GitRepository) -> None:
    listing = repository.listing(repository.fetch("main").commit)
    assert [(entry.mode, entry.path) for entry in listing if entry.kind == "blob"] == [
        ("100644", "README"),
        ("100644", "a/deep/one.yaml"),
        ("100644", "a/deep/two.yaml"),
        ("100755", "a/run.sh"),
        ("100644", "caf\udce9"),
        ("120000", "link"),
    ]


def test_many_files_come_in_one_request_and_never_twice(
    server: GitServer, repository: GitRepository
) -> None:
    entries = [
        entry
        for entry in repository.listing(repository.fetch("main").commit)
        if not entry.obstacle and entry.has_text_name
    ]
    server.requests.clear()
    expected = {
        "README": b"hello\n",
        "a/run.sh": b"#!/bin/sh\n",
        "a/deep/one.yaml": b"n: 1\n",
        "a/deep/two.yaml": b"n: 2\n",
    }
    assert repository.read(entries) == expected
    assert [exchange.method for exchange in server.requests] == ["GET", "POST"]
    assert repository.read(entries) == expected
    assert repository.read([]) == {}
    assert len(server.requests) == 2


def test_a_server_that_cannot_filter_serves_as_well(
    server: GitServer, bare: Path, repository: GitRepository
) -> None:
    server.git("config", "uploadpack.allowFilter", "false", repository=bare)
    tip = repository.fetch("main")
    entries = [entry for entry in repository.listing(tip.commit) if entry.path.endswith(".yaml")]
    assert repository.read(entries)["a/deep/two.yaml"] == b"n: 2\n"
    pushed(repository, tip, {"a/deep/two.yaml": b"n: 3\n"})
    assert server.git("show", "main:a/deep/two.yaml", repository=bare) == "n: 3\n"


def test_an_object_that_the_server_does_not_give_out_is_a_fault_not_a_crash(
    repository: GitRepository,
) -> None:
    entry = repository.listing(repository.fetch("main").commit)[0]
    with pytest.raises(GitUnreachable):
        repository.read(
            [type(entry)(mode=entry.mode, kind=entry.kind, oid="12" * 20, path=entry.path)]
        )


def test_a_commit_changes_what_it_should_and_nothing_else(
    server: GitServer, bare: Path, repository: GitRepository
) -> None:
    before = server.git("ls-tree", "-r", "main", repository=bare).splitlines()
    tip = repository.fetch("main")
    commit = pushed(repository, tip, {"a/run.sh": b"#!/bin/bash\r\n", "new/folder/x": b""})
    after = server.git("ls-tree", "-r", "main", repository=bare).splitlines()
    assert [line.split("\t")[1] for line in sorted(set(after) ^ set(before))] == [
        "new/folder/x",
        "a/run.sh",
        "a/run.sh",
    ]
    assert [line.split()[0] for line in after if line.endswith(("run.sh", "folder/x"))] == [
        "100755",
        "100644",
    ]
    assert server.git("show", "main:a/run.sh", repository=bare) == "#!/bin/bash\r\n"
    assert server.git("rev-parse", "main", "main~", repository=bare).split() == [commit, tip.commit]
    assert server.git("fsck", "--full", "--strict", repository=bare) == ""


@pytest.mark.parametrize(
    "path", ["../outside", "a/../../x", ".git/config", "/etc/passwd", "link", "link/x", "a"]
)
def test_a_path_that_leads_astray_is_not_committed(repository: GitRepository, path: str) -> None:
    tip = repository.fetch("main")
    with pytest.raises(ConfigError):
        repository.commit(tip, {path: b"x"}, message="m", author=AUTHOR)


def test_a_push_onto_a_branch_that_moved_is_refused_and_what_moved_it_stays(
    server: GitServer, bare: Path, repository: GitRepository
) -> None:
    tip = repository.fetch("main")
    other = server.add("demo", {"other": b"1"})
    answer = repository.push(
        repository.commit(tip, {"README": b"x"}, message="m", author=AUTHOR), tip
    )
    assert (answer.done, answer.refused) == (False, True)
    assert server.git("rev-parse", "main", repository=bare).strip() == other


def test_a_refused_push_says_what_the_server_said(
    server: GitServer, bare: Path, repository: GitRepository
) -> None:
    hook = bare / "hooks/update"
    hook.parent.mkdir()
    hook.write_text("#!/bin/sh\necho 'main is protected: open a review' >&2\nexit 1\n")
    hook.chmod(0o755)
    tip = repository.fetch("main")
    answer = repository.push(
        repository.commit(tip, {"README": b"x"}, message="m", author=AUTHOR), tip
    )
    assert (answer.done, answer.refused) == (False, True)
    assert "[remote rejected] (hook declined)" in answer.text
    assert "remote: main is protected: open a review" in answer.text
    assert server.git("rev-parse", "main", repository=bare).strip() == tip.commit


@pytest.mark.parametrize("moment", ["service=git-receive-pack", "/git-receive-pack"])
def test_a_push_that_broke_off_is_not_called_refused(
    server: GitServer, repository: GitRepository, moment: str
) -> None:
    tip = repository.fetch("main")
    server.fault = lambda _method, path: "drop" if moment in path else None
    answer = repository.push(
        repository.commit(tip, {"README": b"x"}, message="m", author=AUTHOR), tip
    )
    assert (answer.done, answer.refused) == (False, False)


def test_reading_again_brings_every_commit_since_and_little_else(
    server: GitServer, repository: GitRepository
) -> None:
    first = repository.fetch("main")
    own = pushed(repository, first, {"README": b"own\n"})
    server.add("demo", {"big": os.urandom(500_000)}, message="Second\n\nwith a body")
    last = server.add("demo", {"other": b"2"}, message="Third")
    server.requests.clear()
    now = repository.refetch(first)
    assert now == BranchTip(branch="main", commit=last)
    assert [commit.message.rstrip("\n") for commit in repository.commits_since(first, now)] == [
        "Third",
        "Second\n\nwith a body",
        "Change",
    ]
    assert [commit.id for commit in repository.commits_since(first, now)][2] == own
    assert repository.commits_since(first, first) == ()
    assert sum(exchange.sent for exchange in server.requests) < 5_000


def test_a_branch_that_was_set_back_is_read_as_it_is(
    server: GitServer, bare: Path, repository: GitRepository
) -> None:
    server.add("demo", {"a": b"1"})
    first = repository.fetch("main")
    server.git("update-ref", "refs/heads/main", "main~", repository=bare)
    now = repository.refetch(first)
    assert now.commit == server.git("rev-parse", "main", repository=bare).strip() != first.commit
    assert pushed(repository, now, {"README": b"x"})


def test_a_branch_that_was_deleted_meanwhile_is_missed_by_name(
    server: GitServer, bare: Path, repository: GitRepository
) -> None:
    server.git("branch", "stage", "main", repository=bare)
    tip = repository.fetch("stage")
    server.git("branch", "-D", "stage", repository=bare)
    with pytest.raises(ConfigError) as caught:
        repository.refetch(tip)
    assert "there is no branch 'stage'" in caught.value.message


def test_the_folder_is_private_and_gone_after_success_and_failure(
    server: GitServer, environ: Mapping[str, str], temporary: Path
) -> None:
    server.create("demo", {"a": b"1"})
    with GitRepository(parse_remote(server.url("demo")), environ=environ) as repository:
        repository.fetch("")
        (folder,) = temporary.iterdir()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert list(temporary.iterdir()) == []
    with (
        pytest.raises(ConfigError),
        GitRepository(parse_remote(server.url("demo")), environ=environ) as repository,
    ):
        repository.fetch("missing")
    assert list(temporary.iterdir()) == []


def test_a_machine_without_git_leaves_no_folder(temporary: Path) -> None:
    with pytest.raises(MachineError):
        GitRepository(
            parse_remote("https://git.example.com/a.git"),
            environ={"PATH": str(temporary / "none"), "TMPDIR": str(temporary)},
        )
    assert list(temporary.iterdir()) == []


def test_a_temporary_folder_that_cannot_be_made_is_a_fault_of_the_machine(tmp_path: Path) -> None:
    remote = parse_remote("http://127.0.0.1:1/a.git")
    with pytest.raises(MachineError, match="no temporary folder"):
        GitRepository(
            remote, environ={"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path / "missing")}
        )


def test_a_branch_that_is_not_there_is_made_where_that_is_wanted(
    server: GitServer, bare: Path, repository: GitRepository
) -> None:
    tip = repository.fetch("stage/new", create=True)
    assert tip == BranchTip(
        branch="stage/new",
        commit=server.git("rev-parse", "main", repository=bare).strip(),
        new=True,
        base="main",
    )
    commit = pushed(repository, tip, {"README": b"new\n"})
    assert server.git("log", "--format=%H", "stage/new", repository=bare).split() == [
        commit,
        tip.commit,
    ]
    assert server.git("rev-parse", "main", repository=bare).strip() == tip.commit
    assert server.git("fsck", "--full", "--strict", repository=bare) == ""


def test_a_new_branch_costs_little_even_where_its_beginning_has_been_left_behind(
    server: GitServer, bare: Path, repository: GitRepository
) -> None:
    server.add("demo", {"noise": os.urandom(300_000)})
    tip = repository.fetch("stage", create=True)
    server.add("demo", {"other": b"1"})
    server.requests.clear()
    pushed(repository, tip, {"README": b"new\n"})
    assert sum(exchange.received + exchange.sent for exchange in server.requests) < 20_000


@pytest.mark.parametrize(("asked", "made"), [("", "trunk"), ("stage", "stage")])
def test_the_first_commit_of_an_empty_repository(
    server: GitServer, opened: Opened, asked: str, made: str
) -> None:
    empty = server.create("demo", {}, branch="trunk")
    repository = opened()
    tip = repository.fetch(asked, create=True)
    assert tip == BranchTip(branch=made, commit="", new=True)
    assert repository.listing(tip.commit) == ()
    commit = pushed(repository, tip, {"a/b.yaml": b"n: 1\n"})
    assert server.git("rev-list", made, repository=empty).split() == [commit]
    assert server.git("show", f"{made}:a/b.yaml", repository=empty) == "n: 1\n"


def test_a_branch_that_another_one_made_meanwhile_is_not_made_again(
    server: GitServer, bare: Path, repository: GitRepository
) -> None:
    tip = repository.fetch("stage", create=True)
    server.git("branch", "stage", "main", repository=bare)
    theirs = server.add("demo", {"theirs": b"1"}, "stage")
    answer = repository.push(
        repository.commit(tip, {"README": b"x"}, message="m", author=AUTHOR), tip
    )
    assert (answer.done, answer.refused) == (False, True)
    now = repository.refetch(tip)
    assert now == BranchTip(branch="stage", commit=theirs)
    assert [commit.id for commit in repository.commits_since(tip, now)] == [theirs]
    pushed(repository, now, {"README": b"x"})
    assert server.git("show", "stage:theirs", repository=bare) == "1"


def test_only_what_is_in_scope_is_fetched_and_the_rest_stays_what_it_was(
    server: GitServer, opened: Opened
) -> None:
    bare = server.create(
        "demo",
        {
            f"c{cluster}/t{team}/app/{name}": os.urandom(40)
            for cluster in range(3)
            for team in range(30)
            for name in "ab"
        },
    )
    before = server.git("ls-tree", "-r", "main", repository=bare).splitlines()
    repository = opened()
    server.requests.clear()
    tip = repository.fetch("", scope=scope_of(["c1/t7/app/a"]))
    assert [entry.path for entry in repository.listing(tip.commit) if entry.kind == "blob"] == [
        "c1/t7/app/a",
        "c1/t7/app/b",
    ]
    assert repository.is_partial
    pushed(repository, tip, {"c1/t7/app/a": b"new", "c1/t7/app/new": b"new"})
    after = server.git("ls-tree", "-r", "main", repository=bare).splitlines()
    assert sorted({line.split("\t")[1] for line in set(before) ^ set(after)}) == [
        "c1/t7/app/a",
        "c1/t7/app/new",
    ]
    assert server.git("fsck", "--full", "--strict", repository=bare) == ""
    assert len(server.requests) == 7


def test_what_is_out_of_scope_is_neither_written_nor_taken_for_missing(
    repository: GitRepository,
) -> None:
    tip = repository.fetch("", scope=scope_of(["a/deep/one.yaml"]))
    repository.check_scope(["README", "a/run.sh", "a/deep/new"])
    for path in ("other/x", "a/deep/er/x"):
        with pytest.raises(OutOfScope):
            repository.check_scope([path])
        with pytest.raises(OutOfScope):
            repository.commit(tip, {path: b"x"}, message="m", author=AUTHOR)
    wide = repository.fetch_whole()
    assert wide == tip
    assert not repository.is_partial
    repository.commit(wide, {"other/x": b"x"}, message="m", author=AUTHOR)


def test_a_part_is_read_again_without_a_request_for_each_tree(
    server: GitServer, opened: Opened
) -> None:
    server.create(
        "demo",
        {f"c{cluster}/t{team}/app/a": b"%d" % team for cluster in range(3) for team in range(30)},
    )
    repository = opened()
    first = repository.fetch("", scope=scope_of(["c1/t7/app/a"]))
    repository.listing(first.commit)
    for team in (3, 4, 7):
        server.add("demo", {f"c1/t{team}/app/a": b"theirs"})
    now = repository.refetch(first)
    entries = [entry for entry in repository.listing(now.commit) if entry.kind == "blob"]
    assert repository.read(entries) == {"c1/t7/app/a": b"theirs"}
    server.requests.clear()
    pushed(repository, now, {"c1/t7/app/a": b"ours"})
    assert len(server.requests) == 2
    assert server.git("show", "main:c1/t3/app/a", repository=server.folder / "demo.git") == "theirs"


def test_other_writers_of_this_host_wait(
    repository: GitRepository, opened: Opened, temporary: Path
) -> None:
    other = opened()
    with (
        repository.lock("main") as first,
        other.lock("main") as second,
        other.lock("stage") as third,
    ):
        assert (first, second, third) == (True, False, True)
    assert [path for path in temporary.iterdir() if path.is_file()] == []


def applied(server: GitServer, bare: Path, patch: str) -> str:
    """The id of the tree that git makes of main by a patch."""
    server.environment["GIT_INDEX_FILE"] = str(bare / "index-of-a-patch")
    server.git("read-tree", "main", repository=bare)
    server.git("apply", "--cached", "-", repository=bare, stdin=patch.encode())
    return server.git("write-tree", repository=bare).strip()


@pytest.mark.parametrize("foreseen", [False, True])
def test_the_diff_is_a_patch_that_makes_what_the_commit_would(
    server: GitServer, bare: Path, repository: GitRepository, *, foreseen: bool
) -> None:
    server.add(
        "demo",
        {
            "ü/long.yaml": b"".join(b"line %d\n" % number for number in range(30_000)),
            "run": (b"#!/bin/sh\r\n", 0o755),
            "none": b"no end",
        },
    )
    tip = repository.fetch("main")
    if foreseen:
        repository.expect_history(tip)
    repository.read([entry for entry in repository.listing(tip.commit) if entry.has_text_name])
    changes = {
        "ü/long.yaml": b"".join(b"line %d\n" % (number * 2) for number in range(30_000)),
        "run": b"#!/bin/bash\r\n",
        "none": b"no end either",
        "new/file": b"1\n",
    }
    patch = repository.diff(tip, changes)
    assert "--- a/run\n+++ b/run\n@@ -1 +1 @@\n-#!/bin/sh\r\n+#!/bin/bash\r\n" in patch
    assert "+++ b/ü/long.yaml\n" in patch
    tree = applied(server, bare, patch)
    made = pushed(repository, tip, changes)
    assert tree == server.git("rev-parse", f"{made}^{{tree}}", repository=bare).strip()


def test_a_diff_names_what_is_no_text_and_replaces_odd_bytes(
    server: GitServer, repository: GitRepository
) -> None:
    server.add("demo", {"binary": b"\0", "odd": b"\xff\n"})
    tip = repository.fetch("main")
    repository.read([entry for entry in repository.listing(tip.commit) if entry.has_text_name])
    patch = repository.diff(tip, {"binary": b"\0\0", "odd": b"\xfe\n"})
    assert "Binary files a/binary and b/binary differ\n" in patch
    assert patch.endswith("-\ufffd\n+\ufffd\n")


def test_the_diff_of_a_first_commit_says_that_there_was_nothing(
    server: GitServer, bare: Path, repository: GitRepository
) -> None:
    server.git("update-ref", "-d", "refs/heads/main", repository=bare)
    patch = repository.diff(repository.fetch("", create=True), {"a/b.yaml": b"a: 1\n"})
    assert patch.endswith("--- /dev/null\n+++ b/a/b.yaml\n@@ -0,0 +1 @@\n+a: 1\n")


def messages(repository: GitRepository, tip: BranchTip) -> list[str]:
    return [commit.message.strip() for commit in repository.history(tip)]


def test_the_history_comes_when_it_is_asked_for_and_once(
    server: GitServer, repository: GitRepository
) -> None:
    for number in range(3):
        server.add("demo", {"new": str(number).encode()}, message=f"Number {number}")
    tip = repository.fetch("main")
    read = len(server.requests)
    assert next(repository.history(tip)).message.strip() == "Number 2"
    assert len(server.requests) == read
    assert messages(repository, tip) == ["Number 2", "Number 1", "Number 0", "Begin"]
    assert len(server.requests) == read + 2
    server.add("demo", {"new": b"3"}, message="Number 3")
    again = repository.refetch(tip)
    read = len(server.requests)
    assert messages(repository, again)[:3] == ["Number 3", "Number 2", "Number 1"]
    assert len(server.requests) == read


def test_the_history_leaves_what_is_read_as_it_is(
    server: GitServer, bare: Path, repository: GitRepository
) -> None:
    first = server.git("rev-parse", "main", repository=bare).strip()
    server.add("demo", {"new": b"1"}, message="Another")
    tip = repository.fetch("main")
    assert len(messages(repository, tip)) == 2
    back = server.git(
        "-c",
        "user.name=x",
        "-c",
        "user.email=x",
        "commit-tree",
        f"{first}^{{tree}}",
        "-p",
        "main",
        "-m",
        "Back",
        repository=bare,
    ).strip()
    server.git("update-ref", "refs/heads/main", back, repository=bare)
    again = repository.refetch(tip)
    assert [entry.path for entry in repository.listing(again.commit) if entry.path == "new"] == []
    assert repository.read(
        [entry for entry in repository.listing(again.commit) if not entry.obstacle]
    )
    assert pushed(repository, again, {"new": b"2"})


def test_a_history_that_is_expected_comes_with_the_files_and_costs_nothing_more(
    server: GitServer, repository: GitRepository
) -> None:
    server.add("demo", {"new": b"1"}, message="Another")
    tip = repository.fetch("main")
    repository.expect_history(tip)
    read = len(server.requests)
    entries = [entry for entry in repository.listing(tip.commit) if entry.has_text_name]
    assert repository.read(entries)["new"] == b"1"
    assert messages(repository, tip) == ["Another", "Begin"]
    assert len(server.requests) == read + 2
    assert pushed(repository, tip, {"new": b"2"})


@pytest.mark.parametrize("answer", [500, "drop"])
def test_a_history_that_did_not_come_once_comes_by_itself(
    server: GitServer, repository: GitRepository, answer: int | str
) -> None:
    server.add("demo", {"new": b"1"}, message="Another")
    tip = repository.fetch("main")
    repository.expect_history(tip)
    answers = [answer]
    server.fault = lambda _method, _path: answers.pop() if answers else None
    assert (
        len(
            repository.read(
                entry for entry in repository.listing(tip.commit) if entry.has_text_name
            )
        )
        > 1
    )
    assert not answers
    read = len(server.requests)
    assert messages(repository, tip) == ["Another", "Begin"]
    assert len(server.requests) == read + 2


def test_where_no_history_is_given_out_what_is_here_is_all_and_nobody_asks_again(
    server: GitServer, repository: GitRepository, slept: list[float]
) -> None:
    server.add("demo", {"new": b"1"}, message="Another")
    tip = repository.fetch("main")
    server.fault = lambda _method, _path: 500
    read = len(server.requests)
    assert messages(repository, tip) == messages(repository, tip) == ["Another"]
    assert len(server.requests) == read + 3
    assert len(slept) == 3
