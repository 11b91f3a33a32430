from __future__ import annotations

import threading
from concurrent.futures import wait
from typing import Any

import pytest

import towline.registry.parallel as module
from towline.registry.parallel import JOBS, Stopped, in_parallel


def test_results_come_in_the_order_of_the_items() -> None:
    assert in_parallel(lambda number: number * 2, range(50)) == [number * 2 for number in range(50)]


def test_nothing_to_do_is_nothing_done() -> None:
    assert in_parallel(str, []) == []


def test_as_many_run_at_once_as_there_are_jobs() -> None:
    together = threading.Barrier(JOBS, timeout=30)
    assert sorted(in_parallel(lambda _: together.wait(), range(JOBS))) == list(range(JOBS))


def test_the_first_fault_stops_what_runs_and_what_has_not_begun() -> None:
    stop, begun = threading.Event(), []

    def work(number: int) -> None:
        begun.append(number)
        if number == 0:
            raise LookupError("zero")
        assert stop.wait(30)
        raise Stopped

    with pytest.raises(LookupError, match="zero"):
        in_parallel(work, range(100), stop=stop)
    assert len(begun) <= JOBS + 1
    assert stop.is_set()


def test_the_fault_is_raised_rather_than_what_it_stopped() -> None:
    stop, ready = threading.Event(), threading.Event()

    def work(number: int) -> None:
        if number:
            ready.set()
            assert stop.wait(30)
            raise Stopped
        assert ready.wait(30)
        stop.set()
        raise LookupError("cause")

    for items in ([1, 0], [0, 1]):
        stop.clear()
        ready.clear()
        with pytest.raises(LookupError, match="cause"):
            in_parallel(work, items, stop=stop)


def test_an_interruption_comes_through_while_work_still_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    stop, ended = threading.Event(), threading.Event()

    def work(_: int) -> None:
        assert stop.wait(30)
        ended.set()

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        in_parallel(work, [1, 2], stop=stop)
    assert ended.wait(30)


def test_an_interruption_leaves_work_the_time_to_see_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GRACE", 60)
    stop, ended = threading.Event(), []
    calls = iter([True])

    def work(number: int) -> None:
        assert stop.wait(30)
        ended.append(number)

    def interrupted(*arguments: Any, **options: Any) -> object:
        if next(calls, False):
            raise KeyboardInterrupt
        assert not any(future.cancelled() for future in arguments[0])  # they would be waited for in vain
        return wait(*arguments, **options)

    monkeypatch.setattr(module, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        in_parallel(work, range(JOBS * 2), stop=stop)
    assert sorted(ended) == list(range(JOBS))
