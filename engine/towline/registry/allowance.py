"""How many bytes of manifests and of lists one registry may send in a run: they are kept in memory, and each one's own limit bounds no sum of them."""

from __future__ import annotations

from threading import Lock

from towline.errors import RegistryError
from towline.limits import MIB, amount

MOST = 128 * MIB  # some ten thousand of the usual ones


class Allowance:
    """What is left for one registry; shared by threads."""

    def __init__(self, whose: str, where: str) -> None:
        self._whose, self._where = whose, where
        self._left = MOST
        self._lock = Lock()

    def take(self, body: bytes) -> None:
        """Count what has come; raises RegistryError where it is too much."""
        with self._lock:
            self._left -= len(body)
            over = self._left < 0
        if over:
            raise RegistryError(
                f"the {self._whose} sends more than {amount(MOST)} of manifests and lists of what"
                " refers to images",
                where=self._where,
                hint=(
                    "copy fewer images in one step; where they are few, see what is in that"
                    " repository"
                ),
            )
