from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.steps.push_workspace import PASSWORD, PushWorkspace
from tests.fakes.registry import FakeRegistry


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PushWorkspace]:
    monkeypatch.chdir(tmp_path)
    with (
        FakeRegistry() as staging,
        FakeRegistry(username="pusher", password=PASSWORD, auth="basic") as target,
    ):
        yield PushWorkspace(tmp_path, staging, target)
