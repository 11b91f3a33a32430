"""Gzip (RFC 1952) in pieces: packing in several threads, and unpacking with a limit on the growth.

The same content is packed into the same bytes each time.
"""

from __future__ import annotations

import hashlib
import os
import struct
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from towline.errors import ConfigError
from towline.record import frozen
from towline.registry.source import Content

try:
    from isal import isal_zlib
except ImportError:  # the extra `fast` is not installed
    LIBRARY: Any = zlib
else:
    LIBRARY = isal_zlib

PIECE = 1024 * 1024
# the rest of a piece is copied for each member of a gzip file that begins in it
_SMALL_PIECE = 64 * 1024
# content may have GROWTH times the packed size, and FREE bytes in any case
GROWTH, FREE = 200, 1024**3
# without name and time, packed for speed, on no particular system
_HEADER = bytes([0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 4, 255])
_LAST_BLOCK = b"\x03\x00"


@frozen
class PackedBlob:
    """The digest of the plain content, and digest and size of the packed content."""

    plain: str
    digest: str
    size: int


def _cores() -> int:
    """The number of cores that this process may use; on macOS the number of all."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Packer:
    """Packs in threads; neither the pieces nor the packed bytes depend on their number."""

    def __init__(self, library: Any = LIBRARY) -> None:
        self._library = library
        self._threads = min(8, _cores())
        self._pool = ThreadPoolExecutor(max_workers=self._threads, thread_name_prefix="pack")

    def pack(
        self, source: Content, sink: Callable[[bytes], None], *, algorithm: str = "sha256"
    ) -> PackedBlob:
        """Pack `source` into `sink`; `algorithm` is that of the plain digest.

        A few pieces are in memory at any time.
        """
        plain, packed, size = hashlib.new(algorithm), hashlib.sha256(), 0
        for data in self._members(source, plain.update):
            packed.update(data)
            sink(data)
            size += len(data)
        return PackedBlob(
            plain=f"{algorithm}:{plain.hexdigest()}",
            digest=f"sha256:{packed.hexdigest()}",
            size=size,
        )

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _members(self, source: Content, see: Callable[[bytes], None]) -> Iterator[bytes]:
        """Header, blocks and trailer; `see` gets each piece while that is packed."""
        waiting: deque[Future[bytes]] = deque()
        check, length = 0, 0
        yield _HEADER
        for piece in pieces(source):
            waiting.append(self._pool.submit(self._deflated, piece))
            see(piece)
            check, length = self._library.crc32(piece, check), length + len(piece)
            if len(waiting) > 2 * self._threads:
                yield waiting.popleft().result()
        yield from (future.result() for future in waiting)
        yield _LAST_BLOCK + struct.pack("<LL", check, length & 0xFFFFFFFF)

    def _deflated(self, piece: bytes) -> bytes:
        """A packed piece as whole blocks that end on a byte, so that the next piece can follow."""
        packer = self._library.compressobj(1, self._library.DEFLATED, -15)
        head: bytes = packer.compress(piece)
        tail: bytes = packer.flush(self._library.Z_SYNC_FLUSH)
        return head + tail


def pieces(source: Content, size: int = PIECE) -> Iterator[bytes]:
    """The content in pieces of `size` bytes, the last one shorter."""
    view = memoryview(bytearray(size))
    filled = 0
    while got := source.readinto(view[filled:]):
        filled += got
        if filled == size:
            yield bytes(view)
            filled = 0
    if filled:
        yield bytes(view[:filled])


def sha256_of(source: Content) -> str:
    """The sha256 digest of the content."""
    digest = hashlib.sha256()
    for piece in pieces(source):
        digest.update(piece)
    return f"sha256:{digest.hexdigest()}"


def gunzip(
    source: Content, sink: Callable[[bytes], None], *, where: str, library: Any = LIBRARY
) -> None:
    """Unpack all members of a gzip file into `sink`.

    Raises ConfigError for a file that is damaged, cut off, or a bomb.
    """
    inflater, taken, given = library.decompressobj(31), 0, 0
    for piece in pieces(source, _SMALL_PIECE):
        taken, data = taken + len(piece), piece
        while data:
            if inflater.eof:  # the next member
                inflater = library.decompressobj(31)
            try:
                out = inflater.decompress(data, PIECE)
            except library.error as fault:
                raise ConfigError(
                    "the gzip archive is damaged", where=where, hint="make the archive anew"
                ) from fault
            given += len(out)
            if given > max(FREE, taken * GROWTH):
                raise ConfigError(
                    f"the gzip archive grows to more than {GROWTH} times its size",
                    where=where,
                    hint="unpack it with gzip -d if it may",
                )
            sink(out)
            data = inflater.unused_data.lstrip(b"\0") if inflater.eof else inflater.unconsumed_tail
    if not inflater.eof:
        raise ConfigError("the gzip archive is cut off", where=where, hint="make the archive anew")
