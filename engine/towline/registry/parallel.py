"""Work in threads: results in the order of the items; the first fault stops the rest and is the one that is raised."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from threading import Condition, Event
from typing import TypeVar

JOBS = 8
GRACE = 0.5  # a registry's answer that is under way may name an upload that has to be given up; an interrupted run ends within two seconds
_TICK = 0.2  # seconds
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Stopped(Exception):
    """Other work has failed, or the run was interrupted: what long work raises when it sees that `stop` is set."""


class Slots:
    """How much may go on at once: as much as `allowed` says at that time, and one at least."""

    def __init__(self, allowed: Callable[[], int]) -> None:
        self._allowed = allowed
        self._changed = Condition()
        self._taken = 0

    def __enter__(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._taken < max(1, self._allowed()))
            self._taken += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._taken -= 1
            self._changed.notify_all()


def in_parallel(
    work: Callable[[_Item], _Result], items: Sequence[_Item], *, stop: Event | None = None, tick: Callable[[], None] | None = None, jobs: int = JOBS
) -> list[_Result]:
    """`work` for each item, at most `jobs` at a time; raises what one of them raised, when all have ended.

    Sets `stop` on every way out. An interruption comes through at once, or where the work sees `stop` when it has, GRACE seconds later at the latest.
    `tick` is called now and then while it goes on.
    """
    if not items:
        return []
    grace, stop = GRACE if stop else 0.0, stop or Event()
    pool = ThreadPoolExecutor(max_workers=min(jobs, len(items)), thread_name_prefix="registry")
    futures: list[Future[_Result]] = []
    try:
        futures = [pool.submit(work, item) for item in items]
        while wait(futures, timeout=_TICK if tick else None, return_when=FIRST_EXCEPTION).not_done and tick:
            if any(future.done() and not future.cancelled() and future.exception() for future in futures):
                break
            tick()
    except BaseException:  # interrupted: the caller ends what the threads wait for by closing the transport
        stop.set()
        pool.shutdown(wait=False, cancel_futures=True)
        wait([future for future in futures if not future.cancelled()], timeout=grace)
        raise
    stop.set()
    pool.shutdown(wait=True, cancel_futures=True)
    faults = [fault for future in futures if not future.cancelled() and (fault := future.exception()) is not None]
    for fault in sorted(faults, key=lambda fault: isinstance(fault, Stopped)):
        raise fault
    return [future.result() for future in futures]
