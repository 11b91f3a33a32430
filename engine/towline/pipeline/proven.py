"""The proven copy: what this build's own steps have written into the pipeline environment, kept outside of the workspace.

A pull request can commit files below `.pipeline/commonPipelineEnvironment`, and a container of the build can change them; it cannot
write here. Secrets are not kept: a value that is one is never proven.
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
        self._base = _base(environ, workspace)

    def read(self) -> dict[str, object]:
        """What was kept; nothing where there is no copy, or none that this user alone can have written."""
        if self._base is None or not _is_private(self._folder) or not _is_private(self._folder.parent):
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
            raise MachineError(f"{fault.strerror}", where=str(fault.filename), hint=_HINT) from fault
        if not _is_private(self._folder) or not _is_private(self._folder.parent):
            raise MachineError("others can write there", where=str(self._folder), hint=_HINT)
        open_values = {key: None if any(secret_texts({key: value})) else value for key, value in values.items()}  # nor what it was before
        environment.write(self._folder, open_values, "", partial(write_whole, mode=0o600, lasting=False))

    @property
    def _folder(self) -> Path:
        assert self._base is not None
        return self._base / _OWN / self._name


_HINT = "set XDG_STATE_HOME on the agent to a folder of this user that lies outside of every workspace"


def _base(environ: Mapping[str, str], workspace: Path) -> Path | None:
    """The first of the user's own places for it that lies outside of the workspace; on GitHub a job's own, which the runner empties."""
    home = environ.get("HOME", "")
    places = (environ.get(_RUNNER, ""), environ.get("XDG_STATE_HOME", ""), f"{home}/.local/state" if home else "")
    found = (Path(place) for place in places if place.startswith("/"))
    return next((place for place in found if not in_workspace(place / _OWN, workspace)), None)


def _is_private(folder: Path) -> bool:
    """Whether it is a folder, and none but this user can write into it."""
    try:
        status = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o022


def _sweep(folder: Path) -> None:
    """Remove the copies of builds that are over."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _NAME.fullmatch(entry.name) and time.time() - entry.stat(follow_symlinks=False).st_mtime > _OLD:
                shutil.rmtree(entry.path, ignore_errors=True)
