"""The deadline of a copy for work that no socket bounds: a disk that hangs, a daemon that trickles, packing that takes too long."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from towline.errors import MachineError
from towline.http.client import Transport
from towline.parallel import GRACE, in_parallel

_Result = TypeVar("_Result")


def deadline_check(transport: Transport) -> Callable[[], None]:
    """What looks on while threads work (the `tick` of in_parallel): raises MachineError where they go on although the time of `transport` is over.

    Requests end by themselves then, and say which registry they were for: they are given the time
    to.
    """
    return partial(_check, transport)


def run_in_time(work: Callable[[], _Result], transport: Transport) -> _Result:
    """`work` in a thread of its own, which is left behind where the time of `transport` is over; raises what it raises, and MachineError."""
    return in_parallel(lambda _: work(), [None], tick=deadline_check(transport))[0]


def _check(transport: Transport) -> None:
    if transport.overdue > GRACE:
        raise MachineError(
            f"the time limit of {transport.limit:.0f} seconds is exceeded, and a disk, a"
            " daemon or a host on the way no longer answers",
            hint="see which of them it is; copyDeadline says how long a copy may take",
        )
