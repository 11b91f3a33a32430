"""Pure.

The trailers of a commit message, as git finds them (git-interpret-trailers), and more of them put
to those that are there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_BLANK = re.compile(r"\n(?:[ \t]*\n)+")
_TRAILER = re.compile(r"[A-Za-z0-9-]+[ \t]*:")
_GIT_OWN = ("Signed-off-by: ", "(cherry picked from commit ")


def append(text: str, lines: Sequence[str], *, reserved: Sequence[str]) -> str:
    """The message `text` with `lines` in its last paragraph: in the one of its own trailers, so that git finds all of them, else in a new one.

    Trailers of `text` whose names begin with one of `reserved` are left out: they would be taken
    for what `lines` say.
    """
    body, own = _split(text.replace("\r\n", "\n").strip())
    kept = _without(own, reserved)
    paragraphs = [[*kept, *lines]] if _is_block(kept) else [kept, lines]
    return "\n\n".join(part for part in (body, *map("\n".join, paragraphs)) if part) + "\n"


def last_paragraph(message: str) -> list[str]:
    """The lines of a message's last paragraph, in which its trailers are."""
    return _BLANK.split(message.replace("\r\n", "\n").strip())[-1].splitlines()


def _split(text: str) -> tuple[str, list[str]]:
    """What comes before the trailers of a message, and their lines; the first paragraph is its title, never trailers."""
    breaks = list(_BLANK.finditer(text))
    if not breaks or not _is_block(lines := text[breaks[-1].end() :].split("\n")):
        return text, []
    return text[: breaks[-1].start()], lines


def _is_block(lines: Sequence[str]) -> bool:
    """Whether git takes a paragraph for trailers: nothing but these, or one that git itself writes, and three other lines at most for each.

    A line that begins with a blank goes on with the one before it; one that begins with # is a
    comment, which counts for nothing.
    """
    trailers = others = indented = 0
    own = False
    for line in reversed(lines):
        if line[:1] in (" ", "\t"):
            indented += 1
            continue
        if line.startswith("#"):
            others, indented = others + indented, 0
            continue
        own = own or line.startswith(_GIT_OWN)
        if line.startswith(_GIT_OWN) or _TRAILER.match(line):
            trailers += 1
        else:
            others += 1 + indented
        indented = 0
    others += indented
    return trailers > 0 and (others == 0 or (own and trailers * 3 >= others))


def _without(lines: Sequence[str], reserved: Sequence[str]) -> list[str]:
    """`lines` without the trailers of these names, and what they go on with."""
    kept, leaving = [], False
    for line in lines:
        if line[:1] not in (" ", "\t"):
            leaving = line.lower().startswith(tuple(name.lower() for name in reserved))
        if not leaving:
            kept.append(line)
    return kept
