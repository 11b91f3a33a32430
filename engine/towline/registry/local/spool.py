"""Bytes in a file by offset and size, for many threads at once; and spools: files without a name, gone with the process however it ends.

A blob that is still being packed: bytes that come to the end of a spool, and who reads them before all of them are there.
"""

from __future__ import annotations

import os
import tempfile
from threading import Condition, Event
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, runtime_checkable

from towline.errors import ConfigError, MachineError
from towline.parallel import wait_unless

if TYPE_CHECKING:
    from towline.registry.gzip import Packed


class Follower(Protocol):
    """Who sends layers while they are packed."""

    def begin(self, growing: Growing) -> None:
        """Packing of a layer begins."""


@runtime_checkable
class Packs(Protocol):
    """A source that packs its layers; `followers` are told of each."""

    followers: list[Follower]


class Growing:
    """One layer on its way into `spool`: `config` is the digest of its image's configuration, `plain` its own digest before it is packed.

    `packed` is there when it is packed. Written by one thread, read by others.
    """

    def __init__(self, spool: Spool, *, config: str, plain: str) -> None:
        self.config, self.plain = config, plain
        self.packed: Packed | None = None
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

    def end(self, packed: Packed | None) -> None:
        """That was all; None where packing failed."""
        with self._changed:
            self.packed, self._over = packed, True
            self._changed.notify_all()

    def wait(self, size: int, ending: Event) -> int:
        """How many bytes are there, once they are `size` or all that come; raises Stopped where `ending` is set before."""
        with self._changed:
            wait_unless(ending, self._changed, lambda: self._over or self._size >= size)
            return self._size

    def readinto(self, buffer: memoryview, position: int, ending: Event) -> int:
        """Fill `buffer` with what is there from `position` on, waiting for a byte at least; 0 where no more come.

        Raises MachineError and Stopped.
        """
        there = self.wait(position + 1, ending)
        return self._spool.extent(self.offset + position, there - position).readinto(buffer)


SPOOL_LIMIT = 256 * 1024**3


class FileSlice:
    """`size` bytes of an open file from `offset` on, as Content; `owned` descriptors are closed with it."""

    def __init__(self, descriptor: int, offset: int, size: int, *, owned: bool = False) -> None:
        self._descriptor = descriptor
        self._offset = offset
        self._left = size
        self._owned = owned

    def skip(self, start: int) -> Self:
        """Begin at byte `start`."""
        self._offset, self._left = self._offset + start, max(0, self._left - start)
        return self

    def readinto(self, buffer: memoryview) -> int:
        """Fill `buffer` as far as the extent goes, 0 at its end (or at the file's, where it was cut since); raises MachineError."""
        view = buffer[: self._left]
        if not view:
            return 0
        try:
            got = os.preadv(self._descriptor, [view], self._offset)
        except OSError as fault:
            raise MachineError(
                f"cannot read a local image: {fault.strerror}", hint="check the disk"
            ) from fault
        self._offset, self._left = self._offset + got, self._left - got
        return got

    def read(self) -> bytes:
        """All that is left; the caller has seen to its size."""
        return self.part(self._left)

    def part(self, size: int) -> bytes:
        """The next `size` bytes, fewer at the end."""
        data = bytearray(min(size, self._left))
        view, filled = memoryview(data), 0
        while got := self.readinto(view[filled:]):
            filled += got
        return bytes(data[:filled])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._owned:
            os.close(self._descriptor)


class Spool:
    """A file to append to and to read from, where temporary files go; it never has a name."""

    def __init__(self) -> None:
        self.size = 0
        try:
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - a context manager itself
        except OSError as fault:
            raise _no_room(fault) from fault

    def append(self, data: bytes | memoryview) -> None:
        """Write all of `data` to the end; raises MachineError, and ConfigError past the limit."""
        view = memoryview(data)
        if self.size + len(view) > SPOOL_LIMIT:
            raise ConfigError(
                f"a local image takes more than {SPOOL_LIMIT // 1024**3} GiB",
                hint="push it to a registry and copy it from there",
            )
        while view:
            try:
                put = os.pwrite(self._file.fileno(), view, self.size)
            except OSError as fault:
                raise _no_room(fault) from fault
            self.size, view = self.size + put, view[put:]

    def extent(self, offset: int = 0, size: int | None = None) -> FileSlice:
        """What was written, from `offset` on."""
        return FileSlice(self._file.fileno(), offset, self.size - offset if size is None else size)

    def fileno(self) -> int:
        """The descriptor, valid until the end of the context."""
        return self._file.fileno()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()


def _no_room(fault: OSError) -> MachineError:
    return MachineError(
        f"cannot write a temporary file: {fault.strerror}",
        hint="free space on the agent, or let TMPDIR name a folder on a larger disk",
    )
