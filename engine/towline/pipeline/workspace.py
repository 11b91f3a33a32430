"""The project's files for conditions: found by glob or npm script, inside the workspace only.

Each folder is read at most once. A glob means the same as in GitOps repositories (gitops/change:
`**` spans folders, hidden ones are matched); folders match as files do (facts 12).
"""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from towline.errors import ConfigError
from towline.file_patterns import clean_path, match_files
from towline.files import Misfit, Outside, is_inside, read_inside
from towline.literals import load_json
from towline.record import frozen

_MOST = 2_000_000
_LARGEST = 8 * 1024 * 1024
_NEVER = frozenset({".git"})
_MODULES = "node_modules"
_NO_PACKAGES = _NEVER | {_MODULES, "gen", "tmp"}
_PACKAGE = "package.json"
_MAGIC = re.compile(r"[*?\[{]")
_SPECIAL = re.compile(r"[*?\[\]{},/]")
_LONGEST = 4096


class FolderEntry(Protocol):
    """An entry of a folder, as os.scandir gives it."""

    @property
    def name(self) -> str:
        """Its name in the folder."""

    def is_dir(self, *, follow_symlinks: bool) -> bool:
        """Whether it is a folder."""


ScanFolder = Callable[[Path], AbstractContextManager[Iterable[FolderEntry]]]


@frozen
class _Folder:
    """The entries of a folder by path, and those that are folders; a link is never a folder."""

    entries: tuple[str, ...]
    folders: tuple[str, ...]


class WorkspaceFiles:
    """The workspace `root`; every lookup is made once and remembered.

    `scan` lists one folder, as os.scandir does.
    """

    def __init__(self, root: Path, *, scan: ScanFolder = os.scandir) -> None:
        self._root = root.resolve()
        self._scan = scan
        self._folders: dict[str, _Folder] = {}
        self._found: dict[str, str] = {}
        self._scripts: dict[str, Mapping[str, object]] = {}
        self._entries = 0

    def find(self, pattern: str) -> str:
        """The nearest file or folder that the glob matches; empty without one.

        Files in node_modules are left out unless the glob names that folder. Raises ConfigError for
        a pattern that leads out of the workspace.
        """
        if pattern not in self._found:
            self._found[pattern] = _printable(self._search(pattern))
        return self._found[pattern]

    def find_script(self, name: str, excludes: Sequence[str]) -> str:
        """A package.json with the npm script `name`; empty without one.

        Packages of others are left out: those below node_modules, gen and tmp, and those that one
        of the globs `excludes` matches; an exclude that is not a path inside the workspace matches
        none. Raises ConfigError for a package.json that is not a JSON object.
        """
        packages = [
            path
            for folder in self._folders_from("", _NO_PACKAGES)
            for path in folder.entries
            if path.rpartition("/")[2] == _PACKAGE
        ]
        excluded = {path for pattern in excludes for path in _matched(pattern, packages)}
        own = (
            path
            for path in packages
            if path not in excluded and self._inside(path) and (self._root / path).is_file()
        )
        return _printable(next((path for path in own if name in self._scripts_of(path)), ""))

    def _search(self, pattern: str) -> str:
        clean = _relative(pattern)
        if self._inside(clean):
            return clean
        magic = _MAGIC.search(clean)
        if magic is None:
            return ""
        start = clean[: magic.start()].rpartition("/")[0]
        deepest = None if "**" in clean else clean.count("/")
        tail = _SPECIAL.split(clean)[-1]
        # what an installation brings must not make a step active later on
        pruned = _NEVER if _MODULES in clean else _NEVER | {_MODULES}
        for folder in self._folders_from(start, pruned, deepest):
            near = [path for path in folder.entries if path.endswith(tail)]
            found = (
                next((path for path in match_files(clean, near) if self._inside(path)), "")
                if near
                else ""
            )
            if found:
                return found
        return ""

    def _folders_from(
        self, start: str, pruned: Collection[str], deepest: int | None = None
    ) -> Iterator[_Folder]:
        """The folder `start` and the folders below it, the nearest first; links are not followed.

        `deepest` is the highest number of slashes in an entry's path.
        """
        waiting = deque([start] if self._inside(start) else [])
        while waiting:
            folder = self._read(waiting.popleft())
            yield folder
            waiting.extend(
                path
                for path in folder.folders
                if path.rpartition("/")[2] not in pruned
                and (deepest is None or path.count("/") < deepest)
            )

    def _read(self, path: str) -> _Folder:
        if path not in self._folders:
            found: list[tuple[str, bool]] = []
            try:
                with self._scan(self._root / path) as entries:
                    found = sorted(
                        (
                            f"{path}/{entry.name}" if path else entry.name,
                            entry.is_dir(follow_symlinks=False),
                        )
                        for entry in entries
                    )
            except OSError:
                # gone meanwhile, or not readable: it holds nothing that a condition could count on
                pass
            self._entries += len(found)
            if self._entries > _MOST:
                raise ConfigError(
                    f"the workspace holds more than {_MOST} files",
                    where=path,
                    hint="clean it up, or let the glob begin with a folder",
                )
            self._folders[path] = _Folder(
                entries=tuple(entry for entry, _ in found),
                folders=tuple(entry for entry, is_folder in found if is_folder),
            )
        return self._folders[path]

    def _inside(self, path: str) -> bool:
        """Return whether `path` exists, and no link on the way leads out of the workspace."""
        return is_inside(self._root, path)

    def _scripts_of(self, path: str) -> Mapping[str, object]:
        if path not in self._scripts:
            self._scripts[path] = _scripts(self._root, path)
        return self._scripts[path]


def _relative(pattern: str) -> str:
    """A pattern without `./` and a slash at its end.

    Raises ConfigError if it is absolute or leads out.
    """
    hint = "expected a relative path with forward slashes, without .. and .git"
    if len(pattern) > _LONGEST:
        raise ConfigError(f"a path of more than {_LONGEST} characters", hint=hint)
    try:
        return clean_path(pattern.removesuffix("/"))
    except ConfigError as fault:
        raise ConfigError(f"{pattern!r} is not a path inside the workspace", hint=hint) from fault


def _matched(pattern: str, paths: Sequence[str]) -> Sequence[str]:
    try:
        return match_files(_relative(pattern), paths)
    except ConfigError:
        return ()


def _printable(path: str) -> str:
    """A path as text that can be written everywhere."""
    return path.encode(errors="replace").decode()


def _scripts(root: Path, path: str) -> Mapping[str, object]:
    name = _printable(path)
    try:
        package = load_json(read_inside(root, path, _LARGEST).decode("utf-8-sig"))
    except Misfit as fault:
        raise ConfigError(
            f"a package.json whose scripts are asked for {fault}",
            where=name,
            hint="correct the file",
        ) from fault
    except (Outside, OSError, ValueError) as fault:
        hint = "correct it, or name it in npmScriptsPackageJSONExcludes"
        raise ConfigError(
            "a package.json whose scripts are asked for cannot be read", where=name, hint=hint
        ) from fault
    if not isinstance(package, dict):
        raise ConfigError(
            "a package.json must be a JSON object",
            where=name,
            hint="correct it, or name it in npmScriptsPackageJSONExcludes",
        )
    scripts = package.get("scripts")
    return scripts if isinstance(scripts, dict) else {}
