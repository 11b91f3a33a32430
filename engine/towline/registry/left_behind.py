"""Pure. What refers to an image in a source that is no registry: it does not travel, and that is said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from towline.errors import ConfigError
from towline.registry.job import DEMANDED


@runtime_checkable
class Leaves(Protocol):
    """A source that may hold what refers to its image, and does not give it out."""

    def referring(self) -> int:
        """How many entries refer to an image."""


def check_left(source: object, wanted: str, warn: Callable[[str], None]) -> None:
    """Warn of what stays behind where it was `wanted` (LEFT, TAKEN, DEMANDED); raises ConfigError where it was demanded."""
    count = source.referring() if wanted and isinstance(source, Leaves) else 0
    if not count:
        return
    what = f"the {source} holds {count} that refer to an image (signatures, attestations, SBOMs), and they stay behind"
    if wanted == DEMANDED:
        raise ConfigError(what, where=str(source), hint="copy the image from a registry, or leave out copyReferrers")
    warn(what)
