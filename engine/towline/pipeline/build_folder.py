"""A folder of one build outside of the workspace, for this user alone.

It is trusted only if nobody else can put another folder in its place: that depends on who may write
to each of the folders above it.
"""

from __future__ import annotations

import contextlib
import errno
import grp
import hashlib
import os
import pwd
import re
import shutil
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from towline.errors import MachineError
from towline.files import in_workspace
from towline.record import frozen

_LINKS = 40  # as many as Linux follows


def open_folder(folder: Path, keepers: frozenset[int] = frozenset()) -> Path | None:
    """The first folder on the way to an absolute path in which another user could replace a file.

    The path itself is one of these folders; None if there is none. Root, this user and `keepers`
    may own the folders. The sticky bit of a folder that all may write to lets each user rename only
    his own files. A folder that does not exist yet belongs to nobody.
    """
    known = frozenset({0, os.geteuid()}) | keepers
    try:
        for entry, status in _entries_on_way(folder):
            if status.st_uid not in known or _is_open(status):
                return entry
    except FileNotFoundError:
        return None
    except OSError:
        return folder
    return None


def _entries_on_way(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Every folder and link on the way to a path, from the root on; raises OSError."""
    current, left, links = Path("/"), [*reversed(folder.parts[1:])], 0
    yield current, current.lstat()
    while left:
        part = left.pop()
        if part == "..":
            current = current.parent
            continue
        entry = current / part
        status = entry.lstat()
        yield entry, status
        if not stat.S_ISLNK(status.st_mode):
            current = entry
            continue
        links += 1
        if links > _LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(folder))
        target = Path(entry.readlink())
        current = Path("/") if target.is_absolute() else current
        left += reversed(target.parts[1:] if target.is_absolute() else target.parts)


def _is_open(status: os.stat_result) -> bool:
    """Whether others than its owner may rename files in a folder; a link has no such rights."""
    if stat.S_ISLNK(status.st_mode) or status.st_mode & stat.S_ISVTX:
        return False
    return bool(
        status.st_mode & stat.S_IWOTH
        or (status.st_mode & stat.S_IWGRP and not _is_alone(status.st_gid))
    )


def _is_alone(group: int) -> bool:
    """Whether a group is this user's own, with his name and no other member.

    Such groups are usual if the umask is 002.
    """
    try:
        name, found = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(group)
    except KeyError:
        return False
    return group != 0 and found.gr_name == name and set(found.gr_mem) <= {name}


_NAME = re.compile(r"[0-9a-f]{32}")
_YOUNG = 60.0  # seconds for which a file may still be written
_RUNNER = "RUNNER_TEMP"
_HINT = (
    "set XDG_STATE_HOME on the agent to a folder of this user that lies outside of every workspace"
)


@frozen
class BaseFolder:
    """A folder of the machine below which this user may have a folder of his own.

    Users in `keepers` may own the folders above it, too.
    """

    path: Path
    keepers: frozenset[int] = frozenset()


class BuildFolder:
    """The folder of one build in `parent`; `words` are the names that tell builds apart.

    Folders of builds unused for `lifetime` seconds are removed.
    """

    def __init__(
        self, base: BaseFolder, parent: Path, words: Sequence[str], *, lifetime: float
    ) -> None:
        name = hashlib.sha256("\0".join(words).encode(errors="replace")).hexdigest()[:32]
        self.path = base.path / parent / name
        self._keepers = base.keepers
        self._lifetime = lifetime

    def make(self) -> None:
        """Make the folder, or mark it as in use; raises MachineError if others can write there."""
        try:
            for folder in reversed((self.path, *self.path.parents)):
                if not folder.exists():
                    folder.mkdir(mode=0o700, exist_ok=True)
            os.utime(self.path)
            self.sweep()
        except OSError as fault:
            raise MachineError(
                f"{fault.strerror}", where=str(fault.filename), hint=_HINT
            ) from fault
        if not self.is_private():
            where = open_folder(self.path, self._keepers) or self.path
            raise MachineError("others can write there", where=str(where), hint=_HINT)

    def is_private(self) -> bool:
        """Whether only this user can have written into it, or put another folder in its place."""
        both = _is_own(self.path) and _is_own(self.path.parent)
        return both and open_folder(self.path, self._keepers) is None

    def sweep(self) -> None:
        """Remove the folders of builds that are over, and files that killed runs have half written.

        Nothing is removed in a folder that others can write to.
        """
        if not _is_own(self.path.parent) or open_folder(self.path.parent, self._keepers):
            return
        with contextlib.suppress(OSError), os.scandir(self.path.parent) as entries:
            for entry in entries:
                age = time.time() - entry.stat(follow_symlinks=False).st_mtime
                if not _NAME.fullmatch(entry.name) or not entry.is_dir(follow_symlinks=False):
                    continue
                if age > self._lifetime:
                    shutil.rmtree(entry.path, ignore_errors=True)
                else:
                    _remove_half_written(Path(entry.path))


def _remove_half_written(folder: Path) -> None:
    for file in folder.glob("**/.*.tmp"):
        with contextlib.suppress(OSError):
            if time.time() - file.lstat().st_mtime > _YOUNG:
                file.unlink()


def no_base() -> MachineError:
    """The error that says that this user has no folder outside of the workspace."""
    return MachineError("there is no folder for facts outside of the workspace", hint=_HINT)


def state_base(environ: Mapping[str, str], workspace: Path, parent: Path) -> BaseFolder | None:
    """The first of the user's own folders that is outside of the workspace and closed to others.

    `parent` is the folder that it is for. On GitHub the job's own folder comes first, which the
    runner empties. In a container the runner is another user, but not a stranger: the job is his.
    If others can write to all of them, it is the first folder. None if there is no such folder.
    """
    home = environ.get("HOME", "")
    runner = environ.get(_RUNNER, "")
    folders = (runner, environ.get("XDG_STATE_HOME", ""), f"{home}/.local/state" if home else "")
    found = [
        BaseFolder(path=Path(folder), keepers=_owner(folder) if folder == runner else frozenset())
        for folder in folders
        if folder.startswith("/") and not in_workspace(Path(folder) / parent, workspace)
    ]
    private = [base for base in found if open_folder(base.path / parent, base.keepers) is None]
    return next(iter((*private, *found)), None)


def _owner(folder: str) -> frozenset[int]:
    with contextlib.suppress(OSError):
        return frozenset({Path(folder).stat().st_uid})
    return frozenset()


def _is_own(folder: Path) -> bool:
    """Whether a path is a folder, and only this user can write into it."""
    try:
        status = folder.lstat()
    except OSError:
        return False
    return (
        stat.S_ISDIR(status.st_mode)
        and status.st_uid == os.geteuid()
        and not status.st_mode & 0o022
    )
