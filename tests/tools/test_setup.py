"""Setting up prints the commands to run if it cannot go on, and does nothing if all is there."""

from __future__ import annotations

import hashlib
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


def test_the_engine_is_compiled_where_python_writes_no_bytecode(tmp_path: Path) -> None:
    folder = checkout(tmp_path)
    module = folder / "engine" / "towline" / "answer.py"
    module.parent.mkdir(parents=True)
    module.write_text("ANSWER = 'before'\n")
    be_set_up(folder)
    environment = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(module.parent)}
    ended = set_up(folder, **environment)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    [compiled] = module.parent.glob("__pycache__/answer.*.pyc")

    def answer() -> str:
        program = "import answer; print(answer.ANSWER, answer.__cached__)"
        return subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    assert answer() == f"before {compiled}\n"
    written = compiled.read_bytes()
    module.write_text("ANSWER = 'after the edit'\n")
    assert answer().startswith("after the edit ")
    assert compiled.read_bytes() == written
    later = module.stat().st_mtime + 2  # compileall compares times to the second
    os.utime(module, (later, later))
    assert set_up(folder, **environment).returncode == 0
    assert compiled.read_bytes() != written


def be_set_up(folder: Path) -> None:
    """Let a checkout look as after its first set-up."""
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "python").symlink_to(sys.executable)
    (programs / "towline").write_text("#!/bin/sh\n")
    (programs / "towline").chmod(0o755)
    locks = sorted(folder.glob("requirements*.lock"), key=lambda lock: lock.name)
    parts = (*locks, folder / "pyproject.toml", folder / "resources/towline/VERSION")
    wanted = hashlib.sha256(b"".join(part.read_bytes() for part in parts)).hexdigest()
    (folder / ".venv" / "towline-setup-run").write_text(f"{wanted}\n")
