"""The one way out to people: secrets are masked, then a text is cut, then nothing is left in it that a terminal or a CI system obeys.

Who quotes the words of a host, a program or a file cuts them by `words`, since a secret that is cut first is no longer known. A message quotes names as they
are: however long one is, `cut` keeps what stands before and behind it. There is one run in a process, so its masks are those of the process.


"""

from __future__ import annotations

import json
from typing import Final

from towline.masks import Masks

# no CI system takes what stands behind it for a command, and no reader for a line of ours
_NEXT_LINE: Final = "\n  | "
_RETURN = "\r"
# characters of a message: a name may have millions, and a build's log is kept
_FIRST, _LAST = 6000, 2000
_KEPT = "\t\u00a0\u3000"
# of Azure Pipelines, GitHub Actions and TeamCity, wherever in a line
_COMMANDS = ("##[", "##vso[", "##teamcity[")
_masks = [Masks()]


def use(masks: Masks) -> None:
    """Mask the secrets of this run from now on."""
    _masks[:] = [masks]


def hide(secret: str) -> None:
    """Mask `secret` too, in every form that it may take."""
    _masks[0].hide(secret)


def masked(text: str) -> str:
    """A text of others without the secrets of this run."""
    return _masks[0].mask(text)


def words(text: str, most: int) -> str:
    """What others said, fit to be quoted in a line: without secrets, blanks and control characters as one blank each, at most so many characters."""
    said = masked(text)
    return " ".join("".join(sign if sign.isprintable() else " " for sign in said).split())[:most]


def cut(message: str) -> str:
    """A message without secrets as people can read it: of a very long one its beginning, how much is left out, and its end."""
    more = len(message) - _FIRST - _LAST
    return (
        message
        if more <= 0
        else f"{message[:_FIRST]} ... {more} characters more ... {message[-_LAST:]}"
    )


def tame(text: str) -> str:
    """A message as it may be printed: cut, further lines marked as such, and control characters and commands visible, but nothing else."""
    return _NEXT_LINE.join(map(_line, cut(text).replace("\r\n", "\n").split("\n")))


def tame_lines(text: str) -> str:
    """A text of lines for standard output, a diff for example, whose lines stay as they are otherwise."""
    return "\n".join(
        f"{_line(line.removesuffix(_RETURN))}{_RETURN * line.endswith(_RETURN)}"
        for line in text.split("\n")
    )


def tame_json(value: object) -> str:
    """JSON that says the same, with an escape for each sign and command that a terminal or a CI system would obey."""
    text = json.dumps(value, indent=2, ensure_ascii=False).encode("utf-8", "replace").decode()
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
