"""Reads the tables of docs/security.md, with the code and the tests that they name."""

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
    """One threat or limit: its first cell, the code that holds it if it is a limit, its tests.

    Code and tests are pairs of a file, as a path from the top, and a name in it.
    """

    what: str
    code: tuple[Name, ...] = ()
    tests: tuple[Name, ...]


def table_rows(text: str) -> list[list[str]]:
    """The cells of all rows of the tables in `text`, without the tables' headings.

    A row whose first cell is empty continues the row above: its last cell is added to that row's.
    """
    rows: list[list[str]] = []
    lines = text.splitlines()
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if not line.startswith("| ") or following.startswith("|---"):
            continue
        cells = [cell.strip() for cell in re.split(r" \|(?: |$)", line[1:])[:-1]]
        if cells[0]:
            rows.append(cells)
        else:
            rows[-1][-1] += f" {cells[-1]}"
    return rows


def _rows(title: str) -> list[list[str]]:
    """The rows of all tables below a heading."""
    return table_rows(_TEXT.split(f"\n## {title}\n")[1].split("\n## ")[0])


def _names(cell: str) -> tuple[Name, ...]:
    return tuple((path, name) for path, name in _NAMED.findall(cell))


def threats() -> list[Row]:
    """The attacks, each with the tests that show its outcome."""
    return [Row(what=what, tests=_names(tests)) for what, _, tests in _rows("Threats")]


def limits() -> list[Row]:
    """The limits, each with the code that holds its number, and the test that exceeds it."""
    return [
        Row(what=what, code=_names(code), tests=_names(test))
        for what, _, code, test in _rows("Limits")
    ]


def python_tests() -> list[str]:
    """The page's tests that pytest runs, as arguments for pytest."""
    named = {name for row in (*threats(), *limits()) for name in row.tests}
    return sorted(f"{path}::{name}" for path, name in named if path.endswith(".py"))
