"""The outside of renderer processes: a JSON request in, a document out, each failure an error.

A pull request can change charts and templates. They are rendered in a child process
(`towline.gitops.render.child`) without a network if the system allows that, with an environment
that holds no secret, and with limits on time, memory and output. It also keeps the Go runtime of
the Helm library out of the engine's process.
"""

from __future__ import annotations

import json
import re
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import towline
from towline import limits as limits_of
from towline import process
from towline.errors import MachineError, RenderError, TowlineError
from towline.gitops.render.child import FAULT
from towline.printable import words
from towline.record import asdict, frozen

_ENVIRONMENT = {"LC_ALL": "C.UTF-8", "PATH": "/usr/local/bin:/usr/bin:/bin"}
_GO_DIED = 2  # exit code of the Go runtime's own end; as a library it aborts
_MEMORY = re.compile(rb"out of memory|cannot allocate memory")
_ROOT = str(Path(towline.__file__).parent.parent)
# `-I -m` finds installed packages only; a checkout on PYTHONPATH and a zipapp need the engine's own
# root beside them.
_START = (
    f"import runpy, sys; sys.path[:0] = [] if {_ROOT!r} in sys.path else [{_ROOT!r}]; from"
    " towline.gitops.render.network import leave_network; leave_network(); runpy.run_module({!r},"
    " run_name='__main__')"
)


@frozen
class RenderLimits:
    """The limits of a rendering: `seconds` of wall time and CPU time, `memory` and `output`.

    Both of the latter are in bytes.
    """

    seconds: int = 60
    memory: int = 1024 * 1024 * 1024
    output: int = 16 * 1024 * 1024


def run_renderer(
    child: str,
    request: Mapping[str, Any],
    *,
    limits: RenderLimits,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> process.Completed:
    """How the module `towline.gitops.render.<child>` ended; raises RenderError and MachineError.

    A fault without a place of its own names `name` of the request, if it has that.
    """
    command = [sys.executable, "-I", "-c", _START.format(f"towline.gitops.render.{child}")]
    text = json.dumps({**request, "limits": asdict(limits)}).encode()
    where, process_limits = (
        str(request.get("name", "")),
        limits_of.ProcessLimits(seconds=limits.seconds, memory=limits.memory),
    )
    try:
        ended = process.run(
            command,
            environment={**_ENVIRONMENT, **(environment or {})},
            stdin=text,
            folder=folder,
            limits=process_limits,
        )
    except process.Overrun as overrun:
        raise _overrun(overrun.limit, limits, where) from overrun
    if ended.code == FAULT and ended.out.startswith(b"{"):
        raise _fault(json.loads(ended.out), where)
    if ended.code < 0 or (ended.code == _GO_DIED and _MEMORY.search(ended.err)):
        raise _killed(ended, limits, where)
    if len(ended.out) > limits.output:
        raise _overrun("output cap", limits, where)
    return ended


def render_document(
    child: str,
    request: Mapping[str, Any],
    *,
    limits: RenderLimits,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> str:
    """The document that the module `towline.gitops.render.<child>` makes of `request`.

    Raises RenderError and MachineError.
    """
    ended = run_renderer(child, request, limits=limits, folder=folder, environment=environment)
    if ended.code != 0:
        raise MachineError(
            f"the renderer stopped: {_last_line(ended.err)}",
            where=child,
            hint="install Towline again, with the extra `helm` for charts",
        )
    return ended.out.decode()


def _fault(data: Mapping[str, Any], where: str) -> TowlineError:
    kind = MachineError if data["machine"] else RenderError
    return kind(data["message"], where=data["where"] or where, hint=data["hint"])


def _overrun(limit: str, limits: RenderLimits, where: str) -> RenderError:
    problem = (
        f"took longer than {limits.seconds} seconds"
        if limit == "time limit"
        else f"gave more than {limits.output} bytes"
    )
    return RenderError(
        f"rendering {problem} and was stopped",
        where=where,
        hint="look for a loop that is too large",
    )


def _killed(ended: process.Completed, limits: RenderLimits, where: str) -> RenderError:
    """The error for a child ended by the kernel or its own runtime.

    The cause is CPU time, memory, or another signal.
    """
    if ended.code == -signal.SIGXCPU:
        return _overrun("time limit", limits, where)
    if ended.code == -signal.SIGKILL or _MEMORY.search(ended.err):
        message = (
            f"rendering needed more memory than it may have ({limits.memory} bytes) and was stopped"
        )
        return RenderError(message, where=where, hint="look for a loop that is too large")
    return RenderError(
        f"the renderer ended with signal {-ended.code}: {_last_line(ended.err)}",
        where=where,
        hint="look for endless recursion",
    )


def _last_line(text: bytes) -> str:
    return words(
        (text.decode(errors="replace").strip().splitlines() or ["it wrote no message"])[-1], 500
    )
