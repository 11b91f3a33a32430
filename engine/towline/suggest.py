"""Pure. The nearest known name, for hints."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint that names what `name` was probably meant to be, or what there is to choose from."""
    names = sorted(known)
    lowered = {candidate.lower(): candidate for candidate in names}
    close = [name.lower()] if name.lower() in lowered else get_close_matches(name.lower(), lowered, n=1, cutoff=0.6)
    if close:
        return f"did you mean {lowered[close[0]]!r}?"
    return f"known: {', '.join(names[:20])}{', ...' if len(names) > 20 else ''}" if names else "nothing of the kind is known"
