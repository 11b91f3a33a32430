"""docs/security.md names tests for each threat, and for each limit the code that holds its number
and a test that exceeds it; all of them exist.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.security_page import ROOT, Row, limits, table_rows, threats

LIMITS, THREATS = limits(), threats()


def test_every_row_of_the_page_is_one_of_these() -> None:
    rows = table_rows((ROOT / "docs/security.md").read_text(encoding="utf-8"))
    assert len(LIMITS) + len(THREATS) == len(rows)
    assert len(LIMITS) > 50
    assert len(THREATS) > 75


def test_every_test_and_every_place_that_the_page_names_is_in_a_row() -> None:
    text = (ROOT / "docs/security.md").read_text(encoding="utf-8")
    in_rows = sum(len(row.code) + len(row.tests) for row in (*LIMITS, *THREATS))
    assert in_rows == text.count("::") > 200


def test_a_row_without_a_first_cell_continues_the_one_above_and_headings_are_no_rows() -> None:
    text = (
        "| what | test |\n|---|---|\n| what a | `x.py::one` |\n| | `y.py::two` |\n\nprose | x |\n"
    )
    assert table_rows(text) == [["what a", "`x.py::one` `y.py::two`"]]


@pytest.mark.parametrize(
    "row", [*LIMITS, *THREATS], ids=lambda row: re.sub(r"\W+", "-", row.what)[:60]
)
def test_a_row_names_what_is_there(row: Row) -> None:
    assert row.tests
    for path, name in (*row.code, *row.tests):
        assert name in names(ROOT / path), f"{name} is not in {path}"


@pytest.mark.parametrize("row", LIMITS, ids=lambda row: re.sub(r"\W+", "-", row.what)[:60])
def test_a_limit_has_one_place_and_one_test(row: Row) -> None:
    assert (len(row.code), len(row.tests)) == (1, 1)


@cache
def names(path: Path) -> set[str]:
    """The functions, classes and variables of a module; of Groovy the tests."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".groovy":
        return set(re.findall(r"@Test void '([^']+)'", text))
    return {found for node in ast.walk(ast.parse(text)) for found in named(node)}


def named(node: ast.AST) -> list[str]:
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return [node.name]
    return [node.id] if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) else []
