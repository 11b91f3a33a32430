from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

import towline.registry.parallel as module
from towline.errors import ConfigError, MachineError
from towline.http.client import Transport
from towline.registry.parallel import (
    JOBS,
    Cancelled,
    Slots,
    deadline_check,
    in_background,
    in_parallel,
    run_in_time,
)


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
        raise Cancelled

    with pytest.raises(LookupError, match="zero"):
        in_parallel(work, range(100), stop=stop)
    assert len(begun) <= JOBS + 1
    assert stop.is_set()


def test_a_fault_wakes_who_waits_already(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting, stop, stopped = threading.Event(), threading.Event(), list[bool]()

    class Watched(threading.Condition):
        def wait(self, timeout: float | None = None) -> bool:
            waiting.set()  # the lock is held, so no call can end before this thread waits
            return super().wait(timeout)

    monkeypatch.setattr(module, "Condition", Watched)
    monkeypatch.setattr(module, "GRACE", 60)

    def work(number: int) -> None:
        if number:
            stopped.append(stop.wait(30))
        else:
            assert waiting.wait(30)
            raise LookupError("late")

    with pytest.raises(LookupError, match="late"):
        in_parallel(work, [0, 1], stop=stop)
    assert stopped == [True]


def test_who_has_failed_begins_nothing_more() -> None:
    begun = list[int]()

    def work(number: int) -> None:
        begun.append(number)
        raise LookupError(number)

    with pytest.raises(LookupError):
        in_parallel(work, range(100), jobs=1)
    assert begun == [0]


def test_the_fault_is_raised_rather_than_what_it_stopped() -> None:
    stop, ready = threading.Event(), threading.Event()

    def work(number: int) -> None:
        if number:
            ready.set()
            assert stop.wait(30)
            raise Cancelled
        assert ready.wait(30)
        stop.set()
        raise LookupError("cause")

    for items in ([1, 0], [0, 1]):
        stop.clear()
        ready.clear()
        with pytest.raises(LookupError, match="cause"):
            in_parallel(work, items, stop=stop)


def test_an_interruption_comes_through_while_work_still_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stop, ended = threading.Event(), threading.Event()

    def work(_: int) -> None:
        assert stop.wait(30)
        ended.set()

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module._Batch, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        in_parallel(work, [1, 2], stop=stop)
    assert ended.wait(30)


def test_an_interruption_leaves_work_the_time_to_see_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GRACE", 60)
    stop, ended = threading.Event(), []

    def work(number: int) -> None:
        assert stop.wait(30)
        ended.append(number)

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    waited_for: list[int] = []
    whole = module._Batch.wait_for_all

    def watched(batch: module._Batch, timeout: float) -> None:
        waited_for.append(batch.left)
        whole(batch, timeout)

    monkeypatch.setattr(module._Batch, "wait", interrupted)
    monkeypatch.setattr(module._Batch, "wait_for_all", watched)
    with pytest.raises(KeyboardInterrupt):
        in_parallel(work, range(JOBS * 2), stop=stop)
    assert sorted(ended) == list(range(JOBS))
    [waiting] = waited_for
    assert waiting <= JOBS  # else the test would wait for work that never begins


def test_pools_inside_pools_work_as_many_at_once_as_one() -> None:
    together = Together(4)

    def outer(_: int) -> list[int]:
        return in_parallel(inner, range(9))

    def inner(number: int) -> int:
        return sum(in_parallel(together.work, range(number)))

    assert (
        in_parallel(outer, range(10), jobs=4) == [[sum(range(number)) for number in range(9)]] * 10
    )
    assert (together.most, len(together.threads)) == (4, 4)


def test_a_fault_deep_inside_comes_out_and_what_waits_is_not_waited_for() -> None:
    over, waiting = threading.Event(), threading.Semaphore(0)
    ended: list[int] = []

    def outer(numbers: list[int]) -> list[None]:
        helping = threading.get_ident()  # a helping thread cannot leave its own work

        def inner(number: int) -> None:
            if number == 0:
                for _ in range(JOBS - 2):
                    assert waiting.acquire(timeout=30)
                raise LookupError("deep")
            if threading.get_ident() != helping:
                waiting.release()
                over.wait(300)
                ended.append(number)

        return in_parallel(inner, numbers)

    with pytest.raises(LookupError, match="deep"):
        in_parallel(outer, [[*range(1, JOBS), 0, *range(JOBS, 50)]])
    assert not ended
    over.set()


def test_what_looks_on_may_end_it() -> None:
    over = threading.Event()

    def impatient() -> None:
        raise TimeoutError("enough")

    with pytest.raises(TimeoutError, match="enough"):
        in_parallel(lambda _: over.wait(30), range(3), tick=impatient)
    over.set()


def test_threads_that_still_wait_do_not_hold_up_the_end_of_the_process() -> None:
    program = """
import threading
from towline.registry.parallel import in_parallel
def work(number):
    if number: threading.Event().wait()
    raise LookupError("zero")
try: in_parallel(work, range(4))
except LookupError: print("told")
"""
    assert (
        subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True
        ).stdout
        == "told\n"
    )


class Together:
    """Work that notes how much of it goes on at once; the first calls wait until as many as may
    be have begun, and `threads` are those there are then.
    """

    def __init__(self, jobs: int) -> None:
        self.now = self.most = 0
        self._lock = threading.Lock()
        self._first = jobs
        self._before = set(threading.enumerate())
        self.threads: set[threading.Thread] = set()
        self._all = threading.Barrier(jobs, action=self._look, timeout=30)

    def _look(self) -> None:
        self.threads = set(threading.enumerate()) - self._before

    def work(self, number: int) -> int:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
            self._first -= 1
            waits = self._first >= 0
        if waits:
            self._all.wait()
        with self._lock:
            self.now -= 1
        return number


def rounds(slots: Slots, pieces: int) -> None:
    for _ in range(pieces):
        with slots:
            pass


def test_what_was_halved_under_pressure_comes_back_step_by_step() -> None:
    asked = 0
    slots = Slots(8, lambda: asked, threading.Event())
    assert slots._limit() == 8
    asked += 1
    assert slots._limit() == 4
    asked += 2
    assert slots._limit() == 1
    grown = []
    for allowed in range(1, 9):
        grown.append(slots._limit())
        rounds(slots, allowed)
    assert grown == list(range(1, 9))
    rounds(slots, 100)
    assert slots._limit() == 8
    asked += 9
    assert slots._limit() == 1


def test_what_fails_brings_nothing_back_and_frees_its_slot() -> None:
    asked = 0
    slots = Slots(8, lambda: asked, threading.Event())
    asked += 3
    for _ in range(9):
        with pytest.raises(LookupError), slots:
            raise LookupError
    assert slots._limit() == 1
    rounds(slots, 1)
    assert slots._limit() == 2


def test_a_slot_that_becomes_free_is_taken_by_who_waits() -> None:
    slots, inside = Slots(1, lambda: 0, threading.Event()), threading.Event()

    def enter() -> None:
        with slots:
            inside.set()

    with slots:
        waiting = threading.Thread(target=enter)
        waiting.start()
        assert not inside.is_set()
    waiting.join(30)
    assert inside.is_set()


def test_who_waits_for_a_slot_when_the_run_ends_gets_none() -> None:
    ending = threading.Event()
    slots, ended = Slots(1, lambda: 0, ending), threading.Event()

    def enter() -> None:
        with pytest.raises(Cancelled), slots:
            raise AssertionError
        ended.set()

    with slots:
        threading.Thread(target=enter, daemon=True).start()
        ending.set()
        assert ended.wait(30)
    with slots:  # the waiter took no slot
        pass


def test_what_is_done_beside_has_a_thread_of_the_pool_or_its_own() -> None:
    names: list[str] = []
    for outside in (True, False):
        done = threading.Event()

        def work(done: threading.Event = done) -> None:
            names.append(threading.current_thread().name)
            done.set()

        if outside:
            in_background(work)
        else:
            in_parallel(lambda _, work=work: in_background(work), [1], jobs=1)  # type: ignore[misc]
        assert done.wait(30)
    assert names == ["registry"] * 2


@pytest.fixture
def hangs() -> Iterator[threading.Event]:
    """An event that is not set before the end of the test."""
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
