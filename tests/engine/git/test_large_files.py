"""Files of a repository that are too large to be read, against git's own server."""

from __future__ import annotations

import os
from collections.abc import Mapping

import pytest

from tests.engine.git.conftest import Opened
from tests.fakes.git_server import GitServer
from towline.errors import ConfigError, GitError, GitUnreachable
from towline.git import limits
from towline.git.large_files import server_sends_too_much
from towline.git.remote import parse_remote
from towline.git.repository import GitRepository
from towline.limits import MIB
from towline.record import replace


def test_files_that_are_too_large_together_are_named(
    server: GitServer, environ: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "USUAL_LIMITS", replace(limits.USUAL_LIMITS, output=1024 * 1024))
    server.create(
        "demo",
        {"small": b"1", **{f"large-{number}": os.urandom(400_000 + number) for number in range(4)}},
    )
    with GitRepository(parse_remote(server.url("demo")), environ=environ) as repository:
        entries = {
            entry.path: entry for entry in repository.listing(repository.fetch("main").commit)
        }
        with pytest.raises(
            ConfigError,
            match=(
                r"5 files are wanted, and they are too large together \(1.5 MiB\): large-3 \(0.4"
                r" MiB\), large-2"
            ),
        ) as caught:
            repository.read(entries.values())
        assert ".helmignore" in caught.value.hint
        assert repository.read([entries["small"]]) == {"small": b"1"}


@pytest.mark.parametrize("past", ["with the past", ""])
def test_a_file_for_which_there_is_no_room_is_named(
    past: str, server: GitServer, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "USUAL_LIMITS", replace(limits.USUAL_LIMITS, file_size=2 * MIB))
    server.create(
        "demo",
        {
            "large": os.urandom(4 * MIB),
            **{f"small-{number}": os.urandom(number) for number in range(9)},
        },
    )
    repository = opened()
    tip = repository.fetch("main")
    entries = {entry.path: entry for entry in repository.listing(tip.commit)}
    if past:
        repository.expect_history(tip)
    with pytest.raises(
        GitError, match=r"sends more than git may take here \(2 MiB on disk\) for the file large\Z"
    ) as caught:
        repository.read(entries.values())
    assert ".helmignore" in caught.value.hint
    with pytest.raises(GitError, match=r"for the file large\Z"):
        repository.read([entries["large"]])
    assert repository.read([entries["small-1"]])


@pytest.mark.parametrize("order", [1, -1])
def test_files_of_which_none_is_too_large_by_itself_are_so_together(
    order: int, server: GitServer, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files fetched so far do not count for the next file, which would be named otherwise."""
    monkeypatch.setattr(limits, "USUAL_LIMITS", replace(limits.USUAL_LIMITS, file_size=3 * MIB))
    sizes = [1, MIB, MIB * 3 // 2, MIB * 3 // 2][::order]
    server.create("demo", {f"file-{number}": os.urandom(size) for number, size in enumerate(sizes)})
    repository = opened()
    entries = {one.path: one for one in repository.listing(repository.fetch("main").commit)}
    with pytest.raises(GitError, match=r"for \d files together: file-") as caught:
        repository.read(entries.values())
    assert ".helmignore" in caught.value.hint
    small = "file-0" if order == 1 else "file-3"
    assert repository.read([entries[small]])


def test_a_file_that_does_not_fit_beside_the_history_is_not_called_too_large(
    server: GitServer, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        limits, "USUAL_LIMITS", replace(limits.USUAL_LIMITS, file_size=5 * MIB // 2)
    )
    server.create("demo", {"a": b"1"})
    server.add("demo", {"a": b"2"}, message=os.urandom(3 * MIB // 2).hex())
    server.add("demo", {"a": os.urandom(3 * MIB // 2)})
    repository = opened()
    tip = repository.fetch("main")
    (entry,) = repository.listing(tip.commit)
    repository.expect_history(tip)
    with pytest.raises(GitError, match=r"for the file a; the history was fetched with them\Z"):
        repository.read([entry])


def test_where_time_is_over_all_files_are_named_that_may_be_the_one(
    server: GitServer, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "USUAL_LIMITS", replace(limits.USUAL_LIMITS, file_size=2 * MIB))
    server.create("demo", {"large": os.urandom(4 * MIB), "small": b"1"})
    repository = opened()
    entries = repository.listing(repository.fetch("main").commit)

    def late(_: object) -> None:
        raise GitUnreachable("the deadline is over")

    monkeypatch.setattr(repository._clone, "fetch_objects", late)
    fault = server_sends_too_much(
        repository._clone,
        {entry.path: entry.oid for entry in entries},
        limits.ServerSendsTooMuch("too much"),
        with_history=False,
    )
    assert fault.message == "too much for one of large, small, or all of them together"
