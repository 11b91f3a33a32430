from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

LIMITS = {"seconds": 20, "memory": 512 * 1024 * 1024, "output": 1000}


def become(command: list[str]) -> subprocess.CompletedProcess[bytes]:
    text = json.dumps({"command": command, "limits": LIMITS}).encode()
    return subprocess.run(
        [sys.executable, "-m", "towline.gitops.render.program"],
        input=text,
        capture_output=True,
        check=False,
        env={"A": "1"},
    )


def test_the_program_gets_the_arguments_as_they_are_and_only_the_environment_given() -> None:
    script = (
        "import json, os, sys; print(json.dumps([sys.argv[1:], os.environ.get('A'), 'PATH' in"
        " os.environ]))"
    )
    ended = become([sys.executable, "-c", script, "a b", "$HOME", "--x=1,2"])
    assert json.loads(ended.stdout) == [["a b", "$HOME", "--x=1,2"], "1", False]


def test_the_program_inherits_the_limits() -> None:
    script = (
        "import resource as r; print(r.getrlimit(r.RLIMIT_CPU)[0], r.getrlimit(r.RLIMIT_DATA)[0],"
        " r.getrlimit(r.RLIMIT_FSIZE)[0])"
    )
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    most = 64 * 1024 * 1024 if hard == resource.RLIM_INFINITY else min(hard, 64 * 1024 * 1024)
    assert (
        become([sys.executable, "-c", script]).stdout.decode() == f"20 {512 * 1024 * 1024} {most}\n"
    )


def test_the_program_s_exit_code_and_words_come_through() -> None:
    ended = become([sys.executable, "-c", "import sys; sys.exit('no such chart')"])
    assert (ended.returncode, ended.stderr) == (1, b"no such chart\n")


def test_a_program_that_is_not_there_is_the_machine_s_fault(tmp_path: Path) -> None:
    ended = become([str(tmp_path / "helm")])
    assert ended.returncode == 3
    fault = json.loads(ended.stdout)
    assert fault["machine"] is True
    assert "No such file" in fault["message"]
