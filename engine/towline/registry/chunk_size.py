"""The size of one upload request to a registry, learned by all uploads together.

A registry, or a proxy before it, refuses a request that is too large (HTTP 413).
"""

from __future__ import annotations

from threading import Lock

LARGEST_CHUNK, SMALLEST_CHUNK = 64 * 1024 * 1024, 1024 * 1024
_STEP = 4


class ChunkSize:
    """The request size learned for one registry; shared by threads.

    After a refusal requests are small, and grow step by step, one at a time: a refused request has
    to be sent again, and growing from below wastes fewer bytes than shrinking from above.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._size = 0  # accepted size, or the smallest; 0: no limit known
        self._refused = 0  # the smallest size that was refused
        self._least = SMALLEST_CHUNK
        self._proven = False
        self._trial = 0  # size of the trial request under way

    def of(self, size: int) -> int:
        """Bytes to send in one request, at most `size`."""
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
        """Whether `size` bytes may go in one request, as far as known."""
        return not self._size or size <= self._size

    def least(self, size: int, wanted: int) -> int:
        """Bytes to send, at most `size`, if `wanted` are: at least the registry's minimum."""
        return min(size, wanted if self._least == SMALLEST_CHUNK else self._least)

    def at_least(self, minimum: str | None) -> None:
        """Heed the registry's smallest chunk (OCI-Chunk-Min-Length).

        The last chunk of a blob may be smaller.
        """
        if minimum and minimum.isascii() and minimum.isdecimal() and len(minimum) < 12:
            with self._lock:
                self._least = max(SMALLEST_CHUNK, int(minimum))
                self._size = max(self._size, self._least) if self._size else 0

    def taken(self, sent: int) -> None:
        """Record that a request with `sent` bytes was not too large."""
        with self._lock:
            if self._size and sent >= self._size:
                self._size, self._proven = sent, True
            self._trial = 0 if sent == self._trial else self._trial

    def broken(self, sent: int) -> None:
        """Record that a request with `sent` bytes ended without an answer about its size.

        Another request may then try as many.
        """
        with self._lock:
            self._trial = 0 if sent == self._trial else self._trial

    def refused(self, sent: int) -> bool:
        """Record that a request with `sent` bytes was too large; returns whether to try fewer.

        The request is judged by its own size: one that was under way while another upload learned
        the same was sent without that knowledge.
        """
        with self._lock:
            if sent <= self._least:
                return False
            self._refused = min(self._refused or sent, sent)
            self._trial = 0 if sent == self._trial else self._trial
            if not self._size or sent <= self._size:
                self._size, self._proven = self._least, False
            return True
