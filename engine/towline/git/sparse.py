"""Pure.

What of a repository a change may look at: enough to fetch a few trees of a large repository instead
of all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from towline.git.tree import is_path
from towline.record import frozen

_GLOB = re.compile(r"[*?\[{]")


@frozen
class Scope:
    """Folders that are listed by themselves, and folders with all that is below them; the root is empty, and the whole is the root with all."""

    lists: tuple[str, ...] = ()
    trees: tuple[str, ...] = ("",)

    @property
    def whole(self) -> bool:
        """Whether nothing is left out."""
        return "" in self.trees

    @property
    def depth(self) -> int:
        """How many folders lead to the deepest one."""
        return max((len(_parts(folder)) for folder in (*self.lists, *self.trees)), default=0)

    @property
    def levels(self) -> tuple[str, ...]:
        """Every folder whose own entries are known, from the root on; below `trees` there are more."""
        found = {
            "/".join(_parts(folder)[:depth])
            for folder in (*self.lists, *self.trees)
            for depth in range(len(_parts(folder)) + 1)
        }
        return tuple(sorted(found | {""}))

    def covers(self, path: str) -> bool:
        """Whether a file at `path` would be seen."""
        parent = path.rpartition("/")[0]
        return (
            self.whole
            or parent in self.levels
            or any(f"{parent}/".startswith(f"{folder}/") for folder in self.trees)
        )


WHOLE_TREE = Scope()


def scope_of(patterns: Iterable[str]) -> Scope:
    """The scope of paths and globs: a path needs the folder that it lies in, a glob everything below the folders before its first sign.

    What is no path inside a repository has no scope of its own: whoever uses it has to refuse it.
    """
    lists: set[str] = set()
    trees: set[str] = set()
    for pattern in patterns:
        parts = [part for part in pattern.split("/") if part not in ("", ".")]
        plain = next((at for at, part in enumerate(parts) if _GLOB.search(part)), len(parts))
        folder = "/".join(parts[: min(plain, len(parts) - 1)])
        if folder and not is_path(folder):
            return WHOLE_TREE
        (lists if plain == len(parts) else trees).add(folder)
    return (
        Scope(lists=tuple(sorted(lists)), trees=tuple(sorted(trees)))
        if lists or trees
        else WHOLE_TREE
    )


def _parts(folder: str) -> list[str]:
    return folder.split("/") if folder else []
