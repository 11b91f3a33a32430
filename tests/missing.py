"""Packages that a test does without, though they are installed."""

from __future__ import annotations

import sys

import pytest


def lack(monkeypatch: pytest.MonkeyPatch, package: str, *dependents: str) -> None:
    """Have the import of a package fail as if it were not installed, until the test ends; modules
    of the engine that import it (`dependents`) are loaded anew.
    """
    for name in {package, *(name for name in sys.modules if name.startswith(f"{package}."))}:
        monkeypatch.setitem(sys.modules, name, None)
    for name in dependents:
        monkeypatch.delitem(sys.modules, name, raising=False)
