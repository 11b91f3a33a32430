"""How much memory and disk a git server may make git take: over the whole of a step, whatever it sends and however often."""

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

# One commit without what its files hold is some MiB in the largest of repositories. A server that
# knows no partial clones sends all files along.
USUAL_LIMITS = ProcessLimits(memory=256 * MIB, file_size=192 * MIB)
STEP_LIMITS = ProcessLimits(memory=GIB, file_size=2 * GIB)
_UNFILTERED = "filtering not recognized by server"
_DISK = re.compile(rf"File too large|died of signal {int(signal.SIGXFSZ)}\b")
_MEMORY = re.compile(
    r"Out of memory|Cannot allocate memory|mmap failed|unable to create thread|std::bad_alloc",
    re.IGNORECASE,
)
_COPYING = {"clone", "fetch"}
_FEWER = "keep what is deployed in a repository of its own"


class RepositoryTooLarge(ConfigError):
    """What git gives is more than this process takes."""


class ServerSendsTooMuch(GitError):
    """A server sends more than this process takes."""


class GitLimits:
    """What git may take for one remote, whose copies lie in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.current = USUAL_LIMITS

    def for_remote(self, seconds: float) -> ProcessLimits:
        """Those of a git that talks to the server: of the disk what the copies have left of it."""
        return replace(
            self.current,
            seconds=seconds,
            file_size=max(MIB, self.current.file_size - _used(self._folder)),
        )

    def for_local(self, seconds: float) -> ProcessLimits:
        """Those of a git that works with what is here."""
        return replace(self.current, seconds=seconds)

    def exceeded(self, done: Completed, text: str) -> str:
        """What of its room git has ended for, where it has; `text` is what it said."""
        own = git_lines(text) if done.code else ""
        if done.code == -signal.SIGXFSZ or _DISK.search(own):
            return f"{amount(self.current.file_size)} on disk"
        return (
            f"{amount(self.current.memory)} of memory" if done.code and _MEMORY.search(own) else ""
        )

    def widen(self, words: Sequence[str], text: str) -> bool:
        """Whether there is more room from now on: a server that knows no partial clones sends what nobody has asked for."""
        filtered = any(word.startswith("--filter=") for word in words) and _UNFILTERED not in text
        wider = self.current is USUAL_LIMITS and not filtered and not _COPYING.isdisjoint(words)
        self.current = STEP_LIMITS if wider else self.current
        return wider

    def remove_partial_packs(self) -> None:
        """Take away what git could not write to its end, and leaves: it would count for the next one."""
        for part in self._folder.glob("*/objects/pack/tmp_*"):
            part.unlink(missing_ok=True)

    def server_fault(self, what: str, host: str, where: str) -> ServerSendsTooMuch:
        """The fault of a server that gives more than that."""
        hint = (
            f"{_FEWER}; where it is large, let its server know partial clones"
            " (uploadpack.allowFilter)"
        )
        return ServerSendsTooMuch(
            f"{host} sends more than git may take here ({what})", where=where, hint=hint
        )

    def repository_fault(self, what: str, command: str, where: str) -> RepositoryTooLarge:
        """The fault of contents that take more than that."""
        return RepositoryTooLarge(
            f"git {command} needs more for this repository than it may take ({what})",
            where=where,
            hint=_FEWER,
        )


def _used(folder: Path) -> int:
    """The bytes of all files below."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += Path(place, name).lstat().st_size
            except FileNotFoundError:  # git puts its own away
                continue
    return total
