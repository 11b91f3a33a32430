"""A blob from its source, in order: hashed on the way, asked for again from where it was cut, and checked before its last bytes are handed out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator
from contextlib import closing
from threading import Event

from towline.errors import DigestMismatch, RegistryError
from towline.http.client import sleep_unless
from towline.parallel import Cancelled
from towline.registry.errors import TransferInterrupted
from towline.registry.manifest import Descriptor
from towline.registry.source import Content, ImageSource
from towline.retry import ATTEMPTS, Clock, backoff

_SMALL = 4 * 1024 * 1024
_PIECE = 1024 * 1024
_AHEAD = 4  # pieces


def read_small(source: ImageSource, repository: str, blob: Descriptor, *, clock: Clock) -> bytes:
    """A blob as a whole, checked, such as an image's configuration.

    Raises RegistryError for one of more than 4 MiB, DigestMismatch once it has been read twice, and
    what the source raises.
    """
    if blob.size > _SMALL:
        raise RegistryError(
            f"the blob {blob.digest} is said to have {blob.size} bytes, too many to be looked into",
            where=str(source),
        )
    try:
        return _read(source, repository, blob, clock)
    except DigestMismatch:
        return _read(source, repository, blob, clock)


def _read(source: ImageSource, repository: str, blob: Descriptor, clock: Clock) -> bytes:
    stream = BlobStream(source, repository, blob, stop=Event(), clock=clock)
    return b"".join(bytes(piece) for piece in stream.pieces())


def read_ahead(pieces: Generator[memoryview], resting: Callable[[], bool]) -> Generator[memoryview]:
    """The same pieces; while the target is `resting`, some of them are read before the first is handed out: a small blob that is damaged is found then."""
    kept: list[memoryview] = []
    with closing(pieces):
        for piece in pieces:
            kept.append(memoryview(bytes(piece)))
            if len(kept) == _AHEAD or not resting():
                break
        while kept:
            yield kept.pop(0)
        yield from pieces


class BlobStream:
    """Reads `blob` from `source`; `stop` ends it with Stopped, waits run on `clock`.

    `retries` counts how often the source was asked again.
    """

    def __init__(
        self,
        source: ImageSource,
        repository: str,
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
        """The bytes from `start` (at most `hashed`) on, each piece until the next is asked for; the last one only when the digest of all is right.

        A source that breaks off is asked for the rest, ATTEMPTS times in a row without a byte.
        Raises DigestMismatch and what the source raises.
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
        """Fill the buffer with what comes at `position`; 0 where the blob is over."""
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
        """The blob is complete: nothing may follow, and its digest must be the one it is known by."""
        if content.readinto(memoryview(bytearray(1))):
            raise self._mismatch("longer than its manifest says")
        algorithm, _, wanted = self._blob.digest.partition(":")
        if (found := self._hash.hexdigest()) != wanted:
            raise self._mismatch(f"as {algorithm}:{found}")

    def _mismatch(self, how: str) -> DigestMismatch:
        place = f" of {self._repository}" if self._repository else ""
        return DigestMismatch(
            f"the blob {self._blob.digest}{place} came from the {self._source} {how}",
            where=str(self._source),
            hint=(
                "nothing was stored; if it happens again, the source or a proxy before it has"
                " damaged the image: build it anew"
            ),
        )
