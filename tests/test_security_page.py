"""The page on security names tests for each threat, and for each limit the place that holds it
and a test that tries one more; all are there.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.security_page import ROOT, Row, limits, threats

LIMITS, THREATS = limits(), threats()


def test_every_row_of_the_page_is_one_of_these() -> None:
    lines = [
        line
        for line in (ROOT / "docs/security.md").read_text().splitlines()
        if line.startswith("| ")
    ]
    lines = [line for line in lines if not line.startswith("| what ")]
    assert len(LIMITS) + len(THREATS) == len(lines)
    assert len(LIMITS) > 35
    assert len(THREATS) > 45


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
