"""Pure.

The message of a deployment's commit: a text for people, then the trailers.

Trailers are found as git does (git-interpret-trailers), and appended to those that the text has.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from towline.gitops.provenance import RESERVED_TRAILERS, Provenance, one_line, parse_trailers

_BLANK = re.compile(r"\n(?:[ \t]*\n)+")
_TRAILER = re.compile(r"[A-Za-z0-9-]+[ \t]*:")
_GIT_OWN = ("Signed-off-by: ", "(cherry picked from commit ")


def default_message(image: str, version: str, *, stage: str = "") -> str:
    """The default text, as in Piper: `host/name` of the image, tag or digest, and the stage."""
    return (
        f"Updated {one_line(image)} to version"
        f" {one_line(version)}{f' in {one_line(stage)}' if stage else ''}"
    )


def compose_message(text: str, provenance: Provenance) -> str:
    """The whole commit message: `text` for people, then the trailers."""
    return append_trailers(text, provenance.trailers(), reserved=RESERVED_TRAILERS)


def parse_provenance(message: str) -> Provenance:
    """The provenance in a commit message; empty if Towline did not write it."""
    return parse_trailers(last_paragraph(message))


def append_trailers(text: str, lines: Sequence[str], *, reserved: Sequence[str]) -> str:
    """The message `text` with the trailers `lines` in its last paragraph.

    That is the paragraph of its own trailers, so that git finds all of them, else a new one. Own
    trailers whose names begin with one of `reserved` are removed: they would be taken for `lines`.
    """
    body, own_trailers = _split(text.replace("\r\n", "\n").strip())
    remaining = _without_trailers(own_trailers, reserved)
    paragraphs = [[*remaining, *lines]] if _is_trailer_block(remaining) else [remaining, lines]
    return "\n\n".join(part for part in (body, *map("\n".join, paragraphs)) if part) + "\n"


def last_paragraph(message: str) -> list[str]:
    """The lines of a message's last paragraph, which may be its trailers."""
    return _BLANK.split(message.replace("\r\n", "\n").strip())[-1].splitlines()


def _split(text: str) -> tuple[str, list[str]]:
    """The text before the trailers of a message, and the lines of these trailers.

    The first paragraph is the title, never trailers.
    """
    breaks = list(_BLANK.finditer(text))
    if not breaks or not _is_trailer_block(lines := text[breaks[-1].end() :].split("\n")):
        return text, []
    return text[: breaks[-1].start()], lines


def _is_trailer_block(lines: Sequence[str]) -> bool:
    """Whether git takes a paragraph for trailers.

    It does if all lines are trailers; or if one is a trailer that git itself writes, and there are
    at most three other lines for each trailer. A line that begins with a blank continues the one
    before it; a line that begins with # is a comment, which is not counted.
    """
    trailers = others = indented = 0
    has_trailer_of_git = False
    for line in reversed(lines):
        if line[:1] in (" ", "\t"):
            indented += 1
            continue
        if line.startswith("#"):
            others, indented = others + indented, 0
            continue
        has_trailer_of_git = has_trailer_of_git or line.startswith(_GIT_OWN)
        if line.startswith(_GIT_OWN) or _TRAILER.match(line):
            trailers += 1
        else:
            others += 1 + indented
        indented = 0
    others += indented
    return trailers > 0 and (others == 0 or (has_trailer_of_git and trailers * 3 >= others))


def _without_trailers(lines: Sequence[str], reserved: Sequence[str]) -> list[str]:
    """`lines` without the trailers of these names and their continued lines."""
    remaining, removing = [], False
    for line in lines:
        if line[:1] not in (" ", "\t"):
            removing = line.lower().startswith(tuple(name.lower() for name in reserved))
        if not removing:
            remaining.append(line)
    return remaining
