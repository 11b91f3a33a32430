"""Measures how an agent gets and starts the engine: wall time of one `plan` by the launcher.

In turn: the installed engine on PATH; the zipapp of a released library in the agent's cache (warm);
the same on an agent that lacks it, with its delivery (cold); the same with a Python for which the
zipapp holds no bytecode. The figures are medians. Aims: cold at most 3 s, at most 15 MB.
"""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[0] = str(ROOT)  # in place of this folder, which has another `tools`

from tests.launcher import Agent, sha256  # noqa: E402
from tests.release import zipapp  # noqa: E402
from tools.pyz import zipped  # noqa: E402

ROUNDS = 9
MOST_SECONDS, MOST_BYTES = 3.0, 15_000_000
PLAN = {
    "TOWLINE_CALL_COMMAND": "plan",
    "TOWLINE_CALL_STEP": "",
    "TOWLINE_REQUEST": '{"protocol":1}',
}


def agent(folder: Path, engine: bytes) -> Agent:
    """An agent with the sample project in its workspace, and a library that holds `engine`."""
    folder.mkdir()
    made = Agent(folder)
    made.name_engine(sha256(engine))
    shutil.copytree(ROOT / "examples" / "azure-demo-k8s-go", made.workspace, dirs_exist_ok=True)
    return made


def without_bytecode(archive: bytes, folder: Path) -> bytes:
    """The zipapp as another Python sees it: it reads the source."""
    path = folder / "whole.pyz"
    path.write_bytes(archive)
    with zipfile.ZipFile(path) as opened:
        names = [name for name in opened.namelist() if not name.endswith(".pyc")]
        return zipped({name: opened.read(name) for name in names}, epoch=0)


def calls(folder: Path, archive: bytes) -> dict[str, Callable[[], None]]:
    """The measurements by their names."""
    installed, cached, other = (folder / name for name in ("installed", "cached", "other"))
    on_path = agent(installed, archive)
    (on_path.programs / "towline").symlink_to(Path(sys.executable).with_name("towline"))
    released, source = agent(cached, archive), without_bytecode(archive, folder)
    others = agent(other, source)

    def plan(on: Agent, engine: bytes, *, cold: bool = False) -> None:
        if cold:
            shutil.rmtree(on.home / ".cache", ignore_errors=True)
        ended = on.deliver(engine, **PLAN)
        if ended.result["status"] != "success":
            raise SystemExit(f"plan failed: {ended}")

    return {
        "installed engine on PATH": lambda: plan(on_path, archive),
        "zipapp, cold: delivery, checksum, first run": lambda: plan(released, archive, cold=True),
        "zipapp, warm": lambda: plan(released, archive),
        "zipapp, warm, Python without its bytecode": lambda: plan(others, source),
    }


def main() -> int:
    """Print a row for each call, then all as JSON; returns 1 if an aim is missed."""
    archive = zipapp().read_bytes()
    with tempfile.TemporaryDirectory(prefix="towline-bench-") as folder:
        measured = calls(Path(folder), archive)
        taken: dict[str, list[float]] = {name: [] for name in measured}
        for number in range(ROUNDS + 1):
            for name, call in measured.items():
                began = time.perf_counter()
                call()
                if number:  # the first round warms the file cache
                    taken[name].append(time.perf_counter() - began)
    rows = {name: round(statistics.median(values), 3) for name, values in taken.items()}
    cold = next(seconds for name, seconds in rows.items() if "cold" in name)
    for name, seconds in rows.items():
        print(f"towline plan by the launcher, {name}: {seconds * 1000:.0f} ms")
    print(f"zipapp: {len(archive) / 1e6:.1f} MB, aims {MOST_SECONDS:.0f} s cold and 15 MB")
    print(json.dumps({"rounds": ROUNDS, "median_seconds": rows, "bytes": len(archive)}))
    return int(cold > MOST_SECONDS or len(archive) > MOST_BYTES)


if __name__ == "__main__":
    sys.exit(main())
