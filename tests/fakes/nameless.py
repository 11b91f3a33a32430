"""A user without a name on the machine, as OpenShift assigns one to each project.

Programs run as that user in a user namespace.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

START = ["unshare", "--user", "--map-user=64321", "--map-group=64321"]


def missing() -> str:
    """Why no program can run as that user here; empty if one can."""
    ran = subprocess.run([*START, "true"], capture_output=True, check=False).returncode == 0
    return "" if ran else "this system gives no user namespace"


def stand_in(name: str, folder: Path) -> str:
    """A folder for PATH in which the program `name` is the machine's own, run as that user."""
    folder.mkdir(exist_ok=True)
    script = folder / name
    script.write_text(f'#!/bin/sh\nexec {" ".join(START)} {shutil.which(name)} "$@"\n')
    script.chmod(0o755)
    return str(folder)
