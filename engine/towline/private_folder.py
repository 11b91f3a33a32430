"""A private temporary folder that does not outlive the run by long, not even after `kill -9`.

The next run of the same user removes the folders that killed runs have left.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from towline.errors import MachineError
from towline.files import in_workspace

_PREFIX = "towline-git-"
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_MOUNTS = Path("/proc/self/mounts")
_SHARED = (Path("/tmp"),)  # noqa: S108 - where a run with another TMPDIR may have left something
_TRIES = 5
_YOUNG = 60.0  # seconds: an empty folder that is younger may still be locked by its run
# seconds after which a folder of another boot, or another machine, counts as left behind
_OLD = 24 * 3600.0


class PrivateFolder:
    """A folder of mode 0700 with a lock that the kernel releases when this process ends.

    `close` removes it. With `secret` it lies on a file system in memory if the machine has
    one, so that a small secret is never on a disk.
    """

    def __init__(self, environ: Mapping[str, str], *, secret: bool = False) -> None:
        disk = _disk(environ)
        for base in (*(memory_folders(environ) if secret else ()), disk):
            try:
                _sweep(base)
                self.path, self._lock = _make(base)
            except OSError as fault:
                if base is disk:
                    raise MachineError(
                        f"no temporary folder can be made: {fault.strerror}",
                        where=str(base),
                        hint=(
                            "free space, or set TMPDIR on the agent to a folder that can be"
                            " written to"
                        ),
                    ) from fault
            else:
                break

    def close(self) -> None:
        """Remove the folder with all that is in it; a second call does nothing."""
        if self._lock is None:
            return
        # a process that a killed child had started may write a file at this moment: try again
        for _ in range(_TRIES):
            shutil.rmtree(self.path, ignore_errors=True)
            if not self.path.exists():
                break
        os.close(self._lock)
        self._lock = None


def sweep(environ: Mapping[str, str]) -> None:
    """Remove the folders that killed runs of this user have left."""
    for base in {_disk(environ), *_SHARED, *memory_folders(environ)}:
        with contextlib.suppress(OSError):
            _sweep(base)


def _disk(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("TMPDIR") or tempfile.gettempdir())


def memory_folders(environ: Mapping[str, str]) -> list[Path]:
    """Return this machine's folders in memory that are writable and outside every workspace."""
    try:
        mounts = [
            line.split(" ")
            for line in _MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()
        ]
    except OSError:
        return []
    memory = {fields[1] for fields in mounts if len(fields) > 2 and fields[2] in ("tmpfs", "ramfs")}
    bases = [
        Path(path)
        for path in (environ.get("XDG_RUNTIME_DIR", ""), "/dev/shm")  # noqa: S108 - looked at
        if path in memory
    ]
    return [
        base
        for base in bases
        if os.access(base, os.W_OK | os.X_OK) and not in_workspace(base, Path.cwd())
    ]


def _make(base: Path) -> tuple[Path, int | None]:
    """Return a new folder and the descriptor that holds its lock.

    A sweep may remove it between making and locking; then another one is made.
    """
    for _ in range(_TRIES):
        path = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{_boot()}-", dir=base))
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            if _hold(descriptor) and path.exists():
                return path, descriptor
            os.close(descriptor)
    raise OSError(0, "it vanishes as soon as it is made")


def _hold(descriptor: int) -> bool:
    """Return whether the folder is locked by us.

    True on a file system without locks, too: there is no sweep on it either.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _sweep(base: Path) -> None:
    """Remove this user's folders whose process is gone.

    Nobody holds the lock of such a folder on this boot of this machine, or it is a day old.
    """
    for entry in _candidates(base):
        try:
            descriptor = os.open(entry.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            if _just_made(descriptor):
                continue
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if (
                entry.name.startswith(f"{_PREFIX}{_boot()}-")
                or time.time() - os.fstat(descriptor).st_mtime > _OLD
            ):
                shutil.rmtree(entry.path, ignore_errors=True)
        except OSError:
            continue
        finally:
            os.close(descriptor)


def _just_made(descriptor: int) -> bool:
    """Return whether the folder is so new that its maker may not have locked it yet.

    It is empty until then.
    """
    return not os.listdir(descriptor) and time.time() - os.fstat(descriptor).st_mtime < _YOUNG


def _candidates(base: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(base) as entries:
        for entry in entries:
            if entry.name.startswith(_PREFIX):
                with contextlib.suppress(OSError):  # gone since it was listed
                    if (
                        entry.is_dir(follow_symlinks=False)
                        and entry.stat(follow_symlinks=False).st_uid == os.geteuid()
                    ):
                        yield entry


def _boot() -> str:
    """Return an id of this boot of this machine.

    Other machines may share the folder, and locks hold within one.
    """
    try:
        return _BOOT.read_text(encoding="ascii")[:8]
    except OSError:
        return "unknown"
