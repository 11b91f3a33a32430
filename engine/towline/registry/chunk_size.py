"""How many bytes one request may bring to a registry: learned from what was too large for it or a proxy before it (413), by all uploads together."""

from __future__ import annotations

from threading import Lock

LARGEST, SMALLEST = 64 * 1024 * 1024, 1024 * 1024
_STEP = 4


class ChunkSize:
    """What has been learned of one registry; shared by threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._size = 0  # 0: any
        self._least = SMALLEST

    def of(self, size: int) -> int:
        """How many of `size` bytes to send in one request."""
        return min(size, self._size) if self._size else size

    def at_least(self, said: str | None) -> None:
        """Heed the registry's word on how small a chunk may be (OCI-Chunk-Min-Length); the last one of a blob may be smaller."""
        if said and said.isascii() and said.isdecimal() and len(said) < 12:
            with self._lock:
                self._least = max(SMALLEST, int(said))
                self._size = max(self._size, self._least) if self._size else 0

    def refused(self, sent: int) -> bool:
        """A request with `sent` bytes was too large; whether fewer may be tried.

        It is judged by its own size: what is on its way when another upload learns the same was sent without knowing.
        """
        with self._lock:
            if sent <= self._least:
                return False
            if not self._size or sent <= self._size:
                self._size = max(self._least, _below(sent))
            return True


def _below(sent: int) -> int:
    """The next smaller step."""
    size = LARGEST
    while size >= sent:
        size //= _STEP
    return size
