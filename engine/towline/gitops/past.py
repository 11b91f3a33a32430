"""Pure.

What was deployed here before, by the commits of the branch: asked for only if nothing else tells
whose a place is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from towline.gitops.newest import same_deployment
from towline.gitops.provenance import Provenance


def _unknown() -> Iterable[tuple[str, str]]:
    return ()


class Past:
    """The history of the branch that is being changed, once it is known."""

    def __init__(self) -> None:
        self._history: Callable[[], Iterable[tuple[str, str]]] = _unknown
        self._ours = Provenance()

    def learn(self, history: Callable[[], Iterable[tuple[str, str]]], ours: Provenance) -> None:
        """Look from now on into `history` (id and message, newest first), for the deployment `ours`."""
        self._history, self._ours = history, ours

    def images(self) -> tuple[str, ...]:
        """The images of the last deployment of the same in the same stage; none where there was none, or it is not known."""
        return next(self._deployed(), ())

    def _deployed(self) -> Iterator[tuple[str, ...]]:
        return (
            theirs.images
            for _, message in self._history()
            if (theirs := same_deployment(message, self._ours))
        )
