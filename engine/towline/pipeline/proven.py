"""The proven copy: the values that this build's own steps wrote into the pipeline environment.

It is kept outside of the workspace. A pull request can commit files below
`.pipeline/commonPipelineEnvironment`, and a container of the build can change them; it cannot write
here. Secrets are not kept: a secret value is never proven.

A copy is trusted only if nobody else can put another folder in its place: that depends on who may
write to each of the folders above it.
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
from functools import partial
from pathlib import Path

from towline.errors import MachineError, TowlineError
from towline.files import in_workspace, write_whole
from towline.pipeline import environment
from towline.secret import secret_texts

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


_BUILDS = Path("towline", "builds")
_NAME = re.compile(r"[0-9a-f]{32}")
_OLD = 30 * 24 * 3600.0  # seconds: no build waits longer for somebody's approval
_RUNNER = "RUNNER_TEMP"


class ProvenCopy:
    """The copy of one build in one workspace.

    `build` are the CI system's names of the build, nothing on a laptop.
    """

    def __init__(self, workspace: Path, build: Sequence[str], environ: Mapping[str, str]) -> None:
        identity = "\0".join((str(workspace.resolve()), *build))
        self._name = hashlib.sha256(identity.encode(errors="replace")).hexdigest()[:32]
        self._workspace = workspace
        self._base, self._keepers = _base(environ, workspace)

    def read(self) -> dict[str, object]:
        """The kept values; none without a copy that only this user can have written."""
        if self._base is None or not self._is_private():
            return {}
        try:
            return environment.read_environment(self._folder, "")
        except TowlineError:  # somebody has broken it
            return {}

    def keep(self, values: Mapping[str, object]) -> None:
        """Keep `values` as well, None for removed ones; raises MachineError if that fails."""
        if self._base is None:
            raise MachineError("there is no folder for facts outside of the workspace", hint=_HINT)
        try:
            for folder in reversed((self._folder, *self._folder.parents)):
                if not folder.exists():
                    folder.mkdir(mode=0o700, exist_ok=True)
            os.utime(self._folder)
            _sweep(self._folder.parent)
        except OSError as fault:
            raise MachineError(
                f"{fault.strerror}", where=str(fault.filename), hint=_HINT
            ) from fault
        if not self._is_private():
            where = open_folder(self._folder, self._keepers) or self._folder
            raise MachineError("others can write there", where=str(where), hint=_HINT)
        # nor what it was before
        open_values = {
            key: None if any(secret_texts({key: value})) else value for key, value in values.items()
        }
        environment.write_environment(
            self._folder, open_values, "", partial(write_whole, mode=0o600, lasting=False)
        )

    def _is_private(self) -> bool:
        """Whether only this user can have written the copy, or put another folder in its place."""
        both = _is_own(self._folder) and _is_own(self._folder.parent)
        return both and open_folder(self._folder, self._keepers) is None

    @property
    def _folder(self) -> Path:
        assert self._base is not None
        return self._base / _BUILDS / self._name


_HINT = (
    "set XDG_STATE_HOME on the agent to a folder of this user that lies outside of every workspace"
)


def _base(environ: Mapping[str, str], workspace: Path) -> tuple[Path | None, frozenset[int]]:
    """The first of the user's own folders that is outside of the workspace and closed to others.

    The second value are other users who may own the folders above it. On GitHub the job's own
    folder comes first, which the runner empties. In a container the runner is another user, but not
    a stranger: the job is his. If others can write to all of them, it is the first folder.
    """
    home = environ.get("HOME", "")
    runner = environ.get(_RUNNER, "")
    folders = (runner, environ.get("XDG_STATE_HOME", ""), f"{home}/.local/state" if home else "")
    found = [
        (Path(folder), _owner(folder) if folder == runner else frozenset[int]())
        for folder in folders
        if folder.startswith("/") and not in_workspace(Path(folder) / _BUILDS, workspace)
    ]
    private = [
        candidate
        for candidate in found
        if open_folder(candidate[0] / _BUILDS, candidate[1]) is None
    ]
    return next(iter((*private, *found)), (None, frozenset()))


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


def _sweep(folder: Path) -> None:
    """Remove the copies of builds that are over."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if (
                _NAME.fullmatch(entry.name)
                and time.time() - entry.stat(follow_symlinks=False).st_mtime > _OLD
            ):
                shutil.rmtree(entry.path, ignore_errors=True)
