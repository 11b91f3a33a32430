"""A blob that is read while it is still being packed at the end of a spool.

The spool itself is not loaded here: every copy asks whether its source packs, and few sources do.
"""

from __future__ import annotations

from threading import Condition, Event
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from towline.registry.parallel import wait_until

if TYPE_CHECKING:
    from towline.registry.gzip import PackedBlob
    from towline.registry.local.spool import Spool


class PackingObserver(Protocol):
    """Gets each layer when its packing begins, and may send it while it is packed."""

    def begin(self, growing: GrowingBlob) -> None:
        """Note that packing of a layer begins."""


@runtime_checkable
class PackingSource(Protocol):
    """A source that packs its layers, and tells `observers` of each."""

    observers: list[PackingObserver]


class GrowingBlob:
    """One layer that is being packed into `spool`; written by one thread, read by others.

    `config` is the digest of its image's configuration, `plain` that of the unpacked layer.
    `packed` is set when packing has ended.
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
        """Add packed bytes."""
        self._spool.append(data)
        with self._changed:
            self._size += len(data)
            self._changed.notify_all()

    def end(self, packed: PackedBlob | None) -> None:
        """Note that packing has ended; `packed` is None if it failed."""
        with self._changed:
            self.packed, self._over = packed, True
            self._changed.notify_all()

    def wait(self, size: int, ending: Event) -> int:
        """Wait for `size` bytes, or for the end of packing; returns the number of packed bytes.

        Raises Cancelled if `ending` is set before.
        """
        with self._changed:
            wait_until(ending, self._changed, lambda: self._over or self._size >= size)
            return self._size

    def readinto(self, buffer: memoryview, position: int, ending: Event) -> int:
        """Fill `buffer` with the bytes from `position` on, once there is one; 0 at the end.

        Raises MachineError and Cancelled.
        """
        size = self.wait(position + 1, ending)
        return self._spool.slice(self.offset + position, size - position).readinto(buffer)
