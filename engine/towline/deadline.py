"""The time limit of a whole step, also while it reads, plans, renders or edits without waiting.

A kernel timer interrupts the main thread, as a user's signal does (errors.Interrupted). Deadlines
of parts end a moment before, since their messages are more exact.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from towline.errors import TowlineError
from towline.record import compact

LONGEST_STEP = 24 * 3600  # seconds that a project may give a step, all parts together
GRACE = 1.0  # seconds in which a part's own deadline may report first
_AGAIN = 5.0  # seconds after which the error is raised again, if the work went on in spite of it
_Late = Callable[[], TowlineError]


@compact
class _TimeLimit:
    """A point in time, and the error to raise after it."""

    end: float
    late: _Late


_current: list[_TimeLimit] = []  # at most one


def begin(seconds: float, late: _Late) -> None:
    """Set the time limit of the whole step, replacing an earlier one.

    After `seconds` the main thread raises the error that `late` makes.
    """
    _set(_TimeLimit(time.monotonic() + seconds + GRACE, late))


@contextmanager
def within(seconds: float, late: _Late) -> Iterator[None]:
    """Limit a block in the same way; not beyond the end of the whole step."""
    before = _current[0] if _current else None
    mine = _TimeLimit(time.monotonic() + seconds + GRACE, late)
    _set(mine if before is None or mine.end < before.end else before)
    try:
        yield
    finally:
        _set(before)


def _set(limit: _TimeLimit | None) -> None:
    if threading.current_thread() is not threading.main_thread():  # signals are the main thread's
        return
    _current[:] = [limit] if limit else []
    if limit:
        signal.signal(signal.SIGALRM, _ring)
        left = limit.end - time.monotonic()
        # an expired limit was raised once: leave time to clean up
        signal.setitimer(signal.ITIMER_REAL, left if left > 0 else _AGAIN, _AGAIN)
    else:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _ring(_number: int, _frame: object) -> None:
    if _current:
        raise _current[0].late()
