from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.clock import FakeClock
from towline.retry import Clock, Deadline, TurnClock, backoff, poll_attempts, retry_after


def test_a_deadline_counts_down_and_ends_at_zero() -> None:
    fake = FakeClock()
    deadline = Deadline.after(10.0, fake.clock)
    fake.clock.sleep(4.0)
    assert deadline.left == 6.0
    fake.clock.sleep(60.0)
    assert deadline.left == 0.0


def test_of_several_that_work_in_turns_each_one_s_deadline_counts_its_own_turns() -> None:
    fake = FakeClock()
    first, second = TurnClock(fake.clock.now), TurnClock(fake.clock.now)
    deadline = Deadline.after(10.0, Clock(now=first.now))
    with first.turn():
        fake.clock.sleep(4.0)
        assert deadline.left == 6.0
    with second.turn():
        fake.clock.sleep(60.0)
    assert deadline.left == 6.0
    with contextlib.suppress(ValueError), first.turn():
        fake.clock.sleep(5.0)
        raise ValueError
    fake.clock.sleep(60.0)
    assert (deadline.left, second.now()) == (1.0, 60.0)


def test_pauses_double_until_the_cap() -> None:
    clock = FakeClock().clock
    assert [backoff(attempt, clock) for attempt in range(7)] == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


def test_the_jitter_draws_from_the_whole_range() -> None:
    lowest, highest = Clock(uniform=lambda low, _: low), Clock(uniform=lambda _, high: high)
    assert (backoff(1, lowest), backoff(1, highest)) == (0.0, 0.4)


@given(st.integers(min_value=0, max_value=10**6))
def test_no_attempt_waits_longer_than_the_cap(attempt: int) -> None:
    assert 0.0 <= backoff(attempt, Clock()) <= 5.0


@pytest.mark.parametrize(
    ("value", "seconds"), [("3", 3.0), (" 7 ", 7.0), ("0", 0.0), ("3600", 60.0), ("9" * 400, 60.0)]
)
def test_retry_after_in_seconds_is_obeyed_up_to_the_cap(value: str, seconds: float) -> None:
    assert retry_after(value, FakeClock().clock) == seconds


@pytest.mark.parametrize(
    "value", [None, "", "soon", "-3", "1.5", "²", "٣", "Mon, 99 Nov 2023 22:13:20 GMT"]
)
def test_retry_after_that_cannot_be_read_is_none(value: str | None) -> None:
    assert retry_after(value, FakeClock().clock) is None


@pytest.mark.parametrize(("offset", "seconds"), [(20, 20.0), (-20, 0.0), (7200, 60.0)])
def test_retry_after_as_a_date_counts_from_the_wall_clock(offset: int, seconds: float) -> None:
    fake = FakeClock(wall=1_700_000_000.0)
    date = format_datetime(datetime.fromtimestamp(1_700_000_000 + offset, UTC), usegmt=True)
    assert retry_after(date, fake.clock) == seconds


@given(
    st.text(max_size=60)
    | st.from_regex(
        r"[A-Z][a-z]{2}, \d{1,2} [A-Z][a-z]{2} \d{1,6} \d\d:\d\d:\d\d [+-]?\w{3,5}", fullmatch=True
    )
)
def test_no_header_breaks_the_reader(value: str) -> None:
    seconds = retry_after(value, FakeClock().clock)
    assert seconds is None or 0.0 <= seconds <= 60.0


def test_moments_come_at_once_and_after_growing_pauses_until_their_time_is_over() -> None:
    fake = FakeClock()
    begun = fake.time
    assert len([fake.time for _ in poll_attempts(fake.clock, seconds=5.0)]) == len(fake.sleeps) + 1
    assert fake.sleeps[:5] == [0.2, 0.4, 0.8, 1.0, 1.0]
    assert fake.time - begun == pytest.approx(5.0)


def test_without_seconds_there_is_one_moment() -> None:
    fake = FakeClock()
    assert list(poll_attempts(fake.clock, seconds=0.0)) == [None]
    assert fake.sleeps == []
