"""The tests that docs/security.md names, and a few besides, as a user without rights.

Root reads and writes everything, and needs no user namespace to leave the network: what holds for
root alone holds on no agent. `make test` runs this behind all tests, and it prints which of them
end otherwise; with `--all` it runs all. Who is not root has run them without rights already.
"""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.security_page import python_tests  # noqa: E402 - by its place, as the benches do

USER = "nobody"
APART = ["unshare", "--mount", "--propagation", "private"]
REPORT = "u/report.xml"
SIDE_BY_SIDE = ["-n", "auto", "--maxprocesses=4", "--dist", "worksteal"]
# Whole files besides, where a user without rights goes another way than root does.
BESIDES = (
    "tests/engine/gitops/render/test_network.py",
    "tests/engine/pipeline/test_workspace.py",
    "tests/engine/test_launcher.py",
    "tests/engine/test_private_folder.py",
    "tests/engine/git/test_signing.py",
    "tests/scenarios/test_machines.py",
)
# It needs an SSH server, which lets no locked account in.
ONCE = "tests/scenarios/test_leaks.py"
NEEDED = (ROOT, Path(sys.prefix), Path(sys.base_prefix))


def main() -> int:
    """The exit code of the tests; 0 if they cannot run, which is printed."""
    if "--inside" in sys.argv:
        return inside(Path(sys.argv[-1]), alone="--alone" in sys.argv)
    if os.geteuid():
        print("not root: all tests have run as a user without rights")
        return 0
    with tempfile.TemporaryDirectory(prefix="towline-") as name:
        Path(name).chmod(0o755)
        alone = subprocess.run([*APART, "true"], capture_output=True, check=False).returncode == 0
        words = [sys.executable, __file__, *sys.argv[1:], "--inside"]
        words = [*APART, *words, "--alone"] if alone else words
        words.append(name)
        ended = subprocess.run(words, cwd=ROOT, check=False).returncode
        compare(outcomes(ROOT / "build" / "tests.xml"), outcomes(Path(name) / REPORT))
    return ended


def inside(folder: Path, *, alone: bool) -> int:
    """Run the tests; `alone` says that the mounts of this process are its own."""
    if alone:
        reveal(folder / "held")
    facts, home = pwd.getpwnam(USER), (folder / REPORT).parent
    home.mkdir()
    os.chown(home, facts.pw_uid, facts.pw_gid)
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "TMPDIR": str(home),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HYPOTHESIS_STORAGE_DIRECTORY": str(home / "found"),
    }

    def run(*words: str, **more: Any) -> int:
        return subprocess.run(
            [sys.executable, *words],
            cwd=ROOT,
            env=environ,
            check=False,
            **more,
            user=facts.pw_uid,
            group=facts.pw_gid,
            extra_groups=[],
        ).returncode

    if not can(run):
        print(
            f"*** NOT tested as a user without rights: {USER} cannot read all of {ROOT} or "
            f"{sys.base_prefix}; a checkout elsewhere lets it ***",
            file=sys.stderr,
        )
        return 0
    return run(
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        f"--junitxml={folder / REPORT}",
        f"--basetemp={home / 't'}",  # short, because names of sockets have to be
        *SIDE_BY_SIDE,
        *chosen(),
    )


def chosen() -> list[str]:
    """The tests of the page and the further ones; none are named if all are to run."""
    if "--all" in sys.argv:
        return []
    left_out = {*BESIDES, ONCE}
    return [*BESIDES, *(test for test in python_tests() if test.split("::")[0] not in left_out)]


def can(run: Callable[..., int]) -> bool:
    """Whether the user can reach Python, its packages and the checkout."""
    try:
        return (
            run(
                "-c",
                "import pytest, tests.security_page, towline.files as files; files.version()",
                stderr=subprocess.DEVNULL,
            )
            == 0
        )
    except PermissionError:
        return False


def reveal(held: Path) -> None:
    """Let others reach what the tests need where it lies below a folder that is closed to them, as
    root's home is: by mounts that this process alone sees."""
    closed = {
        place: above
        for place in NEEDED
        for above in reversed(place.parents)
        if not above.stat().st_mode & 0o001
    }
    for number, place in enumerate(closed):
        bind(place, held / str(number))
    for above in set(closed.values()):
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "none", str(above)], check=True)
    for number, place in enumerate(closed):
        bind(held / str(number), place)


def bind(place: Path, point: Path) -> None:
    """Mount `place` at `point`, too."""
    point.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "--rbind", str(place), str(point)], check=True)


def outcomes(report: Path) -> dict[str, str]:
    """The outcome of each test; empty if there is no report."""
    if not report.exists():
        return {}
    return {
        f"{case.get('classname')}::{case.get('name')}": outcome(case)
        for case in ET.parse(report).iter("testcase")
    }


def outcome(case: ET.Element) -> str:
    for what in ("failure", "error", "skipped"):
        if (found := case.find(what)) is not None:
            return f"{what}: {found.get('message', '')}".replace("\n", " ")[:200]
    return "passed"


def compare(root: dict[str, str], user: dict[str, str]) -> None:
    """Print the tests that end differently for root and for a user without rights."""
    other = {name: ending for name, ending in user.items() if root.get(name, "passed") != ending}
    alike = len(user) - len(other)
    print(f"as {USER} {alike} tests end as they do as root{', and these do not:' if other else ''}")
    for name, ending in sorted(other.items()):
        print(f"    {name}: as root {root.get(name, 'not known')}, as {USER} {ending}")


if __name__ == "__main__":
    sys.exit(main())
