from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engine.registry.clients import Pair
from tests.fakes.registry import FakeRegistry
from towline.http.client import Transport


@pytest.fixture
def source() -> Iterator[FakeRegistry]:
    with FakeRegistry() as running:
        yield running


@pytest.fixture
def target() -> Iterator[FakeRegistry]:
    with FakeRegistry() as running:
        yield running


@pytest.fixture
def pair(source: FakeRegistry, target: FakeRegistry, transport: Transport) -> Pair:
    return Pair(source, target, transport)
