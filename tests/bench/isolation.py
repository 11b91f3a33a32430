"""Measures what isolation adds to a step and to a rendering, in whole processes.

The figures are lower quartiles of wall and CPU time, with the runs interleaved.

Aim: at most 30 ms for each rendering and each step. Isolation consists of the limits of the engine
and its child processes, private folders (in memory, with the sweep of folders of dead runs),
timers, and for renderers their own network namespace. Each step runs as it is, and by a start that
replaces all of these by nothing; there is no switch for that. Then follows the cost of each part
by itself, which a busy machine distorts less.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.engine.gitops.charts import as_bytes, chart  # noqa: E402 - by its place, as others here
from tests.fakes.git_server import GitServer  # noqa: E402
from towline import process  # noqa: E402
from towline.gitops.render.network import leave_network  # noqa: E402
from towline.limits import ProcessLimits, impose  # noqa: E402
from towline.private_folder import PrivateFolder, sweep  # noqa: E402

ROUNDS = int(os.environ.get("TOWLINE_BENCH_ROUNDS", "25"))
PARTS = 200
AIM = 30.0  # milliseconds
MANIFEST = b"""\
kind: Deployment
spec:
  template:
    spec:
      containers: [{name: app, image: 'registry.example.com/app:1'}]
"""
AS_IT_IS = "import sys; from towline.__main__ import entry; sys.exit(entry())"
WITHOUT = """\
import resource, sys
from towline import cli, deadline, private_folder, process
from towline.__main__ import entry
from towline.gitops.render import process as rendering
cli.hold_self = lambda: None
deadline._set = lambda until: None
process.impose = lambda pid, limits: None
process._guard.begin = lambda: None
private_folder._sweep = lambda base: None
private_folder.memory_folders = lambda environ: []
free = "import resource; resource.setrlimit = lambda *_: None; "
assert "leave_network(); " in rendering._START
rendering._START = free + rendering._START.replace("leave_network(); ", "")
sys.exit(entry())
"""
WITHOUT_IT = ", without isolation"


def milliseconds(words: list[str], folder: Path) -> tuple[float, float]:
    """Wall and CPU time of one process with its children."""
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "PIPER_serverUrl": ""}
    started = time.perf_counter()
    child = subprocess.Popen(
        words, cwd=folder, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert child.stderr
    said = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{words[-12:]} ended with {child.returncode}: {said.decode()}")
    return (time.perf_counter() - started) * 1000, (usage.ru_utime + usage.ru_stime) * 1000


def main() -> int:
    """Measure steps and parts, print a row for each; returns 1 if a step exceeds the aim."""
    exceeded = steps()
    for what, run in parts().items():
        taken = []
        for _ in range(PARTS):
            started = time.perf_counter()
            run()
            taken.append((time.perf_counter() - started) * 1000)
        print(f"{what}: {quarter(taken):.2f} ms")
    return exceeded


def parts() -> dict[str, Callable[[], None]]:
    """The parts of isolation, and their counterparts without isolation."""
    environ = {"TMPDIR": tempfile.gettempdir()}
    return {
        "a process begins and ends": lambda: forked(lambda: None),
        "a process begins, leaves the network, and ends": lambda: forked(leave_network),
        "the limits of a process are set": lambda: impose(
            os.getpid(), ProcessLimits(memory=4 << 30)
        ),
        "the guarding shell begins and ends": guarded,
        "a temporary folder is made and removed": lambda: shutil.rmtree(tempfile.mkdtemp()),
        "a private folder on disk is made and removed": lambda: PrivateFolder(environ).close(),
        "a private folder in memory is made and removed": lambda: PrivateFolder(
            environ, secret=True
        ).close(),
        "folders of dead runs are searched for": lambda: sweep(environ),
    }


def forked(run: Callable[[], object]) -> None:
    """Call `run` in a process of its own."""
    if pid := os.fork():
        os.waitpid(pid, 0)
        return
    run()
    os._exit(0)


def guarded() -> None:
    """Start and end the shell that kills the child processes if the engine is killed."""
    words = [process._SHELL, "-c", process._GUARD]
    with subprocess.Popen(words, env={}, cwd="/", stdin=subprocess.PIPE) as shell:
        shell.communicate()


def steps() -> int:
    """Measure all steps in turn and print the results; returns 1 if one exceeds the aim."""
    with tempfile.TemporaryDirectory() as name, GitServer(Path(name) / "git") as git:
        folder = Path(name) / "workspace"
        folder.mkdir()
        (folder / "values.j2").write_text("image: {{ image }}\n")
        git.create("ops", {"app.yaml": MANIFEST, **as_bytes(chart())})
        common = [
            "run",
            "gitOpsUpdateDeployment",
            "--dry-run",
            "--serverUrl",
            git.url("ops"),
            "--containerImageNameTag",
            "app:2",
            "--deploymentName",
            "app",
            "--containerRegistryUrl",
            "https://registry.example.com",
        ]
        steps = {
            "a step that renders nothing": [
                "--tool",
                "kubectl",
                "--filePath",
                "app.yaml",
                "--containerName",
                "app",
            ],
            "a step that renders a template": [
                "--tool",
                "helm-values",
                "--valuesTemplate",
                "values.j2",
                "--filePath",
                "v.yaml",
            ],
            "a step that renders a chart, Helm as a library": [
                "--tool",
                "helm",
                "--chartPath",
                "chart/app",
                "--filePath",
                "out.yaml",
            ],
        }
        python = [sys.executable, "-I", "-c"]
        runs = {
            f"{what}{way}": [*python, start, *common, *words]
            for what, words in steps.items()
            for way, start in (("", AS_IT_IS), (WITHOUT_IT, WITHOUT))
        }
        taken: dict[str, list[tuple[float, float]]] = {what: [] for what in runs}
        for number in range(ROUNDS + 1):
            for what, words in runs.items():
                one = milliseconds(words, folder)
                if number:  # the first round warms the file cache
                    taken[what].append(one)
    return told(taken)


def told(taken: dict[str, list[tuple[float, float]]]) -> int:
    """Print the times and the cost of isolation; returns 1 if that exceeds the aim."""
    quick = {
        what: [quarter(column) for column in zip(*values, strict=True)]
        for what, values in taken.items()
    }
    rows, exceeded = {}, 0
    for what in (name for name in taken if not name.endswith(WITHOUT_IT)):
        (wall, cpu), (bare, least) = quick[what], quick[f"{what}{WITHOUT_IT}"]
        rows[what] = {"wall": wall, "cpu": cpu, "more_wall": wall - bare, "more_cpu": cpu - least}
        exceeded += wall - bare > AIM
        print(
            f"{what}: {wall:.1f} ms, {cpu:.1f} ms CPU; of it isolation {wall - bare:.1f} ms, "
            f"{cpu - least:.1f} ms CPU (aim {AIM:.0f})"
        )
    print(json.dumps({"rounds": ROUNDS, "milliseconds_of_the_quick_quarter": rows}))
    return min(exceeded, 1)


def quarter(values: Sequence[float]) -> float:
    """The lower quartile: other work on the machine can only add to a time."""
    return statistics.quantiles(values, n=4)[0]


if __name__ == "__main__":
    sys.exit(main())
