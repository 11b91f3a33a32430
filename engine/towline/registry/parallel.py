"""Work in threads: results in the order of the items; the first fault stops the rest and is the one that is raised."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from threading import Event
from typing import TypeVar

JOBS = 8
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Stopped(Exception):
    """Other work has failed, or the run was interrupted: what long work raises when it sees that `stop` is set."""


def in_parallel(work: Callable[[_Item], _Result], items: Sequence[_Item], *, stop: Event | None = None) -> list[_Result]:
    """`work` for each item, at most JOBS at a time; raises what one of them raised, when all have ended.

    Sets `stop` on every way out; an interruption comes through at once.
    """
    if not items:
        return []
    stop = stop or Event()
    pool = ThreadPoolExecutor(max_workers=min(JOBS, len(items)), thread_name_prefix="registry")
    try:
        futures = [pool.submit(work, item) for item in items]
        wait(futures, return_when=FIRST_EXCEPTION)
    except BaseException:  # interrupted: the caller ends what the threads wait for by closing the transport
        stop.set()
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    stop.set()
    pool.shutdown(wait=True, cancel_futures=True)
    faults = [fault for future in futures if not future.cancelled() and (fault := future.exception()) is not None]
    for fault in sorted(faults, key=lambda fault: isinstance(fault, Stopped)):
        raise fault
    return [future.result() for future in futures]
