"""Pure.

What a program writes, in whole lines: a secret that arrives in two pieces would get past the masks.
"""

from __future__ import annotations

from collections.abc import Callable

_LONGEST = 1024 * 1024
_LEFT_OUT = b"[a line of more than 1 MiB is left out]"


class Lines:
    """Takes pieces of a stream as they come and hands on whole lines as texts; a carriage return ends one too, as progress bars have it."""

    def __init__(self, hand_on: Callable[[str], None]) -> None:
        self._hand_on = hand_on
        self._kept = b""
        self._dropping = False

    def take(self, piece: bytes) -> None:
        """Hand on what is whole by now."""
        data = self._kept + piece
        end = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
        whole, self._kept = data[:end], data[end:]
        if self._dropping and whole:
            first = min(at for at in (whole.find(b"\n"), whole.find(b"\r")) if at >= 0)
            whole, self._dropping = whole[first:], False
        if self._dropping:
            self._kept = b""
        elif len(self._kept) > _LONGEST:
            whole, self._kept, self._dropping = whole + _LEFT_OUT, b"", True
        if whole:
            self._hand_on(whole.decode("utf-8", "replace"))

    def close(self) -> None:
        """Hand on what is left."""
        if self._kept:
            self._hand_on(self._kept.decode("utf-8", "replace"))
            self._kept = b""
