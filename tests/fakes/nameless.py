"""A user whom the machine has no name for, as OpenShift gives one to each project: what runs as
it, by a user namespace.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

START = ["unshare", "--user", "--map-user=64321", "--map-group=64321"]


def missing() -> str:
    """Why nothing can run as that user here; empty where it can."""
    ran = subprocess.run([*START, "true"], capture_output=True, check=False).returncode == 0
    return "" if ran else "this system gives no user namespace"


def stand_in(name: str, folder: Path) -> str:
    """A folder, first on a PATH, in which the program `name` is the machine's own, run by that
    user.
    """
    folder.mkdir(exist_ok=True)
    script = folder / name
    script.write_text(f'#!/bin/sh\nexec {" ".join(START)} {shutil.which(name)} "$@"\n')
    script.chmod(0o755)
    return str(folder)
