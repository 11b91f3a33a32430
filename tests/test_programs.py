"""The programs that tests and benches keep in strings name the engine's modules as they are now."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
IMPORT = re.compile(r"^\s*from (towline[\w.]*) import ([\w, ]+)$", re.MULTILINE)


def imports() -> Iterator[tuple[str, str, str]]:
    """Where a string imports a name, of which module."""
    for path in sorted((ROOT / "tests").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                for line in re.split(r"[\n;]", node.value):
                    for found in IMPORT.finditer(line):
                        for name in found[2].split(","):
                            where = f"{path.relative_to(ROOT)}:{node.lineno}"
                            yield where, found[1], name.split()[0]


IMPORTS = list(imports())


def test_there_are_programs_in_strings() -> None:
    assert len(IMPORTS) > 20


@pytest.mark.parametrize(("where", "module", "name"), IMPORTS)
def test_a_program_in_a_string_imports_what_there_is(where: str, module: str, name: str) -> None:
    home = importlib.import_module(module)
    assert hasattr(home, name) or importlib.util.find_spec(f"{module}.{name}"), where
