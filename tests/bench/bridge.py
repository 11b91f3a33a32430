"""Counts the steps of Jenkins that one call of the library takes, and times what they add.

The library runs in the harness (tests/jenkins), in the sandbox; a program that does nothing takes
the place of the engine. `added` is the time outside of the shell step: the library itself, and
writing the suspended program out and reading it back at each step. Means of 20 calls in one build.
Aims: one `sh` and at most three other steps.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REPORT = ROOT / "build" / "bench-bridge.json"


def main() -> None:
    """Run the bench and print one line for each kind of call."""
    (ROOT / "build" / "tmp").mkdir(parents=True, exist_ok=True)
    REPORT.unlink(missing_ok=True)
    options = "-Djava.io.tmpdir=build/tmp"
    subprocess.run(
        ["gradle", "--no-daemon", "--console=plain", "--quiet", "-Pbench", "test"],
        cwd=ROOT,
        env={**os.environ, "LC_ALL": "C.UTF-8", "GRADLE_OPTS": options},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    print(f"{'one call of the library that needs':<46} sh  others  in sh   added")
    for name, found in json.loads(REPORT.read_text(encoding="utf-8")).items():
        others = sum(found["steps"].values()) - found["steps"]["sh"]
        print(
            f"{name:<46} {found['steps']['sh']:>2} {others:>6}"
            f" {found['shell']:>6.3f} s {found['added']:>5.3f} s"
        )


if __name__ == "__main__":
    main()
