"""The inside of a renderer process: it limits itself, reads one JSON request, writes one document or one fault.

Charts and templates are what a pull request can change, so they are rendered in a process of their
own: with an environment that holds no secret, and with limits that end it alone.
`towline.gitops.render.process` is the outside. Exit code 0: standard output is the document; FAULT: it is a
fault as JSON.

"""

from __future__ import annotations

import contextlib
import json
import resource
import sys
from collections.abc import Callable
from typing import Any, NoReturn

FAULT = 3


class RendererFault(Exception):
    """What the author of a chart or a template has to know; `machine` where not the author but the machine is at fault."""

    def __init__(
        self, message: str, *, where: str = "", hint: str = "", machine: bool = False
    ) -> None:
        super().__init__(message)
        self.data = {"message": message, "where": where, "hint": hint, "machine": machine}


def serve_request(render: Callable[[Any], str]) -> NoReturn:
    """Answer the request on standard input with what `render` makes of it, and end the process."""
    request = read_request()
    try:
        document = _encoded(render(request), request["limits"]["output"])
    except RendererFault as fault:
        report_fault(fault)
    except MemoryError:
        report_fault(
            RendererFault(
                "rendering needs more memory than it may have", hint="make the template smaller"
            )
        )
    _end(document, 0)


def report_fault(fault: RendererFault) -> NoReturn:
    """Answer with `fault` and end the process."""
    _end(json.dumps(fault.data).encode(), FAULT)


def _end(answer: bytes, code: int) -> NoReturn:
    sys.stdout.buffer.write(answer)
    sys.stdout.buffer.flush()
    sys.exit(code)


def read_request(*, file_size: int = 0) -> Any:
    """Read the request and take on its limits: CPU seconds, bytes of memory, no core; `file_size` in bytes."""
    request = json.loads(sys.stdin.buffer.read())
    limits = request["limits"]
    # the first signal says what it is about, the second kills
    _limit(resource.RLIMIT_CPU, limits["seconds"], grace=1)
    # Not RLIMIT_AS: the Go runtime reserves addresses by the gigabyte without using them;
    # RLIMIT_DATA counts what can be written to.
    with contextlib.suppress(ValueError):  # macOS knows no such limit
        _limit(resource.RLIMIT_DATA, limits["memory"])
    _limit(resource.RLIMIT_FSIZE, file_size)
    _limit(resource.RLIMIT_CORE, 0)
    return request


def _limit(which: int, wanted: int, *, grace: int = 0) -> None:
    """Set a limit and, `grace` above it, the hard one; never above a hard limit that is there already."""
    there = resource.getrlimit(which)[1]
    hard = wanted + grace if there == resource.RLIM_INFINITY else min(wanted + grace, there)
    resource.setrlimit(which, (min(wanted, hard), hard))


def _encoded(text: str, most: int) -> bytes:
    try:
        document = text.encode()
    except UnicodeEncodeError as fault:
        raise RendererFault(
            f"the result holds half of a surrogate pair at character {fault.start}",
            hint="write the character itself",
        ) from fault
    if len(document) > most:
        raise RendererFault(
            f"the result is larger than {most} bytes", hint="make the template smaller"
        )
    return document
