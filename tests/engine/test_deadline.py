"""Work that takes too long ends, even if it does not look at a clock, and says why."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from towline import deadline
from towline.errors import ConfigError, GitError, MachineError, TowlineError


@pytest.fixture(autouse=True)
def _whole(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A whole that has all the time."""
    monkeypatch.setattr(deadline, "GRACE", 0.0)
    with deadline.within(3600, late(MachineError)):
        yield


def late(kind: type[TowlineError] = ConfigError) -> Callable[[], TowlineError]:
    return lambda: kind("too late")


def compute(seconds: float = 120.0) -> None:
    """Work that waits for nothing."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(1000))


def begun(seconds: float, work: Callable[[], None], kind: type[TowlineError] = ConfigError) -> None:
    """The work as a whole that has `seconds`."""
    deadline.begin(seconds, late(kind))
    try:
        work()
    finally:
        deadline.begin(3600, late())


def part(seconds: float, work: Callable[[], object]) -> None:
    """The work as a part."""
    with deadline.within(seconds, late(GitError)):
        work()


def test_work_that_looks_at_no_clock_ends() -> None:
    with pytest.raises(ConfigError, match="too late"):
        begun(0.05, compute)


def test_a_new_time_limit_replaces_the_old_one() -> None:
    deadline.begin(2, late())
    begun(3600, lambda: compute(2.2))
    with pytest.raises(GitError):
        begun(0.05, compute, GitError)


def test_a_part_ends_before_the_whole() -> None:
    with pytest.raises(GitError):
        part(0.05, compute)


def test_no_part_goes_beyond_the_end_of_the_whole() -> None:
    with pytest.raises(ConfigError):
        begun(0.05, lambda: part(3600, compute))


def test_who_clears_away_after_the_end_is_not_interrupted_at_once() -> None:
    cleared: list[str] = []

    def work() -> None:
        try:
            part(3600, compute)
        finally:
            compute(0.3)
            cleared.append("all of it")

    with pytest.raises(ConfigError):
        begun(0.05, work)
    assert cleared


def test_after_a_part_the_whole_counts_again() -> None:
    def work() -> None:
        part(2, lambda: None)
        compute()

    with pytest.raises(ConfigError):
        begun(3, work)


def test_the_error_is_raised_again_if_it_was_caught_as_another_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def work() -> None:
        with contextlib.suppress(ConfigError):
            compute()
        compute()

    monkeypatch.setattr(deadline, "_AGAIN", 1.0)
    with pytest.raises(ConfigError):
        begun(0.05, work)


def test_a_thread_that_gets_no_signals_begins_nothing() -> None:
    thread = threading.Thread(target=deadline.begin, args=(0.01, late()))
    thread.start()
    thread.join()
    compute(0.1)
