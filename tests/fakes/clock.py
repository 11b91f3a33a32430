"""A clock that only sleeps move forward; it records them."""

from __future__ import annotations

import threading

from towline.retry import Clock


class FakeClock:
    """`clock` is for the engine; `sleeps` has the waits that the engine asked for, in seconds;
    jitter is always the upper bound.
    """

    def __init__(self, *, wall: float = 1_700_000_000.0) -> None:
        self.time = 1000.0
        self.sleeps: list[float] = []
        self._wall = wall - self.time
        self._guard = threading.Lock()
        self.clock = Clock(
            now=lambda: self.time,
            wall=lambda: self.time + self._wall,
            sleep=self._sleep,
            uniform=lambda _, high: high,
        )

    def _sleep(self, seconds: float) -> None:
        with self._guard:
            self.sleeps.append(seconds)
            self.time += seconds
