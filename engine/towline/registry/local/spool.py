"""Slices of a file, which many threads read at once, and spools: temporary files without a name.

A spool is gone with the process, however that ends.
"""

from __future__ import annotations

import os
import tempfile
from typing import Self

from towline.errors import ConfigError, MachineError

SPOOL_LIMIT = 256 * 1024**3


class FileSlice:
    """`size` bytes of an open file from `offset` on, as Content; closes a file that is `owned`."""

    def __init__(self, descriptor: int, offset: int, size: int, *, owned: bool = False) -> None:
        self._descriptor = descriptor
        self._offset = offset
        self._left = size
        self._owned = owned

    def skip(self, start: int) -> Self:
        """Skip the first `start` bytes."""
        self._offset, self._left = self._offset + start, max(0, self._left - start)
        return self

    def readinto(self, buffer: memoryview) -> int:
        """Fill `buffer` with the next bytes; 0 at the end, of the file if that was cut since.

        Raises MachineError.
        """
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
        """All bytes that are left; the caller has checked their number."""
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

    def __exit__(self, *_: object) -> None:
        if self._owned:
            os.close(self._descriptor)


class Spool:
    """A temporary file without a name, to append to and to read from."""

    def __init__(self) -> None:
        self.size = 0
        try:
            # the spool is a context manager itself
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
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

    def slice(self, offset: int = 0, size: int | None = None) -> FileSlice:
        """The bytes that were written, from `offset` on."""
        return FileSlice(self._file.fileno(), offset, self.size - offset if size is None else size)

    def fileno(self) -> int:
        """The descriptor, valid until the end of the context."""
        return self._file.fileno()

    def __enter__(self) -> Self:
        return self

    def close(self) -> None:
        """Close the file, which removes it."""
        self._file.close()

    def __exit__(self, *_: object) -> None:
        self.close()


def _no_room(fault: OSError) -> MachineError:
    return MachineError(
        f"cannot write a temporary file: {fault.strerror}",
        hint="free space on the agent, or let TMPDIR name a folder on a larger disk",
    )
