"""Text for people: secrets are masked, long texts are cut, control characters are escaped.

The order matters: a secret that is cut first is no longer recognised. So `words` masks and cuts the
words of a host, a program or a file. A message quotes names whole; `cut` keeps the start and the
end of a message whose names are very long. A process does one run, so the masks belong to the
process. Nothing is left that a terminal or a CI system would take for a command.
"""

from __future__ import annotations

import json
from typing import Final

from towline.masks import Masks

# behind this mark, text is not a command for a CI system, nor a line of Towline's for a reader
_NEXT_LINE: Final = "\n  | "
_RETURN = "\r"
# characters of a message: a name may have millions, and a build's log is kept
_FIRST, _LAST = 6000, 2000
_KEPT = "\t\u00a0\u3000"
# commands of Azure Pipelines, GitHub Actions and TeamCity, at any place in a line
_COMMANDS = ("##[", "##vso[", "##teamcity[")
_masks = [Masks()]


def use(masks: Masks) -> None:
    """Use `masks` in this process from now on."""
    _masks[:] = [masks]


def hide(secret: str) -> None:
    """Mask `secret` too, in every form that it may take."""
    _masks[0].hide(secret)


def masked(text: str) -> str:
    """Return a text from outside with the secrets of this run masked."""
    return _masks[0].mask(text)


def words(text: str, most: int) -> str:
    """Return a quotation for one line, of at most `most` characters.

    It is masked, each run of blanks and control characters becomes one blank, then it is cut.
    """
    printable = "".join(sign if sign.isprintable() else " " for sign in masked(text))
    return " ".join(printable.split())[:most]


def cut(message: str) -> str:
    """Return a message; of a very long one the start, the omitted length and the end.

    The message holds no secrets.
    """
    more = len(message) - _FIRST - _LAST
    return (
        message
        if more <= 0
        else f"{message[:_FIRST]} ... {more} characters more ... {message[-_LAST:]}"
    )


def tame(text: str) -> str:
    """Return a message ready to print: cut, with further lines marked, and with escapes.

    Control characters, and commands of a terminal or a CI system, are shown escaped.
    """
    return _NEXT_LINE.join(map(_line, cut(text).replace("\r\n", "\n").split("\n")))


def tame_lines(text: str) -> str:
    """Return a text of lines for standard output, such as a diff, with the same escapes."""
    return "\n".join(
        f"{_line(line.removesuffix(_RETURN))}{_RETURN * line.endswith(_RETURN)}"
        for line in text.split("\n")
    )


def tame_json(value: object, *, ascii_only: bool = False) -> str:
    """Return JSON of equal value in which each control character or command is escaped."""
    text = json.dumps(value, indent=2, ensure_ascii=ascii_only).encode("utf-8", "replace").decode()
    for command in _COMMANDS:
        text = text.replace(command, f"\\u0023{command[1:]}")
    if all(line.isprintable() for line in text.split("\n")):
        return text
    return "".join(
        sign if sign.isprintable() or sign == "\n" or sign in _KEPT else json.dumps(sign)[1:-1]
        for sign in text
    )


def _line(line: str) -> str:
    for command in _COMMANDS:
        line = line.replace(command, f"# {command[1:]}")
    if line.lstrip().startswith("::"):
        line = line.replace("::", ": :", 1)
    return line if line.isprintable() else "".join(map(_visible, line))


def _visible(sign: str) -> str:
    return sign if sign.isprintable() or sign in _KEPT else sign.encode("unicode_escape").decode()
