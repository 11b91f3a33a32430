"""Whether others could put another folder in the place of one: who may write to any of the folders on the way to it."""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

_LINKS = 40  # as many as Linux follows


def writable(folder: Path, keepers: frozenset[int] = frozenset()) -> Path | None:
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
