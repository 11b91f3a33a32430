"""Work in threads: results in the order of the items; the first fault stops the rest and is the one that is raised."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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


class Cancelled(Exception):
    """Other work has failed, or the run was interrupted: what long work raises when it sees that `stop` is set."""


class Slots:
    """How much may go on at once: `most`, half of it each time that `pressure` has risen, and one more again after each round that went well.

    Who waits for a slot when `ending` is set gets Cancelled.
    """

    def __init__(self, most: int, pressure: Callable[[], int], ending: Event) -> None:
        self._most = self._allowed = most
        self._pressure, self._ending = pressure, ending
        self._seen = self._well = self._taken = 0
        self._changed = Condition()

    def __enter__(self) -> None:
        with self._changed:
            wait_until(self._ending, self._changed, lambda: self._taken < self._now())
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


def wait_until(ending: Event, changed: Condition, there: Callable[[], bool]) -> None:
    """Wait on `changed`, which is held, until something is `there`; raises Cancelled where `ending` is set before."""
    while not changed.wait_for(there, _TICK):
        if ending.is_set():
            raise Cancelled


class _Call:
    """Work that waits for a thread or has one, and what it returned or raised."""

    def __init__(self, work: Callable[[], Any], batch: _Batch) -> None:
        self._work, self.batch = work, batch
        self.result: Any = None
        self.fault: BaseException | None = None

    def run(self) -> None:
        """Do the work; its fault is kept, for who waits for it to raise."""
        try:
            self.result = self._work()
        except BaseException as fault:  # noqa: BLE001 - raised again by who waits for it
            self.fault = fault
            del self  # which the fault's trace holds


class _Batch:
    """Calls that are waited for together; none of them begins any more when one has failed."""

    def __init__(self, works: Sequence[Callable[[], Any]]) -> None:
        self.calls = [_Call(work, self) for work in works]
        self.left = len(self.calls)
        self._failed = False
        self._changed = Condition()

    def end(self, call: _Call) -> None:
        """Count a call that has ended, or that will never begin."""
        with self._changed:
            self.left -= 1
            self._failed = self._failed or call.fault is not None
            if self._failed or not self.left:
                self._changed.notify_all()

    def wait(self, timeout: float | None) -> bool:
        """Wait until all calls have ended or one has failed; False if the time was over before."""
        with self._changed:
            return self._changed.wait_for(lambda: self._failed or not self.left, timeout)

    def wait_for_all(self, timeout: float) -> None:
        """Wait until all calls have ended, whatever came of them, or until the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: not self.left, timeout)

    def fault(self) -> BaseException | None:
        """The fault of a call, rather than that of another which it has stopped."""
        faults = [call.fault for call in self.calls if call.fault]
        return min(faults, key=lambda fault: isinstance(fault, Cancelled), default=None)


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

    def add(self, batch: _Batch) -> None:
        """Have these done, in this order."""
        with self._lock:
            self._waiting.update(dict.fromkeys(batch.calls))
            new = min(self._most - self._threads, len(batch.calls))
            self._threads += new
        for _ in range(new):
            Thread(target=self._work_off, name="registry", daemon=True).start()

    def drop(self, batch: _Batch) -> None:
        """Those that have not begun never will."""
        for call in batch.calls:
            if self._take(call):
                batch.end(call)

    def help(self, batch: _Batch) -> None:
        """Do those that have not begun, in a thread of the crew; ends with the first that fails."""
        for call in batch.calls:
            if self._take(call):
                self._do(call)
                if call.fault:
                    return

    def _work_off(self) -> None:
        _own.crew = self
        while call := self._next():
            self._do(call)

    def _do(self, call: _Call) -> None:
        call.run()
        # who waits for it may be slow to wake, and the rest would begin meanwhile
        if call.fault:
            self.drop(call.batch)
        call.batch.end(call)

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
    batch = _Batch([partial(work, item) for item in items])
    here, crew = crew is not None, crew or _Crew(jobs)
    crew.add(batch)
    try:
        if here:
            crew.help(batch)
        while not batch.wait(_TICK if tick else None):
            if tick:
                tick()
    except BaseException:
        _give_up(crew, batch, stop)
        raise
    if fault := batch.fault():
        _give_up(crew, batch, stop)
        raise (batch.fault() or fault) if isinstance(fault, Cancelled) else fault
    return [call.result for call in batch.calls]


def in_background(work: Callable[[], object]) -> None:
    """Have `work` done, which keeps its faults for itself, by the pool that this is called in when it has a thread for it, else by a thread of its own."""
    crew: _Crew = getattr(_own, "crew", None) or _Crew(1)
    crew.add(_Batch([work]))


def _give_up(crew: _Crew, batch: _Batch, stop: Event | None) -> None:
    """Begin nothing more, and give what sees `stop` the time to."""
    crew.drop(batch)
    if stop:
        stop.set()
        batch.wait_for_all(GRACE)
