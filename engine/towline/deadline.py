"""The time that a step may take as a whole: reading, planning, rendering and editing too, which wait for nobody and look at no clock.

A timer of the kernel interrupts the main thread, as a signal of a user does (errors.Interrupted).
Deadlines of parts say more of what is late: they end a moment before.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from towline.errors import TowlineError
from towline.record import compact

LONGEST_STEP = 24 * 3600  # seconds that a project may give a step, by as many parts as it likes
GRACE = 1.0  # seconds in which a part's own deadline may be told first
_AGAIN = 5.0  # seconds after which it is told again, where something went on all the same
_Late = Callable[[], TowlineError]


@compact
class _Until:
    """A point in time, and what is wrong when it is over."""

    end: float
    late: _Late


_now: list[_Until] = []  # at most one


def begin(seconds: float, late: _Late) -> None:
    """From now on the whole takes at most so long, instead of what was said before; else the main thread raises what `late` makes."""
    _set(_Until(time.monotonic() + seconds + GRACE, late))


@contextmanager
def within(seconds: float, late: _Late) -> Iterator[None]:
    """Bound a part of it in the same way; not beyond the end of the whole."""
    before = _now[0] if _now else None
    mine = _Until(time.monotonic() + seconds + GRACE, late)
    _set(mine if before is None or mine.end < before.end else before)
    try:
        yield
    finally:
        _set(before)


def _set(until: _Until | None) -> None:
    if threading.current_thread() is not threading.main_thread():  # signals are the main thread's
        return
    _now[:] = [until] if until else []
    if until:
        signal.signal(signal.SIGALRM, _ring)
        left = until.end - time.monotonic()
        # what is over was told: now it is cleared away
        signal.setitimer(signal.ITIMER_REAL, left if left > 0 else _AGAIN, _AGAIN)
    else:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _ring(_number: int, _frame: object) -> None:
    if _now:
        raise _now[0].late()
