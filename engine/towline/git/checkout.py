"""The workspace's own checkout, for hints and for what is not to be built again: where it comes from, and its last commits. Read only."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from towline.errors import TowlineError
from towline.process import Overrun, find, run

_SECONDS = 10.0
_HISTORY = 100


@dataclass(frozen=True, kw_only=True)
class Revision:
    """A commit's id and message."""

    id: str
    message: str


def origin(folder: Path, environ: Mapping[str, str]) -> str:
    """The URL of the remote `origin` as `folder`'s own git configuration has it; empty where there is no checkout, no git or no such remote.

    Only the one file is read: nothing of the machine's settings, and nothing that it includes.
    """
    settings = folder / ".git" / "config"
    return _ask(folder, environ, "config", "--file", str(settings), "--no-includes", "--get", "remote.origin.url").strip() if settings.is_file() else ""


def history(folder: Path, environ: Mapping[str, str]) -> tuple[Revision, ...]:
    """The commit that is checked out in `folder` and its first parents, as far as they are there, newest first; empty where there is no checkout or no git."""
    if not (folder / ".git").exists():
        return ()
    words = ("-c", f"safe.directory={folder}", "-c", "log.showSignature=false", "log", "--first-parent", f"--max-count={_HISTORY}", "--format=%H%n%B%x00")
    entries = [entry.strip("\n").partition("\n") for entry in _ask(folder, environ, *words).split("\0")]
    return tuple(Revision(id=name, message=message) for name, _, message in entries if name)


def _ask(folder: Path, environ: Mapping[str, str], *words: str) -> str:
    """What git answers; empty where there is none, or it fails."""
    program = find("git", environ)
    if not program:
        return ""
    environment = {"PATH": environ.get("PATH", os.defpath), "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}
    try:
        done = run([program, *words], environment=environment, folder=folder, seconds=_SECONDS)
    except (TowlineError, Overrun):
        return ""
    return done.out.decode("utf-8", "replace") if done.code == 0 else ""
