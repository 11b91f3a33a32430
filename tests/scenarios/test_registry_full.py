"""A copy to a registry (Debian's docker-registry) whose disk is full.

The copy reports the full disk, leaves no tag, and succeeds once there is space.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.calls import Ending
from tests.fakes.docker_registry import DockerRegistry
from tests.fakes.images import make_image, put

IMAGE = make_image(size=3_000_000, layers=3)


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """Mount a file system of `size`, which needs root and is forbidden in some containers."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(
            "no small disk can be mounted here, run as root where mounting is allowed:"
            f" {mounted.stderr.strip()}"
        )
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def target(tmp_path: Path) -> Iterator[DockerRegistry]:
    """A registry on a disk of 32 MiB, of which 28 are taken."""
    if os.geteuid() or not shutil.which("mount"):
        pytest.skip("only root mounts a small disk")
    folder = tmp_path / "disk"
    with small_disk(folder, "32m"):
        (folder / "other").write_bytes(bytes(28 * 1024 * 1024))
        with DockerRegistry(folder / "registry") as started:
            yield started


def test_a_full_registry_is_an_error_without_a_tag_and_the_next_call_succeeds_once_there_is_space(
    tmp_path: Path, target: DockerRegistry
) -> None:
    with DockerRegistry(tmp_path / "staging") as staging:
        put(IMAGE, staging.url, "app", "1.0")
        words = ["copy", f"docker://{staging.host}/app:1.0", f"docker://{target.host}/team/app:1.0"]
        full = Ending(words, tmp_path)
        assert (full.code, full.result["status"]) == (5, "failure"), full.err
        assert re.search(
            rf"the target registry {target.host} answers 500 when asked to store .*: its disk is"
            r" full: UNKNOWN",
            full.message,
        ), full.message
        # the registry's own text
        assert re.search(r'no space left on device|"Err": 28', full.message), full.message
        assert "space" in full.hint
        assert target.manifest_digest("team/app", "1.0") == ""
        (target.folder.parent / "other").unlink()
        again = Ending(words, tmp_path)
    assert (again.code, target.manifest_digest("team/app", "1.0")) == (0, IMAGE.digest), again.err
