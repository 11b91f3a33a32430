"""The deadline of a copy for work without a socket's time limit.

That is a disk that hangs, a daemon that is too slow, packing that takes too long.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from towline.errors import MachineError
from towline.http.client import Transport
from towline.parallel import GRACE, in_parallel

_Result = TypeVar("_Result")


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
