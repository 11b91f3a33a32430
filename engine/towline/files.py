"""Files: the data that engine and library share, and writes that are whole or not at all."""

from __future__ import annotations

import contextlib
import os
import pwd
import stat
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from towline.errors import MachineError

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
