"""Files: the data that engine and library share, and writes that are whole or not at all."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from towline.errors import MachineError


def resource_text(name: str) -> str:
    """The text of `resources/towline/<name>`, from a folder or a zipapp alike; raises OSError."""
    data: bytes = globals()["__loader__"].get_data(str(Path(__file__).parent / "resources" / name))
    return data.decode("utf-8")


def version() -> str:
    """The version that library and engine share."""
    return resource_text("VERSION").strip()


def in_workspace(path: Path, folder: Path) -> bool:
    """Whether `path`, or what it leads to, lies in the workspace `folder`, whose files a pull request can change; nothing does where that is `/`."""
    homes = {folder.absolute(), folder.resolve()} - {Path("/")}
    places = (Path(os.path.normpath(path.absolute())), path.resolve())
    return any(place.is_relative_to(home) for place in places for home in homes)


def write_whole(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write `data` beside `path`, flush it to disk and rename it there; raises MachineError."""
    beside = path.with_name(f".{os.urandom(8).hex()}.tmp")  # not the process id: in a container every run may have the same
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(path)
    except OSError as fault:
        raise MachineError(f"cannot write {path.name}: {fault.strerror}", where=str(path), hint="free space or fix the folder's permissions") from fault
    finally:
        with contextlib.suppress(OSError):  # after the rename there is nothing left to remove
            beside.unlink()
