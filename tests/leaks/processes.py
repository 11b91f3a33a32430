"""The processes of an engine: their arguments, their environment, and their kind.

The kind decides which secrets a process may have. A look reads /proc, if the machine has it, while
a server holds up the engine's request: so a process that waits for the answer is met for certain.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

GIT = "git that talks to the repository"
LOCAL_GIT = "git without a network"
HELPER = "credential helper"
PROGRAM = "program of the caller's own"  # what `towline exec` runs
ENGINE = "the engine"
SCRIPT = "tell.sh"  # the file name of that program
PROC = Path("/proc")
_NETWORK = frozenset({"fetch", "push", "ls-remote", "clone"})


@dataclass(frozen=True, kw_only=True)
class Process:
    """A process as the system shows it: arguments and environment, joined by null bytes."""

    kind: str
    words: bytes
    environ: bytes


def kind_of(words: Sequence[str]) -> str:
    """The kind of a child by its arguments; for most it is the name of the program.

    git, credential helpers and the caller's own program have kinds of their own.
    """
    name = Path(words[0]).name if words and words[0] else "unknown"
    if any(word.endswith(SCRIPT) for word in words):
        return PROGRAM
    if name == "git":
        return GIT if _NETWORK & set(words) else LOCAL_GIT
    return (
        HELPER
        if name.startswith("docker-credential-")
        or any("/docker-credential-" in word for word in words)
        else name
    )


def numbers() -> frozenset[int]:
    """The numbers of all processes of the machine; none if the machine does not show them."""
    names = [path.name for path in PROC.iterdir()] if PROC.is_dir() else []
    return frozenset(int(name) for name in names if name.isdecimal())


def look(engine: int, before: frozenset[int]) -> set[Process]:
    """The processes that run now and did not run `before`.

    The engine is among them without its environment, which has all secrets.
    """
    return {one for number in numbers() - before if (one := _process(number, engine))}


def _process(number: int, engine: int) -> Process | None:
    with suppress(OSError):
        words = (PROC / str(number) / "cmdline").read_bytes()
        if number == engine:
            return Process(kind=ENGINE, words=words, environ=b"")
        return Process(
            kind=_kind(number, engine),
            words=words,
            environ=(PROC / str(number) / "environ").read_bytes(),
        )
    return None


def _kind(number: int, engine: int) -> str:
    """The kind of a process: that of the git, helper or program that it descends from, if any."""
    chain = []
    while number not in (0, 1, engine):
        chain.append(_words(number))
        number = int((PROC / str(number) / "stat").read_text().rpartition(") ")[2].split()[1])
    kinds = [kind_of(words) for words in chain]
    if number != engine and _of_another_git(chain):
        return GIT
    return next(
        (kind for kind in (GIT, HELPER, PROGRAM) if kind in kinds), kinds[0] if kinds else ENGINE
    )


def _of_another_git(chain: Sequence[Sequence[str]]) -> bool:
    """Whether a process that outlived a killed engine belongs to the repository's git.

    The engine's own git commands name the repository, the others do not.
    """
    return (
        bool(chain)
        and kind_of(chain[0]) == LOCAL_GIT
        and not any(word.startswith("--git-dir=") for word in chain[0])
    )


def _words(number: int) -> list[str]:
    return (PROC / str(number) / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
