"""Files: shared data, whole writes, and the one rule by which a path stays inside the workspace.

A program of the pull request that is built may write into the workspace while the engine runs, from
a container that sees nothing else of the agent. So files of the workspace are opened part by part
by descriptors: the file that was checked is the file that is opened, whatever else is put in its
place meanwhile.
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
_workspaces: list[Path] = []  # each path as it was given, and resolved


@cache
def resource_folder() -> Path:
    """Return the folder of the data that engine and library share.

    It lies inside the built package, in a checkout beside the engine.
    """
    try:
        _loaded(_PACKAGED / "VERSION")
    except OSError:
        return _CHECKOUT
    return _PACKAGED


def resource_text(name: str) -> str:
    """Return the text of `resources/towline/<name>`; raises OSError.

    It works in a checkout, a wheel and a zipapp.
    """
    return _loaded(resource_folder() / name).decode("utf-8")


def _loaded(path: Path) -> bytes:
    data: bytes = globals()["__loader__"].get_data(str(path))
    return data


def version() -> str:
    """Return the version that library and engine share."""
    return resource_text("VERSION").strip()


def enter_workspace(folder: Path, environ: Mapping[str, str]) -> None:
    """Register the whole workspace, wherever in it the engine runs.

    It is the folder that the CI system names as its workspace, and every checkout around `folder`;
    around a submodule there are several.
    """
    named = (Path(environ[name]) for name in _WORKSPACES if environ.get(name, "").startswith("/"))
    around = [above for above in folder.parents if (above / ".git").exists()]
    # a home that is kept in git has the user's own programs in it
    _workspaces[:] = _given_and_resolved(
        *named, folder, *(above for above in around if above != own_home())
    )


def in_workspace(path: Path, folder: Path) -> bool:
    """Return whether `path`, or the target of its links, lies in the workspace or in `folder`.

    A pull request can change the files there. `/` does not count as a workspace.
    """
    homes = {*_workspaces, *(() if folder in _workspaces else _given_and_resolved(folder))} - {
        Path("/")
    }
    # `resolve` raises RuntimeError for links that lead to each other, `realpath` does not
    paths = (Path(os.path.normpath(path.absolute())), Path(os.path.realpath(path)))
    return any(form.is_relative_to(home) for form in paths for home in homes)


def _given_and_resolved(*folders: Path) -> list[Path]:
    return [path for folder in folders for path in (folder.absolute(), folder.resolve())]


def own_home() -> Path | None:
    """Return the user's home as the machine knows it; the variable HOME may name the workspace."""
    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        return None


def misfit(path: Path, most: int) -> str:
    """Return why `path` is not a file that can be read whole, as the end of a sentence; else "".

    Raises OSError and ValueError as `stat` does.
    """
    try:
        return unfit(path.stat(), most)
    except (FileNotFoundError, NotADirectoryError):
        return "is not there"


def unfit(status: os.stat_result, most: int) -> str:
    """Return why a file of this status cannot be read whole, as the end of a sentence; else ""."""
    if stat.S_ISDIR(status.st_mode):
        return "is a folder"
    if not stat.S_ISREG(status.st_mode):
        return "is not a regular file"
    return too_large(most) if status.st_size > most else ""


def too_large(most: int) -> str:
    """Return the complaint about a file of more than `most` bytes, as the end of a sentence."""
    return f"is larger than {most >> 20} MiB"


def write_whole(path: Path, data: bytes, *, mode: int = 0o644, lasting: bool = True) -> None:
    """Write `data` beside `path`, flush it to disk and rename it there; raises MachineError.

    Without `lasting` the flush to disk is left out: the file need not survive a restart of the
    machine.
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


def append(path: Path, text: str) -> None:
    """Append `text` to the file at `path`, which is made if it does not exist.

    Raises MachineError, also if the file is a symbolic link.
    """
    try:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
        with os.fdopen(os.open(path, flags, 0o644), "a", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as fault:
        raise unwritten(path, fault) from fault


def unwritten(path: Path, fault: OSError) -> MachineError:
    """Return the error for a file that cannot be written, with the reason and a hint."""
    reason, hint = _why(path, fault)
    return MachineError(f"cannot write {path.name or path}: {reason}", where=str(path), hint=hint)


def _why(path: Path, fault: OSError) -> tuple[str, str]:
    """Return why a file cannot be written, and what to do about it."""
    if path.is_dir():
        return "there is a folder of that name", "name a file"
    if isinstance(fault, FileExistsError | NotADirectoryError):
        above = next((folder for folder in path.parents if folder.is_file()), path.parent)
        return f"{above} is not a folder", "name a file in a folder"
    return str(fault.strerror), "free space or fix the folder's permissions"


_FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# a pipe must not keep us waiting
_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
# a file that is only looked up may be unreadable for this user
_LOOK_UP = getattr(os, "O_PATH", os.O_RDONLY | os.O_NONBLOCK) | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST_LINKS = 40  # as many as Linux follows
_MOST_NEW_FOLDERS = 255  # made for one path
_PIECE = 1024 * 1024


class Outside(Exception):
    """Raised if a path, or the target of its links, lies outside of the folder.

    It does not reveal whether the file exists.
    """


class Misfit(Exception):
    """Raised if a file cannot be read whole; the text says why, as the end of a sentence."""


def open_inside(folder: Path, name: str) -> int:
    """Return a descriptor of the file or folder at the path `name`, which lies in `folder`.

    Every part of the path is opened in the part before it, and links are followed by hand. `a/../b`
    is `b`: a walk through a folder outside would reveal whether that folder exists. Raises Outside,
    Misfit for a device or a pipe, OSError, and ValueError for a path that cannot be one.
    """
    with _PathWalk(folder) as walk:
        walk.go(_below(walk.homes, os.path.normpath(folder / name)))
        return walk.leave()


def read_inside(folder: Path, name: str, most: int) -> bytes:
    """Return the content of a regular file of at most `most` bytes.

    Raises Misfit for any other file, and the errors of `open_inside`.
    """
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
    """Write a file that the call names, whole or not at all.

    A path in `folder` must not lead out of it by a link; any other path is written as it is. Raises
    ConfigError and MachineError.
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
    """Write a file and the folders above it, whole or not at all; raises as `open_inside`.

    A link in its place is replaced, not followed.
    """
    above, last = os.path.split(os.path.normpath(folder / name))
    with _PathWalk(folder, make=True) as walk:
        walk.go(_below(walk.homes, above), folders=True)
        above_descriptor, beside = walk.current, f".{os.urandom(8).hex()}.tmp"
        try:
            made = os.open(
                beside,
                os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC,
                mode,
                dir_fd=above_descriptor,
            )
            with os.fdopen(made, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(beside, last, src_dir_fd=above_descriptor, dst_dir_fd=above_descriptor)
        finally:
            with suppress(OSError):  # after the rename there is nothing left to remove
                os.unlink(beside, dir_fd=above_descriptor)


def remove_inside(folder: Path, name: str) -> None:
    """Remove a file, or a link itself, if it exists; raises as `open_inside`."""
    above, last = os.path.split(os.path.normpath(folder / name))
    with _PathWalk(folder) as walk, suppress(FileNotFoundError):
        walk.go(_below(walk.homes, above), folders=True)
        os.unlink(last, dir_fd=walk.current)


def is_inside(folder: Path, name: str) -> bool:
    """Return whether the path `name` exists and lies in `folder`."""
    try:
        _mode(folder, name)
    except Misfit:
        return True
    except (Outside, OSError, ValueError):
        return False
    return True


def is_folder(folder: Path, name: str) -> bool:
    """Return whether the path `name` is a folder that lies in `folder`."""
    with suppress(Outside, Misfit, OSError, ValueError):
        return stat.S_ISDIR(_mode(folder, name))
    return False


def leads_out(folder: Path, name: str) -> bool:
    """Return whether the path `name`, or the target of its links, lies outside of `folder`."""
    try:
        _mode(folder, name)
    except Outside:
        return True
    except (Misfit, OSError, ValueError):
        pass
    return False


def _mode(folder: Path, name: str) -> int:
    with _PathWalk(folder, last=_LOOK_UP) as walk:
        walk.go(_below(walk.homes, os.path.normpath(folder / name)))
        return os.fstat(walk.current).st_mode


class _PathWalk:
    """The folders from the workspace down to the current one, each open."""

    def __init__(self, folder: Path, *, make: bool = False, last: int = _FILE) -> None:
        """Start in `folder`; with `make`, missing folders are made; `last` opens the last part."""
        self._make, self._last = make, last
        self.homes = (str(folder.absolute()), str(folder.resolve()))
        self._opened = [os.open(self.homes[1], _FOLDER)]
        self._links = self._made = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in self._opened:
            os.close(descriptor)

    @property
    def current(self) -> int:
        """Return the descriptor of the current folder."""
        return self._opened[-1]

    def leave(self) -> int:
        """Return the descriptor of the current folder, which the caller closes."""
        return self._opened.pop()

    def go(self, parts: list[str], *, folders: bool = False) -> None:
        """Enter one part after the other; the parts of a link's target replace the link.

        `folders`: the last part is a folder too.
        """
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
        """Open a part; a link is not opened, but the parts of its target are returned."""
        current = self._opened[-1]
        try:
            target = os.readlink(part, dir_fd=current)
        except FileNotFoundError:
            self._made += 1
            # more than that: another program removes the folder each time
            if not self._make or self._made > _MOST_NEW_FOLDERS:
                raise
            with suppress(FileExistsError):
                os.mkdir(part, dir_fd=current)
            return [part]
        except OSError as fault:
            if fault.errno != errno.EINVAL:  # EINVAL: the part is not a link
                raise
            if last:
                _check_kind(part, current)
            # a link that was put there since is not followed: opening it fails
            self._opened.append(os.open(part, self._last if last else _FOLDER, dir_fd=current))
            return []
        self._links += 1
        if self._links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        if not target.startswith("/"):
            return target.split("/")
        rest = _below(self.homes, os.path.normpath(target))
        while len(self._opened) > 1:
            os.close(self._opened.pop())
        return rest


def _check_kind(part: str, folder: int) -> None:
    """Raise Misfit for a device or a pipe, which may begin to work when it is opened."""
    mode = os.stat(part, dir_fd=folder, follow_symlinks=False).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode) and not stat.S_ISLNK(mode):
        raise Misfit("is not a regular file")


def _below(homes: tuple[str, ...], path: str) -> list[str]:
    """Return the parts of an absolute path below one of `homes`; raises Outside.

    There are none for a home itself.
    """
    for home in homes:
        if path == home or path.startswith(f"{home.rstrip('/')}/"):
            return path[len(home) :].split("/")
    raise Outside
