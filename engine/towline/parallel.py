"""Work in threads: results in the order of the items; the first fault stops the rest and is the one that is raised."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from functools import partial
from threading import Condition, Event, Lock, Thread, local
from typing import Any, TypeVar

JOBS = 8  # how much goes on at once at one host, however deep one pool is in another
# a registry's answer that is under way may name an upload that has to be given up; an interrupted
# run ends within two seconds
GRACE = 0.5
_TICK = 0.2  # seconds
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Stopped(Exception):
    """Other work has failed, or the run was interrupted: what long work raises when it sees that `stop` is set."""


class Slots:
    """How much may go on at once: `most`, half of it each time that `pressure` has risen, and one more again after each round that went well.

    Who waits for a slot when `ending` is set gets Stopped.
    """

    def __init__(self, most: int, pressure: Callable[[], int], ending: Event) -> None:
        self._most = self._allowed = most
        self._pressure, self._ending = pressure, ending
        self._seen = self._well = self._taken = 0
        self._changed = Condition()

    def __enter__(self) -> None:
        with self._changed:
            wait_unless(self._ending, self._changed, lambda: self._taken < self._now())
            self._taken += 1

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._changed:
            self._taken -= 1
            self._well += kind is None
            if self._well >= self._now():
                self._allowed, self._well = min(self._most, self._allowed + 1), 0
            self._changed.notify_all()

    def _now(self) -> int:
        """How much is allowed at this time."""
        if risen := self._pressure() - self._seen:
            self._seen += risen
            self._allowed, self._well = max(1, self._allowed >> risen), 0
        return self._allowed


def wait_unless(ending: Event, changed: Condition, there: Callable[[], bool]) -> None:
    """Wait on `changed`, which is held, until something is `there`; raises Stopped where `ending` is set before."""
    while not changed.wait_for(there, _TICK):
        if ending.is_set():
            raise Stopped


class _Call(Future[Any]):
    """Work that waits for a thread, or has one; `together` are those of which none begins any more when one of them has failed."""

    def __init__(self, work: Callable[[], object], together: Sequence[_Call] = ()) -> None:
        super().__init__()
        self._work = work
        self.together = together

    def run(self) -> None:
        """Do it, and keep what it returned or raised."""
        self.set_running_or_notify_cancel()
        try:
            self.set_result(self._work())
        except BaseException as fault:  # noqa: BLE001 - raised again by who waits for it
            self.set_exception(fault)
            del self  # which the fault's trace holds


_own = local()  # `crew`: the one that a thread belongs to


class _Crew:
    """At most `most` threads, begun as they are needed; they end when nothing is left to do, and none of them holds up the end of the process.

    What one of them has done in parallel is done by the same threads, itself among them: the bound
    holds however deep that goes.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = Lock()
        self._waiting: dict[_Call, None] = {}
        self._threads = 0

    def add(self, calls: Sequence[_Call]) -> None:
        """Have these done, in this order."""
        with self._lock:
            self._waiting.update(dict.fromkeys(calls))
            new = min(self._most - self._threads, len(calls))
            self._threads += new
        for _ in range(new):
            Thread(target=self._work_off, name="registry", daemon=True).start()

    def drop(self, calls: Sequence[_Call]) -> None:
        """Those that have not begun never will."""
        for call in calls:
            if self._take(call):
                call.cancel()

    def help(self, calls: Sequence[_Call]) -> None:
        """Do those that have not begun, in a thread of the crew; ends with the first that fails."""
        for call in calls:
            if self._take(call):
                self._do(call)
                if call.exception():
                    return

    def _work_off(self) -> None:
        _own.crew = self
        while call := self._next():
            self._do(call)

    def _do(self, call: _Call) -> None:
        call.run()
        # who waits for it may be slow to wake, and the rest would begin meanwhile
        if call.exception():
            self.drop(call.together)

    def _next(self) -> _Call | None:
        with self._lock:
            call = next(iter(self._waiting), None)
            if call is None:
                self._threads -= 1
            else:
                del self._waiting[call]
            return call

    def _take(self, call: _Call) -> bool:
        """Whether it had not begun; nobody else begins it then."""
        with self._lock:
            return call in self._waiting and self._waiting.pop(call) is None


def in_parallel(
    work: Callable[[_Item], _Result],
    items: Sequence[_Item],
    *,
    stop: Event | None = None,
    tick: Callable[[], None] | None = None,
    jobs: int = JOBS,
) -> list[_Result]:
    """`work` for each item, at most `jobs` at a time, or as many as the pool has that it is called in; raises what one of them raised first.

    After a fault or an interruption `stop` is set, nothing more begins, and what goes on is left
    behind: where the work sees `stop` it has GRACE seconds to, and the caller ends what it waits
    for by closing the transport. `tick` is called now and then; what it raises comes through.

    """
    crew: _Crew | None = getattr(_own, "crew", None)
    calls: list[_Call] = []
    calls += [_Call(partial(work, item), calls) for item in items]
    here, crew = crew is not None, crew or _Crew(jobs)
    crew.add(calls)
    try:
        if here:
            crew.help(calls)
        while wait(
            calls, timeout=_TICK if tick else None, return_when=FIRST_EXCEPTION
        ).not_done and not _fault(calls):
            if tick:
                tick()
    except BaseException:
        _give_up(crew, calls, stop)
        raise
    if fault := _fault(calls):
        _give_up(crew, calls, stop)
        raise (_fault(calls) or fault) if isinstance(fault, Stopped) else fault
    return [call.result() for call in calls]


def beside(work: Callable[[], object]) -> None:
    """Have `work` done, which keeps its faults for itself, by the pool that this is called in when it has a thread for it, else by a thread of its own."""
    crew: _Crew = getattr(_own, "crew", None) or _Crew(1)
    crew.add([_Call(work)])


def _give_up(crew: _Crew, calls: Sequence[_Call], stop: Event | None) -> None:
    """Begin nothing more, and give what sees `stop` the time to."""
    crew.drop(calls)
    if stop:
        stop.set()
        wait([call for call in calls if not call.cancelled()], timeout=GRACE)


def _fault(calls: Sequence[_Call]) -> BaseException | None:
    """What has failed, rather than what that has stopped."""
    faults = [
        fault
        for call in calls
        if call.done() and not call.cancelled() and (fault := call.exception())
    ]
    return min(faults, key=lambda fault: isinstance(fault, Stopped), default=None)
