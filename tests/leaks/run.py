"""One run of the engine: its folders, its inputs, what was observed, and its files."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.fakes.registry import FakeRegistry
from tests.leaks.processes import Process
from tests.leaks.sources import Source
from tests.leaks.steps import Step

IN_MEMORY = Path("/dev/shm")
_LARGEST = 4 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class File:
    """A file as it was found: its bytes, its mode, and the mode of its folder."""

    path: Path
    mode: int
    folder_mode: int
    data: bytes


@dataclass(kw_only=True)
class Run:
    """One run of the engine: its folders, its inputs, and what was observed.

    `words` and `environ` are the arguments and the environment of the engine. It deploys to
    `repository` and pushes to `registry`. `made` are secrets that servers made meanwhile, `tokens`
    the tokens that Vault had before.
    """

    folder: Path
    step: Step
    sources: tuple[Source, ...]
    repository: Path
    registry: FakeRegistry
    words: list[str] = field(default_factory=list)
    environ: dict[str, str] = field(default_factory=dict)
    code: int = 0
    out: bytes = b""
    err: bytes = b""
    before: Mapping[Path, bytes] = field(default_factory=dict)
    others: set[Path] = field(default_factory=set)
    seen: set[Process] = field(default_factory=set)
    files: dict[tuple[str, int, int], File] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    heard: dict[str, bytes] = field(default_factory=dict)
    made: tuple[Source, ...] = ()
    tokens: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        for folder in (self.workspace, self.home, self.temporary, self.requested):
            folder.mkdir(parents=True)

    @property
    def workspace(self) -> Path:
        """The workspace of the build."""
        return self.folder / "agent/workspace"

    @property
    def requested(self) -> Path:
        """The folder in which the bridge writes the request and finds the result."""
        return self.folder / "agent/workspace@tmp/towline-1"

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def temporary(self) -> Path:
        return self.folder / "tmp"

    @property
    def log(self) -> Path:
        """The log of the hook, which is not searched."""
        return self.folder / "events"

    def told(self, event: str) -> list[dict[str, Any]]:
        """The events of this kind that the hook reported (traced_engine.py)."""
        return [one for one in self.events if one["event"] == event]

    @property
    def result(self) -> dict[str, Any]:
        """The result file; empty if it does not exist."""
        path = self.requested / "result.json"
        found: dict[str, Any] = (
            json.loads(path.read_text()) if path.is_file() and path.stat().st_size else {}
        )
        return found


def contents(run: Run) -> dict[Path, bytes]:
    """The bytes of every file in the run's folders."""
    folders = (run.workspace, run.home, run.temporary, run.requested.parent)
    return {
        path: path.read_bytes()
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def private_folders() -> set[Path]:
    """The private folders of all runs, wherever the engine makes them."""
    return {folder for base in (IN_MEMORY, Path("/tmp")) for folder in base.glob("towline-*")}


def below(folder: Path) -> Iterator[Path]:
    """The files below a folder; other processes may remove some meanwhile."""
    for above, _, names in os.walk(folder):
        yield from (Path(above, name) for name in names)


def private_files(run: Run) -> Iterator[tuple[tuple[str, int, int], File]]:
    """The files in the temporary folders at the moment, without those that are known already."""
    folders = [run.temporary, *(private_folders() - run.others)]
    for path in (path for folder in folders for path in below(folder)):
        with suppress(OSError):
            status = path.lstat()
            key = (str(path), status.st_size, status.st_mtime_ns)
            if (
                path.is_file()
                and not path.is_symlink()
                and key not in run.files
                and status.st_size < _LARGEST
            ):
                yield (
                    key,
                    File(
                        path=path,
                        mode=status.st_mode & 0o777,
                        folder_mode=path.parent.stat().st_mode & 0o777,
                        data=path.read_bytes(),
                    ),
                )
