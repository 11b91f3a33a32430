"""Threads of a copy: results in the order of the items; the first fault stops the rest.

`deadline_check` and `run_in_time` hold work without a socket's time limit to the deadline of the
copy: a disk that hangs, a daemon that is too slow, packing that takes too long.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from threading import Condition, Event, Lock, Thread, local
from typing import Any, TypeVar

from towline.errors import MachineError
from towline.http.client import Transport

JOBS = 8  # calls at the same time, also if a call has others done in parallel
# seconds for work that sees `stop`: the answer of a registry that is under way may name an upload,
# which has to be cancelled; an interrupted run has to end within two seconds
GRACE = 0.5
_TICK = 0.2  # seconds
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Cancelled(Exception):
    """Raised by long work that sees `stop`: other work has failed, or the run was interrupted."""


class Slots:
    """Limits how much is done at the same time: `most` at first.

    The limit is halved each time that `pressure` has risen, and one higher after each round without
    a fault. Waiting for a slot raises Cancelled when `ending` is set.
    """

    def __init__(self, most: int, pressure: Callable[[], int], ending: Event) -> None:
        self._most = self._allowed = most
        self._pressure, self._ending = pressure, ending
        self._seen = self._successes = self._taken = 0
        self._changed = Condition()

    def __enter__(self) -> None:
        with self._changed:
            wait_until(self._ending, self._changed, lambda: self._taken < self._limit())
            self._taken += 1

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._changed:
            self._taken -= 1
            self._successes += kind is None
            if self._successes >= self._limit():
                self._allowed, self._successes = min(self._most, self._allowed + 1), 0
            self._changed.notify_all()

    def _limit(self) -> int:
        """How many slots there are at this moment."""
        risen = self._pressure() - self._seen
        if risen:
            self._seen += risen
            self._allowed, self._successes = max(1, self._allowed >> risen), 0
        return self._allowed


def wait_until(ending: Event, changed: Condition, is_true: Callable[[], bool]) -> None:
    """Wait on `changed`, which is held, until `is_true`; raises Cancelled if `ending` is set."""
    while not changed.wait_for(is_true, _TICK):
        if ending.is_set():
            raise Cancelled


class _Call:
    """Work that waits for a thread or has one, with its result or fault."""

    def __init__(self, work: Callable[[], Any], batch: _Batch) -> None:
        self._work, self.batch = work, batch
        self.result: Any = None
        self.fault: BaseException | None = None

    def run(self) -> None:
        """Do the work; a fault is kept, and raised by the thread that waits for the call."""
        try:
            self.result = self._work()
        except BaseException as fault:  # noqa: BLE001 - raised again by the waiting thread
            self.fault = fault
            del self  # the fault's traceback holds it


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
        """Wait until all calls have ended or one has failed; False after `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: self._failed or not self.left, timeout)

    def wait_for_all(self, timeout: float) -> None:
        """Wait until all calls have ended, with or without a fault, or for `timeout` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: not self.left, timeout)

    def fault(self) -> BaseException | None:
        """The fault of a call; one that is not Cancelled comes first."""
        faults = [call.fault for call in self.calls if call.fault]
        return min(faults, key=lambda fault: isinstance(fault, Cancelled), default=None)


_own = local()  # `pool`: the pool that a thread belongs to


class _Pool:
    """At most `most` threads, started as they are needed, ended when nothing is left to do.

    None of them holds up the end of the process. A call that has others done in parallel has them
    done by the same pool, its own thread included, so that the bound holds at any depth.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = Lock()
        self._waiting: dict[_Call, None] = {}
        self._threads = 0

    def add(self, batch: _Batch) -> None:
        """Have the calls done, in this order."""
        with self._lock:
            self._waiting.update(dict.fromkeys(batch.calls))
            new = min(self._most - self._threads, len(batch.calls))
            self._threads += new
        for _ in range(new):
            Thread(target=self._work_off, name="registry", daemon=True).start()

    def drop(self, batch: _Batch) -> None:
        """Drop the calls that have not begun."""
        for call in batch.calls:
            if self._take(call):
                batch.end(call)

    def help(self, batch: _Batch) -> None:
        """Do the calls that have not begun, in this thread of the pool, up to the first fault."""
        for call in batch.calls:
            if self._take(call):
                self._do(call)
                if call.fault:
                    return

    def _work_off(self) -> None:
        _own.pool = self
        while call := self._next():
            self._do(call)

    def _do(self, call: _Call) -> None:
        call.run()
        # the waiting thread may be slow to wake up, and the rest would begin meanwhile
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
        """Take a call that has not begun; False if it has."""
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
    """The results of `work` for each item, done by at most `jobs` threads.

    In a thread of a pool the work is done by that pool. After a fault or an interruption `stop` is
    set, nothing more begins, and what is under way is left behind: it has GRACE seconds to see
    `stop`, and the caller ends what it waits for by closing the transport. `tick` is called now and
    then. Raises the first fault of the work, and what `tick` raises.
    """
    own: _Pool | None = getattr(_own, "pool", None)
    pool = own or _Pool(jobs)
    batch = _Batch([partial(work, item) for item in items])
    pool.add(batch)
    try:
        if own:
            own.help(batch)
        while not batch.wait(_TICK if tick else None):
            if tick:
                tick()
    except BaseException:
        _give_up(pool, batch, stop)
        raise
    fault = batch.fault()
    if fault:
        _give_up(pool, batch, stop)
        raise (batch.fault() or fault) if isinstance(fault, Cancelled) else fault
    return [call.result for call in batch.calls]


def in_background(work: Callable[[], object]) -> None:
    """Have `work` done by the pool of this thread when it has time, else by a thread of its own.

    The work has to handle its own faults.
    """
    pool: _Pool = getattr(_own, "pool", None) or _Pool(1)
    pool.add(_Batch([work]))


def _give_up(pool: _Pool, batch: _Batch, stop: Event | None) -> None:
    """Begin nothing more, and give work that is under way the time to see `stop`."""
    pool.drop(batch)
    if stop:
        stop.set()
        batch.wait_for_all(GRACE)


def deadline_check(transport: Transport) -> Callable[[], None]:
    """A check for the `tick` of `in_parallel`: raises MachineError after `transport`'s deadline.

    Requests end by themselves at the deadline, and say which registry they were for; the check
    gives them GRACE seconds to do so.
    """
    return partial(_check, transport)


def run_in_time(work: Callable[[], _Result], transport: Transport) -> _Result:
    """The result of `work`, done in a thread that is left behind at the deadline of `transport`.

    Raises the errors of `work`, and MachineError at the deadline.
    """
    return in_parallel(lambda _: work(), [None], tick=deadline_check(transport))[0]


def _check(transport: Transport) -> None:
    if transport.overdue > GRACE:
        raise MachineError(
            f"the time limit of {transport.limit:.0f} seconds is exceeded, and a disk, a"
            " daemon or a host on the way no longer answers",
            hint="see which of them it is; copyDeadline says how long a copy may take",
        )
