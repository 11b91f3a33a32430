"""Pure. Names for people: the nearest known one, for hints, and a few of many."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

_LOOKED_AT = 5000  # of more names, such as a server's branches, those of about the same length


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint that names what `name` was probably meant to be, or what there is to choose from."""
    names = sorted(known)
    found = close(name, names)
    if found:
        return f"did you mean {found!r}?"
    return (
        f"known: {', '.join(names[:20])}{', ...' if len(names) > 20 else ''}"
        if names
        else "nothing of the kind is known"
    )


def close(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str:
    """The known name that is most like `name`, whatever the case of its letters; empty where none is as alike as `cutoff` (1: the same) says."""
    lowered = {candidate.lower(): candidate for candidate in sorted(known, reverse=True)}
    alike = (
        sorted(lowered, key=lambda candidate: abs(len(candidate) - len(name)))[:_LOOKED_AT]
        if len(lowered) > _LOOKED_AT
        else lowered
    )
    found = (
        [name.lower()]
        if name.lower() in lowered
        else get_close_matches(name.lower(), alike, n=1, cutoff=cutoff)
    )
    return lowered[found[0]] if found else ""


def swapped(name: str, known: Iterable[str]) -> str:
    """The known name that `name` is with two neighbours that changed places, which in a short one `close` does not see; else empty."""
    words = (name[:at] + name[at + 1] + name[at] + name[at + 2 :] for at in range(len(name) - 1))
    return (
        next(iter({word for word in words if word != name} & set(known)), "")
        if len(name) > 2
        else ""
    )


def some(names: Sequence[str], most: int = 5) -> str:
    """The names one after the other, of many the first and how many more there are."""
    return (
        ", ".join(names)
        if len(names) <= most
        else f"{', '.join(names[:most])} and {len(names) - most} more"
    )
