"""A lock that lets one process of this user write at a time on this host.

The kernel releases it when its process ends. Without the lock only time is lost.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import stat
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from towline.retry import Deadline

_UNSAFE = re.compile(r"[^A-Za-z0-9.-]+")
_PAUSE = 0.03  # mean seconds between two attempts
_MOST_WAITING = 0.5  # share of the time left before the deadline: the work needs time, too


@contextmanager
def host_lock(name: str, *, environ: Mapping[str, str], deadline: Deadline) -> Iterator[bool]:
    """Hold this user's lock `name` while the block runs; yields whether the lock is held.

    The block also runs if the lock cannot be acquired in time or at all.
    """
    readable, checksum = _UNSAFE.sub("_", name)[-100:], zlib.crc32(name.encode())
    path = _folder(environ) / f"towline-{os.geteuid()}-{readable}-{checksum:08x}.lock"
    descriptor = _acquire(path, deadline)
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            with contextlib.suppress(OSError):
                # The file is unlinked while it is locked: a process that waits for it then sees
                # that the folder has another file, or none.
                path.unlink()
            os.close(descriptor)


def _folder(environ: Mapping[str, str]) -> Path:
    """The user's runtime folder if the host has one, else the temporary folder (maybe shared)."""
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    if runtime and os.access(runtime, os.W_OK):
        return Path(runtime)
    return Path(environ.get("TMPDIR") or tempfile.gettempdir())


def _acquire(path: Path, deadline: Deadline) -> int | None:
    """A file descriptor that holds the lock, or None if it cannot be acquired."""
    waited, longest = 0.0, deadline.left * _MOST_WAITING
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError:
            return None
        if _try_lock(descriptor) and _is_still_at(path, descriptor):
            return descriptor
        private = _is_private(descriptor)
        os.close(descriptor)
        if waited >= longest or not private:
            return None
        seconds = deadline.clock.uniform(0.0, 2 * _PAUSE)
        waited += seconds
        deadline.clock.sleep(seconds)


def _try_lock(descriptor: int) -> bool:
    """Whether the file is this user's and could be locked without waiting."""
    if not _is_private(descriptor):
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _is_private(descriptor: int) -> bool:
    """Whether this is a regular file of this user that no other user can open and lock."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
        return False
    return not status.st_mode & 0o077


def _is_still_at(path: Path, descriptor: int) -> bool:
    """Whether the locked file is still the one at `path`; its last holder may have removed it."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except OSError:
        return False
