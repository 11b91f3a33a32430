"""Packages that are installed and missing for a test."""

from __future__ import annotations

import sys

import pytest


def lack(monkeypatch: pytest.MonkeyPatch, package: str, *dependents: str) -> None:
    """Let the import of a package fail until the test ends, as if it were not installed.

    Modules of the engine that import it (`dependents`) are loaded anew.
    """
    for name in {package, *(name for name in sys.modules if name.startswith(f"{package}."))}:
        monkeypatch.setitem(sys.modules, name, None)
    for name in dependents:
        monkeypatch.delitem(sys.modules, name, raising=False)
