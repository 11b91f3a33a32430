"""Limits of child processes: the numbers, and how the kernel enforces them.

They are set from outside, right after the program has begun (prlimit(2)), and its own children
inherit them. A child that a program starts before that moment has limits on time and output only.
Such a program would have to be hostile, and programs come only from the agent. Renderers of charts
and templates set their own limits before they read any input (`towline.gitops.render.child`).
"""

from __future__ import annotations

import contextlib
import math
import os
import resource
from collections.abc import Iterator

from towline.record import frozen

KIB, MIB, GIB = 1024, 1024**2, 1024**3
ENGINE_LIMITS = 4 * GIB  # of memory, for the engine itself


@frozen
class ProcessLimits:
    """Limits of a child process.

    `seconds` of time, bytes of `memory` (per process), of `output` (per stream) and of `file_size`
    (per file).
    """

    seconds: float = 600.0
    memory: int = GIB
    output: int = 64 * MIB
    file_size: int = 64 * MIB


def hold_self() -> None:
    """Limit this process's own memory, and forbid core dumps.

    At the limit Python raises MemoryError; without it the kernel would kill the process. A core
    dump would write every secret of the run into the workspace.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    most = resource.getrlimit(resource.RLIMIT_DATA)[1]
    _set_data(ENGINE_LIMITS if most == resource.RLIM_INFINITY else min(ENGINE_LIMITS, most), most)


@contextlib.contextmanager
def unheld() -> Iterator[None]:
    """Lift the limit of `hold_self` on memory while the block starts the caller's own program."""
    held, most = resource.getrlimit(resource.RLIMIT_DATA)
    _set_data(most, most)
    try:
        yield
    finally:
        _set_data(held, most)


def _set_data(held: int, most: int) -> None:
    with contextlib.suppress(ValueError, OSError):  # not every system has this limit
        resource.setrlimit(resource.RLIMIT_DATA, (held, most))


def impose(pid: int, limits: ProcessLimits) -> None:
    """Let the kernel enforce `limits` on process `pid` if it can; a lower limit stays.

    The limits on time and output are enforced by the process that reads the output.
    """
    if not hasattr(resource, "prlimit"):  # Linux alone has it
        return
    try:
        for which, wanted in _wanted(limits):
            most = resource.prlimit(pid, which)[1]
            least = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
            resource.prlimit(pid, which, (least, least))
    # the child has ended already, or it belongs to another user, as a setuid program does
    except (ProcessLookupError, PermissionError):
        return


def _wanted(limits: ProcessLimits) -> Iterator[tuple[int, int]]:
    # Not RLIMIT_AS: the Go runtime reserves addresses by the gigabyte without using them;
    # RLIMIT_DATA counts what can be written to.
    yield resource.RLIMIT_DATA, limits.memory
    yield resource.RLIMIT_FSIZE, limits.file_size
    # for processes that left the group, which alone is killed at the time limit
    yield resource.RLIMIT_CPU, math.ceil(limits.seconds + 1) * (os.cpu_count() or 1)
    yield resource.RLIMIT_CORE, 0


def amount(size: int) -> str:
    """Return a number of bytes as text for people."""
    for unit, name in ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if size >= unit:
            return f"{size / unit:.4g} {name}"
    return f"{size} bytes"
