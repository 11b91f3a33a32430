from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from towline.errors import ConfigError, MachineError
from towline.http.client import Transport
from towline.registry.copy.deadline import deadline_check, run_in_time


@pytest.fixture
def hangs() -> Iterator[threading.Event]:
    """An event that work waits for in vain, until the test is over."""
    over = threading.Event()
    yield over
    over.set()


def test_what_is_done_in_time_comes_back_and_what_it_raises_comes_out(transport: Transport) -> None:
    assert run_in_time(lambda: threading.current_thread().name, transport) == "registry"
    with pytest.raises(ConfigError, match="not there"):
        run_in_time(lambda: (_ for _ in ()).throw(ConfigError("not there")), transport)


def test_what_hangs_is_left_behind_when_the_time_is_over(hangs: threading.Event) -> None:
    with (
        Transport(limit=0.05) as transport,
        pytest.raises(MachineError, match="the time limit of 0 seconds is exceeded") as caught,
    ):
        run_in_time(lambda: hangs.wait(60), transport)
    assert "copyDeadline" in caught.value.hint


def test_a_transport_that_was_closed_early_or_has_no_limit_is_no_deadline(
    transport: Transport,
) -> None:
    deadline_check(transport)()
    transport.close()
    deadline_check(transport)()
