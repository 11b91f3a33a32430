"""How many bytes one request may bring to a registry: learned from what was too large for it or a proxy before it (413), by all uploads together."""

from __future__ import annotations

from threading import Lock

LARGEST_CHUNK, SMALLEST_CHUNK = 64 * 1024 * 1024, 1024 * 1024
_STEP = 4


class ChunkSize:
    """What has been learned of one registry; shared by threads.

    After a refusal requests are small, and grow step by step, one at a time: what is refused has to
    be sent again, and is less this way than from above.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._size = 0  # what was taken, or is the least; 0: any
        self._refused = 0  # the least that was
        self._least = SMALLEST_CHUNK
        self._proven = False
        self._trial = 0  # a request with so many is under way, to see whether they are taken

    def of(self, size: int) -> int:
        """How many of `size` bytes to send in one request."""
        with self._lock:
            if not self._size:
                return size
            larger = self._size * _STEP
            if (
                self._trial
                or not self._proven
                or larger > min(size, LARGEST_CHUNK)
                or larger >= self._refused
            ):
                return min(size, self._size)
            self._trial = larger
            return larger

    def fits(self, size: int) -> bool:
        """Whether so many may go in one request, for all that is known."""
        return not self._size or size <= self._size

    def least(self, size: int, wanted: int) -> int:
        """How many of `size` bytes to send where it is to be `wanted`: no fewer than the registry says."""
        return min(size, wanted if self._least == SMALLEST_CHUNK else self._least)

    def at_least(self, said: str | None) -> None:
        """Heed the registry's word on how small a chunk may be (OCI-Chunk-Min-Length); the last one of a blob may be smaller."""
        if said and said.isascii() and said.isdecimal() and len(said) < 12:
            with self._lock:
                self._least = max(SMALLEST_CHUNK, int(said))
                self._size = max(self._size, self._least) if self._size else 0

    def taken(self, sent: int) -> None:
        """A request with `sent` bytes was not too large."""
        with self._lock:
            if self._size and sent >= self._size:
                self._size, self._proven = sent, True
            self._trial = 0 if sent == self._trial else self._trial

    def broken(self, sent: int) -> None:
        """A request with `sent` bytes ended without a word on its size: another one may try as many."""
        with self._lock:
            self._trial = 0 if sent == self._trial else self._trial

    def refused(self, sent: int) -> bool:
        """A request with `sent` bytes was too large; whether fewer may be tried.

        It is judged by its own size: what is on its way when another upload learns the same was
        sent without knowing.
        """
        with self._lock:
            if sent <= self._least:
                return False
            self._refused = min(self._refused or sent, sent)
            self._trial = 0 if sent == self._trial else self._trial
            if not self._size or sent <= self._size:
                self._size, self._proven = self._least, False
            return True
