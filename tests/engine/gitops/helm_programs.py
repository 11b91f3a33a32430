"""Helm programs: the program of this machine, and versions built once into the user's cache."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

HERE = os.environ.get("TOWLINE_HELM") or shutil.which("helm")
NO_HELM = (
    "no helm program: set TOWLINE_HELM or put helm 3 or 4 on PATH to hold library and program"
    " against each other"
)
VERSIONS = {"3": "helm.sh/helm/v3/cmd/helm@v3.22.0", "4": "helm.sh/helm/v4/cmd/helm@v4.3.2"}


def built(major: str) -> str:
    """The path of Helm in that major version.

    The test is skipped with a message if it has to be built and Go is missing.
    """
    module = VERSIONS[major]
    cache = (
        Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        / "towline-tests"
        / f"helm-{module.partition('@')[2]}"
    )
    if not (cache / "helm").exists():
        go = shutil.which("go")
        if go is None:
            pytest.skip(
                f"Go is not on PATH: Helm {major} ({module}) was not built, and the Helm library is"
                " not held against it"
            )
        cache.mkdir(parents=True, exist_ok=True)
        with (cache / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # tests run side by side: one builds, the others wait
            if not (cache / "helm").exists():
                build(go, module, cache)
    return str(cache / "helm")


def build(go: str, module: str, cache: Path) -> None:
    """Have Go build it into the folder, where it appears complete."""
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        done = subprocess.run(
            [go, "install", module],
            env={**os.environ, "GOBIN": folder, "GOFLAGS": ""},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{module} could not be built: {done.stderr[-2000:]}"
        (Path(folder) / "helm").replace(cache / "helm")
