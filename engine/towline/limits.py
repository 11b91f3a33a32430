"""What a child process may take: the numbers, and how the kernel is told them.

They are set from outside, right after the program has begun (prlimit(2)); what it starts later
inherits them. A program that starts another one within that moment would have that one unbounded
but for time and output: it would have to be hostile itself, and programs come from the agent alone.
What renders charts and templates takes on its limits by itself, before it reads any of them
(`towline.gitops.render.child`).
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
    """What a child may take: `seconds` of time, bytes of `memory` (each process), of `output` (each stream) and of `file_size` (each file)."""

    seconds: float = 600.0
    memory: int = GIB
    output: int = 64 * MIB
    file_size: int = 64 * MIB


def hold_self() -> None:
    """Bound this process's own memory, at whose end there is an error (MemoryError) instead of the kernel's kill; and let it leave no core.

    A core would hold every secret of the run, in the workspace.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    most = resource.getrlimit(resource.RLIMIT_DATA)[1]
    _set_data(ENGINE_LIMITS if most == resource.RLIM_INFINITY else min(ENGINE_LIMITS, most), most)


@contextlib.contextmanager
def unheld() -> Iterator[None]:
    """Without the bound of `hold_self` on memory while the block runs: what is started in it is the caller's own."""
    held, most = resource.getrlimit(resource.RLIMIT_DATA)
    _set_data(most, most)
    try:
        yield
    finally:
        _set_data(held, most)


def _set_data(held: int, most: int) -> None:
    with contextlib.suppress(ValueError, OSError):  # not every system knows it
        resource.setrlimit(resource.RLIMIT_DATA, (held, most))


def impose(pid: int, limits: ProcessLimits) -> None:
    """Have the kernel hold process `pid` to its limits, where it can; never above one that is there.

    Time and output are for who reads it.
    """
    if not hasattr(resource, "prlimit"):  # Linux alone has it
        return
    try:
        for which, wanted in _wanted(limits):
            most = resource.prlimit(pid, which)[1]
            least = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
            resource.prlimit(pid, which, (least, least))
    # it has ended already; it is somebody else's by now, as a setuid program is
    except (ProcessLookupError, PermissionError):
        return


def _wanted(limits: ProcessLimits) -> Iterator[tuple[int, int]]:
    # Not RLIMIT_AS: the Go runtime reserves addresses by the gigabyte without using them;
    # RLIMIT_DATA counts what can be written to.
    yield resource.RLIMIT_DATA, limits.memory
    yield resource.RLIMIT_FSIZE, limits.file_size
    # for what has left the group that the time limit ends
    yield resource.RLIMIT_CPU, math.ceil(limits.seconds + 1) * (os.cpu_count() or 1)
    yield resource.RLIMIT_CORE, 0


def amount(size: int) -> str:
    """A number of bytes for people."""
    for unit, name in ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if size >= unit:
            return f"{size / unit:.4g} {name}"
    return f"{size} bytes"
