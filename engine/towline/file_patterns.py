"""Pure.

File patterns of the configuration, and the paths of a repository that they match.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from towline.errors import ConfigError
from towline.git import tree
from towline.suggest import nearest

_MOST_ALTERNATIVES, _MOST_CHARACTERS = 256, 256 * 1024
_BRACES = re.compile(r"\{([^{}]*)\}")
_PIECE = re.compile(r"\*+|\?|\[[!^]?.[^\]]*\]|.", re.DOTALL)


def clean_path(path: str, *, inside: str = "repository") -> str:
    """A path of the configuration as git writes it, without `./`.

    Raises ConfigError if it does not stay inside the repository.
    """
    return tree.check_path("/".join(part for part in path.split("/") if part != "."), inside=inside)


def match_files(pattern: str, listing: Sequence[str]) -> tuple[str, ...]:
    """The paths in `listing` that are `pattern` or match it; raises ConfigError.

    `**` spans folders; `*`, `?` and `[...]` stay in one; `{a,b}` are alternatives.
    """
    clean = clean_path(pattern)
    if clean in listing:
        return (clean,)
    found: set[str] = set()
    for alternative in _alternatives(clean):
        literal = re.split(r"[*?\[]", alternative, maxsplit=1)[0]
        parts = [None if part == "**" else _part(part) for part in alternative.split("/")]
        found.update(
            path
            for path in listing
            if path.startswith(literal) and _matches(parts, path.split("/"))
        )
    return tuple(path for path in listing if path in found)


def select_files(pattern: str, listing: Sequence[str]) -> tuple[str, ...]:
    """As `match_files`, but raises ConfigError with near names if no path matches."""
    found = match_files(pattern, listing)
    if not found:
        raise ConfigError(
            f"no file of the repository fits {pattern!r}",
            hint=nearest(pattern, _candidates(pattern, listing)),
        )
    return found


def _candidates(pattern: str, listing: Sequence[str]) -> Sequence[str]:
    """At most 1,000 paths to compare: of the same file name, else of the same folder, else any."""
    folder, _, name = pattern.rpartition("/")
    beside = [path for path in listing if path.rpartition("/")[0] == folder]
    alike = [path for path in listing if path.rpartition("/")[2] == name]
    return (alike or beside or listing)[:1000]


def _alternatives(pattern: str) -> list[str]:
    """All alternatives of the braces, from the innermost outwards.

    Raises ConfigError before they become too many or too long.
    """
    done: list[str] = []
    waiting = [pattern]
    while waiting:
        text = waiting.pop()
        braces = _BRACES.search(text)
        choices = braces.group(1).split(",") if braces else [""]
        _check_amount(pattern, len(done) + len(waiting) + len(choices))
        if braces is None:
            done.append(text)
        else:
            before, after = text[: braces.start()], text[braces.end() :]
            waiting += [before + choice + after for choice in choices]
    return done


def _check_amount(pattern: str, alternatives: int) -> None:
    if alternatives > _MOST_ALTERNATIVES:
        raise ConfigError(
            f"{pattern!r} has more than {_MOST_ALTERNATIVES} alternatives",
            hint="use * or ** instead of some of them",
        )
    if alternatives * len(pattern) > _MOST_CHARACTERS:
        raise ConfigError(
            f"{pattern!r} is too long",
            hint=f"all its alternatives together may have {_MOST_CHARACTERS} characters",
        )


def _part(part: str) -> re.Pattern[str]:
    """The expression for one folder's or file's name.

    The text after a star is found at its first place and not tried again, so no pattern is slow.
    """
    groups: list[str] = [""]
    for piece in _PIECE.findall(part):
        if piece.startswith("*"):
            groups.append("")
        elif piece == "?":
            groups[-1] += "."
        elif len(piece) > 1:
            groups[-1] += _class(piece[1:-1])
        else:
            groups[-1] += re.escape(piece)
    middle = "".join(f"(?>.*?{group})" for group in groups[1:-1])
    text = groups[0] + (f"{middle}.*{groups[-1]}" if len(groups) > 1 else "")
    try:
        return re.compile(text, re.DOTALL)
    except re.error as fault:
        raise ConfigError(
            f"{part!r} is not a file pattern", hint="a range in [...] goes upwards"
        ) from fault


def _class(text: str) -> str:
    """The expression for the text between brackets: characters and ranges."""
    is_negated = len(text) > 1 and text[0] in "!^"
    ranges = re.findall(r"(.)-(.)|(.)", text[is_negated:], re.DOTALL)
    members = [
        f"{re.escape(low)}-{re.escape(high)}" if low else re.escape(single)
        for low, high, single in ranges
    ]
    return f"[{'^' if is_negated else ''}{''.join(members)}]"


def _matches(parts: Sequence[re.Pattern[str] | None], path: Sequence[str]) -> bool:
    reached = {0}
    for part in parts:
        if part is None:
            reached = set(range(min(reached), len(path) + 1))
        else:
            reached = {
                position + 1
                for position in reached
                if position < len(path) and part.fullmatch(path[position])
            }
        if not reached:
            return False
    return len(path) in reached
