"""The progress of a copy, shown to people on a terminal and in the log of a build."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Self

from towline import dispatch
from towline.console import Console
from towline.record import frozen
from towline.retry import Clock

_LINE_EVERY = 10.0
_MIB = 1024 * 1024


@frozen
class ProgressState:
    """The progress of an image, or of all images if `name` is empty.

    `done` of `total` bytes have arrived (bytes that have to be sent again are not counted), `rate`
    bytes each second; `rest` is the seconds to go, None as long as nothing has arrived.
    """

    name: str
    done: int
    total: int
    rate: float
    rest: float | None


class Progress:
    """Shows the progress of blobs while bytes move.

    On a terminal that is a line for each image, which renews itself; in the log of a build one line
    for all images every ten seconds.
    """

    def __init__(self, console: Console | None, clock: Clock) -> None:
        self._console = console
        self._clock = clock
        self._guard = threading.Lock()
        self._images: dict[str, dict[str, int]] = {}
        self._done: dict[str, Callable[[], int]] = {}
        self._shown = 0
        self._started = self._last = clock.now()

    def expect(self, images: Mapping[str, Mapping[str, int]]) -> None:
        """Set the blobs that may have to move: their sizes by digest, by the name of the image.

        A blob that several images share counts for the first of them.
        """
        with self._guard:
            self._images, self._done = {}, {}
            for name, sizes in images.items():
                self._images[name] = {
                    digest: size for digest, size in sizes.items() if digest not in self._done
                }
                self._done.update(dict.fromkeys(sizes, int))
            self._shown = 0
            self._started = self._last = self._clock.now()

    def reached(self, digest: str, position: int) -> None:
        """Note that `position` bytes of a blob have arrived, more than before or fewer."""
        self.moves(digest, lambda: position)

    def moves(self, digest: str, come: Callable[[], int]) -> None:
        """Let `come` say from now on how many bytes of a blob have arrived."""
        with self._guard:
            if digest in self._done:
                self._done[digest] = come

    def spared(self, digest: str) -> None:
        """Note that the blob need not move."""
        with self._guard:
            self._done.pop(digest, None)

    @property
    def whole(self) -> ProgressState:
        """The progress of all images together."""
        with self._guard:
            return self._state(
                "",
                {digest: size for sizes in self._images.values() for digest, size in sizes.items()},
            )

    def images(self) -> tuple[ProgressState, ...]:
        """The progress of each image that has blobs to move."""
        with self._guard:
            states = [self._state(name, sizes) for name, sizes in self._images.items()]
        return tuple(state for state in states if state.total)

    def tick(self) -> None:
        """Show the progress, if it is time to."""
        now, state = self._clock.now(), self.whole
        if (
            self._console is None
            or state.done == self._shown
            or now - self._last < (0 if self._console.terminal else _LINE_EVERY)
        ):
            return
        self._last, self._shown = now, state.done
        if self._console.terminal:
            self._console.renew(
                *dispatch.part("progress_lines").lines(self.images(), width=self._console.width)
            )
            return
        rest = "" if state.rest is None else f", about {state.rest:.0f} s left"
        self._console.say(
            f"  {state.done / _MIB:.1f} of {state.total / _MIB:.1f} MiB, {state.rate / _MIB:.1f}"
            f" MiB/s{rest}"
        )

    def _state(self, name: str, sizes: Mapping[str, int]) -> ProgressState:
        moving = {digest: size for digest, size in sizes.items() if digest in self._done}
        done, total = (
            sum(min(self._done[digest](), size) for digest, size in moving.items()),
            sum(moving.values()),
        )
        rate = done / max(self._clock.now() - self._started, 0.001)
        return ProgressState(
            name=name,
            done=done,
            total=total,
            rate=rate,
            rest=(total - done) / rate if rate else None,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._console is not None and self._console.terminal and self._shown:
            self._console.renew()
