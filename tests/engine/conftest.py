from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fakes.clock import FakeClock
from towline.http.client import Transport
from towline.masks import Masks
from towline.printable import use


@pytest.fixture(autouse=True)
def _own_masks() -> None:
    """Forget the secrets of a test, so that they are not masked in the next."""
    use(Masks())


@pytest.fixture
def time() -> FakeClock:
    return FakeClock()


@pytest.fixture
def transport(time: FakeClock) -> Iterator[Transport]:
    with Transport(clock=time.clock) as opened:
        yield opened
