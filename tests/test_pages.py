"""The pages that people write: lines and table cells of a length that a review can show."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
COLUMNS, CELL = 100, 200
# A whole path in code without a placeholder (`<step>`, `*`), and a link within the repository.
_PATH = re.compile(
    r"`((?:docs|engine|examples|resources|tests|tools|vars)/[^`\s<>*{:]+)(?:::\w+)?`"
)
_LINK = re.compile(r"\]\((?!https?:)([^)\s]+)\)")
PAGES = [
    path.relative_to(ROOT).as_posix()
    for path in (
        *(ROOT / f"{name}.md" for name in ("README", "CHANGELOG", "CONTRIBUTING", "SECURITY")),
        *sorted((ROOT / "docs").rglob("*.md")),
        *sorted((ROOT / "examples").rglob("*.md")),
    )
]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_can_be_reviewed_line_by_line(page: str) -> None:
    assert too_wide((ROOT / page).read_text(encoding="utf-8")) == []


def too_wide(text: str) -> list[str]:
    """The lines over 100 columns and the table cells over 200 characters, with their numbers.

    Fenced code is quoted as it is, and a single word (a URL) cannot be broken.
    """
    found = []
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("```"):
            fenced = not fenced
        elif line.startswith("|"):
            found += [f"{number}: {cell}" for cell in cells(line) if len(cell) > CELL]
        elif not fenced and len(line) > COLUMNS and " " in line.lstrip(" -*"):
            found.append(f"{number}: {line}")
    return found


def cells(line: str) -> list[str]:
    """The cells of a table's row; an escaped pipe is a character of its cell."""
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_names_files_that_exist(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    assert [path for path in _PATH.findall(text) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_the_links_of_a_page_lead_to_pages_and_headings(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for link in _LINK.findall(text):
        name, _, anchor = link.partition("#")
        target = (ROOT / page).parent / name if name else ROOT / page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text(encoding="utf-8")), link


def anchors(text: str) -> set[str]:
    """The names by which code hosts link to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_wide_lines_and_cells_are_found() -> None:
    wide, cell = f"{'word ' * 20}!", "c" * (CELL + 1)
    assert too_wide(f"a\n{wide}\n") == [f"2: {wide}"]
    assert too_wide(f"    {wide}\n") == [f"1:     {wide}"]
    assert too_wide(f"| {cell} | b |\n") == [f"1: {cell}"]
    assert too_wide(f"| {'a' * CELL} | {'b' * CELL} |\n") == []
    assert too_wide(f"```\n{wide}\n```\n- https://host/{'a' * COLUMNS}\n") == []
