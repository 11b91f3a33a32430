"""One writer at a time on this host: a lock that the kernel gives up with its process, and without which nothing is lost but time."""

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
_LOOK = 0.03  # seconds between two tries
_SHARE = 0.5  # of the time that is left, at most: the work needs time, too


@contextmanager
def host_lock(name: str, *, environ: Mapping[str, str], deadline: Deadline) -> Iterator[bool]:
    """Hold this user's lock called `name` while the block runs; gives False, and runs it all the same, where it cannot be had in time or at all."""
    path = (
        _place(environ)
        / f"towline-{os.geteuid()}-{_UNSAFE.sub('_', name)[-100:]}-{zlib.crc32(name.encode()):08x}.lock"
    )
    held = _take(path, deadline)
    try:
        yield held is not None
    finally:
        if held is not None:
            with contextlib.suppress(OSError):
                # still locked: who waits for this file finds that it is no longer the one in the
                # folder
                path.unlink()
            os.close(held)


def _place(environ: Mapping[str, str]) -> Path:
    """The user's own runtime folder where the machine has one, else the temporary folder, which need not be the user's own."""
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    return Path(
        runtime
        if runtime and os.access(runtime, os.W_OK)
        else environ.get("TMPDIR") or tempfile.gettempdir()
    )


def _take(path: Path, deadline: Deadline) -> int | None:
    """A descriptor that holds the lock, or None."""
    waited, patience = 0.0, deadline.left * _SHARE
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError:
            return None
        if _lock(descriptor) and _is_there(path, descriptor):
            return descriptor
        ours = _is_ours(descriptor)
        os.close(descriptor)
        if waited >= patience or not ours:
            return None
        seconds = deadline.clock.uniform(0.0, 2 * _LOOK)
        waited += seconds
        deadline.clock.sleep(seconds)


def _lock(descriptor: int) -> bool:
    if not _is_ours(descriptor):
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _is_ours(descriptor: int) -> bool:
    """Whether it is a plain file of this user, which nobody else can hold us up with."""
    facts = os.fstat(descriptor)
    return (
        stat.S_ISREG(facts.st_mode) and facts.st_uid == os.geteuid() and not facts.st_mode & 0o077
    )


def _is_there(path: Path, descriptor: int) -> bool:
    """Whether the locked file is still the one at `path`: its last holder has taken it away."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except OSError:
        return False
