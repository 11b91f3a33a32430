"""Reads a blob from its source in order, as a stream of pieces.

It is hashed on the way, requested again from where it was cut, and checked before its last bytes
are handed out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator
from contextlib import closing
from threading import Event

from towline.errors import DigestMismatch, RegistryError
from towline.http.client import sleep_unless
from towline.image import Repository
from towline.registry.errors import TransferInterrupted
from towline.registry.manifest import Descriptor
from towline.registry.parallel import Cancelled
from towline.registry.source import LOCAL, Content, ImageSource
from towline.retry import ATTEMPTS, Clock, backoff

_SMALL_BLOB = 4 * 1024 * 1024
_PIECE = 1024 * 1024
_PIECES_AHEAD = 4


def read_small(
    source: ImageSource, repository: Repository, blob: Descriptor, *, clock: Clock
) -> bytes:
    """A whole blob, checked, such as an image's configuration.

    Raises RegistryError for a blob of more than 4 MiB, DigestMismatch after reading it twice, and
    the errors of the source.
    """
    if blob.size > _SMALL_BLOB:
        raise RegistryError(
            f"the blob {blob.digest} has {blob.size} bytes, too many to be read as a whole",
            where=str(source),
        )
    try:
        return _read(source, repository, blob, clock)
    except DigestMismatch:
        return _read(source, repository, blob, clock)


def _read(source: ImageSource, repository: Repository, blob: Descriptor, clock: Clock) -> bytes:
    stream = BlobStream(source, repository, blob, stop=Event(), clock=clock)
    return b"".join(bytes(piece) for piece in stream.pieces())


def read_ahead(pieces: Generator[memoryview], resting: Callable[[], bool]) -> Generator[memoryview]:
    """The same pieces; the first four are read while the target is `resting`, as its host asked.

    So a small blob that is damaged is found before the pause is over.
    """
    read: list[memoryview] = []
    with closing(pieces):
        for piece in pieces:
            read.append(memoryview(bytes(piece)))
            if len(read) == _PIECES_AHEAD or not resting():
                break
        while read:
            yield read.pop(0)
        yield from pieces


class BlobStream:
    """Reads `blob` of a repository of `source`; `stop` ends it with Cancelled.

    `hashed` counts the bytes that were read and hashed. Pauses run on `clock`.
    """

    def __init__(
        self,
        source: ImageSource,
        repository: Repository,
        blob: Descriptor,
        *,
        stop: Event,
        clock: Clock,
    ) -> None:
        self._source = source
        self._repository = repository
        self._blob = blob
        self._stop = stop
        self._clock = clock
        self._hash = hashlib.new(blob.digest.partition(":")[0])
        self._buffer = memoryview(bytearray(max(1, min(_PIECE, blob.size))))
        self.hashed = 0

    def pieces(self, start: int = 0) -> Generator[memoryview]:
        """The bytes from `start` (at most `hashed`) on; a piece is valid until the next one.

        The last piece comes only if the digest of the blob is right. A source that breaks off is
        asked for the rest, up to ATTEMPTS times in a row without a byte. Raises DigestMismatch and
        the errors of the source.
        """
        position, failures = start, 0
        while True:
            try:
                with self._source.open_blob(
                    self._repository, self._blob.digest, start=position
                ) as content:
                    while got := self._read(content, position):
                        yield self._buffer[:got]
                        position, failures = position + got, 0
                    return
            except TransferInterrupted as broken:
                failures += 1
                if failures == ATTEMPTS:
                    raise broken.fault from broken
                sleep_unless(
                    self._stop,
                    backoff(failures - 1, self._clock) if broken.wait is None else broken.wait,
                    self._clock,
                )

    def _read(self, content: Content, position: int) -> int:
        """Fill the buffer with the bytes at `position`; returns how many, 0 at the end."""
        if self._stop.is_set():
            raise Cancelled
        left = self._blob.size - position
        got = content.readinto(self._buffer[:left]) if left else 0
        if left and not got:
            raise self._mismatch(f"{left} bytes short")
        if position + got > self.hashed:
            self._hash.update(self._buffer[self.hashed - position : got])
            self.hashed = position + got
        if got == left and (got or not self._blob.size):
            self._check(content)
        return got

    def _check(self, content: Content) -> None:
        """Check that nothing follows the blob, and that its digest is right."""
        if content.readinto(memoryview(bytearray(1))):
            raise self._mismatch("longer than its manifest says")
        algorithm, _, wanted = self._blob.digest.partition(":")
        if (found := self._hash.hexdigest()) != wanted:
            raise self._mismatch(f"as {algorithm}:{found}")

    def _mismatch(self, how: str) -> DigestMismatch:
        repository = f" of {self._repository.name}" if self._repository != LOCAL else ""
        return DigestMismatch(
            f"the blob {self._blob.digest}{repository} came from the {self._source} {how}",
            where=str(self._source),
            hint=(
                "nothing was stored; if it happens again, the source or a proxy before it has"
                " damaged the image: build it anew"
            ),
        )
