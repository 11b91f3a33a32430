"""Commits in a local repository, written and read by git itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.git.conftest import AUTHOR, Opened
from tests.fakes.git_server import GitServer
from towline.errors import ConfigError, GitError
from towline.git import limits
from towline.git.objects import Author
from towline.git.repository import GitRepository
from towline.limits import MIB
from towline.masks import Masks
from towline.printable import hide, use
from towline.record import replace


def test_a_commit_carries_message_and_identity_as_given(
    server: GitServer, bare: Path, repository: GitRepository
) -> None:
    tip = repository.fetch("main")
    message = "Update ü\n\n# not a comment\n\nTowline-Request: 1\n"
    commit = repository.commit(
        tip, {"README": b"x"}, message=f"\n{message}\n\0", author=Author(name="Ann <x>\nExample")
    )
    repository.push(commit, tip)
    shown = server.git("log", "-1", "--format=%an|%ae|%cn|%ce|%B", "main", repository=bare)
    assert shown == f"Ann xExample||Ann xExample||{message}\n"


def test_a_commit_carries_no_command_of_a_ci_system_and_no_control_character(
    server: GitServer, bare: Path, repository: GitRepository
) -> None:
    tip = repository.fetch("main")
    commit = repository.commit(
        tip,
        {"README": b"x"},
        message="Change\x1b[31m\n\n::error::x ##[y]\r\nSigned-off-by: A",
        author=AUTHOR,
    )
    repository.push(commit, tip)
    assert (
        server.git("log", "-1", "--format=%B", "main", repository=bare).strip()
        == "Change\\x1b[31m\n\n: :error::x # #[y]\r\nSigned-off-by: A"
    )


def test_a_secret_of_the_run_is_in_no_part_of_a_commit(
    server: GitServer, bare: Path, repository: GitRepository
) -> None:
    tip = repository.fetch("main")
    try:
        hide("s3cret-word")
        author = Author(name="bot s3cret-word", email="s3cret-word@example.com")
        repository.push(
            repository.commit(tip, {"README": b"x"}, message="By s3cret-word", author=author), tip
        )
    finally:
        use(Masks())
    shown = server.git("log", "-1", "--format=%an|%ae|%cn|%ce|%B", "main", repository=bare)
    assert shown.strip() == "bot ****|****@example.com|bot ****|****@example.com|By ****"


def test_a_commit_needs_a_name(repository: GitRepository) -> None:
    tip = repository.fetch("main")
    with pytest.raises(ConfigError):
        repository.commit(tip, {"README": b"x"}, message="m", author=Author(name=" "))
    with pytest.raises(GitError):
        repository.commit(tip, {"README": b"x"}, message="m", author=Author(name="<>"))


def test_of_messages_that_are_too_long_together_the_last_are_read(
    server: GitServer, bare: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user who may push must not lock everybody else out by a message."""
    assert bare.exists()
    monkeypatch.setattr(limits, "USUAL_LIMITS", replace(limits.USUAL_LIMITS, output=MIB))
    for number in range(20):
        server.add(
            "demo", {"new": str(number).encode()}, message=f"Number {number}\n\n{'x' * 80_000}"
        )
    repository = opened()
    read = [
        commit.message.partition("\n")[0] for commit in repository.history(repository.fetch("main"))
    ]
    assert read == [f"Number {number}" for number in range(19, 9, -1)]
