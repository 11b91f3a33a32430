"""What docs/security.md says: its tables, with the code and the tests that they name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_NAMED = re.compile(r"`([^`:]+)::([^`]+)`")
_TEXT = (ROOT / "docs/security.md").read_text(encoding="utf-8")
Name = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row: its first cell, the place in the code where it has one, and its tests; files from
    the top, and a name in each.
    """

    what: str
    code: tuple[Name, ...] = ()
    tests: tuple[Name, ...]


def _rows(title: str) -> list[list[str]]:
    """The cells of all tables below a heading, without the tables' heads."""
    section = _TEXT.split(f"\n## {title}\n")[1].split("\n## ")[0]
    lines = [
        line
        for line in section.splitlines()
        if line.startswith("| ") and not line.startswith("| what ")
    ]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def _names(cell: str) -> tuple[Name, ...]:
    return tuple((path, name) for path, name in _NAMED.findall(cell))


def threats() -> list[Row]:
    """What is tried, and by which tests it is shown what comes of it."""
    return [Row(what=what, tests=_names(tests)) for what, _, tests in _rows("Threats")]


def limits() -> list[Row]:
    """What has a limit, which place in the code holds it, and which test tries one more."""
    return [
        Row(what=what, code=_names(code), tests=_names(test))
        for what, _, code, test in _rows("Limits")
    ]


def python_tests() -> list[str]:
    """All tests of the page that pytest runs, as it is told to."""
    named = {name for row in (*threats(), *limits()) for name in row.tests}
    return sorted(f"{path}::{name}" for path, name in named if path.endswith(".py"))
