"""Deadline, jitter and Retry-After in one place, on a clock that tests inject."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime

from towline.record import field, frozen

_LONGEST = 60.0  # seconds that a host may ask for


@frozen
class Clock:
    """Seconds: `now` is monotonic, `wall` is since the epoch, `sleep` waits, `uniform` draws between two bounds."""

    now: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    uniform: Callable[[float, float], float] = field(default=random.uniform)


@frozen
class Deadline:
    """A point in time until which something may take."""

    clock: Clock
    end: float

    @classmethod
    def after(cls, seconds: float, clock: Clock) -> Deadline:
        """The deadline `seconds` from now."""
        return cls(clock=clock, end=clock.now() + seconds)

    @property
    def left(self) -> float:
        """Seconds left, never below zero."""
        return max(0.0, self.end - self.clock.now())


class TurnClock:
    """The seconds of one of several that work in turns: they pass only while it is its turn."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._spent = 0.0
        self._began: float | None = None

    def now(self) -> float:
        """Seconds that it has worked so far."""
        return self._spent + (0.0 if self._began is None else self._now() - self._began)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Its turn, while the block runs."""
        self._began = self._now()
        try:
            yield
        finally:
            self._spent, self._began = self.now(), None


def backoff(attempt: int, clock: Clock) -> float:
    """Seconds to wait after failed attempt number `attempt` (from 0): full jitter below 0.2 x 2^attempt, at most 5."""
    return clock.uniform(0.0, min(5.0, 0.2 * 2.0 ** min(attempt, 30)))


def poll_attempts(
    clock: Clock, *, seconds: float = 10.0, sleep: Callable[[float], None] | None = None
) -> Iterator[None]:
    """Now, and again after growing pauses, for `seconds` in all: to ask for what may need a moment to be seen.

    It is for the caller to leave.
    """
    deadline = Deadline.after(seconds, clock)
    for attempt in itertools.count():
        yield
        if not deadline.left:
            return
        longest = min(1.0, 0.2 * 2.0 ** min(attempt, 30))
        (sleep or clock.sleep)(min(deadline.left, clock.uniform(longest / 2, longest)))


def retry_after(value: str | None, clock: Clock) -> float | None:
    """Seconds that a Retry-After header asks for, as seconds or as a date (RFC 9110 10.2.3), at most a minute; None without one."""
    if not value:
        return None
    if value.isascii() and value.strip().isdigit():
        return min(float(value), _LONGEST)
    try:
        return min(max(0.0, parsedate_to_datetime(value).timestamp() - clock.wall()), _LONGEST)
    except (ValueError, OverflowError):  # no date, or one that no clock will ever show
        return None
