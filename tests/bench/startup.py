"""Measures the start-up of the engine: CPU time of whole processes beyond a bare interpreter's.

The commands run in turn; the figures are medians.
Budgets (design): `towline --version` 40 ms, a command that resolves configuration 130 ms (one
second if the configuration has 1 MB), a copy with nothing to do 85 ms, a step with nothing to do
250 ms.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.fakes.git_server import (  # noqa: E402
    GitServer,
)
from tests.fakes.images import make_index, put  # noqa: E402
from tests.fakes.registry import FakeRegistry  # noqa: E402

ROUNDS = 15
TOWLINE = str(Path(sys.executable).with_name("towline"))
SAMPLE = ROOT / "examples" / "azure-demo-k8s-go"
DEPLOYMENT = (
    b"kind: Deployment\nspec:\n  template:\n    spec:\n      containers: [{name: app, image:"
    b" 'registry.example.com/app:1'}]\n"
)


STAGES, KEYS = 500, 40


def large_configuration(folder: Path) -> Path:
    """Write a configuration of a little over a megabyte into `folder`; returns its path.

    Each stage sets parameters of the step, and more keys that the step does not have.
    """
    stages = "".join(
        f"  Stage {number}:\n    imagePushToRegistry: true\n    targetRegistryUrl:"
        f" https://registry-{number}.example.com/team\n    targetImages: {{app: team/app-{number},"
        f" job: team/job-{number}}}\n    sourceImages: [app, job]\n"
        + "".join(
            f"    otherKey{key}: a value of stage {number} that another step reads\n"
            for key in range(KEYS)
        )
        for number in range(STAGES)
    )
    path = folder / "large.yml"
    path.write_text(
        "steps:\n  imagePushToRegistry: {targetRegistryUrl:"
        f" https://registry.example.com}}\nstages:\n{stages}"
    )
    return path


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command to measure; `budget` is in milliseconds of CPU beyond the bare interpreter's.

    0 means that it has no budget.
    """

    name: str
    words: list[str]
    budget: int = 0


def cpu(command: Command) -> float:
    """CPU seconds (user and system) of one run with all its children, without the servers."""
    child = subprocess.Popen(
        command.words,
        cwd=SAMPLE,
        env={"PATH": os.environ["PATH"]},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{command.name} ended with exit code {child.returncode}")
    return usage.ru_utime + usage.ru_stime


@contextmanager
def commands() -> Iterator[list[Command]]:
    """The commands to measure, on servers that already hold the results of the steps."""
    with (
        tempfile.TemporaryDirectory() as folder,
        FakeRegistry() as registry,
        GitServer(Path(folder)) as git,
    ):
        put(make_index(("linux/amd64", "linux/arm64")), registry, "app", "1")
        git.create("ops", {"app.yaml": DEPLOYMENT})
        image = f"{registry.url.removeprefix('http://')}/app:1"
        push = [
            "--sourceRegistryUrl",
            registry.url,
            "--targetRegistryUrl",
            registry.url,
            "--sourceImages",
            "app",
            "--sourceImageTag",
            "1",
        ]
        deploy = [
            "--serverUrl",
            git.url("ops"),
            "--filePath",
            "app.yaml",
            "--containerName",
            "app",
            "--tool",
            "kubectl",
            "--containerImageNameTag",
            "app:1",
            "--containerRegistryUrl",
            "https://registry.example.com",
        ]
        yield [
            Command(name="bare interpreter", words=[sys.executable, "-I", "-c", "pass"]),
            Command(name="towline --version", words=[TOWLINE, "--version"], budget=40),
            Command(
                name="towline plan, the seed's configuration", words=[TOWLINE, "plan"], budget=130
            ),
            Command(
                name="explain imagePushToRegistry, the seed's configuration",
                words=[TOWLINE, "explain", "imagePushToRegistry"],
                budget=130,
            ),
            Command(
                name="explain imagePushToRegistry, 1 MB with 500 stages",
                words=[
                    TOWLINE,
                    "explain",
                    "imagePushToRegistry",
                    "--stage",
                    "Stage 250",
                    "--config",
                    str(large_configuration(Path(folder))),
                ],
                budget=1000,
            ),
            Command(name="lint, the seed's configuration", words=[TOWLINE, "lint"]),
            Command(
                name="lint, 1 MB with 500 stages",
                words=[TOWLINE, "lint", "--config", str(large_configuration(Path(folder)))],
                budget=1000,
            ),
            Command(
                name="towline copy, nothing to do",
                words=[TOWLINE, "copy", image, image],
                budget=85,
            ),
            Command(
                name="imagePushToRegistry, nothing to do",
                words=[TOWLINE, "run", "imagePushToRegistry", "--dry-run", *push],
                budget=250,
            ),
            Command(
                name="gitOpsUpdateDeployment, nothing to do",
                words=[TOWLINE, "run", "gitOpsUpdateDeployment", "--dry-run", *deploy],
                budget=250,
            ),
        ]


def main() -> int:
    """Measure all commands in turn, print a row for each, then all as JSON.

    Returns 1 if a command exceeds its budget.
    """
    with commands() as measured:
        taken: dict[str, list[float]] = {command.name: [] for command in measured}
        for number in range(ROUNDS + 1):
            for command in measured:
                seconds = cpu(command)
                if number:  # the first round warms the file cache
                    taken[command.name].append(seconds)
    rows = {name: statistics.median(values) * 1000 for name, values in taken.items()}
    exceeded = 0
    for command in measured:
        over = rows[command.name] - rows["bare interpreter"]
        budget = f", budget {command.budget}" if command.budget else ""
        exceeded += bool(command.budget) and over > command.budget
        print(
            f"{command.name}: {rows[command.name]:.1f} ms CPU, {over:.1f} over the bare"
            f" interpreter{budget}"
        )
    print(json.dumps({"rounds": ROUNDS, "median_cpu_milliseconds": rows}))
    return min(exceeded, 1)


if __name__ == "__main__":
    sys.exit(main())
