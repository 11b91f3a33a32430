"""The processes that an engine has: what each was started with, and of which kind it is, for who
may have which secret.

A look reads /proc, where there is one, while a server holds up the engine's request: so it meets
what waits for an answer for certain.
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
SCRIPT = "tell.sh"  # that program's name
PROC = Path("/proc")
_NETWORK = frozenset({"fetch", "push", "ls-remote", "clone"})


@dataclass(frozen=True, kw_only=True)
class Process:
    """A process as the system shows it: its arguments and its environment, each one after the
    other.
    """

    kind: str
    words: bytes
    environ: bytes


def kind_of(words: Sequence[str]) -> str:
    """What a child is, by its arguments: the name of its program, but for git and credential
    helpers.
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
    """All processes of the machine, none where it does not show them."""
    names = [path.name for path in PROC.iterdir()] if PROC.is_dir() else []
    return frozenset(int(name) for name in names if name.isdecimal())


def look(engine: int, before: frozenset[int]) -> set[Process]:
    """What runs now and did not run `before`: the engine, without the environment that it was
    given, and all others.
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
    """What git starts for its talk with the repository, a credential helper or a program of the
    caller's, is of the same kind.
    """
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
    """Whether a process that an engine has left behind, when it was killed, is a git that the
    engine has not started by itself: it names the repository.
    """
    return (
        bool(chain)
        and kind_of(chain[0]) == LOCAL_GIT
        and not any(word.startswith("--git-dir=") for word in chain[0])
    )


def _words(number: int) -> list[str]:
    return (PROC / str(number) / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
