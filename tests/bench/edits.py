"""Measures an edit and a rendering, as whole processes with their start-up.

The figures are medians of wall and CPU seconds, with the runs interleaved.

Aim: one value of a 0.9 MB values file is edited and proven within one second of CPU time, which a
busy machine does not stretch. The peers are PyYAML, which reads and writes that file (and loses its
comments), and `helm template`, once for each chart, if the program is installed.
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
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROUNDS, CHARTS, SERVICES = 5, 300, 2785
AIM = 1.0

EDIT = """
import gc, pathlib, sys
gc.set_threshold(50_000, 20, 20)  # as towline.cli.entry does
from towline.gitops.helm_values import PathValues
place = pathlib.Path(sys.argv[1])
change = PathValues(
    pattern="values.yaml",
    values={"service1500.image.tag": "9.9.9", "service1500.image.digest": "sha256:0"},
)
edited = change.apply({"values.yaml": place.read_bytes()})
place.with_suffix(".new").write_bytes(edited["values.yaml"])
"""
DUMP = """
import pathlib, sys, yaml
place = pathlib.Path(sys.argv[1])
data = yaml.load(place.read_text(), Loader=yaml.CSafeLoader)
data["service1500"]["image"]["tag"] = "9.9.9"
place.with_suffix(".new").write_text(yaml.dump(data, Dumper=yaml.CSafeDumper, sort_keys=False))
"""
RENDER = """
import gc, pathlib, sys
gc.set_threshold(50_000, 20, 20)
from towline.gitops.helm.image_values import ImageValues
from towline.gitops.helm.chart import HelmChart
from towline.gitops.helm.renderer import HelmLibrary, HelmProgram
root = pathlib.Path(sys.argv[1])
files = {
    path.relative_to(root).as_posix(): path.read_bytes()
    for path in root.rglob("*")
    if path.is_file()
}
change = HelmChart(
    chart_path="charts/*",
    file_path="out.yaml",
    release="r",
    images={"image": ImageValues(repository="h/app", tag="2")},
    renderer=HelmProgram(program=sys.argv[2]) if len(sys.argv) > 2 else HelmLibrary(),
)
text = change.apply({path: files[path] for path in change.wants(sorted(files))})["out.yaml"]
assert text.count(b"# Source") == 600, text.count(b"# Source")
"""


def values() -> str:
    """A typical values file of 0.9 MB: comments, flow and block collections, quoting styles."""
    return "".join(
        f"service{number}:\n  # service number {number}\n  image:\n    repository:"
        f' registry.example.com/team/service-{number}\n    tag: "1.{number}.0"\n'
        f"  replicas: 3\n  env: [{{name: A, value: \"x\"}}, {{name: B, value: 'y'}}]\n"
        "  resources: {limits: {cpu: 500m, memory: 512Mi}, requests: {cpu: 100m, memory: 128Mi}}\n"
        f"  description: >-\n    some longer text of service\n    {number}\n"
        for number in range(SERVICES)
    )


def write_charts(root: Path) -> None:
    """Write charts with a Deployment and a Service each."""
    for number in range(CHARTS):
        chart = root / "charts" / f"app-{number}"
        (chart / "templates").mkdir(parents=True)
        (chart / "Chart.yaml").write_text(f"apiVersion: v2\nname: app-{number}\nversion: 1.0.0\n")
        (chart / "values.yaml").write_text(
            "replicas: 2\nimage: {repository: none, tag: none}\nport: 80\n"
        )
        (chart / "templates" / "deployment.yaml").write_text(
            "kind: Deployment\nmetadata: {name: {{ .Chart.Name }}}\nspec:\n  replicas: {{"
            " .Values.replicas }}\n  template:\n    spec:\n      containers:\n        - name: app\n"
            '          image: "{{ .Values.image.repository }}:{{ .Values.image.tag }}"\n'
        )
        (chart / "templates" / "service.yaml").write_text(
            "kind: Service\nmetadata: {name: {{ .Chart.Name }}}\nspec: {ports: [{port: {{"
            " .Values.port }}}]}\n"
        )


def timed(words: list[str]) -> tuple[float, float]:
    """Run one process; returns wall and CPU seconds of it and its children."""
    started = time.perf_counter()
    child = subprocess.Popen(
        words,
        env={"PATH": os.environ["PATH"], "HOME": tempfile.gettempdir()},
        stdout=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{words[1:3]} ended with exit code {child.returncode}")
    return time.perf_counter() - started, usage.ru_utime + usage.ru_stime


def program(text: str, *words: str) -> Callable[[], list[tuple[float, float]]]:
    return lambda: [timed([sys.executable, "-I", "-c", text, *words])]


def main() -> int:
    """Measure all in turn, print a row for each, then all as JSON.

    Returns 1 if the edit takes longer than its aim.
    """
    helm = os.environ.get("TOWLINE_HELM") or shutil.which("helm")
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        place = root / "values.yaml"
        place.write_text(values())
        write_charts(root / "repository")
        runs = {
            "edit one value of 0.9 MB, with proof": program(EDIT, str(place)),
            "peer: PyYAML reads and writes the same file": program(DUMP, str(place)),
            f"render {CHARTS} charts into one file, Helm as a library": program(
                RENDER, str(root / "repository")
            ),
        }
        if helm:
            charts = sorted((root / "repository" / "charts").iterdir())
            runs[f"render {CHARTS} charts into one file, the helm program"] = program(
                RENDER, str(root / "repository"), helm
            )
            runs[f"peer: helm template for each of {CHARTS} charts"] = lambda: [
                timed([helm, "template", "r", str(chart)]) for chart in charts
            ]
        taken: dict[str, list[tuple[float, float]]] = {what: [] for what in runs}
        for number in range(ROUNDS + 1):
            for what, run in runs.items():
                one = run()
                if number:  # the first round warms the file cache
                    taken[what].append((sum(wall for wall, _ in one), sum(cpu for _, cpu in one)))
    rows = {
        what: tuple(statistics.median(column) for column in zip(*values, strict=True))
        for what, values in taken.items()
    }
    for what, (wall, cpu) in rows.items():
        print(f"{what}: {wall:.2f} s, {cpu:.2f} s CPU")
    if not helm:
        print("peer: helm template: not measured, there is no helm (TOWLINE_HELM, or on PATH)")
    print(
        json.dumps(
            {
                "rounds": ROUNDS,
                "median_seconds": {
                    what: {"wall": wall, "cpu": cpu} for what, (wall, cpu) in rows.items()
                },
            }
        )
    )
    return int(rows["edit one value of 0.9 MB, with proof"][1] > AIM)


if __name__ == "__main__":
    sys.exit(main())
