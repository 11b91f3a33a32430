"""The map in CONTRIBUTING.md, held against the tree."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
ENGINE = ROOT / "engine" / "towline"
NAMED = re.findall(r"`([\w/.]+\.(?:py|groovy)):\s([\w.]+)`", PAGE)


def drawing() -> list[str]:
    """Return the paths in the drawing, those of the engine relative to its package."""
    lines = PAGE.partition("engine/towline/\n")[2].partition("```")[0].splitlines()
    found: list[str] = []
    for line in lines:
        name = line.split()[0]
        found.append(f"{found_above(found)}{name}" if line.startswith("    ") else name)
    return found


def found_above(found: list[str]) -> str:
    """Return the package that an indented line of the drawing is in."""
    return next(name for name in reversed(found) if name.count("/") == 1 and name.endswith("/"))


def defined(path: Path) -> set[str]:
    """Return the functions, classes and methods that a file defines."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".groovy":
        return set(re.findall(r"^\w[\w<>, ]* (\w+)\(", text, re.MULTILINE))
    found = set()
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            methods = [each.name for each in node.body if isinstance(each, ast.FunctionDef)]
            found.update(f"{node.name}.{method}" for method in methods)
    return found


def test_the_drawing_has_every_package_and_no_other() -> None:
    packages = {f"{path.parent.relative_to(ENGINE)}/" for path in ENGINE.rglob("*/__init__.py")} - {
        "./"
    }
    assert {name for name in drawing() if name.endswith("/")} == packages


def test_each_module_in_the_drawing_exists() -> None:
    modules = [name for name in drawing() if not name.endswith("/")]
    assert len(modules) >= 6
    assert [name for name in modules if not (ENGINE / name).is_file()] == []


@pytest.mark.parametrize(("path", "name"), sorted(set(NAMED)))
def test_each_name_in_the_map_is_defined_in_its_file(path: str, name: str) -> None:
    assert name in defined(ROOT / path)


def test_the_map_answers_fifteen_questions() -> None:
    rows = PAGE.partition("### Where do I change ...")[2].partition("\n\n`tests")[0]
    assert rows.count("\n| ") >= 15 + 1
    assert len(NAMED) >= 30
