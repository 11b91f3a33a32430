from __future__ import annotations

import os
import shutil
import subprocess
from datetime import datetime
from email.header import decode_header, make_header
from email.utils import parseaddr
from pathlib import Path

import pytest

from towline.git.checkout import (
    CommitDescription,
    default_branch,
    describe_commit,
    file_on_branch,
    head_branch,
    history,
    origin_url,
)

URL = "https://git.example/team/app.git"
ENVIRON = {"PATH": os.environ["PATH"]}


def git(folder: Path, *words: str) -> None:
    environment = {
        **ENVIRON,
        "HOME": str(folder),
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
    }
    subprocess.run(["git", *words], cwd=folder, env=environment, check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    git(tmp_path, "init")
    return tmp_path


def test_the_remote_of_a_checkout_is_where_it_comes_from(checkout: Path) -> None:
    git(checkout, "remote", "add", "origin", URL)
    git(checkout, "remote", "add", "other", "https://other.example/x.git")
    assert origin_url(checkout, ENVIRON) == URL


def test_a_checkout_without_a_remote_comes_from_nowhere(checkout: Path) -> None:
    assert origin_url(checkout, ENVIRON) == ""


def test_a_part_of_a_checkout_is_as_the_whole(checkout: Path) -> None:
    git(checkout, "remote", "add", "origin", URL)
    git(
        checkout,
        "-c",
        "user.name=a",
        "-c",
        "user.email=a@example.com",
        "commit",
        "--allow-empty",
        "-m",
        "start",
    )
    (checkout / "inner").mkdir()
    assert origin_url(checkout / "inner", ENVIRON) == URL
    assert head_branch(checkout / "inner", ENVIRON) == head_branch(checkout, ENVIRON) != ""
    assert history(checkout / "inner", ENVIRON) == history(checkout, ENVIRON) != ()
    assert describe_commit(checkout / "inner", ENVIRON, "") == describe_commit(
        checkout, ENVIRON, ""
    )


def test_a_folder_without_a_checkout_comes_from_nowhere(tmp_path: Path) -> None:
    assert origin_url(tmp_path, ENVIRON) == ""


def test_without_a_git_program_nothing_is_known(checkout: Path, tmp_path: Path) -> None:
    git(checkout, "remote", "add", "origin", URL)
    assert origin_url(checkout, {"PATH": str(tmp_path)}) == ""


@pytest.mark.parametrize(
    "text", ["[remote", '[remote "origin"]\n', "\0", "[include]\n path = other\n"]
)
def test_a_configuration_that_says_nothing_of_it_is_no_fault(checkout: Path, text: str) -> None:
    (checkout / ".git" / "other").write_text(f'[remote "origin"]\n url = {URL}\n')
    (checkout / ".git" / "config").write_text(text)
    assert origin_url(checkout, ENVIRON) == ""


def commit(folder: Path, message: str) -> str:
    git(
        folder,
        "-c",
        "user.name=a",
        "-c",
        "user.email=a@b",
        "commit",
        "--allow-empty",
        "--quiet",
        "-m",
        message,
    )
    return subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_the_history_is_newest_first_with_whole_messages(checkout: Path) -> None:
    first = commit(checkout, "one\n\nwith a body\n\nTrailer: x")
    second = commit(checkout, "zwei ä")
    assert [(each.id, each.message) for each in history(checkout, ENVIRON)] == [
        (second, "zwei ä"),
        (first, "one\n\nwith a body\n\nTrailer: x"),
    ]


def test_of_merged_branches_only_the_way_of_the_branch_itself_counts(checkout: Path) -> None:
    commit(checkout, "base")
    git(checkout, "checkout", "--quiet", "-b", "side")
    commit(checkout, "side")
    git(checkout, "checkout", "--quiet", "-")
    commit(checkout, "main")
    git(
        checkout,
        "-c",
        "user.name=a",
        "-c",
        "user.email=a@b",
        "merge",
        "--no-ff",
        "--quiet",
        "-m",
        "merged",
        "side",
    )
    assert [each.message for each in history(checkout, ENVIRON)] == ["merged", "main", "base"]


def test_a_checkout_of_somebody_else_has_its_history_too(checkout: Path) -> None:
    commit(checkout, "one")
    os.chown(checkout / ".git", 12345, 12345) if os.geteuid() == 0 else None
    assert [each.message for each in history(checkout, ENVIRON)] == ["one"]


def test_where_there_is_no_commit_no_git_and_no_checkout_there_is_no_history(
    checkout: Path,
) -> None:
    assert history(checkout, ENVIRON) == ()
    assert history(checkout, {"PATH": "/nowhere"}) == ()
    (checkout / "inner").mkdir()
    assert history(checkout / "inner", ENVIRON) == ()


def committed(checkout: Path, *, author: str = "Zoë Ünal <zoe@example.com>") -> str:
    git(
        checkout,
        "-c",
        "user.name=x",
        "-c",
        "user.email=y@example.com",
        "commit",
        "--allow-empty",
        "--no-verify",
        f"--author={author}",
        "--date=2026-01-02T03:04:05+01:00",
        "-m",
        "Sell more\n\nBecause\nwe can.",
    )
    return subprocess.run(
        ["git", "rev-parse", "HEAD"],
        cwd=checkout,
        env=ENVIRON,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()


def test_a_commit_says_who_when_and_what(checkout: Path) -> None:
    commit = committed(checkout)
    found = describe_commit(checkout, ENVIRON, commit)
    assert (found.id, describe_commit(checkout, ENVIRON, "")) == (commit, found)
    assert (found.date, found.subject, found.body) == (
        "2026-01-02T03:04:05+01:00",
        "Sell more",
        "Because\nwe can.",
    )
    assert parseaddr(str(make_header(decode_header(found.author)))) == (
        "Zoë Ünal",
        "zoe@example.com",
    )
    assert datetime.fromisoformat(found.time).year >= 2026


def test_an_address_that_no_mail_has_is_left_out(checkout: Path) -> None:
    assert (
        describe_commit(
            checkout, ENVIRON, committed(checkout, author="Zoë <zoë@example.com>")
        ).author
        == ""
    )


@pytest.mark.parametrize("commit", ["HEAD", "--all", "c" * 40, "c" * 39])
def test_of_what_is_no_commit_here_nothing_is_known(checkout: Path, commit: str) -> None:
    committed(checkout)
    assert describe_commit(checkout, ENVIRON, commit) == CommitDescription()


def test_head_is_on_a_branch_or_on_none(checkout: Path, tmp_path: Path) -> None:
    committed(checkout)
    git(checkout, "checkout", "--quiet", "-B", "feature/x")
    assert head_branch(checkout, ENVIRON) == "feature/x"
    git(checkout, "checkout", "--quiet", "--detach")
    assert head_branch(checkout, ENVIRON) == head_branch(tmp_path / "nowhere", ENVIRON) == ""


def test_a_commit_of_sha_256_says_the_same(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--object-format=sha256")
    commit = committed(tmp_path)
    assert (len(commit), describe_commit(tmp_path, ENVIRON, commit).subject) == (64, "Sell more")


def test_without_a_checkout_nothing_is_known(tmp_path: Path) -> None:
    assert describe_commit(tmp_path, ENVIRON, "c" * 40) == CommitDescription()


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone whose branch `feature` has changed a file that stands on the default branch
    `trunk`, too.
    """
    there, here = tmp_path / "there", tmp_path / "here"
    for folder in (there, here):
        folder.mkdir()
    git(there, "init", "--quiet", "--initial-branch=trunk")
    (there / "part").mkdir()
    for name, text in (("a.txt", "trunk's\n"), ("part/a.txt", "part's\n"), ("empty.txt", "")):
        (there / name).write_text(text)
    git(there, "add", "--all")
    git(there, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-m", "Begin")
    git(here, "clone", "--quiet", str(there), ".")
    git(here, "checkout", "--quiet", "-b", "feature")
    (here / "a.txt").write_text("feature's\n")
    return here


def test_a_clone_knows_the_default_branch_and_what_stands_on_its_tip(clone: Path) -> None:
    assert default_branch(clone, ENVIRON) == "trunk"
    assert file_on_branch(clone, ENVIRON, "trunk", "a.txt") == "trunk's\n"
    assert file_on_branch(clone / "part", ENVIRON, "trunk", "a.txt") == "part's\n"
    assert (
        file_on_branch(clone, ENVIRON, "trunk", "missing.txt"),
        file_on_branch(clone, ENVIRON, "trunk", "empty.txt"),
    ) == ("", "")


@pytest.mark.parametrize(
    "branch",
    [
        "feature",
        "main",
        "",
        "HEAD:x",
        "trunk:a",
        "trunk^",
        "trunk~0",
        "-p",
        "@{-1}",
        "a..b",
        "trunk\n",
    ],
)
def test_what_is_no_branch_of_the_remote_has_no_tip(clone: Path, branch: str) -> None:
    assert file_on_branch(clone, ENVIRON, branch, "a.txt") is None


def test_a_bare_repository_among_the_files_is_no_checkout(clone: Path) -> None:
    """Otherwise a commit to the step's folder would decide what the default branch has."""
    inner, evil = clone / "part", clone.parent / "evil"
    evil.mkdir()
    git(evil, "init", "--quiet", "--initial-branch=trunk")
    (evil / "a.txt").write_text("evil's\n")
    git(evil, "add", "--all")
    git(evil, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-m", "Evil")
    shutil.copytree(evil / ".git" / "objects", inner / "objects")
    shutil.copytree(evil / ".git" / "refs", inner / "refs")
    (inner / "refs" / "remotes" / "origin").mkdir(parents=True)
    shutil.copy(inner / "refs" / "heads" / "trunk", inner / "refs" / "remotes" / "origin" / "trunk")
    (inner / "refs" / "remotes" / "origin" / "HEAD").write_text("ref: refs/remotes/origin/evil\n")
    (inner / "HEAD").write_text("ref: refs/heads/trunk\n")
    (inner / "config").write_text(
        "[core]\n repositoryFormatVersion = 0\n bare = false\n worktree = .\n"
    )
    assert (default_branch(inner, ENVIRON), head_branch(inner, ENVIRON)) == ("trunk", "feature")
    assert file_on_branch(inner, ENVIRON, "trunk", "a.txt") == "part's\n"
    assert [one.message.strip() for one in history(inner, ENVIRON)] == ["Begin"]


def test_a_submodule_is_a_part_of_the_checkout_around_it(clone: Path) -> None:
    """A pull request may add any repository as a submodule, with any default branch."""
    other = clone.parent / "other"
    other.mkdir()
    git(other, "init", "--quiet", "--initial-branch=evil")
    git(
        other,
        "-c",
        "user.name=a",
        "-c",
        "user.email=a@b",
        "commit",
        "--quiet",
        "--allow-empty",
        "-m",
        "Evil",
    )
    git(clone, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other), "sub")
    assert default_branch(clone / "sub", ENVIRON) == default_branch(clone, ENVIRON) == "trunk"
    assert [one.message.strip() for one in history(clone / "sub", ENVIRON)] == ["Begin"]


@pytest.mark.parametrize(
    "where", ["a work tree", "a submodule of one", "a link", "a clone whose .git lies elsewhere"]
)
def test_a_submodule_of_another_checkout_is_a_part_of_that_one(clone: Path, where: str) -> None:
    """Git keeps it where the repository of the checkout is, which is not always below `.git`."""
    allowed = ("-c", "protocol.file.allow=always", "submodule", "--quiet")
    inner, other, beside = clone.parent / "inner", clone.parent / "other", clone.parent / "beside"
    for folder in (inner, other):
        folder.mkdir()
        git(folder, "init", "--quiet", "--initial-branch=evil")
        commit(folder, "Evil")
    git(other, *allowed, "add", str(inner), "within")
    commit(other, "Evil")
    git(clone, "worktree", "add", "--quiet", "--detach", str(beside))
    if where == "a clone whose .git lies elsewhere":
        git(clone, "init", "--quiet", f"--separate-git-dir={clone.parent / 'apart'}")
    around = clone if where in ("a link", "a clone whose .git lies elsewhere") else beside
    git(around, *allowed, "add", str(other), "deep/sub")
    git(around, *allowed, "update", "--init", "--recursive")
    (around / "link").symlink_to("deep/sub")
    sub = around / {"a submodule of one": "deep/sub/within", "a link": "link"}.get(
        where, "deep/sub"
    )
    assert (sub / ".git").is_file()
    assert default_branch(sub, ENVIRON) == "trunk"
    assert [one.message.strip() for one in history(sub, ENVIRON)] == ["Begin"]


def test_a_work_tree_beside_the_clone_is_a_checkout(clone: Path) -> None:
    git(clone, "worktree", "add", "--quiet", "--detach", "../beside")
    assert default_branch(clone.parent / "beside", ENVIRON) == "trunk"
    assert file_on_branch(clone.parent / "beside" / "part", ENVIRON, "trunk", "a.txt") == "part's\n"


def test_where_there_is_no_clone_nobody_knows_a_default_branch(
    checkout: Path, tmp_path: Path
) -> None:
    assert default_branch(checkout, ENVIRON) == ""
    assert default_branch(tmp_path / "nowhere", {}) == ""
    assert file_on_branch(tmp_path / "nowhere", {}, "main", "a") is None
