"""A docker credential helper as a script: it answers from a table, and notes how it was called
in `seen.json` beside it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

_PROGRAM = """\
#!{python} -I
import json, os, sys
from pathlib import Path
known = {known!r}
server = sys.stdin.read()
call = {{"arguments": sys.argv[1:], "server": server}}
call |= {{"environ": dict(os.environ), "folder": os.getcwd()}}
Path({seen!r}).write_text(json.dumps(call))
if server not in known:
    sys.exit(print("credentials not found in native keychain") or 1)
print(json.dumps({{"ServerURL": server, "Username": known[server][0], "Secret": known[server][1]}}))
"""


def install(
    folder: Path, name: str, known: Mapping[str, tuple[str, str]] | None = None, *, script: str = ""
) -> dict[str, str]:
    """Write `docker-credential-<name>` that knows these servers, or is a shell script; give the
    environment that finds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / f"docker-credential-{name}"
    program.write_text(
        f"#!/bin/sh\n{script}\n"
        if script
        else _PROGRAM.format(
            python=sys.executable, known=dict(known or {}), seen=str(folder / "seen.json")
        )
    )
    program.chmod(0o755)
    return {"PATH": f"{folder}:{os.defpath}"}
