"""What every command is given: the request, the variables and folder of the machine, and where to write for people."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from towline.console import Console, Output
from towline.contract import Request
from towline.record import frozen


@frozen
class Call:
    """One call of the engine; `requested` tells the Jenkins library's call from one in a shell; `out` is standard output.

    `program` is what stands behind `--`, for the command that runs one.
    """

    request: Request
    requested: bool
    environ: Mapping[str, str]
    folder: Path
    console: Console
    out: Output
    program: tuple[str, ...] = ()
