"""Files of the workspace by their descriptors: what is looked at is what is opened, whatever else is put in its place meanwhile.

A program of the pull request that is built may write in the workspace while the engine runs, from a
container that sees nothing else of the agent.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Self

from towline.errors import ConfigError
from towline.files import too_large, unfit, unwritten, write_whole

_FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# a pipe must not keep us waiting
_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
_LINKS = 40  # as many as Linux follows
_FOLDERS = 255
_PIECE = 1024 * 1024


class Outside(Exception):
    """A path, or what it leads to, lies outside of the folder; whether anything is there nobody has looked."""


class Misfit(Exception):
    """What is there cannot be read whole: why, as the end of a sentence."""


def open_inside(folder: Path, name: str) -> int:
    """A descriptor of the file or folder that the path `name` in `folder` leads to, which lies in `folder`.

    Every part of the way is opened in the one before, and links are followed by hand. `a/../b` is
    `b`: the way through a folder outside and back in would tell whether that folder is there.
    Raises Outside, Misfit for a device or a pipe, OSError, and ValueError for no path.
    """
    with _Way(folder) as way:
        way.go(_below(way.homes, os.path.normpath(folder / name)))
        return way.leave()


def read_inside(folder: Path, name: str, most: int) -> bytes:
    """The content of a regular file of at most `most` bytes; raises Misfit for another one, and what `open_inside` does."""
    descriptor = open_inside(folder, name)
    try:
        if why := unfit(os.fstat(descriptor), most):
            raise Misfit(why)
        data = bytearray()
        while piece := os.read(descriptor, _PIECE):
            data += piece
            if len(data) > most:  # it grows
                raise Misfit(too_large(most))
        return bytes(data)
    finally:
        os.close(descriptor)


def write_named(folder: Path, name: str, data: bytes, *, mode: int = 0o644) -> None:
    """Write a file that the call names, whole or not at all: one in `folder`, which no link leads out of it, or any other.

    Raises ConfigError and MachineError.
    """
    path = Path(os.path.normpath(folder / name))
    if not any(home in path.parents for home in (folder.absolute(), folder.resolve())):
        write_whole(path, data, mode=mode)
        return
    try:
        write_inside(folder, name, data, mode=mode)
    except Outside as fault:
        hint = "remove the link: keep the folder itself in the workspace"
        raise ConfigError(
            f"{path.name} is not written: a link leads out of the workspace", where=name, hint=hint
        ) from fault
    except OSError as fault:
        raise unwritten(path, fault) from fault


def write_inside(folder: Path, name: str, data: bytes, *, mode: int = 0o644) -> None:
    """Write a file and the folders above it, whole or not at all; a link in its place is replaced, not followed.

    Raises what `open_inside` does.
    """
    above, last = os.path.split(os.path.normpath(folder / name))
    with _Way(folder, make=True) as way:
        way.go(_below(way.homes, above), folders=True)
        here, beside = way.here, f".{os.urandom(8).hex()}.tmp"
        try:
            made = os.open(
                beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode, dir_fd=here
            )
            with os.fdopen(made, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(beside, last, src_dir_fd=here, dst_dir_fd=here)
        finally:
            with suppress(OSError):  # after the rename there is nothing left to remove
                os.unlink(beside, dir_fd=here)


def remove_inside(folder: Path, name: str) -> None:
    """Remove a file, or a link itself, where there is one; raises what `open_inside` does."""
    above, last = os.path.split(os.path.normpath(folder / name))
    with _Way(folder) as way, suppress(FileNotFoundError):
        way.go(_below(way.homes, above), folders=True)
        os.unlink(last, dir_fd=way.here)


def is_inside(folder: Path, name: str) -> bool:
    """Whether there is something at the path `name`, and it lies in `folder`."""
    try:
        _mode(folder, name)
    except Misfit:
        return True
    except (Outside, OSError, ValueError):
        return False
    return True


def is_folder(folder: Path, name: str) -> bool:
    """Whether there is a folder at the path `name`, and it lies in `folder`."""
    with suppress(Outside, Misfit, OSError, ValueError):
        return stat.S_ISDIR(_mode(folder, name))
    return False


def leads_out(folder: Path, name: str) -> bool:
    """Whether the path `name`, or what it leads to, lies outside of `folder`."""
    try:
        _mode(folder, name)
    except Outside:
        return True
    except (Misfit, OSError, ValueError):
        pass
    return False


def _mode(folder: Path, name: str) -> int:
    descriptor = open_inside(folder, name)
    try:
        return os.fstat(descriptor).st_mode
    finally:
        os.close(descriptor)


class _Way:
    """The folders from the workspace down to where we are, each open."""

    def __init__(self, folder: Path, *, make: bool = False) -> None:
        """`make`: a folder that is not there is made."""
        self._make = make
        self.homes = (str(folder.absolute()), str(folder.resolve()))
        self._opened = [os.open(self.homes[1], _FOLDER)]
        self._links = self._made = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in self._opened:
            os.close(descriptor)

    @property
    def here(self) -> int:
        """The descriptor of where we are."""
        return self._opened[-1]

    def leave(self) -> int:
        """The descriptor of where we are, which is the caller's from now on."""
        return self._opened.pop()

    def go(self, parts: list[str], *, folders: bool = False) -> None:
        """Take one part after the other, and in the place of a link those of what it leads to; `folders`: the last is one, too."""
        parts.reverse()
        while parts:
            part = parts.pop()
            if part == "..":
                self._up()
            elif part and part != ".":
                parts += reversed(self._down(part, last=not parts and not folders))

    def _up(self) -> None:
        if len(self._opened) == 1:
            raise Outside
        os.close(self._opened.pop())

    def _down(self, part: str, *, last: bool) -> list[str]:
        """Open a part; of a link nothing is opened, and the parts of its target are given back."""
        here = self._opened[-1]
        try:
            target = os.readlink(part, dir_fd=here)
        except FileNotFoundError:
            self._made += 1
            if not self._make or self._made > _FOLDERS:  # somebody removes it again and again
                raise
            with suppress(FileExistsError):
                os.mkdir(part, dir_fd=here)
            return [part]
        except OSError as fault:
            if fault.errno != errno.EINVAL:  # what it is of no link
                raise
            if last:
                _check_kind(part, here)
            # a link that has taken its place since is not followed, and a fault
            self._opened.append(os.open(part, _FILE if last else _FOLDER, dir_fd=here))
            return []
        self._links += 1
        if self._links > _LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        if not target.startswith("/"):
            return target.split("/")
        rest = _below(self.homes, os.path.normpath(target))
        while len(self._opened) > 1:
            os.close(self._opened.pop())
        return rest


def _check_kind(part: str, here: int) -> None:
    """Pass where opening does nothing: a device may begin to work. Raises Misfit."""
    mode = os.stat(part, dir_fd=here, follow_symlinks=False).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode) and not stat.S_ISLNK(mode):
        raise Misfit("is no regular file")


def _below(homes: tuple[str, ...], path: str) -> list[str]:
    """The parts of an absolute path below one of `homes`, none for one of them; raises Outside."""
    for home in homes:
        if path == home or path.startswith(f"{home.rstrip('/')}/"):
            return path[len(home) :].split("/")
    raise Outside
