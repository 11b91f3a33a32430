"""A blob that is still being packed: bytes that come to the end of a spool, and who reads them before all are there.

Nothing here loads the spool itself: every copy asks whether its source packs, few sources do.
"""

from __future__ import annotations

from threading import Condition, Event
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from towline.parallel import wait_until

if TYPE_CHECKING:
    from towline.registry.gzip import PackedBlob
    from towline.registry.local.spool import Spool


class PackingObserver(Protocol):
    """Who sends layers while they are packed."""

    def begin(self, growing: GrowingBlob) -> None:
        """Packing of a layer begins."""


@runtime_checkable
class PackingSource(Protocol):
    """A source that packs its layers; `followers` are told of each."""

    followers: list[PackingObserver]


class GrowingBlob:
    """One layer on its way into `spool`: `config` is the digest of its image's configuration, `plain` its own digest before it is packed.

    `packed` is there when it is packed. Written by one thread, read by others.
    """

    def __init__(self, spool: Spool, *, config: str, plain: str) -> None:
        self.config, self.plain = config, plain
        self.packed: PackedBlob | None = None
        self.offset = spool.size
        self._spool = spool
        self._size = 0
        self._over = False
        self._changed = Condition()

    def append(self, data: bytes) -> None:
        """More of it."""
        self._spool.append(data)
        with self._changed:
            self._size += len(data)
            self._changed.notify_all()

    def end(self, packed: PackedBlob | None) -> None:
        """That was all; None where packing failed."""
        with self._changed:
            self.packed, self._over = packed, True
            self._changed.notify_all()

    def wait(self, size: int, ending: Event) -> int:
        """How many bytes are there, once they are `size` or all that come; raises Cancelled where `ending` is set before."""
        with self._changed:
            wait_until(ending, self._changed, lambda: self._over or self._size >= size)
            return self._size

    def readinto(self, buffer: memoryview, position: int, ending: Event) -> int:
        """Fill `buffer` with what is there from `position` on, waiting for a byte at least; 0 where no more come.

        Raises MachineError and Cancelled.
        """
        there = self.wait(position + 1, ending)
        return self._spool.extent(self.offset + position, there - position).readinto(buffer)
