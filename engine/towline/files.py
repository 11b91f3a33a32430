"""Files: the data that engine and library share, and writes that are whole or not at all.

Files of the workspace by their descriptors: what is looked at is what is opened, whatever else is put in its place meanwhile.

A program of the pull request that is built may write in the workspace while the engine runs, from a
container that sees nothing else of the agent.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
import stat
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Self

from towline.errors import ConfigError, MachineError

_PACKAGED = Path(__file__).parent / "resources"  # where a wheel and a zipapp hold the shared data
# a link to it would make Jenkins refuse the library
_CHECKOUT = Path(__file__).parents[2] / "resources" / "towline"
_WORKSPACES = (
    "WORKSPACE",
    "GITHUB_WORKSPACE",
    "CI_PROJECT_DIR",
    "BUILD_SOURCESDIRECTORY",
    "BITBUCKET_CLONE_DIR",
    "CI_WORKSPACE",
    "DRONE_WORKSPACE",
    "TRAVIS_BUILD_DIR",
    "BUILDKITE_BUILD_CHECKOUT_PATH",
)
_workspaces: list[Path] = []  # as they are called, and as they lie on disk


@cache
def resource_folder() -> Path:
    """Where the data that engine and library share lies: inside the built package, else beside the engine in a checkout."""
    try:
        _loaded(_PACKAGED / "VERSION")
    except OSError:
        return _CHECKOUT
    return _PACKAGED


def resource_text(name: str) -> str:
    """The text of `resources/towline/<name>`, from a checkout, a wheel or a zipapp alike; raises OSError."""
    return _loaded(resource_folder() / name).decode("utf-8")


def _loaded(path: Path) -> bytes:
    data: bytes = globals()["__loader__"].get_data(str(path))
    return data


def version() -> str:
    """The version that library and engine share."""
    return resource_text("VERSION").strip()


def enter_workspace(folder: Path, environ: Mapping[str, str]) -> None:
    """Let the whole workspace count as one from now on, wherever in it the engine runs: what the CI system calls so, and the checkouts around `folder`.

    Of these there are more than one in a submodule.
    """
    named = (Path(environ[name]) for name in _WORKSPACES if environ.get(name, "").startswith("/"))
    around = [one for one in folder.parents if (one / ".git").exists()]
    # who keeps the home in git has programs of their own in it
    _workspaces[:] = _places(*named, folder, *(one for one in around if one != own_home()))


def in_workspace(path: Path, folder: Path) -> bool:
    """Whether `path`, or what it leads to, lies in the workspace, whose files a pull request can change, or in `folder`; nothing does where that is `/`."""
    homes = {*_workspaces, *(() if folder in _workspaces else _places(folder))} - {Path("/")}
    # `resolve` raises RuntimeError for links that lead to each other, `realpath` does not
    places = (Path(os.path.normpath(path.absolute())), Path(os.path.realpath(path)))
    return any(place.is_relative_to(home) for place in places for home in homes)


def _places(*folders: Path) -> list[Path]:
    return [place for one in folders for place in (one.absolute(), one.resolve())]


def own_home() -> Path | None:
    """The user's home as the machine knows it; HOME may be the workspace."""
    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        return None


def misfit(path: Path, most: int) -> str:
    """Why what is at `path` is no file that can be read whole, as the end of a sentence; empty if it is one.

    Raises OSError and ValueError as `stat` does.
    """
    try:
        return unfit(path.stat(), most)
    except (FileNotFoundError, NotADirectoryError):
        return "is not there"


def unfit(status: os.stat_result, most: int) -> str:
    """Why something with this status is no file that can be read whole; empty if it is one."""
    if stat.S_ISDIR(status.st_mode):
        return "is a folder"
    if not stat.S_ISREG(status.st_mode):
        return "is no regular file"
    return too_large(most) if status.st_size > most else ""


def too_large(most: int) -> str:
    """That a file has more than so many bytes, as the end of a sentence."""
    return f"is larger than {most >> 20} MiB"


def write_whole(path: Path, data: bytes, *, mode: int = 0o644, lasting: bool = True) -> None:
    """Write `data` beside `path`, flush it to disk and rename it there; raises MachineError.

    What need not outlast the machine's next start (not `lasting`) is not waited for.
    """
    # not the process id: in a container every run may have the same
    beside = path.parent / f".{os.urandom(8).hex()}.tmp"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            if lasting:
                os.fsync(stream.fileno())
        beside.replace(path)
    except OSError as fault:
        raise unwritten(path, fault) from fault
    finally:
        with contextlib.suppress(OSError):  # after the rename there is nothing left to remove
            beside.unlink()


def unwritten(path: Path, fault: OSError) -> MachineError:
    """That a file cannot be written, why, and what to do about it."""
    what, hint = _why(path, fault)
    return MachineError(f"cannot write {path.name or path}: {what}", where=str(path), hint=hint)


def _why(path: Path, fault: OSError) -> tuple[str, str]:
    """Why a file cannot be written, and what to do about it."""
    if path.is_dir():
        return "there is a folder of that name", "name a file"
    if isinstance(fault, FileExistsError | NotADirectoryError):
        above = next((folder for folder in path.parents if folder.is_file()), path.parent)
        return f"{above} is no folder", "name a file in a folder"
    return str(fault.strerror), "free space or fix the folder's permissions"


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
