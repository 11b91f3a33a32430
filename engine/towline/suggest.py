"""Suggestions for misspelt names: the nearest known name, and a few names of many."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from towline import dispatch

# How alike two names must be for a suggestion: difflib's ratio, 1 for equal names. The cutoff is
# higher if `name` may well be a name of somebody else's, or if a wrong suggestion does harm.
CUTOFF_SLIP = 0.5  # names that are known to be one slip away
CUTOFF_HINT = 0.6  # the hint of a certain error: a wrong suggestion does no harm
CUTOFF_FEW = 0.7  # a handful of names, such as sections or the images of a kustomization
CUTOFF_KEY = 0.8  # a key or a stage, among those of one file
CUTOFF_RULE = 0.82  # a rule of the platform team
CUTOFF_NAME = 0.85  # a name among those of other people's steps
CUTOFF_VARIABLE = 0.88  # variables have a prefix in common
CUTOFF_SECRET = 0.92  # a flag with one wrong letter, even if its name is that of a secret
_MOST_COMPARED = 5000  # names; of more, such as branches, those of the most similar length
_MOST_LISTED = 20


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint that names the known name most like `name`, or lists the known names."""
    names = sorted(known)
    found = close(name, names)
    if found:
        return f"did you mean {found!r}?"
    if not names:
        return "nothing of the kind is known"
    more = ", ..." if len(names) > _MOST_LISTED else ""
    return f"known: {', '.join(names[:_MOST_LISTED])}{more}"


def close(name: str, known: Iterable[str], *, cutoff: float = CUTOFF_HINT) -> str:
    """The known name that is most like `name`, whatever its case; empty if none reaches `cutoff`.

    `cutoff` is one of this module's.
    """
    lowered = {candidate.lower(): candidate for candidate in sorted(known, reverse=True)}
    if name.lower() in lowered:
        return lowered[name.lower()]
    candidates = list(lowered)
    if len(candidates) > _MOST_COMPARED:
        candidates.sort(key=lambda candidate: abs(len(candidate) - len(name)))
    found = dispatch.standard_module("difflib").get_close_matches(
        name.lower(), candidates[:_MOST_COMPARED], 1, cutoff
    )
    return lowered[found[0]] if found else ""


def of_like_length(name: str, known: Iterable[str], most: int) -> list[str]:
    """The known names that have at most `most` letters more or less than `name`."""
    return [each for each in known if abs(len(each) - len(name)) <= most]


def swapped(name: str, known: Iterable[str]) -> str:
    """The known name that differs from `name` by two swapped neighbours only; else empty.

    `close` does not find such a name if it is short. Names of one or two letters never match.
    """
    if len(name) <= 2:
        return ""
    return next((each for each in known if _are_swapped(*_difference(name, each))), "")


def one_slip_away(name: str, known: Iterable[str]) -> list[str]:
    """The known names that differ from `name` by one letter, two swapped ones, or case alone."""
    return [each for each in known if _is_one_slip(*_difference(name.lower(), each.lower()))]


def slip_candidates(name: str, known: frozenset[str]) -> set[str]:
    """The few of hundreds of known names that `one_slip_away` has to compare with `name`.

    Two names that are one slip apart have a text in common once each of them may lose one letter.
    """
    if len(name) > max(map(len, known), default=0) + 1:
        return set()
    by_shortened = _by_shortened(known)
    return {each for word in _shortened(name.lower()) for each in by_shortened.get(word, ())}


@lru_cache(maxsize=64)
def _by_shortened(known: frozenset[str]) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for each in known:
        for word in _shortened(each.lower()):
            found[word].append(each)
    return found


def _shortened(word: str) -> set[str]:
    """The word, and each text that is left of it without one of its letters."""
    return {word, *(word[:at] + word[at + 1 :] for at in range(len(word)))}


def _is_one_slip(left: str, right: str) -> bool:
    return max(len(left), len(right)) <= 1 or _are_swapped(left, right)


def _are_swapped(left: str, right: str) -> bool:
    return len(left) == len(right) == 2 and left == right[::-1]


def _difference(left: str, right: str) -> tuple[str, str]:
    """The parts of two texts that are left without their common start and end."""
    start = _common_length(left, right)
    left, right = left[start:], right[start:]
    end = _common_length(left[::-1], right[::-1])
    return left[: len(left) - end], right[: len(right) - end]


def _common_length(left: str, right: str) -> int:
    """The length of the common start of two texts."""
    for length, (left_letter, right_letter) in enumerate(zip(left, right, strict=False)):
        if left_letter != right_letter:
            return length
    return min(len(left), len(right))


def list_some(names: Sequence[str], most: int = 5) -> str:
    """The names, separated by commas; if there are more than `most`, the first and "N more"."""
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[:most])} and {len(names) - most} more"
