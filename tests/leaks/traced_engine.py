"""The engine as its console script starts it, with a hook that records the child
processes that it starts, the files that it writes, and the host names that it looks up.

A program: `python -I traced_engine.py LOG ARGUMENT...`, where LOG gets a line of JSON for each
event. It brings no path of its own into the engine: the interpreter of the environment that it is
started with has the engine installed. Leaks on purpose are in planted.py.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
from pathlib import Path
from typing import Any

LACKS = "HUNT_LACKS"  # the variable with the packages that cannot be imported
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def main() -> int:
    """Run the engine's entry point."""
    log = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    sys.argv[:2] = ["towline"]

    def tell(event: str, arguments: tuple[Any, ...]) -> None:
        if fact := _fact(event, arguments):
            os.write(log, json.dumps({"event": event, **fact}).encode() + b"\n")

    sys.addaudithook(tell)
    for package in filter(None, os.environ.pop(LACKS, "").split(",")):
        sys.modules[package] = None  # type: ignore[assignment]
    runpy.run_path(str(Path(__file__).with_name("planted.py")))["plant"]()
    from towline.cli import entry  # noqa: PLC0415 - after the hook is there

    return entry()


def _fact(event: str, arguments: tuple[Any, ...]) -> dict[str, Any] | None:
    """The data of an event that is reported, as JSON has it; None for most events."""
    if event == "subprocess.Popen":
        _, words, _, environ = arguments
        return {
            "words": list(map(_text, words)),
            "environ": {
                _text(name): _text(value)
                for name, value in (os.environ if environ is None else environ).items()
            },
        }
    if (
        event == "open"
        and isinstance(arguments[2], int)
        and arguments[2] & _WRITES
        and not isinstance(arguments[0], int)
    ):
        return {"path": os.path.abspath(_text(arguments[0]))}  # noqa: PTH100 - no link is followed
    if event == "socket.getaddrinfo":
        return {"name": _text(arguments[0] or "")}
    return None


def _text(value: Any) -> str:
    return os.fsdecode(value)


if __name__ == "__main__":
    sys.exit(main())
