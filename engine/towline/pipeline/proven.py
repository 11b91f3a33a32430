"""The proven copy: what this build's own steps have written into the pipeline environment, kept outside of the workspace.

A pull request can commit files below `.pipeline/commonPipelineEnvironment`, and a container of the
build can change them; it cannot write here. Secrets are not kept: a value that is one is never
proven.

Whether others could put another folder in the place of one: who may write to any of the folders on the way to it.
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
    """The first place on the way to an absolute path, itself included, where another user could put something else; None where there is none.

    Root, this user and `keepers` own what is on the way. Of a folder that all may write to the
    sticky bit lets each rename only what is his. What is not there yet is nobody's.
    """
    known = frozenset({0, os.geteuid()}) | keepers
    try:
        for place, status in _way(folder):
            if status.st_uid not in known or _is_open(status):
                return place
    except FileNotFoundError:
        return None
    except OSError:
        return folder
    return None


def _way(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Every folder and link that the kernel goes through to a path, from the root on; raises OSError."""
    here, left, links = Path("/"), [*reversed(folder.parts[1:])], 0
    yield here, here.lstat()
    while left:
        part = left.pop()
        if part == "..":
            here = here.parent
            continue
        there = here / part
        status = there.lstat()
        yield there, status
        if not stat.S_ISLNK(status.st_mode):
            here = there
            continue
        links += 1
        if links > _LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(folder))
        target = Path(there.readlink())
        here = Path("/") if target.is_absolute() else here
        left += reversed(target.parts[1:] if target.is_absolute() else target.parts)


def _is_open(status: os.stat_result) -> bool:
    """Whether others than its owner may rename what is in a folder; a link has no rights of its own."""
    if stat.S_ISLNK(status.st_mode) or status.st_mode & stat.S_ISVTX:
        return False
    return bool(
        status.st_mode & stat.S_IWOTH
        or (status.st_mode & stat.S_IWGRP and not _is_alone(status.st_gid))
    )


def _is_alone(group: int) -> bool:
    """Whether a group is this user's own, which has his name and nobody else in it, as where the umask is 002."""
    try:
        name, found = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(group)
    except KeyError:
        return False
    return group != 0 and found.gr_name == name and set(found.gr_mem) <= {name}


_OWN = Path("towline", "builds")
_NAME = re.compile(r"[0-9a-f]{32}")
_OLD = 30 * 24 * 3600.0  # seconds: no build waits longer for somebody's approval
_RUNNER = "RUNNER_TEMP"


class ProvenCopy:
    """The copy of one build in one workspace; `build` is what the CI system calls it, nothing at all on a laptop."""

    def __init__(self, workspace: Path, build: Sequence[str], environ: Mapping[str, str]) -> None:
        words = "\0".join((str(workspace.resolve()), *build))
        self._name = hashlib.sha256(words.encode(errors="replace")).hexdigest()[:32]
        self._workspace = workspace
        self._base, self._keepers = _base(environ, workspace)

    def read(self) -> dict[str, object]:
        """What was kept; nothing where there is no copy, or none that this user alone can have written."""
        if self._base is None or not self._is_private():
            return {}
        try:
            return environment.read_environment(self._folder, "")
        except TowlineError:  # somebody has broken it
            return {}

    def keep(self, values: Mapping[str, object]) -> None:
        """Keep `values` too, None for what is gone; raises MachineError where that cannot be done."""
        if self._base is None:
            raise MachineError("there is no folder outside of the workspace for it", hint=_HINT)
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
        """Whether this user alone can have written what is there, or put another folder in its place."""
        both = _is_own(self._folder) and _is_own(self._folder.parent)
        return both and open_folder(self._folder, self._keepers) is None

    @property
    def _folder(self) -> Path:
        assert self._base is not None
        return self._base / _OWN / self._name


_HINT = (
    "set XDG_STATE_HOME on the agent to a folder of this user that lies outside of every workspace"
)


def _base(environ: Mapping[str, str], workspace: Path) -> tuple[Path | None, frozenset[int]]:
    """The first of the user's own places for it outside of the workspace that nobody else can write to, and who else may own what is above.

    On GitHub a job's own comes first, which the runner empties; in a container the runner is
    another user there, who is no stranger: the job is his. Where others can write to all, it is the
    first.
    """
    home = environ.get("HOME", "")
    runner = environ.get(_RUNNER, "")
    places = (runner, environ.get("XDG_STATE_HOME", ""), f"{home}/.local/state" if home else "")
    found = [
        (Path(place), _owner(place) if place == runner else frozenset[int]())
        for place in places
        if place.startswith("/") and not in_workspace(Path(place) / _OWN, workspace)
    ]
    private = [one for one in found if open_folder(one[0] / _OWN, one[1]) is None]
    return next(iter((*private, *found)), (None, frozenset()))


def _owner(place: str) -> frozenset[int]:
    with contextlib.suppress(OSError):
        return frozenset({Path(place).stat().st_uid})
    return frozenset()


def _is_own(folder: Path) -> bool:
    """Whether it is a folder, and none but this user can write into it."""
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
