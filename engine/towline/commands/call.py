"""What every command is given: the request, the machine's variables and folder, and the streams."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from towline.console import Console, Output
from towline.contract import Request
from towline.record import frozen


@frozen
class Call:
    """One call of the engine; `out` is standard output.

    `requested` tells a call of the Jenkins library from one in a shell. `program` holds the words
    behind `--`, for the command that runs a program.
    """

    request: Request
    requested: bool
    environ: Mapping[str, str]
    folder: Path
    console: Console
    out: Output
    program: tuple[str, ...] = ()
