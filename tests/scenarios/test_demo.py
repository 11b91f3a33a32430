"""The demo: it removes everything that it has started and made, and `--keep` keeps it for a try."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

DEMO = Path(__file__).resolve().parents[2] / "examples" / "demo.py"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("until", ["The stages:", "Staging is stopped."])
def test_a_demo_that_is_ended_leaves_nothing_behind(
    tmp_path: Path, number: signal.Signals, until: str
) -> None:
    """At a terminal the signal goes to all processes in the foreground, the engine too."""
    with subprocess.Popen(
        [sys.executable, DEMO],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as demo:
        assert demo.stdout
        assert any(line.startswith(until) for line in demo.stdout)
        os.killpg(demo.pid, number)
        err = demo.communicate(timeout=120)[1]
    assert (demo.returncode, err.count("demo: interrupted")) == (128 + number, 1), err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.killpg(demo.pid, 0)


def test_a_demo_that_is_kept_takes_commands_until_it_is_ended(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, DEMO, "--keep"],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as demo:
        assert demo.stdout
        commands: list[str] = []
        for line in demo.stdout:
            if line.startswith("    . ") or commands:
                commands.append(line.strip())
            if "--dry-run" in line:
                break
        tried = subprocess.run(
            ["/bin/sh", "-ec", "\n".join(commands)], capture_output=True, text=True, check=False
        )
        os.killpg(demo.pid, signal.SIGINT)
        demo.communicate(timeout=120)
    assert tried.returncode == 0, tried.stderr
    assert "Acceptance: yes" in tried.stdout
    assert "azure-demo-k8s-go:2.0.0" in tried.stdout
    assert list(tmp_path.iterdir()) == []
