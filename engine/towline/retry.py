"""Time rules of retries: attempts, backoff with jitter, Retry-After (HTTP 429, 503), deadlines.

These are the rules only; their users are: http/client.py a request that may be repeated,
registry/copy/transfer.py the upload of a blob, steps/deployment the push of a commit. All run on a
clock that tests inject.
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime

from towline.record import field, frozen

# attempts in all, or in a row without progress
ATTEMPTS = 5
_LONGEST_RETRY_AFTER = 60.0  # seconds that a host may ask for


@frozen
class Clock:
    """Time source: `now` monotonic, `wall` since the epoch, `sleep` waits, `uniform` draws."""

    now: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    uniform: Callable[[float, float], float] = field(default=random.uniform)


@frozen
class Deadline:
    """A point in time after which something must stop."""

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
    """Working time of one of several workers that take turns: it passes only during its turn."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._spent = 0.0
        self._began: float | None = None

    def now(self) -> float:
        """Seconds of work so far."""
        return self._spent + (0.0 if self._began is None else self._now() - self._began)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Count the time while the block runs."""
        self._began = self._now()
        try:
            yield
        finally:
            self._spent, self._began = self.now(), None


def backoff(attempt: int, clock: Clock) -> float:
    """Seconds to wait after failed attempt `attempt` (from 0).

    Full jitter below 0.2 x 2^attempt seconds, at most 5.
    """
    return clock.uniform(0.0, min(5.0, 0.2 * 2.0 ** min(attempt, 30)))


def poll_attempts(
    clock: Clock, *, seconds: float = 10.0, sleep: Callable[[float], None] | None = None
) -> Iterator[None]:
    """Yield at once and after growing pauses, for `seconds` in all; the caller leaves the loop.

    For a result that may take a moment to become visible.
    """
    deadline = Deadline.after(seconds, clock)
    for attempt in itertools.count():
        yield
        if not deadline.left:
            return
        longest = min(1.0, 0.2 * 2.0 ** min(attempt, 30))
        (sleep or clock.sleep)(min(deadline.left, clock.uniform(longest / 2, longest)))


def retry_after(value: str | None, clock: Clock) -> float | None:
    """Seconds that a Retry-After header asks for, at most a minute; None without one.

    The header has seconds or a date (RFC 9110 10.2.3).
    """
    if not value:
        return None
    if value.isascii() and value.strip().isdigit():
        return min(float(value), _LONGEST_RETRY_AFTER)
    try:
        seconds = parsedate_to_datetime(value).timestamp() - clock.wall()
    except (ValueError, OverflowError):  # not a date, or one beyond every clock
        return None
    return min(max(0.0, seconds), _LONGEST_RETRY_AFTER)
