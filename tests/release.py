"""The files of a release, made once for each process of the tests."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def make_release(output: Path, *options: str, **variables: str) -> Path:
    """Make a release in the folder `output`, as `make dist` does; returns the folder."""
    subprocess.run(
        [sys.executable, "-m", "tools.dist", "--output", str(output), *options],
        cwd=ROOT,
        env={**os.environ, **variables},
        check=True,
        capture_output=True,
    )
    return output


@cache
def release() -> Path:
    """The folder of a release that other users can read, too."""
    folder = Path(tempfile.mkdtemp(prefix="towline-release-"))
    atexit.register(shutil.rmtree, folder)
    folder.chmod(0o755)
    return make_release(folder / "dist")


def zipapp() -> Path:
    """The archive of the engine with its dependencies."""
    [path] = release().glob("*.pyz")
    return path


def library() -> Path:
    """The folder of the released Jenkins library."""
    return release() / "library"
