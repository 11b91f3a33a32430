"""One process writes at a time, and no process is stopped by another."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from towline.git.lock import host_lock
from towline.retry import Clock, Deadline

KILLED = (
    "import os, sys; from towline.git.lock import host_lock; from towline.retry import Clock,"
    " Deadline\nwith host_lock('demo main', environ={'TMPDIR': sys.argv[1]},"
    " deadline=Deadline.after(9, Clock())) as held: os.kill(os.getpid(), 9 if held else 15)"
)


@pytest.fixture
def environ(tmp_path: Path) -> Mapping[str, str]:
    return {"TMPDIR": str(tmp_path)}


def in_no_time(seconds: float) -> Deadline:
    """A deadline on a clock that moves only by sleeping."""
    passed: list[float] = []
    return Deadline.after(
        seconds,
        Clock(now=lambda: sum(passed), sleep=passed.append, uniform=lambda _low, high: high),
    )


def test_a_second_one_waits_for_the_first(environ: Mapping[str, str], tmp_path: Path) -> None:
    order: list[str] = []

    def second() -> None:
        with host_lock("demo", environ=environ, deadline=Deadline.after(60, Clock())) as held:
            order.append(f"second {held}")

    with host_lock("demo", environ=environ, deadline=Deadline.after(60, Clock())) as held:
        thread = threading.Thread(target=second)
        thread.start()
        order.append(f"first {held}")
    thread.join()
    assert order == ["first True", "second True"]
    assert list(tmp_path.iterdir()) == []


def test_who_waits_for_half_of_the_time_left_goes_on_without(environ: Mapping[str, str]) -> None:
    deadline = in_no_time(10)
    with (
        host_lock("demo", environ=environ, deadline=in_no_time(1)) as first,
        host_lock("demo", environ=environ, deadline=deadline) as second,
    ):
        assert (first, second) == (True, False)
    assert 4.9 < deadline.left < 5.0


def test_different_names_do_not_wait_for_each_other(environ: Mapping[str, str]) -> None:
    with (
        host_lock("demo main", environ=environ, deadline=in_no_time(1)) as first,
        host_lock("demo/main", environ=environ, deadline=in_no_time(1)) as second,
    ):
        assert first and second


def test_the_lock_of_a_killed_process_is_free(environ: Mapping[str, str], tmp_path: Path) -> None:
    assert (
        subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False).returncode == -9
    )
    assert len(list(tmp_path.iterdir())) == 1
    with host_lock("demo main", environ=environ, deadline=in_no_time(1)) as held:
        assert held
    assert list(tmp_path.iterdir()) == []


def test_no_two_processes_are_ever_in_it_together(
    environ: Mapping[str, str], tmp_path: Path
) -> None:
    program = (
        "import os, sys; from towline.git.lock import host_lock; from towline.retry import Clock,"
        " Deadline\nfor _ in range(50):\n with host_lock('demo', environ={'TMPDIR': sys.argv[1]},"
        " deadline=Deadline.after(60, Clock())) as held:\n  assert held;"
        " os.close(os.open(sys.argv[2], os.O_CREAT | os.O_EXCL)); os.unlink(sys.argv[2])"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path), str(tmp_path / "inside")])
        for _ in range(4)
    ]
    assert [process.wait() for process in running] == [0] * 4
    assert list(tmp_path.iterdir()) == []


def path_of_lock(tmp_path: Path, environ: Mapping[str, str]) -> Path:
    with host_lock("demo", environ=environ, deadline=in_no_time(1)):
        (path,) = tmp_path.iterdir()
        return path


def test_a_link_or_a_file_that_others_can_open_is_no_lock(
    environ: Mapping[str, str], tmp_path: Path
) -> None:
    path, other = path_of_lock(tmp_path, environ), tmp_path / "other"
    other.touch()
    path.symlink_to(other)
    deadline = in_no_time(10)
    with host_lock("demo", environ=environ, deadline=deadline) as held:
        assert not held
    path.unlink()
    path.touch(mode=0o600)
    path.chmod(0o666)
    with path.open("rb") as theirs, host_lock("demo", environ=environ, deadline=deadline) as held:
        fcntl.flock(theirs, fcntl.LOCK_SH)
        assert not held
    assert deadline.left == 10
    assert path.exists()


def test_where_no_file_can_be_made_there_is_none(tmp_path: Path) -> None:
    with host_lock(
        "demo", environ={"TMPDIR": str(tmp_path / "missing")}, deadline=in_no_time(1)
    ) as held:
        assert not held


def test_the_users_runtime_folder_comes_first(tmp_path: Path) -> None:
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    with host_lock(
        "demo",
        environ={"TMPDIR": str(tmp_path), "XDG_RUNTIME_DIR": str(runtime)},
        deadline=in_no_time(1),
    ):
        (path,) = runtime.iterdir()
        assert path.name.startswith(f"towline-{os.geteuid()}-demo-")
    with host_lock(
        "demo",
        environ={"TMPDIR": str(runtime), "XDG_RUNTIME_DIR": str(tmp_path / "gone")},
        deadline=in_no_time(1),
    ) as held:
        assert held
