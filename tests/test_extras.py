"""README lists every extra of the package, and no other."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_readme_lists_the_extras_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    listed = text.partition("Extras of the engine's package")[2].partition("\n## ")[0]
    assert re.findall(r"^- `([^`]+)`:", listed, re.MULTILINE) == sorted(
        project["optional-dependencies"]
    )
