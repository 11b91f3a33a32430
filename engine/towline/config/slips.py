"""Pure.

Which known name was meant by one that nobody reads: a few letters away, and no name that other
people's steps have.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import lru_cache

from towline.suggest import close

SECTIONS = ("general", "steps", "stages", "customDefaults", "hooks")
_NEAR, _NEAR_STAGE, _NEAR_SECTION, _SHORTEST, _SLIPS = 0.85, 0.8, 0.7, 6, 2
_ID = re.compile(r"ids?\Z", re.IGNORECASE)
# parameters of Piper's mtaBuild and golangBuild, one letter away from one of ours
_THEIRS = frozenset({"target", "targetArchitectures"})


def section_slip(key: str) -> str:
    """The section of a document that `key` is probably meant to be; empty if it is one, or rather a name of its own."""
    return (
        ""
        if key in SECTIONS or key.startswith(("x-", ".", "_"))
        else close(key, SECTIONS, cutoff=_NEAR_SECTION)
    )


@lru_cache(maxsize=8192)
def slip(name: str, known: frozenset[str], *, cutoff: float = _NEAR) -> str:
    """The known name that `name` is a slip of, a few letters away and no word more or less; empty where it is rather a name of its own."""
    return close(
        name, (each for each in known if abs(len(each) - len(name)) <= _SLIPS), cutoff=cutoff
    )


def alike(name: str, known: Iterable[str]) -> list[str]:
    """The known names that `name` may be a slip of: an id of something is another thing than that."""
    return [each for each in known if bool(_ID.search(name)) == bool(_ID.search(each))]


def stage_slip(name: str, known: frozenset[str]) -> str:
    """The known stage that `name` is a slip of; empty where it is rather a stage of its own, such as `Release 2`."""
    near = slip(name, known, cutoff=_NEAR_STAGE)
    return "" if re.match(rf"{re.escape(near)}[^a-z]", name, re.IGNORECASE) else near


@lru_cache(maxsize=8192)
def key_slip(name: str, known: frozenset[str]) -> str:
    """The known key that `name` is one slip away from, where other people's keys may stand, too; empty where there is none."""
    if len(name) < _SHORTEST or name in _THEIRS:
        return ""
    return close(name, one_slip_away(name, _candidates(name, known)), cutoff=0.5)


def _candidates(name: str, known: frozenset[str]) -> set[str]:
    """The few of hundreds of known names that may be one slip away: without one letter each, they and `name` meet."""
    shorter = _by_shorter(known)
    if len(name) > max(map(len, known), default=0) + 1:
        return set()
    return {each for word in _shorter(name.lower()) for each in shorter.get(word, ())}


@lru_cache(maxsize=64)
def _by_shorter(known: frozenset[str]) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for each in known:
        for word in _shorter(each.lower()):
            found[word].append(each)
    return found


def _shorter(word: str) -> set[str]:
    """The word, and what is left of it without one of its letters."""
    return {word, *(word[:at] + word[at + 1 :] for at in range(len(word)))}


def one_slip_away(name: str, known: Iterable[str]) -> list[str]:
    """The known names that differ from `name` by one letter, by two that changed places, or by the case of letters alone."""
    return [each for each in known if _is_one(name.lower(), each.lower())]


def _is_one(one: str, other: str) -> bool:
    if one == other:
        return True
    start = next(
        (at for at, (left, right) in enumerate(zip(one, other, strict=False)) if left != right),
        min(len(one), len(other)),
    )
    one, other = one[start:], other[start:]
    end = next(
        (
            at
            for at, (left, right) in enumerate(zip(reversed(one), reversed(other), strict=False))
            if left != right
        ),
        min(len(one), len(other)),
    )
    one, other = one[: len(one) - end], other[: len(other) - end]
    return max(len(one), len(other)) <= 1 or (len(one) == len(other) == 2 and one == other[::-1])
