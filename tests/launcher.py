"""An agent that has nothing but a shell, Python and the programs that the launcher needs.

`Agent` runs resources/towline/engine.sh there as Jenkins does.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LAUNCHER = ROOT / "resources" / "towline" / "engine.sh"
SHELLS = ("dash", "busybox", "bash")
PROGRAMS = ("find", "id", "ls", "mkdir", "mv", "rm", "rmdir", "sleep", "uname")
# `-I` ignores the venv of the tests, as an agent has none.
PYTHON = Path(getattr(sys, "_base_executable", sys.executable)).resolve()


def sha256(data: bytes) -> str:
    """The checksum of `data` in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def small_engine(source: str) -> bytes:
    """An archive that Python runs like the engine; `source` is its program."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("__main__.py"), source)
    return buffer.getvalue()


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How the launcher ended: exit code, standard output and standard error."""

    code: int
    out: str
    err: str

    @property
    def result(self) -> dict[str, Any]:
        """The one JSON document on standard output; the launcher has ended with 0."""
        assert self.code == 0, self
        document: dict[str, Any] = json.loads(self.out)
        return document

    @property
    def message(self) -> str:
        """Message and hint of the failure that the launcher reports for the engine."""
        result = self.result
        assert result["status"] == "failure", result
        assert result["summary"] == result["error"]["message"]
        return f"{result['error']['message']}; {result['error']['hint']}"


class Agent:
    """An agent below `folder` with its own home, workspace and folder of programs."""

    def __init__(self, folder: Path, shell: str = "dash") -> None:
        self.folder = folder
        self.shell = shell
        self.script = folder / "engine.sh"
        self.script.write_bytes(LAUNCHER.read_bytes())
        self.workspace = folder / "job"
        self.workspace.mkdir()
        self.here = self.workspace  # where the step runs
        self.beside = folder / "job@tmp"
        self.beside.mkdir()
        self.home = folder / "home"
        self.home.mkdir()
        self.full_disk = False  # no file may get larger than a block
        self.programs = folder / "programs"
        self.programs.mkdir()
        for name in (*PROGRAMS, shell):
            path = shutil.which("busybox" if shell == "busybox" else name)
            assert path, f"tools/setup.sh test installs {name}"
            (self.programs / name).symlink_to(path)
        (self.programs / "python3").symlink_to(PYTHON)

    def name_engine(self, digest: str, url: str = "") -> None:
        """Make the launcher that of a released library, as `make dist` does."""
        text = LAUNCHER.read_text(encoding="utf-8")
        for name, value in (("sha256", digest), ("url", url)):
            assert f"library_{name}=''\n" in text
            text = text.replace(f"library_{name}=''\n", f"library_{name}='{value}'\n")
        self.script.write_text(text, encoding="utf-8")

    def cached(self, digest: str, home: Path | None = None) -> Path:
        """Where the user's cache holds the engine with this checksum."""
        return (home or self.home / ".cache/towline") / "engines" / digest / "engine.pyz"

    @property
    def command(self) -> list[str]:
        """The command line of the shell with the launcher."""
        shell = str(self.programs / self.shell)
        limit = ["/bin/sh", "-c", 'ulimit -f 1; exec "$@"', "sh"] if self.full_disk else []
        return [*limit, shell, *(["sh"] if self.shell == "busybox" else []), str(self.script)]

    def environment(self, more: Mapping[str, str | None]) -> dict[str, str]:
        """The variables of a call; None removes one."""
        variables: dict[str, str | None] = {
            "PATH": str(self.programs),
            "HOME": str(self.home),
            "WORKSPACE": str(self.workspace),
            "WORKSPACE_TMP": str(self.beside),
            "TOWLINE_CALL_COMMAND": "run",
            "TOWLINE_CALL_STEP": "someStep",
            "TOWLINE_REQUEST": "{}",
            **more,
        }
        return {name: value for name, value in variables.items() if value is not None}

    def start(self, *arguments: str, **more: str | None) -> subprocess.Popen[str]:
        """Start the launcher in a process group of its own."""
        return subprocess.Popen(
            [*self.command, *arguments],
            cwd=self.here,
            env=self.environment(more),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, **more: str | None) -> Ended:
        """Run the launcher to its end."""
        return finish(self.start(*arguments, **more))

    def deliver(self, data: bytes, **more: str | None) -> Ended:
        """Run the launcher as the library does, which brings the engine `data` if it is asked."""
        first = self.run(**more)
        if first.result["status"] != "deliver":
            return first
        target = Path(first.result["target"])
        target.write_bytes(data)
        return self.run(**more, TOWLINE_DELIVERED=str(target))


def finish(child: subprocess.Popen[str]) -> Ended:
    """How the launcher that was started ends."""
    out, err = child.communicate()
    return Ended(code=child.returncode, out=out, err=err)
