"""Pure.

Trees of git as data: the listing of a commit, paths that may be written, and the trees that a
change rewrites.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby

from towline.errors import ConfigError
from towline.record import frozen

_LINK = "120000"
_OBSTACLES = {_LINK: "a symbolic link", "160000": "a submodule", "040000": "a folder"}
_KINDS = {"40000": "tree", "160000": "commit"}
_CONTROL = re.compile(r"[\x00-\x1f\x7f\\]")
_UNDECODED = re.compile("[\ud800-\udfff]")
_IGNORED_BY_HFS = re.compile("[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]")
_LFS = b"version https://git-lfs.github.com/spec/"


@frozen
class TreeEntry:
    """A line of `git ls-tree`: its mode, kind, object id, and path from the root.

    The mode is six octal digits, the kind `blob`, `tree` or `commit`.
    """

    mode: str
    kind: str
    oid: str
    path: str

    @property
    def has_text_name(self) -> bool:
        """Whether this is not a directory and its path is text (UTF-8)."""
        return self.kind != "tree" and not _UNDECODED.search(self.path)

    @property
    def is_link(self) -> bool:
        """Whether this is a symbolic link; its content is the path of its target."""
        return self.mode == _LINK

    @property
    def obstacle(self) -> str:
        """What this is, for messages, if it is not a file; empty for a file."""
        return _OBSTACLES.get(self.mode, "")


Folders = dict[str, dict[str, TreeEntry]]
"""Folder (the root is empty) to its entries by name."""


def parse_listing(data: bytes) -> tuple[TreeEntry, ...]:
    """The output of `git ls-tree -r -t -z` to entries in its order.

    Bytes that are not UTF-8 become surrogates.
    """
    entries = []
    for line in data.decode("utf-8", "surrogateescape").split("\0")[:-1]:
        attributes, _, path = line.partition("\t")
        mode, kind, oid = attributes.split(" ")
        entries.append(TreeEntry(mode=mode, kind=kind, oid=oid, path=path))
    return tuple(entries)


def parse_tree(data: bytes, folder: str, size: int) -> tuple[TreeEntry, ...]:
    """A tree object to its entries.

    `folder` is the path of the tree (the root is empty); ids are `size` bytes long.
    """
    entries, position = [], 0
    while position < len(data):
        end = data.index(b"\0", position)
        mode, _, name = data[position:end].decode("utf-8", "surrogateescape").partition(" ")
        oid, position = data[end + 1 : end + 1 + size].hex(), end + 1 + size
        entries.append(
            TreeEntry(
                mode=mode.zfill(6),
                kind=_KINDS.get(mode, "blob"),
                oid=oid,
                path=f"{folder}/{name}" if folder else name,
            )
        )
    return tuple(entries)


def check_path(path: str, *, inside: str = "repository") -> str:
    """Return `path` if git on every system takes it as a file below the root.

    Raises ConfigError (`..`, `.git` in any spelling, and others).
    """
    if not is_path(path):
        raise ConfigError(
            f"{path!r} is not a path inside the {inside}",
            hint="expected a relative path with forward slashes, without .. and .git",
        )
    return path


def is_path(path: str) -> bool:
    """Whether `check_path` accepts the path."""
    return not _CONTROL.search(path) and not any(_is_reserved(part) for part in path.split("/"))


def _is_reserved(part: str) -> bool:
    """Whether a file system may read `part` as nothing, as a way out, or as git's own folder.

    The rules are those of git's verify_path for NTFS and HFS+.
    """
    cleaned = _IGNORED_BY_HFS.sub("", part).lower().partition(":")[0].rstrip(". ")
    return part in ("", ".", "..") or cleaned in ("", ".git", "git~1")


def link_target(link: str, target: bytes) -> str:
    """The path inside the repository that the symbolic link at the path `link` leads to.

    `target` is the link's content. Raises ConfigError if it leads out of the repository.
    """
    text = target.decode("utf-8", "surrogateescape")
    path = posixpath.normpath(posixpath.join(posixpath.dirname(link), text))
    if not text or _UNDECODED.search(text) or not is_path(path):
        raise ConfigError(
            f"{link} is a symbolic link that leads out of the repository",
            hint="put the file itself there",
        )
    return path


def is_pointer(content: bytes) -> bool:
    """Whether a blob is a pointer of Git LFS (LFS specification, "The Pointer")."""
    return content.startswith(_LFS)


def rewrite_tree(
    entries: Iterable[TreeEntry],
    blobs: Mapping[str, str],
    make: Callable[[Sequence[Iterable[TreeEntry]]], Sequence[str]],
) -> str:
    """Put `blobs` (path -> object id) into the tree `entries` and return the new root's id.

    `make` writes folders and returns their ids. Only folders on the way to a changed file are
    written, the deepest first; modes stay. Raises ConfigError (a path leads over something that is
    not a folder, or to something that is not a file).
    """
    folders = _folders_to(entries, blobs)
    for path, oid in blobs.items():
        old = _entry(folders, path)
        if old and old.obstacle:
            raise ConfigError(
                f"{path} is {old.obstacle}, not a file", hint="give the path of a file"
            )
        _put(
            folders, TreeEntry(mode=old.mode if old else "100644", kind="blob", oid=oid, path=path)
        )
    inner = sorted(folders.keys() - {""}, key=_depth, reverse=True)
    for _, level in groupby(inner, key=_depth):
        names = list(level)
        for name, oid in zip(names, make([folders[name].values() for name in names]), strict=True):
            old = _entry(folders, name)
            if old and old.kind != "tree":
                raise ConfigError(
                    f"{name} is {old.obstacle or 'a file'}, not a folder",
                    hint="give a path whose folders are folders",
                )
            _put(folders, TreeEntry(mode="040000", kind="tree", oid=oid, path=name))
    return make([folders[""].values()])[0]


def _folders_to(entries: Iterable[TreeEntry], paths: Iterable[str]) -> Folders:
    """The folders on the way to `paths`, with their entries."""
    folders: Folders = {"": {}}
    for path in paths:
        parts = check_path(path).split("/")
        folders.update({"/".join(parts[:depth]): {} for depth in range(1, len(parts))})
    for entry in entries:
        parent, _, name = entry.path.rpartition("/")
        if parent in folders:
            folders[parent][name] = entry
    return folders


def _entry(folders: Folders, path: str) -> TreeEntry | None:
    parent, _, name = path.rpartition("/")
    return folders[parent].get(name)


def _put(folders: Folders, entry: TreeEntry) -> None:
    parent, _, name = entry.path.rpartition("/")
    folders[parent][name] = entry


def _depth(path: str) -> int:
    return path.count("/")
