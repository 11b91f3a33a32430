from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fakes.clock import FakeClock
from towline.transport import Transport


@pytest.fixture
def time() -> FakeClock:
    return FakeClock()


@pytest.fixture
def transport(time: FakeClock) -> Iterator[Transport]:
    with Transport(clock=time.clock) as opened:
        yield opened
