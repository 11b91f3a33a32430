"""The proven copy: what this build's own steps have written into the pipeline environment, kept outside of the workspace.

A pull request can commit files below `.pipeline/commonPipelineEnvironment`, and a container of the
build can change them; it cannot write here. Secrets are not kept: a value that is one is never
proven.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import stat
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from towline.errors import MachineError, TowlineError
from towline.files import in_workspace, write_whole
from towline.pipeline import environment
from towline.secret_names import secret_texts
from towline.ways import writable

_OWN = Path("towline", "builds")
_NAME = re.compile(r"[0-9a-f]{32}")
_OLD = 30 * 24 * 3600.0  # seconds: no build waits longer for somebody's approval
_RUNNER = "RUNNER_TEMP"


class Copy:
    """The copy of one build in one workspace; `build` is what the CI system calls it, nothing at all on a laptop."""

    def __init__(self, workspace: Path, build: Sequence[str], environ: Mapping[str, str]) -> None:
        words = "\0".join((str(workspace.resolve()), *build))
        self._name = hashlib.sha256(words.encode(errors="replace")).hexdigest()[:32]
        self._workspace = workspace
        self._base, self._keepers = _base(environ, workspace)

    def read(self) -> dict[str, object]:
        """What was kept; nothing where there is no copy, or none that this user alone can have written."""
        if self._base is None or not self._is_private():
            return {}
        try:
            return environment.read(self._folder, "")
        except TowlineError:  # somebody has broken it
            return {}

    def keep(self, values: Mapping[str, object]) -> None:
        """Keep `values` too, None for what is gone; raises MachineError where that cannot be done."""
        if self._base is None:
            raise MachineError("there is no folder outside of the workspace for it", hint=_HINT)
        try:
            for folder in reversed((self._folder, *self._folder.parents)):
                if not folder.exists():
                    folder.mkdir(mode=0o700, exist_ok=True)
            os.utime(self._folder)
            _sweep(self._folder.parent)
        except OSError as fault:
            raise MachineError(
                f"{fault.strerror}", where=str(fault.filename), hint=_HINT
            ) from fault
        if not self._is_private():
            where = writable(self._folder, self._keepers) or self._folder
            raise MachineError("others can write there", where=str(where), hint=_HINT)
        # nor what it was before
        open_values = {
            key: None if any(secret_texts({key: value})) else value for key, value in values.items()
        }
        environment.write(
            self._folder, open_values, "", partial(write_whole, mode=0o600, lasting=False)
        )

    def _is_private(self) -> bool:
        """Whether this user alone can have written what is there, or put another folder in its place."""
        both = _is_own(self._folder) and _is_own(self._folder.parent)
        return both and writable(self._folder, self._keepers) is None

    @property
    def _folder(self) -> Path:
        assert self._base is not None
        return self._base / _OWN / self._name


_HINT = (
    "set XDG_STATE_HOME on the agent to a folder of this user that lies outside of every workspace"
)


def _base(environ: Mapping[str, str], workspace: Path) -> tuple[Path | None, frozenset[int]]:
    """The first of the user's own places for it outside of the workspace that nobody else can write to, and who else may own what is above.

    On GitHub a job's own comes first, which the runner empties; in a container the runner is
    another user there, who is no stranger: the job is his. Where others can write to all, it is the
    first.
    """
    home = environ.get("HOME", "")
    runner = environ.get(_RUNNER, "")
    places = (runner, environ.get("XDG_STATE_HOME", ""), f"{home}/.local/state" if home else "")
    found = [
        (Path(place), _owner(place) if place == runner else frozenset[int]())
        for place in places
        if place.startswith("/") and not in_workspace(Path(place) / _OWN, workspace)
    ]
    private = [one for one in found if writable(one[0] / _OWN, one[1]) is None]
    return next(iter((*private, *found)), (None, frozenset()))


def _owner(place: str) -> frozenset[int]:
    with contextlib.suppress(OSError):
        return frozenset({Path(place).stat().st_uid})
    return frozenset()


def _is_own(folder: Path) -> bool:
    """Whether it is a folder, and none but this user can write into it."""
    try:
        status = folder.lstat()
    except OSError:
        return False
    return (
        stat.S_ISDIR(status.st_mode)
        and status.st_uid == os.geteuid()
        and not status.st_mode & 0o022
    )


def _sweep(folder: Path) -> None:
    """Remove the copies of builds that are over."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if (
                _NAME.fullmatch(entry.name)
                and time.time() - entry.stat(follow_symlinks=False).st_mtime > _OLD
            ):
                shutil.rmtree(entry.path, ignore_errors=True)
