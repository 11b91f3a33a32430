"""Setting up says what to paste if it cannot go on, and does nothing if all is there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILES = (
    "tools/setup.sh",
    "pyproject.toml",
    "requirements.lock",
    "requirements-test.lock",
    "resources/towline/VERSION",
    "README.md",
    "LICENSE",
)


def checkout(folder: Path) -> Path:
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return folder


def set_up(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", str(folder / "tools/setup.sh"), "run"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_a_network_the_command_to_paste_is_printed(tmp_path: Path) -> None:
    ended = set_up(
        checkout(tmp_path),
        PIP_INDEX_URL="http://127.0.0.1:9/simple",
        PIP_NO_CACHE_DIR="1",
        PIP_CONFIG_FILE="/dev/null",
    )
    assert ended.returncode == 1
    assert "PIP_INDEX_URL=https://mirror.example.com/simple make demo" in ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr


def test_a_user_without_git_gets_the_command_that_installs_it(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("sh", "sed", "head", "cat", "dirname", "sha256sum", "cut", "apt-get"):
        (programs / name).symlink_to(shutil.which(name) or "/bin/true")
    (programs / "python3").symlink_to(Path(sys.executable).resolve())
    (programs / "id").write_text("#!/bin/sh\necho 1000\n")
    (programs / "id").chmod(0o755)
    ended = set_up(checkout(tmp_path / "checkout"), PATH=str(programs))
    assert ended.returncode == 1
    assert (
        "sudo sh -c 'apt-get update && apt-get install -y --no-install-recommends git'"
        in ended.stderr
    )
