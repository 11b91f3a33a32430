"""Files that a step's settings name, of at most 4 MiB.

A layer that a pull request can change can only name files inside the workspace.
"""

from __future__ import annotations

from pathlib import Path

from towline.errors import ConfigError
from towline.files import Misfit, Outside, misfit, read_inside
from towline.steps.task import Task

_LARGEST_FILE = 4 * 1024 * 1024


def find_file(folder: Path, name: str, *, where: str) -> bytes | None:
    """The content of the file `name` inside the workspace, None if it does not exist.

    Raises ConfigError for a file that lies outside, is too large, or cannot be read.
    """
    try:
        return read_inside(folder, name, _LARGEST_FILE)
    except Outside as fault:
        raise ConfigError(
            f"{name} leads out of the workspace",
            where=where,
            hint="keep the file itself in the workspace, not a link to it",
        ) from fault
    except Misfit as fault:
        raise _misfit(name, str(fault), where) from fault
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as fault:
        raise _unreadable(name, where) from fault


def named_file(task: Task, parameter: str) -> bytes:
    """The content of the file that a parameter names; raises ConfigError.

    A trusted layer may name any file, another layer one inside the workspace.
    """
    name, where = task.settings.text(parameter), task.settings.origin(parameter)
    trusted = task.settings.trusted(parameter)
    content = (
        read_file(task.folder / name, parameter, where)
        if trusted
        else find_file(task.folder, name, where=where)
    )
    if content is None:
        raise ConfigError(
            f"the file of {parameter} is not there",
            where=where,
            hint="correct the path, relative to the workspace",
        )
    return content


def read_file(path: Path, name: str, where: str) -> bytes:
    """The content of a file of at most 4 MiB, `name` in messages; raises ConfigError."""
    try:
        if why := misfit(path, _LARGEST_FILE):
            raise _misfit(name, why, where)
        return path.read_bytes()
    except (OSError, ValueError) as fault:  # ValueError: a null byte in a trusted layer's path
        raise _unreadable(name, where) from fault


def _misfit(name: str, why: str, where: str) -> ConfigError:
    return ConfigError(f"{name} cannot be read: it {why}", where=where, hint="correct the path")


def _unreadable(name: str, where: str) -> ConfigError:
    return ConfigError(
        f"{name} cannot be read", where=where, hint="correct the path or the file's permissions"
    )
