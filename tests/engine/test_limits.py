"""The kernel holds a child and its children to their limits.

Each limit is tried with a little more than it allows.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from towline.limits import GIB, MIB, ProcessLimits, amount, hold_self, impose
from towline.process import Completed, Overrun, run

CALM = {"PATH": "/usr/bin:/bin"}
# A child reads its input first: when that comes, the limits are set.
TAKE = "sys.stdin.read(); a = bytearray({})"
WRITE = "sys.stdin.read(); f = open({!r}, 'wb'); f.write(b'x' * {}); f.flush()"


def child(code: str, *, within: str = "", **limits: int) -> Completed:
    words = [sys.executable, "-I", "-c", f"import sys, os, resource, json; {code}"]
    return run(
        [*(["/bin/sh", "-c", f'read go; "$0" "$@" <<X\n\nX\n{within}'] if within else []), *words],
        environment=CALM,
        stdin=b"go\n",
        limits=ProcessLimits(seconds=120, **limits),
    )


@pytest.mark.parametrize("within", ["", "exit $?"], ids=["child", "child of the child"])
def test_more_memory_than_it_may_have_is_not_given(within: str) -> None:
    assert child(TAKE.format(64 * MIB), within=within, memory=128 * MIB).code == 0
    over = child(TAKE.format(129 * MIB), within=within, memory=128 * MIB)
    assert (over.code, b"MemoryError" in over.err) == (1, True)


@pytest.mark.parametrize("within", ["", "exit $?"], ids=["child", "child of the child"])
def test_a_longer_file_than_it_may_write_is_not_written(within: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert child(WRITE.format(str(path), MIB), within=within, file_size=MIB).code == 0
    over = child(WRITE.format(str(path), MIB + 1), within=within, file_size=MIB)
    assert (over.code, b"File too large" in over.err, path.stat().st_size) == (1, True, MIB)


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_one_byte_more_than_it_may_say_ends_it(stream: str) -> None:
    assert (
        len(
            getattr(
                child(f"sys.{stream}.write('x' * {MIB})", output=MIB), stream.removeprefix("std")
            )
        )
        == MIB
    )
    with pytest.raises(Overrun, match="output cap"):
        child(f"sys.{stream}.write('x' * {MIB + 1})", output=MIB)


def test_cpu_and_cores_are_bounded_for_what_leaves_the_group_too() -> None:
    said = child(
        "sys.stdin.read(); print(json.dumps([resource.getrlimit(w) for w in (resource.RLIMIT_CPU,"
        " resource.RLIMIT_CORE)]))"
    )
    seconds = 121 * (os.cpu_count() or 1)
    assert json.loads(said.out) == [[seconds, seconds], [0, 0]]


def test_no_limit_is_set_above_one_that_is_there() -> None:
    code = (
        f"import resource, sys; resource.setrlimit(resource.RLIMIT_DATA, ({64 * MIB}, {64 * MIB}));"
        " print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        process.stdout.readline()
        impose(process.pid, ProcessLimits())
        assert resource.prlimit(process.pid, resource.RLIMIT_DATA) == (64 * MIB, 64 * MIB)
        process.kill()
    impose(process.pid, ProcessLimits())  # a process that has ended


def test_the_engine_bounds_itself_and_leaves_a_stricter_limit() -> None:
    code = (
        "import resource; from towline.limits import hold_self; {}; hold_self();"
        " print(*resource.getrlimit(resource.RLIMIT_DATA))"
    )
    for before, after in (
        ("", [4 * GIB, -1]),
        (f"resource.setrlimit(resource.RLIMIT_DATA, ({GIB}, {GIB}))", [GIB, GIB]),
    ):
        done = subprocess.run(
            [sys.executable, "-c", code.format(before or "pass")],
            capture_output=True,
            text=True,
            check=True,
        )
        assert [int(number) for number in done.stdout.split()] == after
    assert callable(hold_self)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (5, "5 bytes"),
        (1024, "1 KiB"),
        (192 * MIB, "192 MiB"),
        (2 * GIB, "2 GiB"),
        (1536 * MIB, "1.5 GiB"),
    ],
)
def test_amounts_are_for_people(size: int, text: str) -> None:
    assert amount(size) == text


def test_the_engine_leaves_no_core() -> None:
    code = (
        "import resource; from towline.limits import hold_self; hold_self();"
        " print(*resource.getrlimit(resource.RLIMIT_CORE))"
    )
    assert subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split() == ["0", "0"]
