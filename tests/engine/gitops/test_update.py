"""The update of a branch that moves, on git's own server.

A hook of the server moves the branch, so no test waits or races.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.engine.gitops.updates import (
    AFTER,
    BEFORE,
    TEXT,
    Replace,
    git,
    opened,
    serving,
    update,
)
from tests.fakes.git_server import GitServer
from towline.console import Console
from towline.errors import ConfigError, CredentialError, GitError, GitUnreachable
from towline.git.objects import Author
from towline.git.remote import parse_remote
from towline.git.repository import GitRepository
from towline.gitops.commit_message import compose_message, parse_provenance
from towline.gitops.provenance import Provenance
from towline.gitops.update import CommitText, Update, UpdateOptions
from towline.retry import Clock, Deadline

PUSHING, SENDING = "service=git-receive-pack", "/git-receive-pack"


class Once:
    """A fault of the server: the result of `act` for the first requests with `part` in the path.

    At most `times` of them.
    """

    def __init__(self, part: str, act: Callable[[], int | str | None], times: int = 1) -> None:
        self.part, self.act, self.left = part, act, times

    def __call__(self, _method: str, path: str) -> int | str | None:
        if self.part not in path or not self.left:
            return None
        self.left -= 1
        return self.act()


class Twice:
    """A fault, and another one after the path of the first was requested."""

    def __init__(self, first: Once, second: Once, begins: str) -> None:
        self.first, self.second, self.begins, self.begun = first, second, begins, False

    def __call__(self, method: str, path: str) -> int | str | None:
        answer = self.second(method, path) if self.begun else None
        self.begun = self.begun or self.begins in path
        return answer or self.first(method, path)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitServer]:
    with serving(tmp_path) as running:
        yield running


@pytest.fixture
def repository(server: GitServer, tmp_path: Path) -> Iterator[GitRepository]:
    with opened(server, tmp_path) as repository:
        yield repository


def another_writer(server: GitServer, path: str = "apps/third.yaml") -> Callable[[], None]:
    def write() -> None:
        server.add("demo", {path: os.urandom(4).hex().encode()}, message="Another writer")

    return write


def protect(server: GitServer) -> None:
    hook = server.folder / "demo.git/hooks/update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'main is protected' >&2\nexit 1\n")
    hook.chmod(0o755)


def test_a_change_lands_as_one_commit_on_the_remotes_head(
    server: GitServer, repository: GitRepository
) -> None:
    base = git(server, "rev-parse", "main").strip()
    done = update(repository, branch="", change=Replace(), text=TEXT)
    assert done == Update(
        commit=git(server, "rev-parse", "main").strip(),
        branch="main",
        base=base,
        files=("apps/demo.yaml",),
        attempts=1,
        diff="",
    )
    assert git(server, "show", "main:apps/demo.yaml").encode() == AFTER
    assert git(server, "diff", "--name-only", "main~", "main") == "apps/demo.yaml\n"
    assert git(server, "log", "-1", "--format=%an %s", "main") == "ann Updated demo to version 2\n"
    assert parse_provenance(git(server, "log", "-1", "--format=%B", "main")) == TEXT.provenance
    assert len(server.requests) == 7


def test_a_second_run_makes_no_commit_and_succeeds(
    server: GitServer, repository: GitRepository
) -> None:
    first = update(repository, branch="main", change=Replace(), text=TEXT)
    with GitRepository(repository.remote, environ={"PATH": os.environ["PATH"]}) as again:
        second = update(again, branch="main", change=Replace(), text=TEXT)
    assert second == Update(
        commit="", branch="main", base=first.commit, files=(), attempts=0, diff=""
    )


def test_a_dry_run_shows_the_diff_and_pushes_nothing(
    server: GitServer, repository: GitRepository
) -> None:
    done = update(
        repository, branch="main", change=Replace(), text=TEXT, options=UpdateOptions(dry_run=True)
    )
    assert (done.commit, done.files, done.attempts) == ("", ("apps/demo.yaml",), 0)
    assert done.diff.endswith(
        "--- a/apps/demo.yaml\n+++ b/apps/demo.yaml\n@@ -1,2 +1,2 @@\n # comment\n-image:"
        " demo:1\n+image: demo:2\n"
    )
    assert not [exchange for exchange in server.requests if "receive-pack" in exchange.path]


def test_a_new_file_in_a_new_folder_is_added(server: GitServer, repository: GitRepository) -> None:
    change = Replace(paths=(), besides={"stages/release/manifest.yaml": b"a: 1"})
    update(repository, branch="main", change=change, text=TEXT)
    assert git(server, "show", "main:stages/release/manifest.yaml") == "a: 1"


def test_the_diff_of_a_new_file_says_that_there_was_none(repository: GitRepository) -> None:
    change = Replace(paths=(), besides={"stages/release/manifest.yaml": b"a: 1"})
    done = update(
        repository, branch="main", change=change, text=TEXT, options=UpdateOptions(dry_run=True)
    )
    assert done.diff.endswith(
        "--- /dev/null\n+++ b/stages/release/manifest.yaml\n@@ -0,0 +1 @@\n+a: 1\n\\ No newline at"
        " end of file\n"
    )


def test_a_dry_run_says_what_a_run_would_end_with(
    server: GitServer, repository: GitRepository
) -> None:
    server.add("demo", {"link": (b"apps", 0o120000)})
    with pytest.raises(ConfigError, match="link is a symbolic link, not a folder"):
        update(
            repository,
            branch="main",
            change=Replace(paths=(), besides={"link/new.yaml": b"a: 1"}),
            text=TEXT,
            options=UpdateOptions(dry_run=True),
        )


@pytest.mark.parametrize("paths", [(), ("apps/other.yaml",)])
def test_a_file_written_without_having_been_wanted_is_compared_all_the_same(
    repository: GitRepository, paths: Sequence[str]
) -> None:
    done = update(
        repository,
        branch="main",
        change=Replace(paths=paths, besides={"apps/demo.yaml": BEFORE}),
        text=TEXT,
    )
    assert (done.commit, done.files) == ("", ())


@pytest.mark.parametrize("moment", [PUSHING, SENDING])
def test_a_branch_that_moves_before_the_push_keeps_both_commits(
    server: GitServer, repository: GitRepository, moment: str
) -> None:
    server.fault = Once(moment, another_writer(server))
    log = io.StringIO()
    done = update(
        repository,
        branch="main",
        change=Replace(),
        text=TEXT,
        options=UpdateOptions(console=Console(log)),
    )
    assert done.attempts == 2
    assert git(server, "log", "--format=%s", "main").splitlines() == [
        "Updated demo to version 2",
        "Another writer",
        "Begin",
    ]
    assert git(server, "show", "main:apps/demo.yaml").encode() == AFTER
    assert git(server, "rev-parse", "main~").strip() == done.base
    assert "main moved meanwhile" in log.getvalue()


def test_the_change_is_made_again_on_what_is_there_then(
    server: GitServer, repository: GitRepository
) -> None:
    def write() -> None:
        server.add("demo", {"apps/demo.yaml": b"# their comment\nreplicas: 3\nimage: demo:1\n"})

    server.fault = Once(PUSHING, write)
    update(repository, branch="main", change=Replace(), text=TEXT)
    assert (
        git(server, "show", "main:apps/demo.yaml")
        == "# their comment\nreplicas: 3\nimage: demo:2\n"
    )


def test_another_writer_with_the_same_change_leaves_nothing_to_do(
    server: GitServer, repository: GitRepository
) -> None:
    def write() -> None:
        server.add("demo", {"apps/demo.yaml": AFTER})

    server.fault = Once(PUSHING, write)
    done = update(repository, branch="main", change=Replace(), text=TEXT)
    assert (done.commit, done.files, done.attempts) == ("", (), 1)
    assert len(git(server, "log", "--format=%s", "main").splitlines()) == 2


@pytest.mark.parametrize("afterwards", [False, True])
def test_a_push_whose_answer_was_lost_is_recognised_and_not_repeated(
    server: GitServer, repository: GitRepository, *, afterwards: bool
) -> None:
    server.fault = Once(SENDING, lambda: "cut")
    if afterwards:  # another push lands on top of our commit before the branch is read again
        server.fault = Twice(
            server.fault,
            Once("service=git-upload-pack", another_writer(server), times=1),
            begins=SENDING,
        )
    done = update(repository, branch="main", change=Replace(), text=TEXT)
    ours = git(server, "log", "--format=%H", "--grep=Towline-Request: run-1", "main").split()
    assert [done.commit] == ours
    assert done.attempts == 1
    assert git(server, "rev-list", "--count", "main").strip() == ("3" if afterwards else "2")


def test_without_a_request_the_commits_id_tells_that_it_landed(
    server: GitServer, repository: GitRepository
) -> None:
    server.fault = Once(SENDING, lambda: "cut")
    done = update(
        repository,
        branch="main",
        change=Replace(),
        text=CommitText(text="Update", provenance=Provenance(), author=Author(name="ann")),
    )
    assert git(server, "rev-list", "main").split() == [done.commit, done.base]
    assert done.attempts == 1


def test_a_commit_with_the_runs_own_request_is_recognised_whatever_its_id(
    server: GitServer, repository: GitRepository
) -> None:
    def rewritten() -> str:
        server.add("demo", {"apps/demo.yaml": AFTER}, message="Rewritten\n\nTowline-Request: run-1")
        return "drop"

    # curl sends a request again if the server closes a kept connection
    server.fault = Once(SENDING, rewritten, times=2)
    done = update(repository, branch="main", change=Replace(), text=TEXT)
    assert done.commit in git(server, "rev-list", "main").split()
    assert git(server, "log", "-1", "--format=%s", "main") == "Rewritten\n"


def test_a_protected_branch_ends_with_the_servers_words_and_loses_nothing(
    server: GitServer, repository: GitRepository
) -> None:
    protect(server)
    before = git(server, "rev-parse", "main")
    with pytest.raises(GitError) as caught:
        update(repository, branch="main", change=Replace(), text=TEXT)
    assert "remote: main is protected" in caught.value.message
    assert "protected" in caught.value.hint
    assert (caught.value.category, caught.value.where) == ("service", server.url("demo"))
    assert git(server, "rev-parse", "main") == before
    assert len([exchange for exchange in server.requests if exchange.path.endswith(SENDING)]) == 3


def test_a_push_that_breaks_off_again_and_again_is_the_networks_fault(
    server: GitServer, repository: GitRepository
) -> None:
    server.fault = Once(PUSHING, lambda: 503, times=3)
    with pytest.raises(GitUnreachable) as caught:
        update(repository, branch="main", change=Replace(), text=TEXT)
    assert "broke off 3 times" in caught.value.message
    assert caught.value.category == "infrastructure"


def test_a_push_that_breaks_off_once_is_tried_again(
    server: GitServer, repository: GitRepository
) -> None:
    server.fault = Once(PUSHING, lambda: 503)
    done = update(repository, branch="main", change=Replace(), text=TEXT)
    assert done.commit == git(server, "rev-parse", "main").strip()


@pytest.mark.parametrize("moment", [PUSHING, SENDING])
def test_a_user_who_may_read_but_not_push_is_told_at_once(
    server: GitServer, repository: GitRepository, moment: str
) -> None:
    server.fault = Once(moment, lambda: 403, times=9)
    with pytest.raises(CredentialError) as caught:
        update(repository, branch="main", change=Replace(), text=TEXT)
    assert "403" in caught.value.message
    assert len([exchange for exchange in server.requests if exchange.status == 403]) == 1


def test_a_branch_that_never_stands_still_ends_with_the_attempts_that_were_allowed(
    server: GitServer, repository: GitRepository
) -> None:
    server.fault = Once(PUSHING, another_writer(server), times=99)
    with pytest.raises(GitUnreachable) as caught:
        update(
            repository,
            branch="main",
            change=Replace(),
            text=TEXT,
            options=UpdateOptions(max_attempts=3),
        )
    assert "3 pushes came too late" in caught.value.message
    assert git(server, "log", "--format=%s", "main").splitlines() == ["Another writer"] * 3 + [
        "Begin"
    ]


def test_a_branch_that_never_stands_still_ends_with_the_deadline(server: GitServer) -> None:
    passed: list[float] = []
    clock = Clock(now=lambda: sum(passed), sleep=passed.append, uniform=lambda _low, high: high)
    server.fault = Once(PUSHING, another_writer(server), times=99)
    opened = GitRepository(
        parse_remote(server.url("demo")),
        environ={"PATH": os.environ["PATH"]},
        deadline=Deadline.after(10, clock),
    )
    with opened as repository, pytest.raises(GitUnreachable) as caught:
        update(repository, branch="main", change=Replace(), text=TEXT)
    assert "branch main could not be pushed to, and the deadline is over" in caught.value.message
    assert passed == [0.2, 0.4, 0.8, 1.6, 3.2]  # the next pause would be 5 s, and 3.8 s are left


NEARBY = UpdateOptions(within=("apps/demo.yaml",))


def test_a_change_that_says_where_it_looks_costs_a_few_trees(
    server: GitServer, repository: GitRepository
) -> None:
    server.add("demo", {f"more/{number}/x.yaml": b"x" for number in range(50)})
    done = update(repository, branch="main", change=Replace(), text=TEXT, options=NEARBY)
    assert done.commit == git(server, "rev-parse", "main").strip()
    assert repository.is_partial
    assert git(server, "show", "main:more/7/x.yaml") == "x"
    assert len(server.requests) == 9


@pytest.mark.parametrize("moment", [PUSHING, SENDING])
def test_such_a_change_is_made_again_on_a_branch_that_moved(
    server: GitServer, repository: GitRepository, moment: str
) -> None:
    server.fault = Once(moment, another_writer(server, "apps/deep/er/third.yaml"))
    done = update(repository, branch="main", change=Replace(), text=TEXT, options=NEARBY)
    assert done.attempts == 2
    assert git(server, "log", "--format=%s", "main").splitlines() == [
        "Updated demo to version 2",
        "Another writer",
        "Begin",
    ]
    assert git(server, "ls-tree", "-r", "--name-only", "main").splitlines() == [
        "apps/deep/er/third.yaml",
        "apps/demo.yaml",
        "apps/other.yaml",
    ]


@pytest.mark.parametrize(
    "change",
    [
        Replace(paths=("stages/release.yaml",)),
        Replace(paths=(), besides={"stages/release.yaml": AFTER}),
    ],
    ids=["wants", "writes"],
)
def test_a_change_that_looks_elsewhere_gets_the_whole_and_loses_nothing(
    server: GitServer, repository: GitRepository, change: Replace
) -> None:
    server.add("demo", {"stages/release.yaml": BEFORE, "stages/other.yaml": b"stays"})
    update(repository, branch="main", change=change, text=TEXT, options=NEARBY)
    assert not repository.is_partial
    assert git(server, "show", "main:stages/release.yaml").encode() == AFTER
    assert git(server, "show", "main:stages/other.yaml") == "stays"


def test_a_change_that_finds_nothing_is_asked_again_with_everything_before_it_fails(
    repository: GitRepository,
) -> None:
    class Choosy(Replace):
        def wants(self, listing: Sequence[str]) -> Sequence[str]:
            raise ConfigError(" ".join(listing))

    with pytest.raises(ConfigError) as caught:
        update(
            repository,
            branch="main",
            change=Choosy(),
            text=TEXT,
            options=UpdateOptions(within=("stages/demo.yaml",)),
        )
    assert caught.value.message == "apps/demo.yaml apps/other.yaml"


def test_a_branch_of_its_own_is_made_and_pushed_to_from_then_on(
    server: GitServer, repository: GitRepository
) -> None:
    options = UpdateOptions(create_branch=True)
    first = update(repository, branch="stage", change=Replace(), text=TEXT, options=options)
    assert first.base == git(server, "rev-parse", "main").strip()
    assert git(server, "log", "--format=%H", "stage").split() == [first.commit, first.base]
    again = update(
        repository,
        branch="stage",
        change=Replace(old=b"demo:2", new=b"demo:3"),
        text=TEXT,
        options=options,
    )
    assert again.base == first.commit


@pytest.mark.parametrize(("dry_run", "verb"), [(False, "is made"), (True, "would be made")])
def test_it_is_said_once_that_a_branch_is_made_and_from_what(
    server: GitServer, repository: GitRepository, verb: str, *, dry_run: bool
) -> None:
    log = io.StringIO()
    options = UpdateOptions(create_branch=True, dry_run=dry_run, console=Console(log))
    update(repository, branch="stage", change=Replace(old=b"none"), text=TEXT, options=options)
    assert (
        log.getvalue()
        == "  branch stage is not there, and is not made: main, where it would begin, leaves"
        " nothing to do\n"
    )
    log.seek(0)
    log.truncate()
    update(repository, branch="stage", change=Replace(), text=TEXT, options=options)
    assert (
        log.getvalue() == f"  branch stage is not there: it {verb} from main, commit"
        f" {git(server, 'rev-parse', 'main')[:12]}\n"
    )
    update(
        repository,
        branch="stage",
        change=Replace(old=b"demo:2", new=b"demo:3"),
        text=TEXT,
        options=options,
    )
    assert log.getvalue().count(f"it {verb}") == 1
    log.seek(0)
    log.truncate()
    server.create("empty", {})
    with GitRepository(
        parse_remote(server.url("empty")), environ={"PATH": os.environ["PATH"]}
    ) as empty:
        update(
            empty,
            branch="stage",
            change=Replace(paths=(), besides={"new": b"1"}),
            text=TEXT,
            options=options,
        )
    assert log.getvalue().splitlines() == [
        (
            f"  branch stage is not there: it {verb} with the first commit of the repository,"
            " which is empty"
        )
    ]


def test_a_branch_with_the_name_of_a_tag_begins_at_the_remotes_head(
    server: GitServer, repository: GitRepository
) -> None:
    git(server, "tag", "stage", "main")
    server.add("demo", {"apps/new.yaml": b"1"})
    with pytest.raises(ConfigError, match="there is no branch 'stage'"):
        update(repository, branch="stage", change=Replace(), text=TEXT)
    done = update(
        repository,
        branch="stage",
        change=Replace(),
        text=TEXT,
        options=UpdateOptions(create_branch=True),
    )
    assert git(server, "rev-list", "--first-parent", "refs/heads/stage").split()[:2] == [
        done.commit,
        git(server, "rev-parse", "main").strip(),
    ]
    again = update(
        repository, branch="stage", change=Replace(old=b"demo:2", new=b"demo:3"), text=TEXT
    )
    assert again.base == done.commit


@pytest.mark.parametrize("moment", [PUSHING, SENDING])
def test_a_branch_that_somebody_else_makes_meanwhile_keeps_both(
    server: GitServer, repository: GitRepository, moment: str
) -> None:
    def make() -> None:
        git(server, "branch", "stage", "main")
        server.add("demo", {"theirs": b"1"}, "stage", message="Theirs")

    server.fault = Once(moment, make)
    update(
        repository,
        branch="stage",
        change=Replace(),
        text=TEXT,
        options=UpdateOptions(create_branch=True),
    )
    assert git(server, "log", "--format=%s", "stage").splitlines() == [
        "Updated demo to version 2",
        "Theirs",
        "Begin",
    ]


@pytest.mark.parametrize("moment", [PUSHING, SENDING])
def test_a_branch_that_somebody_else_makes_meanwhile_without_a_commit_is_gone_on_with(
    server: GitServer, repository: GitRepository, moment: str
) -> None:
    server.fault = Once(moment, lambda: git(server, "branch", "stage", "main") or None)
    done = update(
        repository,
        branch="stage",
        change=Replace(),
        text=TEXT,
        options=UpdateOptions(create_branch=True),
    )
    assert (done.attempts, git(server, "rev-list", "stage").split()) == (
        2,
        [done.commit, done.base],
    )


def test_a_new_branch_whose_answer_was_lost_is_recognised(
    server: GitServer, repository: GitRepository
) -> None:
    server.fault = Once(SENDING, lambda: "cut")
    done = update(
        repository,
        branch="stage",
        change=Replace(),
        text=TEXT,
        options=UpdateOptions(create_branch=True),
    )
    assert done.commit == git(server, "rev-parse", "stage").strip()
    assert done.attempts == 1


# ---- a branch of its own and its base

OWN = UpdateOptions(create_branch=True)


def make_own(server: GitServer, **files: bytes) -> str:
    git(server, "branch", "stage", "main")
    return server.add("demo", {"own": b"1", **files}, "stage", message="Own")


def subjects(server: GitServer) -> list[str]:
    return git(server, "log", "--first-parent", "--format=%s", "stage").splitlines()


@pytest.mark.parametrize("within", [(), ("apps/demo.yaml",)])
def test_a_deployment_brings_its_branch_up_to_date_with_the_base(
    server: GitServer, repository: GitRepository, within: tuple[str, ...]
) -> None:
    make_own(server)
    base = server.add("demo", {"theirs": b"1", "apps/other.yaml": b"image: other:2\n"})
    options = UpdateOptions(create_branch=True, within=within)
    done = update(repository, branch="stage", change=Replace(), text=TEXT, options=options)
    assert (done.files, done.attempts) == (("apps/demo.yaml",), 1)
    assert subjects(server) == [
        "Updated demo to version 2",
        f"Bring stage up to date with {base[:12]} of its base",
        "Own",
        "Begin",
    ]
    assert git(server, "diff", "--name-only", "stage~", "stage") == "apps/demo.yaml\n"
    assert [
        git(server, "show", f"stage:{path}") for path in ("own", "theirs", "apps/other.yaml")
    ] == ["1", "1", "image: other:2\n"]
    assert git(server, "merge-base", "stage", "main").strip() == base
    server.requests.clear()
    again = update(
        repository,
        branch="stage",
        change=Replace(old=b"demo:2", new=b"demo:3"),
        text=TEXT,
        options=options,
    )
    assert git(server, "rev-parse", "stage~").strip() == done.commit
    assert again.commit == git(server, "rev-parse", "stage").strip()


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_branch_that_holds_the_image_already_is_brought_up_to_date_once(
    server: GitServer, repository: GitRepository, *, dry_run: bool
) -> None:
    own = make_own(server, **{"apps/demo.yaml": AFTER})
    base = server.add("demo", {"theirs": b"1"})
    options = UpdateOptions(create_branch=True, dry_run=dry_run)
    done = update(repository, branch="stage", change=Replace(), text=TEXT, options=options)
    assert (done.idle, done.files, done.diff, bool(done.commit)) == (True, (), "", not dry_run)
    if dry_run:
        assert git(server, "rev-parse", "stage").strip() == own
        return
    assert subjects(server) == [
        f"Bring stage up to date with {base[:12]} of its base",
        "Own",
        "Begin",
    ]
    assert [
        git(server, "show", f"stage:{path}") for path in ("own", "theirs", "apps/demo.yaml")
    ] == ["1", "1", AFTER.decode()]
    again = update(repository, branch="stage", change=Replace(), text=TEXT, options=options)
    assert again == Update(
        commit="", branch="stage", base=done.commit, files=(), attempts=0, diff=""
    )


def test_a_branch_without_commits_of_its_own_moves_on_to_its_base_though_nothing_is_to_be_done(
    server: GitServer, repository: GitRepository
) -> None:
    server.add("demo", {"apps/demo.yaml": AFTER})
    git(server, "branch", "stage", "main")
    base = server.add("demo", {"theirs": b"1", "apps/demo.yaml": AFTER + b"# more\n"})
    done = update(repository, branch="stage", change=Replace(), text=TEXT, options=OWN)
    assert (done.idle, done.commit, git(server, "rev-parse", "stage").strip()) == (True, base, base)
    assert done.files == ("apps/demo.yaml",)


def test_a_base_that_takes_the_image_back_gets_it_again(
    server: GitServer, repository: GitRepository
) -> None:
    git(server, "branch", "stage", "main")
    server.add("demo", {"apps/demo.yaml": AFTER}, "stage")
    server.git("update-ref", "refs/heads/main", "stage", repository=server.folder / "demo.git")
    server.add("demo", {"apps/demo.yaml": BEFORE})
    done = update(repository, branch="stage", change=Replace(), text=TEXT, options=OWN)
    assert (done.idle, done.files) == (False, ("apps/demo.yaml",))
    assert git(server, "show", "stage:apps/demo.yaml").encode() == AFTER


@pytest.mark.parametrize("branch", ["", "main"])
def test_a_second_run_on_the_remotes_own_branch_is_unchanged_with_create_branch_too(
    server: GitServer, repository: GitRepository, branch: str
) -> None:
    assert update(repository, branch=branch, change=Replace(), text=TEXT, options=OWN).commit
    assert update(repository, branch=branch, change=Replace(), text=TEXT, options=OWN).commit == ""
    assert git(server, "rev-list", "--count", "main").strip() == "2"


@pytest.mark.parametrize("cut", [False, True])
def test_an_image_that_the_base_has_already_comes_with_it(
    server: GitServer, repository: GitRepository, *, cut: bool
) -> None:
    make_own(server)
    server.add("demo", {"apps/demo.yaml": AFTER})
    server.fault = Once(SENDING, lambda: "cut") if cut else None
    done = update(repository, branch="stage", change=Replace(), text=TEXT, options=OWN)
    assert (done.commit, done.files) == (
        git(server, "rev-parse", "stage").strip(),
        ("apps/demo.yaml",),
    )
    assert git(server, "show", "stage:apps/demo.yaml").encode() == AFTER


class Strict(Replace):
    """A change that needs all its files."""

    def wants(self, listing: Sequence[str]) -> Sequence[str]:
        if missing := set(self.paths) - set(listing):
            raise ConfigError(f"there is no {missing}")
        return super().wants(listing)


@pytest.mark.parametrize(
    ("content", "subject"), [(BEFORE, "Updated demo to version 2"), (AFTER, "")]
)
@pytest.mark.parametrize("within", [(), ("apps/new.yaml",)])
def test_a_file_that_the_base_alone_has_comes_first(
    server: GitServer,
    repository: GitRepository,
    *,
    content: bytes,
    subject: str,
    within: tuple[str, ...],
) -> None:
    make_own(server)
    change = Strict(paths=("apps/new.yaml",))
    options = UpdateOptions(create_branch=True, within=within)
    with pytest.raises(ConfigError, match="there is no"):
        update(repository, branch="stage", change=change, text=TEXT, options=options)
    base = server.add("demo", {"apps/new.yaml": content})
    done = update(repository, branch="stage", change=change, text=TEXT, options=options)
    assert (done.commit, done.files) == (
        git(server, "rev-parse", "stage").strip(),
        ("apps/new.yaml",),
    )
    assert git(server, "show", "stage:apps/new.yaml").encode() == AFTER
    assert subjects(server)[:2] == ([subject] if subject else []) + [
        f"Bring stage up to date with {base[:12]} of its base"
    ] + ([] if subject else ["Own"])


@pytest.mark.parametrize("dry_run", [False, True])
def test_of_the_files_that_are_looked_at_those_count_that_the_base_brings(
    server: GitServer, repository: GitRepository, *, dry_run: bool
) -> None:
    make_own(server, **{"apps/demo.yaml": AFTER})
    change = Strict(paths=("apps/demo.yaml", "apps/new.yaml"))
    server.add("demo", {"apps/new.yaml": AFTER})
    done = update(
        repository,
        branch="stage",
        change=change,
        text=TEXT,
        options=UpdateOptions(create_branch=True, dry_run=dry_run),
    )
    assert (done.files, bool(done.commit)) == (("apps/new.yaml",), not dry_run)


class Waiting(Replace):
    """A change at a path that exists only after the merge with the base; it reads no file there."""

    def wants(self, listing: Sequence[str]) -> Sequence[str]:
        if "theirs" not in listing:
            raise ConfigError("there is no place")
        return super().wants(listing)


def test_a_base_is_pushed_though_no_file_that_is_looked_at_is_another(
    server: GitServer, repository: GitRepository
) -> None:
    make_own(server, **{"apps/demo.yaml": AFTER})
    server.add("demo", {"theirs": b"1"})
    done = update(repository, branch="stage", change=Waiting(), text=TEXT, options=OWN)
    assert (done.files, done.commit) == ((), git(server, "rev-parse", "stage").strip())
    assert git(server, "show", "stage:theirs") == "1"


@pytest.mark.parametrize("deployed", [BEFORE, AFTER])
@pytest.mark.parametrize("dry_run", [False, True])
def test_what_both_have_changed_is_told_before_anything_is_pushed(
    server: GitServer,
    repository: GitRepository,
    deployed: bytes,
    *,
    dry_run: bool,
) -> None:
    own = make_own(server, **{"apps/other.yaml": b"image: other:own\n", "apps/demo.yaml": deployed})
    server.add("demo", {"apps/other.yaml": b"image: other:theirs\n"})
    with pytest.raises(
        ConfigError,
        match=(r"branch stage cannot be merged with its base: both have changed apps/other\.yaml"),
    ):
        update(
            repository,
            branch="stage",
            change=Replace(),
            text=TEXT,
            options=UpdateOptions(create_branch=True, dry_run=dry_run),
        )
    assert git(server, "rev-parse", "stage").strip() == own


def test_a_dry_run_shows_the_change_alone(server: GitServer, repository: GitRepository) -> None:
    own = make_own(server)
    server.add("demo", {"theirs": b"1"})
    done = update(
        repository,
        branch="stage",
        change=Replace(),
        text=TEXT,
        options=UpdateOptions(create_branch=True, dry_run=True),
    )
    assert done.diff.count("diff --git") == 1
    assert git(server, "rev-parse", "stage").strip() == own


@pytest.mark.parametrize("branch", ["stage", "main"])
@pytest.mark.parametrize("moment", [PUSHING, SENDING])
def test_a_branch_or_a_base_that_moves_before_the_push_keeps_all(
    server: GitServer, repository: GitRepository, moment: str, branch: str
) -> None:
    make_own(server)
    server.add("demo", {"theirs": b"2", "theirs-too": b"3" * 999})
    server.fault = Once(
        moment, lambda: server.add("demo", {"late": b"1"}, branch, message="Late") and None
    )
    update(repository, branch="stage", change=Replace(), text=TEXT, options=OWN)
    assert {"own", "theirs"} <= set(git(server, "ls-tree", "--name-only", "stage").split())
    assert ("late" in git(server, "ls-tree", "--name-only", "stage").split()) == (branch == "stage")
    assert git(server, "show", "stage:apps/demo.yaml").encode() == AFTER
    server.fault = None
    update(
        repository,
        branch="stage",
        change=Replace(old=b"demo:2", new=b"demo:3"),
        text=TEXT,
        options=OWN,
    )
    assert "late" in git(server, "ls-tree", "--name-only", "stage").split()
    git(server, "fsck", "--strict")


def test_a_branch_that_moves_while_its_base_is_looked_at_keeps_both(
    server: GitServer, repository: GitRepository
) -> None:
    make_own(server)
    server.add("demo", {"theirs": b"2", "theirs-too": b"3" * 999})
    asked = iter([False, True])

    def between(_method: str, path: str) -> None:
        if path.endswith("service=git-upload-pack") and next(asked, False):
            server.add("demo", {"late": b"1"}, "stage", message="Late")

    server.fault = between
    update(repository, branch="stage", change=Replace(), text=TEXT, options=OWN)
    assert {"own", "theirs", "late"} <= set(git(server, "ls-tree", "--name-only", "stage").split())


# ---- a newer deployment is in place

JOB = "https://ci.example.com/job/demo"


def built(number: int) -> CommitText:
    provenance = Provenance(
        deployment="demo",
        stage="Release",
        images=(f"demo:{number}",),
        build=f"{JOB}/{number}/",
        build_number=str(number),
        request=f"run-{number}",
    )
    return CommitText(
        text=f"Updated demo to version {number}", provenance=provenance, author=Author(name="ann")
    )


def deployed(server: GitServer, number: int, *, then: int = 0) -> None:
    """Build `number` deploys its image, then others commit `then` times."""
    text = built(number)
    server.add(
        "demo",
        {"apps/demo.yaml": f"image: demo:{number}\n".encode()},
        message=compose_message(text.text, text.provenance),
    )
    for _ in range(then):
        another_writer(server)()


@pytest.mark.parametrize(
    ("then", "requests"),
    [(0, 5), (3, 5)],
    ids=["the last commit tells", "the history tells, which comes along"],
)
def test_an_older_build_does_not_go_back(
    server: GitServer, repository: GitRepository, then: int, requests: int
) -> None:
    deployed(server, 12, then=then)
    before = git(server, "rev-parse", "main")
    done = update(
        repository, branch="", change=Replace(old=b"demo:12", new=b"demo:11"), text=built(11)
    )
    assert done.newer
    assert (done.newer.provenance, done.newer.commit) == (
        built(12).provenance,
        git(server, "rev-parse", f"main~{then}").strip(),
    )
    assert (done.commit, done.files, done.diff) == ("", (), "")
    assert git(server, "rev-parse", "main") == before
    assert len(server.requests) == requests


def test_an_older_build_goes_back_where_that_is_wanted_and_asks_nothing_more(
    server: GitServer, repository: GitRepository
) -> None:
    deployed(server, 12, then=3)
    assert update(
        repository,
        branch="",
        change=Replace(old=b"demo:12", new=b"demo:11"),
        text=built(11),
        options=UpdateOptions(allow_older=True),
    ).commit
    assert len(server.requests) == 7


def test_a_newer_build_and_the_same_one_again_go_on_in_no_more_requests(
    server: GitServer, repository: GitRepository
) -> None:
    deployed(server, 12, then=3)
    assert (
        update(
            repository, branch="", change=Replace(old=b"demo:12", new=b"demo:13"), text=built(13)
        ).attempts
        == 1
    )
    assert len(server.requests) == 7
    with GitRepository(repository.remote, environ={"PATH": os.environ["PATH"]}) as again:
        assert (
            update(
                again, branch="", change=Replace(old=b"demo:13", new=b"demo:13b"), text=built(13)
            ).attempts
            == 1
        )


def test_what_people_have_taken_back_is_no_newer_deployment(
    server: GitServer, repository: GitRepository
) -> None:
    deployed(server, 12)
    server.add("demo", {"apps/demo.yaml": b"image: demo:1\n"}, message="Back to 1")
    assert update(
        repository, branch="", change=Replace(old=b"demo:1\n", new=b"demo:11\n"), text=built(11)
    ).commit


def test_a_newer_build_that_overtakes_is_seen_when_the_branch_is_read_again(
    server: GitServer, repository: GitRepository
) -> None:
    another_writer(server)()
    server.fault = Once(PUSHING, lambda: deployed(server, 12))
    done = update(
        repository, branch="", change=Replace(old=b"demo:1", new=b"demo:11"), text=built(11)
    )
    assert done.newer
    assert (done.newer.provenance.build_number, done.attempts) == ("12", 1)
    assert parse_provenance(git(server, "log", "-1", "--format=%B", "main")).build_number == "12"


def test_a_server_that_gives_out_no_history_stops_nobody(server: GitServer, tmp_path: Path) -> None:
    deployed(server, 12, then=1)
    git(server, "config", "uploadpack.allowFilter", "false")
    deadline = Deadline.after(60, Clock(sleep=lambda _seconds: None))
    with GitRepository(
        parse_remote(server.url("demo")),
        environ={"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path)},
        deadline=deadline,
    ) as repository:
        assert update(
            repository, branch="", change=Replace(old=b"demo:12", new=b"demo:11"), text=built(11)
        ).commit
