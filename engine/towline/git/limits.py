"""Limits on the memory and disk that a git server can make git use, over a whole step."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Sequence
from pathlib import Path

from towline.errors import ConfigError, GitError
from towline.git.errors import git_lines
from towline.limits import GIB, MIB, ProcessLimits, amount
from towline.process import Completed
from towline.record import replace

# A commit with its trees but without blobs takes some MiB in the largest repositories. A server
# that does not support partial clones sends all files along.
USUAL_LIMITS = ProcessLimits(memory=256 * MIB, file_size=192 * MIB)
STEP_LIMITS = ProcessLimits(memory=GIB, file_size=2 * GIB)
_UNFILTERED = "filtering not recognized by server"
_OUT_OF_DISK = re.compile(rf"File too large|died of signal {int(signal.SIGXFSZ)}\b")
_OUT_OF_MEMORY = re.compile(
    r"Out of memory|Cannot allocate memory|mmap failed|unable to create thread|std::bad_alloc",
    re.IGNORECASE,
)
_CLONING = {"clone", "fetch"}
_OWN_REPOSITORY = "keep what is deployed in a repository of its own"


class RepositoryTooLarge(ConfigError):
    """The output of git, or its need for memory or disk, is over the limits."""


class ServerSendsTooMuch(GitError):
    """The server sends more than the limits allow."""


class GitLimits:
    """The limits of git processes for one remote, whose repositories are in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.current = USUAL_LIMITS

    def for_remote(self, seconds: float) -> ProcessLimits:
        """The limits of a git that talks to the server: less disk by what the repositories use."""
        return replace(
            self.current,
            seconds=seconds,
            file_size=max(MIB, self.current.file_size - _used(self._folder)),
        )

    def for_local(self, seconds: float) -> ProcessLimits:
        """The limits of a git that works without the network."""
        return replace(self.current, seconds=seconds)

    def exceeded(self, done: Completed, text: str) -> str:
        """The limit, for people, that ended git; empty if git ended otherwise.

        `text` is git's error output.
        """
        lines = git_lines(text) if done.code else ""
        if done.code == -signal.SIGXFSZ or _OUT_OF_DISK.search(lines):
            return f"{amount(self.current.file_size)} on disk"
        return (
            f"{amount(self.current.memory)} of memory"
            if done.code and _OUT_OF_MEMORY.search(lines)
            else ""
        )

    def widen(self, words: Sequence[str], text: str) -> bool:
        """Raise the limits once if the server has no partial clones; return whether it did.

        Such a server sends all files, although no file was asked for.
        """
        filtered = any(word.startswith("--filter=") for word in words) and _UNFILTERED not in text
        wider = self.current is USUAL_LIMITS and not filtered and not _CLONING.isdisjoint(words)
        self.current = STEP_LIMITS if wider else self.current
        return wider

    def remove_partial_packs(self) -> None:
        """Remove packs that git could not finish: they would count for the next git."""
        for part in self._folder.glob("*/objects/pack/tmp_*"):
            part.unlink(missing_ok=True)

    def server_fault(self, limit: str, host: str, where: str) -> ServerSendsTooMuch:
        """The fault of a server that sends more than the limits allow."""
        hint = (
            f"{_OWN_REPOSITORY}; if it is large, let its server support partial clones"
            " (uploadpack.allowFilter)"
        )
        return ServerSendsTooMuch(
            f"{host} sends more than git may take here ({limit})", where=where, hint=hint
        )

    def repository_fault(self, limit: str, command: str, where: str) -> RepositoryTooLarge:
        """The fault of a repository whose contents need more than the limits allow."""
        return RepositoryTooLarge(
            f"git {command} needs more for this repository than it may take ({limit})",
            where=where,
            hint=_OWN_REPOSITORY,
        )


def _used(folder: Path) -> int:
    """The bytes of all files below `folder`."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += Path(parent, name).lstat().st_size
            except FileNotFoundError:  # git removes its temporary files
                continue
    return total
