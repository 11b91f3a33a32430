"""The inside of a renderer process: sets its limits, reads a request, writes document or fault.

The request is JSON. A pull request can change charts and templates, so they are
rendered in a process of their own: its environment holds no secret, and its limits end this process
alone. `towline.gitops.render.process` is the outside. With exit code 0 standard output is the
document, with FAULT it is a fault as JSON.
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
    """A fault that the author of a chart or template must know.

    `machine` is true if the cause is the machine, not the author.
    """

    def __init__(
        self, message: str, *, where: str = "", hint: str = "", machine: bool = False
    ) -> None:
        super().__init__(message)
        self.data = {"message": message, "where": where, "hint": hint, "machine": machine}


def serve_request(render: Callable[[Any], str]) -> NoReturn:
    """Answer the request on standard input with the result of `render`, and end the process."""
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
    """Read the request and set its limits: CPU seconds, bytes of memory, no core dump.

    `file_size` is the limit of written files in bytes.
    """
    request = json.loads(sys.stdin.buffer.read())
    limits = request["limits"]
    # The first signal tells the cause, the second kills.
    _limit(resource.RLIMIT_CPU, limits["seconds"], grace=1)
    # Not RLIMIT_AS: the Go runtime reserves addresses by the gigabyte without using them;
    # RLIMIT_DATA counts writable memory.
    with contextlib.suppress(ValueError):  # macOS does not have this limit
        _limit(resource.RLIMIT_DATA, limits["memory"])
    _limit(resource.RLIMIT_FSIZE, file_size)
    _limit(resource.RLIMIT_CORE, 0)
    return request


def _limit(which: int, wanted: int, *, grace: int = 0) -> None:
    """Set a limit and, `grace` above it, the hard limit; an existing hard limit is not exceeded."""
    existing = resource.getrlimit(which)[1]
    hard = wanted + grace if existing == resource.RLIM_INFINITY else min(wanted + grace, existing)
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
