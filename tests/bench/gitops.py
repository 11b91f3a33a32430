"""Measures updates of a GitOps repository beside two peers that are written with git alone.

The figures are medians of whole processes with their start-up, run in turn.
The repositories (20,000 and 100,000 files) are made once and kept outside the checkout.
`--quick` measures only the small repository, and fewer writers.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.fakes.delay import (  # noqa: E402
    DelayProxy,
)
from tests.fakes.git_server import GitServer  # noqa: E402

TOWLINE = str(Path(sys.executable).with_name("towline"))
CACHE = Path(tempfile.gettempdir()) / f"towline-bench-{os.getuid()}"
# The full clone takes most of the time, and does not need a precise measurement.
ROUNDS, SLOW_ROUNDS = 5, 2
DELAYS = (0.0, 0.04)
PLAIN = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "LC_ALL": "C",
    "GIT_AUTHOR_NAME": "peer",
    "GIT_AUTHOR_EMAIL": "",
    "GIT_COMMITTER_NAME": "peer",
    "GIT_COMMITTER_EMAIL": "",
}
CLUSTERS, APPS, FILES = 5, 20, 10


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """The sizes of a repository: 5 clusters with `teams` each, 20 applications a team, 10 files.

    It also has a number of commits after the first.
    """

    name: str
    teams: int
    commits: int

    @property
    def files(self) -> int:
        """The number of its files."""
        return CLUSTERS * self.teams * APPS * FILES


SMALL, BIG = Sizes(name="small", teams=20, commits=500), Sizes(name="big", teams=100, commits=1000)


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One update: wall seconds, bytes from the server, requests, highest use of disk in bytes."""

    seconds: float
    down: int
    requests: int
    disk: int = 0


def manifest(path: str, tag: int) -> bytes:
    """The content of a file of about a kilobyte, unlike any other."""
    noise = "".join(
        f"        - {{name: V{at}, value: {hashlib.sha256(f'{path}{at}'.encode()).hexdigest()}}}\n"
        for at in range(10)
    )
    return (
        f"# {path}\napiVersion: apps/v1\nkind: Deployment\nspec:\n  template:\n    spec:\n     "
        f" containers:\n      - name: app\n        image: registry.example.com/app:{tag}\n       "
        f" env:\n{noise}"
    ).encode()


def path_of(number: int, sizes: Sizes) -> str:
    """The path of file `number`."""
    app, file = divmod(number, FILES)
    team, app = divmod(app, APPS)
    cluster, team = divmod(team, sizes.teams)
    return f"clusters/c{cluster}/team-{team}/app-{cluster}-{team}-{app}/f{file}.yaml"


def build(server: GitServer, sizes: Sizes) -> None:
    """Make the repository if it does not exist yet."""
    bare = server.folder / f"{sizes.name}.git"
    if (bare / "built").exists():
        return
    shutil.rmtree(bare, ignore_errors=True)
    server.create(sizes.name, {})
    with subprocess.Popen(
        ["git", f"--git-dir={bare}", "fast-import", "--quiet"], stdin=subprocess.PIPE, env=PLAIN
    ) as importer:
        assert importer.stdin
        for number in range(sizes.commits + 1):
            head = (
                b"commit refs/heads/main\ncommitter S <s@example.com> %d +0000\ndata 6\nChange\n"
                % (1700000000 + number)
            )
            importer.stdin.write(head)
            for at in range(sizes.files) if number == 0 else (number * 7919 % sizes.files,):
                content = manifest(path := path_of(at, sizes), number)
                importer.stdin.write(
                    f"M 100644 inline {path}\ndata {len(content)}\n".encode() + content + b"\n"
                )
    server.git("repack", "-adq", repository=bare)
    (bare / "built").touch()


def fresh(server: GitServer, sizes: Sizes) -> str:
    """Copy the repository to a name of its own, so that each run starts from the same state."""
    name = f"run-{sizes.name}"
    shutil.rmtree(server.folder / f"{name}.git", ignore_errors=True)
    shutil.copytree(
        server.folder / f"{sizes.name}.git", server.folder / f"{name}.git", copy_function=os.link
    )
    return name


def towline(url: str, path: str, tag: int, folder: Path, *, own: bool = False) -> None:
    """Run the step as a whole process, for the build with the number `tag`.

    With `own` it has a temporary folder that no other run shares.
    """
    temporary = folder / "own" if own else folder
    temporary.mkdir(exist_ok=True)
    request = folder / f"request-{tag}.json"
    request.write_text(
        json.dumps(
            {
                "protocol": 1,
                "step": "gitOpsUpdateDeployment",
                "build": {"number": str(tag), "url": f"https://ci.example.com/job/app/{tag}/"},
                "parameters": {
                    "serverUrl": url,
                    "filePath": path,
                    "containerName": "app",
                    "username": "bench",
                    "containerImageNameTag": f"app:{tag}",
                    "containerRegistryUrl": "https://registry.example.com",
                },
            }
        )
    )
    environ = {"PATH": os.environ["PATH"], "TMPDIR": str(temporary), "PIPER_password": "bench"}
    done = subprocess.run(
        [TOWLINE, "run", "gitOpsUpdateDeployment", "--request", str(request)],
        cwd=folder,
        env=environ,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr.decode(errors="replace"))


def edit(clone: Path, path: str, tag: int) -> None:
    """Edit the file as a shell script would with sed, then commit and push."""
    file = clone / path
    lines = file.read_text().splitlines(keepends=True)
    file.write_text(
        "".join(
            f"        image: registry.example.com/app:{tag}\n" if "image:" in line else line
            for line in lines
        )
    )
    git("commit", "--quiet", "--all", "--message=Update", folder=clone)
    git("push", "--quiet", "origin", "HEAD", folder=clone)


def full(url: str, path: str, tag: int, folder: Path) -> None:
    """The first peer: clone the branch with its history, as Piper does."""
    git("clone", "--quiet", "--single-branch", "--branch=main", url, str(folder / "clone"))
    edit(folder / "clone", path, tag)


def sparse(url: str, path: str, tag: int, folder: Path) -> None:
    """The second peer: one commit, no blobs, and only the folder that is needed."""
    git(
        "clone",
        "--quiet",
        "--depth=1",
        "--filter=blob:none",
        "--sparse",
        "--no-tags",
        url,
        str(folder / "clone"),
    )
    git("sparse-checkout", "set", path.rpartition("/")[0], folder=folder / "clone")
    edit(folder / "clone", path, tag)


def git(*words: str, folder: Path | None = None) -> None:
    """Run git as a script would."""
    subprocess.run(["git", *words], cwd=folder, env=PLAIN, check=True, capture_output=True)


Way = Callable[[str, str, int, Path], None]
WAYS: Mapping[str, Way] = {"towline": towline, "sparse clone": sparse, "full clone": full}


class Watch:
    """Samples the size of a folder while it is open; `most` is the largest."""

    def __init__(self, folder: Path) -> None:
        self.most = 0
        self._folder, self._over = folder, threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.01):
            size = 0
            for root, _, names in os.walk(self._folder):
                for name in names:
                    with contextlib.suppress(OSError):  # deleted since it was listed
                        size += (Path(root) / name).lstat().st_blocks * 512
            self.most = max(self.most, size)


def once(way: Way, server: GitServer, url: str, path: str, tag: int) -> Measure:
    """Measure one update."""
    with tempfile.TemporaryDirectory() as folder:
        server.requests.clear()
        begin = time.monotonic()
        way(url, path, tag, Path(folder))
        seconds = time.monotonic() - begin
        return Measure(
            seconds=seconds,
            down=sum(one.sent for one in server.requests),
            requests=len(server.requests),
        )


def disk(way: Way, url: str, path: str, tag: int) -> int:
    """The highest use of disk of an update, in a run of its own, since sampling costs time."""
    with tempfile.TemporaryDirectory() as folder, Watch(Path(folder)) as watch:
        way(url, path, tag, Path(folder))
    return watch.most


def updates(server: GitServer, sizes: Sizes, delay: float, rounds: int) -> dict[str, Measure]:
    """Measure every way in turn; returns medians."""
    name, path = fresh(server, sizes), path_of(1234, sizes)
    taken: dict[str, list[Measure]] = {way: [] for way in WAYS}
    with DelayProxy(server.origin.removeprefix("http://"), seconds=delay) as line:
        for number in range(rounds + 1):
            for at, (label, way) in enumerate(WAYS.items()):
                if way is full and number > SLOW_ROUNDS:
                    continue
                measure = once(
                    way, server, f"{line.url}/{name}.git", path, 10_000 + number * 10 + at
                )
                if number:  # the first round warms the file cache
                    taken[label].append(measure)
        found = {
            label: disk(way, f"{line.url}/{name}.git", path, 20_000 + at) if not delay else 0
            for at, (label, way) in enumerate(WAYS.items())
        }
    return {
        label: Measure(
            seconds=statistics.median(one.seconds for one in runs),
            down=int(statistics.median(one.down for one in runs)),
            requests=int(statistics.median(one.requests for one in runs)),
            disk=found[label],
        )
        for label, runs in taken.items()
    }


def writers(server: GitServer, count: int, *, shared: bool) -> tuple[float, int, int]:
    """Start that many processes at once, which all deploy to one branch.

    Returns the seconds until all are done, how many failed, and how many that succeeded are lost.
    """
    name = fresh(server, SMALL)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(count) as pool:

        def run(number: int) -> str:
            path = path_of(number * 10, SMALL)
            try:
                own = Path(folder) if shared else Path(tempfile.mkdtemp(dir=folder))
                towline(server.url(name), path, 7000 + number, own, own=not shared)
            except RuntimeError as fault:
                print(fault, file=sys.stderr)
                return ""
            return path

        begin = time.monotonic()
        done = list(pool.map(run, range(count)))
        seconds = time.monotonic() - begin
    landed = [number for number, path in enumerate(done) if path]
    kept = [
        number
        for number in landed
        if f"app:{7000 + number}\n"
        in server.git("show", f"main:{done[number]}", repository=server.folder / f"{name}.git")
    ]
    return seconds, count - len(landed), len(landed) - len(kept)


@dataclass(frozen=True, kw_only=True)
class Aim:
    """An aim, and the figure that was measured."""

    text: str
    found: float
    limit: float
    at_least: bool = False

    @property
    def reached(self) -> bool:
        """Whether the figure meets the aim."""
        return self.found >= self.limit if self.at_least else self.found <= self.limit


def aims_of(sizes: Sizes, found: Mapping[str, Measure], label: str) -> Iterable[Aim]:
    """The aims for one repository on one kind of line."""
    ours, big = found["towline"], sizes is BIG
    yield Aim(
        text=f"{label}: times faster than the full clone",
        found=found["full clone"].seconds / ours.seconds,
        limit=20 if big else 10,
        at_least=True,
    )
    yield Aim(
        text=f"{label}: seconds over the sparse clone's",
        found=ours.seconds / found["sparse clone"].seconds,
        limit=0.7 if big else 1.2,
    )
    yield Aim(text=f"{label}: MB down", found=ours.down / 1e6, limit=0.5 if big else 1.5)
    yield Aim(text=f"{label}: requests", found=ours.requests, limit=10)


def main(words: list[str]) -> int:
    """Measure, print a row for each, then all as JSON.

    A missed aim is printed, and is not a failure.
    """
    quick = "--quick" in words
    CACHE.mkdir(mode=0o700, exist_ok=True)
    aims: list[Aim] = []
    rows: dict[str, object] = {}
    peer = 0.0
    with GitServer(CACHE) as server:
        for sizes in (SMALL,) if quick else (SMALL, BIG):
            build(server, sizes)
            for delay in DELAYS:
                label = f"{sizes.files:,} files, {delay * 1000:.0f} ms"
                found = updates(server, sizes, delay, 3 if quick else ROUNDS)
                for name, one in found.items():
                    print(
                        f"{label}: {name}: {one.seconds:.2f} s, {one.down / 1e6:.2f} MB down,"
                        f" {one.requests} requests",
                        end="",
                        flush=True,
                    )
                    print(f", {one.disk / 1e6:.1f} MB disk" if one.disk else "", flush=True)
                rows[label] = {name: asdict(one) for name, one in found.items()}
                aims += aims_of(sizes, found, label)
                peer = peer or found["full clone"].seconds
        for count in (20,) if quick else (20, 50):
            for shared in (True, False):
                seconds, failed, lost = writers(server, count, shared=shared)
                label = f"{count} writers, {'one host' if shared else 'no shared disk'}"
                print(f"{label}: {seconds:.1f} s, {failed} failed, {lost} lost", flush=True)
                rows[label] = {"seconds": seconds, "failed": failed, "lost": lost}
                aims.append(Aim(text=f"{label}: failed or lost", found=failed + lost, limit=0))
                limit = peer * count / 3 if shared else 60.0 * count / 50
                aims.append(Aim(text=f"{label}: seconds", found=seconds, limit=limit))
    for aim in aims:
        print(
            f"{'reached' if aim.reached else 'NOT REACHED'}: {aim.text}: {aim.found:.2f}"
            f" ({'at least' if aim.at_least else 'at most'} {aim.limit:.2f})"
        )
    print(
        json.dumps(
            {"rows": rows, "aims": [{**asdict(aim), "reached": aim.reached} for aim in aims]}
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
