"""Pure.

The part of a repository that a change reads: of a large repository only these trees are fetched.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from towline.git.tree import is_path
from towline.record import frozen

_GLOB = re.compile(r"[*?\[{]")


@frozen
class Scope:
    """Directories of a repository whose entries are needed.

    `lists`: directories whose direct entries are needed. `trees`: directories needed recursively.
    The root is ''; WHOLE_TREE is the recursive root.
    """

    lists: tuple[str, ...] = ()
    trees: tuple[str, ...] = ("",)

    @property
    def whole(self) -> bool:
        """Whether the whole repository is in scope."""
        return "" in self.trees

    @property
    def depth(self) -> int:
        """The number of directories on the way to the deepest one."""
        return max((len(_parts(folder)) for folder in (*self.lists, *self.trees)), default=0)

    @property
    def levels(self) -> tuple[str, ...]:
        """The directories whose direct entries are known, from the root on.

        Below `trees` there are more.
        """
        found = {
            "/".join(_parts(folder)[:depth])
            for folder in (*self.lists, *self.trees)
            for depth in range(len(_parts(folder)) + 1)
        }
        return tuple(sorted(found | {""}))

    def covers(self, path: str) -> bool:
        """Whether a file at `path` would be listed."""
        parent = path.rpartition("/")[0]
        return (
            self.whole
            or parent in self.levels
            or any(f"{parent}/".startswith(f"{folder}/") for folder in self.trees)
        )


WHOLE_TREE = Scope()


def scope_of(patterns: Iterable[str]) -> Scope:
    """The scope of paths and globs.

    A path needs the directory that it is in, a glob everything below the last directory before its
    first wildcard. A path that leads out of the repository makes the scope the whole repository:
    the caller has to refuse such a path.
    """
    lists: set[str] = set()
    trees: set[str] = set()
    for pattern in patterns:
        parts = [part for part in pattern.split("/") if part not in ("", ".")]
        wildcard = next(
            (depth for depth, part in enumerate(parts) if _GLOB.search(part)), len(parts)
        )
        folder = "/".join(parts[: min(wildcard, len(parts) - 1)])
        if folder and not is_path(folder):
            return WHOLE_TREE
        (lists if wildcard == len(parts) else trees).add(folder)
    if not lists and not trees:
        return WHOLE_TREE
    return Scope(lists=tuple(sorted(lists)), trees=tuple(sorted(trees)))


def _parts(folder: str) -> list[str]:
    return folder.split("/") if folder else []
