"""What starting the engine costs: CPU seconds of whole processes over a bare interpreter, interleaved, medians.

Budgets (design): `towline --version` 40 ms, a command that resolves configuration 130 ms.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
from pathlib import Path

ROUNDS = 15
ROOT = Path(__file__).resolve().parents[2]
TOWLINE = str(Path(sys.executable).with_name("towline"))
COMMANDS = {
    "bare interpreter": [sys.executable, "-I", "-c", "pass"],
    "towline --version": [TOWLINE, "--version"],
    "towline plan, the seed's configuration": [TOWLINE, "plan"],
}
BUDGETS = {"towline --version": 0.040, "towline plan, the seed's configuration": 0.130}


def cpu(command: list[str]) -> float:
    """CPU seconds, user and system, that one run of `command` takes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=ROOT / "examples" / "azure-demo-k8s-go", env={"PATH": os.environ["PATH"]}, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure all commands in turn and print a row for each, and the same as JSON."""
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for number in range(ROUNDS + 1):
        for name, command in COMMANDS.items():
            seconds = cpu(command)
            if number:  # the first round warms the file cache
                taken[name].append(seconds)
    bare = statistics.median(taken["bare interpreter"])
    rows = {name: statistics.median(values) for name, values in taken.items()}
    for name, median in rows.items():
        budget = f", budget {BUDGETS[name] * 1000:.0f} ms" if name in BUDGETS else ""
        print(f"{name}: {median * 1000:.1f} ms CPU, {(median - bare) * 1000:.1f} over the bare interpreter{budget}")
    print(json.dumps({"rounds": ROUNDS, "median_cpu_seconds": rows}))


if __name__ == "__main__":
    main()
