from __future__ import annotations

from pathlib import Path

import pytest

from tests.calls import SAMPLE, configure


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The sample project's workspace, in which the test is."""
    monkeypatch.chdir(tmp_path)
    configure(tmp_path, SAMPLE)
    return tmp_path
