"""Measures image copies beside crane and skopeo, and counts the requests that a registry sees.

The figures are medians of whole processes, interleaved.

.venv/bin/python tests/bench/image_copy.py [--rounds N] [--case NAME]... [--json FILE]

Each run has its own target. Requests are counted in a run that is not timed. The aims are ratios to
a peer in the same run.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.bench.layouts import (  # noqa: E402
    MIB,
    Layer,
    Layout,
    make_archive,
    make_layout,
    push,
)
from tests.bench.servers import (  # noqa: E402
    Certificate,
    can_serve,
    make_certificate,
    registry,
    storage,
)
from tests.bench.tools import Job, Place, Tool, tools, without_http2  # noqa: E402
from tests.fakes.delay import DelayProxy  # noqa: E402

ROUNDS, ROUND_TRIP, MEMORY, PATIENCE = 5, 0.02, 80.0, 180.0
LARGE = tuple(Layer(size=80 * MIB if number < 5 else 10 * MIB, seed=number) for number in range(15))
SMALL = tuple(Layer(size=64 * 1024, seed=100 + number) for number in range(40))
SHARED = tuple(
    tuple(Layer(size=MIB, seed=200 + number) for number in (*range(10), 10 + image))
    for image in range(20)
)
ARCHIVE = 300 * MIB


@dataclass(frozen=True, kw_only=True)
class Aim:
    """The aim that `figure` of Towline is at most `ratio` times that of `peer`.

    `figure` is `wall` or `cpu`; the peer `best` is the one with the lowest figure.
    """

    figure: str
    peer: str
    ratio: float


@dataclass(frozen=True, kw_only=True)
class Case:
    """A copy to measure: its images (their layers, or an archive), servers and aims.

    `source` is `docker` (a registry), `oci` or `docker-archive`. `before` lists the tags of the
    target that already have the image, as `name:tag`. `within` means a copy between two
    repositories of one registry. `requests` returns the aim for requests from the number of blobs;
    two of these ask the source for referrers of the image, which no peer does.
    """

    name: str
    title: str
    server: str
    images: tuple[tuple[Layer, ...], ...] = (LARGE,)
    source: str = "docker"
    round_trip: float = 0.0
    tags: tuple[str, ...] = ("1",)
    before: tuple[str, ...] = ()
    within: bool = False
    aims: tuple[Aim, ...] = ()
    requests: Callable[[int], int] | None = None
    once: bool = False


CASES = (
    Case(
        name="fresh",
        title="500 MiB in 15 layers, registry in memory",
        server="memory",
        requests=lambda blobs: 5 + 3 * blobs,
        aims=(
            Aim(figure="wall", peer="best", ratio=0.85),
            Aim(figure="cpu", peer="crane", ratio=0.85),
        ),
    ),
    Case(
        name="docker-registry",
        title="500 MiB in 15 layers, docker-registry",
        server="docker",
        requests=lambda blobs: 5 + 3 * blobs,
        aims=(Aim(figure="wall", peer="best", ratio=1.0),),
    ),
    Case(
        name="tls",
        title="500 MiB in 15 layers, registry in memory behind TLS",
        server="tls",
        aims=(
            Aim(figure="wall", peer="crane without HTTP/2", ratio=0.95),
            Aim(figure="wall", peer="crane", ratio=0.75),
        ),
    ),
    Case(
        name="layout",
        title="500 MiB in 15 layers from an OCI layout, docker-registry",
        server="docker",
        source="oci",
        aims=(Aim(figure="wall", peer="best", ratio=1.0),),
    ),
    Case(
        name="archive",
        title="300 MiB docker archive, docker-registry",
        server="docker",
        source="docker-archive",
        images=((),),
        aims=(
            Aim(figure="wall", peer="skopeo", ratio=0.55),
            Aim(figure="wall", peer="best", ratio=1.0),
        ),
    ),
    Case(
        name="small",
        title="40 small layers, 20 ms, docker-registry",
        server="docker",
        images=(SMALL,),
        round_trip=ROUND_TRIP,
        requests=lambda blobs: 5 + 3 * blobs,
        aims=(Aim(figure="wall", peer="best", ratio=0.45),),
    ),
    Case(
        name="retag",
        title="new tag on a present image, 20 ms, docker-registry",
        server="docker",
        images=(SMALL,),
        round_trip=ROUND_TRIP,
        before=("target/app-0:0",),
        requests=lambda _: 5,
        aims=(Aim(figure="wall", peer="best", ratio=0.4),),
    ),
    Case(
        name="mount",
        title="into another repository, 20 ms, docker-registry",
        server="docker",
        images=(SMALL,),
        round_trip=ROUND_TRIP,
        within=True,
        requests=lambda blobs: 4 + blobs,
        aims=(Aim(figure="wall", peer="best", ratio=0.45),),
    ),
    Case(
        name="nothing",
        title="nothing to do, 20 ms, docker-registry",
        server="docker",
        images=(SMALL,),
        round_trip=ROUND_TRIP,
        before=("target/app-0:1",),
        requests=lambda _: 4,
        aims=(Aim(figure="wall", peer="best", ratio=0.8),),
    ),
    Case(
        name="latest",
        title="500 MiB, a tag and latest, docker-registry",
        server="docker",
        tags=("1", "latest"),
        once=True,
    ),
    Case(
        name="shared",
        title="20 images that share 10 of 11 layers, docker-registry",
        server="docker",
        images=SHARED,
        once=True,
    ),
)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One run: wall and CPU time in seconds, and peak memory in MiB."""

    wall: float
    cpu: float
    rss: float


@dataclass(kw_only=True)
class Row:
    """A tool's runs of one case, and the requests of a further run by method and kind."""

    samples: list[Sample] = field(default_factory=list)
    requests: Counter[tuple[str, str]] = field(default_factory=Counter)

    def median(self, figure: str) -> float:
        """The median of `wall`, `cpu` or `rss`."""
        return statistics.median([float(getattr(sample, figure)) for sample in self.samples])


class Stage:
    """The common parts of all runs of a case: images on disk, source, folder for the targets."""

    def __init__(self, case: Case, folder: Path, stack: ExitStack) -> None:
        self.case = case
        self._folder = folder
        self._certificate = (
            make_certificate(folder)
            if case.server == "tls"
            else Certificate(certificate=Path(), key=Path())
        )
        self._local = (
            make_archive(folder / "image.tar", ARCHIVE)
            if case.source == "docker-archive"
            else folder / "image-0"
        )
        self.layouts = [
            make_layout(folder / f"image-{number}", layers)
            for number, layers in enumerate(case.images)
            if layers
        ]
        self._source = ""
        if case.source == "docker" and not case.within:
            self._source = stack.enter_context(self._registry(case.server))
            for number, layout in enumerate(self.layouts):
                self._fill(layout, self._source, f"source/app-{number}:1")

    @property
    def blobs(self) -> int:
        """The number of different blobs."""
        return len({digest for layout in self.layouts for digest in layout.blobs})

    @contextmanager
    def run(self, seconds: float | None) -> Iterator[tuple[list[Job], list[DelayProxy]]]:
        """Start a new target; yields the jobs of one run, and its lines.

        `seconds` is the round trip of the lines; None means that there are no lines.
        """
        with ExitStack() as stack:
            target = stack.enter_context(self._registry(self.case.server))
            for place in self.case.before:
                self._fill(self.layouts[0], target, place)
            if self.case.within:
                self._fill(self.layouts[0], target, "source/app-0:1")
            hosts = list(
                dict.fromkeys(
                    host for host in (target if self.case.within else self._source, target) if host
                )
            )
            lines = (
                []
                if seconds is None
                else [stack.enter_context(DelayProxy(host, seconds=seconds)) for host in hosts]
            )
            ends = [line.host for line in lines] or hosts
            yield (
                [self._job(number, ends[0], ends[-1]) for number in range(len(self.case.images))],
                lines,
            )

    def time(self, tool: Tool) -> Sample:
        """Time one run of a tool; a failure ends the bench."""
        with self.run(self.case.round_trip or None) as (jobs, _):
            return self._launched(tool, jobs)

    def count(self, tool: Tool) -> Counter[tuple[str, str]]:
        """Count the requests of one run on all servers; empty with TLS, which hides them."""
        if self.case.server == "tls":
            return Counter()
        with self.run(0.0) as (jobs, lines):
            self._launched(tool, jobs)
            return sum((line.seen for line in lines), Counter())

    @contextmanager
    def _registry(self, kind: str) -> Iterator[str]:
        with registry(kind, self._folder, self._certificate) as host:
            yield host

    def _fill(self, layout: Layout, host: str, place: str) -> None:
        name, _, tag = place.partition(":")
        push(
            layout,
            host,
            name,
            tag,
            certificate=self._certificate.certificate if self.case.server == "tls" else None,
        )

    def _job(self, number: int, source: str, target: str) -> Job:
        local = Place(kind=self.case.source, path=self._local)
        origin = (
            Place(host=source, name=f"source/app-{number}", tag="1")
            if self.case.source == "docker"
            else local
        )
        targets = tuple(
            Place(host=target, name=f"target/app-{number}", tag=tag) for tag in self.case.tags
        )
        return Job(source=origin, targets=targets, tls=self.case.server == "tls")

    def _launched(self, tool: Tool, jobs: Sequence[Job]) -> Sample:
        words = tool.words(jobs)
        assert words is not None
        with tempfile.TemporaryDirectory() as home:
            report = Path(home, "report.json")
            trust = (
                {"SSL_CERT_FILE": str(self._certificate.certificate)}
                if self.case.server == "tls"
                else {}
            )
            # As root, skopeo keeps its blob cache in one place for the whole machine; as any other
            # user, in the home, which each run has for itself.
            environment = {
                "PATH": os.environ["PATH"],
                "HOME": home,
                "_CONTAINERS_ROOTLESS_UID": "1000",
                **trust,
                **tool.environment,
            }
            launch = [
                sys.executable,
                "-I",
                "-S",
                str(Path(__file__).with_name("launch.py")),
                str(report),
                *words,
            ]
            done = _bounded(launch, environment, Path(home))
            figures = json.loads(report.read_bytes())
        if figures.pop("code"):
            raise SystemExit(
                f"{tool.name} failed at {self.case.name}:"
                f" {done.stdout.decode(errors='replace')[-2000:]}"
            )
        return Sample(**figures)


def _bounded(
    words: Sequence[str], environment: dict[str, str], folder: Path
) -> subprocess.CompletedProcess[bytes]:
    """Run a command; after PATIENCE seconds, kill it with its children and end the bench."""
    child = subprocess.Popen(
        words,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        process_group=0,
    )
    try:
        said, _ = child.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        raise SystemExit(f"not done after {PATIENCE:.0f} s: {' '.join(words)}") from None
    return subprocess.CompletedProcess(words, child.returncode, said)


def measure(case: Case, rounds: int, folder: Path) -> dict[str, Row]:
    """Measure all tools that can do the case; the first round warms caches and is not kept."""
    with ExitStack() as stack:
        stage = Stage(case, folder, stack)
        with stage.run(None) as (jobs, _):
            able = [tool for tool in _compared(case) if tool.words(jobs) is not None]
        rows = {tool.name: Row(requests=stage.count(tool)) for tool in able}
        for number in range(rounds + 1):
            for tool in able:
                sample = stage.time(tool)
                if number:
                    rows[tool.name].samples.append(sample)
        report(case, rows, stage.blobs)
    return rows


def _compared(case: Case) -> list[Tool]:
    found = tools()
    return found + [
        without_http2(tool) for tool in found if tool.name == "crane" and case.server == "tls"
    ]


def report(case: Case, rows: dict[str, Row], blobs: int) -> None:
    """Print the rows of a case, and its aims."""
    print(f"\n{case.name}: {case.title}" + (f", {blobs} blobs" if blobs else ""))
    for name, row in rows.items():
        walls = [sample.wall for sample in row.samples]
        asked = (
            f", {row.requests.total()} requests ({_shown(row.requests)})" if row.requests else ""
        )
        print(
            f"  {name:22} {row.median('wall'):7.3f} s ({min(walls):.3f} to {max(walls):.3f}),"
            f" {row.median('cpu'):6.3f} s CPU, {row.median('rss'):5.1f} MiB{asked}"
        )
    print(
        "  towline                not there yet"
        if "towline" not in rows
        else "\n".join(f"  {line}" for line in aims(case, rows, blobs))
    )


def aims(case: Case, rows: dict[str, Row], blobs: int) -> Iterator[str]:
    """A line for each aim of the case, with its result."""
    ours = rows["towline"]
    for aim in case.aims:
        peers = {
            name: row.median(aim.figure)
            for name, row in rows.items()
            if name != "towline" and aim.peer in ("best", name)
        }
        if not peers:
            yield f"{aim.figure} of {aim.peer}: aim {aim.ratio}, the peer is not installed"
            continue
        name, value = min(peers.items(), key=lambda entry: entry[1])
        ratio = ours.median(aim.figure) / value
        yield _verdict(
            f"{aim.figure} {ratio:.2f} of {name}", f"{aim.ratio}", reached=ratio <= aim.ratio
        )
    if case.requests:
        yield _verdict(
            f"{ours.requests.total()} requests",
            f"{case.requests(blobs)}",
            reached=ours.requests.total() <= case.requests(blobs),
        )
    if case.once:
        moved = ours.requests["PUT", "upload"]
        yield _verdict(f"{moved} blobs uploaded", f"{blobs}, each once", reached=moved <= blobs)
    yield _verdict(
        f"{ours.median('rss'):.0f} MiB of memory",
        f"{MEMORY:.0f}",
        reached=ours.median("rss") <= MEMORY,
    )


def _verdict(found: str, aim: str, *, reached: bool) -> str:
    return f"{'reached' if reached else 'NOT REACHED'}: {found} (aim {aim})"


def _shown(requests: Counter[tuple[str, str]]) -> str:
    return ", ".join(
        f"{number} {method} {kind}" for (method, kind), number in sorted(requests.items())
    )


def as_data(case: Case, rows: dict[str, Row]) -> dict[str, object]:
    """The case with all its figures."""
    return {
        "case": case.name,
        "title": case.title,
        "aims": [asdict(aim) for aim in case.aims],
        "tools": {
            name: {
                "median": {figure: row.median(figure) for figure in ("wall", "cpu", "rss")},
                "samples": [asdict(sample) for sample in row.samples],
                "requests": {
                    f"{method} {kind}": number
                    for (method, kind), number in sorted(row.requests.items())
                },
            }
            for name, row in rows.items()
        },
    }


def main() -> int:
    """Measure the chosen cases and print a table for each; with --json, the same with all
    samples.
    """
    parser = argparse.ArgumentParser(
        description="What copying an image costs, beside crane and skopeo."
    )
    parser.add_argument(
        "--rounds",
        type=int,
        default=ROUNDS,
        metavar="N",
        help=f"timed runs of each tool ({ROUNDS})",
    )
    parser.add_argument(
        "--case",
        action="append",
        choices=[case.name for case in CASES],
        metavar="NAME",
        help=", ".join(case.name for case in CASES),
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write all figures")
    chosen = parser.parse_args()
    found = []
    for case in CASES:
        if case.name in (chosen.case or [case.name]):
            if not can_serve(case.server):
                print(f"\n{case.name}: *** NOT MEASURED: its registry cannot be started here ***")
                continue
            with storage() as folder:
                found.append(as_data(case, measure(case, chosen.rounds, folder)))
        if chosen.json:  # after each case, so that an interruption loses no measurement
            chosen.json.parent.mkdir(parents=True, exist_ok=True)
            chosen.json.write_text(
                json.dumps({"rounds": chosen.rounds, "cases": found}, indent=1) + "\n",
                encoding="utf-8",
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
