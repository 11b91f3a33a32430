"""How far a copy has come, for people who look on and for those who read the build's log afterwards."""

from __future__ import annotations

import threading
from typing import Self

from towline.console import Console
from towline.retry import Clock

_LINE_EVERY = 10.0
_MIB = 1024 * 1024


class Progress:
    """How far bytes have come, for people: a line that renews itself on a terminal, in a build's log one every ten seconds while bytes move."""

    def __init__(self, console: Console | None, clock: Clock) -> None:
        self._console = console
        self._clock = clock
        self._guard = threading.Lock()
        self._expected = self._moved = self._shown = 0
        self._started = self._last = clock.now()

    def expect(self, size: int) -> None:
        """So many bytes may have to move from now on."""
        with self._guard:
            self._expected, self._moved, self._shown = size, 0, 0
            self._started = self._last = self._clock.now()

    def add(self, size: int) -> None:
        """So many bytes have moved."""
        with self._guard:
            self._moved += size

    def tick(self) -> None:
        """Show it, where it is time to."""
        now, moved = self._clock.now(), self._moved
        if self._console is None or moved == self._shown or now - self._last < (0 if self._console.terminal else _LINE_EVERY):
            return
        rate = moved / max(now - self._started, 0.001)
        left = max(0, self._expected - moved)
        text = f"  {moved / _MIB:.1f} of {self._expected / _MIB:.1f} MiB, {rate / _MIB:.1f} MiB/s, about {left / max(rate, 1):.0f} s left"
        self._last, self._shown = now, moved
        self._console.renew(text) if self._console.terminal else self._console.say(text)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._console is not None and self._console.terminal and self._shown:
            self._console.renew("")
