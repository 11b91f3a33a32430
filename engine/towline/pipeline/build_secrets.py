"""The secrets of one build on this agent: what the engine has learned and Jenkins need not know.

Each is a file in a folder of the build, outside of the workspace and for this user alone, in memory
if the machine has such a place. The pipeline environment has a handle in its place:
`towline-secret:ID`, behind which the sealed secret may stand (sealing.py).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from towline.errors import MachineError
from towline.files import Misfit, Outside, read_inside, write_whole
from towline.literals import from_json
from towline.pipeline.build_folder import BaseFolder, BuildFolder, no_base, state_base
from towline.private_folder import memory_folders
from towline.record import frozen

_HANDLE = re.compile(r"towline-secret:([0-9a-f]{32})(?::([A-Za-z0-9_=-]+))?")
_ON_DISK = Path("towline", "secrets")
_OLD = 24 * 3600.0  # seconds; later steps fetch what they need again
_LARGEST = 1024 * 1024


@frozen
class Handle:
    """What stands in the place of a secret: the name of its file, and its sealed form, if any."""

    id: str
    sealed: str = ""

    def __str__(self) -> str:
        return f"towline-secret:{self.id}{f':{self.sealed}' if self.sealed else ''}"


def handle_of(value: object) -> Handle | None:
    """The handle that a value is; None if it is not a handle."""
    found = _HANDLE.fullmatch(value) if isinstance(value, str) else None
    return Handle(id=found[1], sealed=found[2] or "") if found else None


class BuildSecrets:
    """The secrets of the build that its CI system names by `build`."""

    def __init__(self, workspace: Path, build: Sequence[str], environ: Mapping[str, str]) -> None:
        in_memory = Path(f"towline-secrets-{os.geteuid()}")  # each user has a folder of his own
        folders = [
            BuildFolder(BaseFolder(path=base), in_memory, build, lifetime=_OLD)
            for base in memory_folders(environ)
        ]
        if base := state_base(environ, workspace, _ON_DISK):
            folders.append(BuildFolder(base, _ON_DISK, build, lifetime=_OLD))
        self._folders = folders

    def keep(self, value: object) -> str:
        """Write a secret, and return the id of its handle; raises MachineError if that fails."""
        name, data = self.new_id(), json.dumps(value).encode()
        fault = no_base()
        for folder in self._folders:
            try:
                folder.make()
                write_whole(folder.path / name, data, mode=0o600, lasting=False)
            except MachineError as failed:
                fault = failed
            else:
                return name
        raise fault

    @staticmethod
    def new_id() -> str:
        """Return an id that nobody can guess."""
        return os.urandom(16).hex()

    def read(self, name: str) -> tuple[object] | None:
        """The secret of that id, in a tuple of its own; None if it is not on this agent."""
        for folder in self._folders:
            if folder.is_private():
                try:
                    value = from_json(read_inside(folder.path, name, _LARGEST).decode())
                    os.utime(folder.path)
                except (Outside, Misfit, OSError, ValueError):
                    continue
                return (value,)
        return None

    def sweep(self) -> None:
        """Remove the secrets of this user's builds that are over, and what killed runs left."""
        for folder in self._folders:
            folder.sweep()
