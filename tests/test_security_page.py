"""The page on security names for each limit the place that holds it and a test that tries one more; both are there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROWS = re.findall(r"^\| [^|]+ \| [^|]+ \| `([^`|]+)::(\w+)` \| `([^`|]+)::(\w+)` \|$", (ROOT / "docs/security.md").read_text(), re.MULTILINE)


def test_every_limit_has_a_row_with_its_place_and_its_test() -> None:
    lines = [line for line in (ROOT / "docs/security.md").read_text().splitlines() if line.startswith("| ") and "| what |" not in line]
    assert len(ROWS) == len(lines) > 35


@pytest.mark.parametrize(("code", "name", "test", "case"), ROWS, ids=[f"{name}-{number}" for number, (_, name, _, _) in enumerate(ROWS)])
def test_a_row_names_what_is_there(code: str, name: str, test: str, case: str) -> None:
    assert name in {found for node in ast.walk(ast.parse((ROOT / code).read_text())) for found in names(node)}
    assert case in {found for node in ast.walk(ast.parse((ROOT / test).read_text())) for found in names(node)}


def names(node: ast.AST) -> list[str]:
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return [node.name]
    return [node.id] if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) else []
