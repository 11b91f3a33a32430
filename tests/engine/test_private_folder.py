"""A private folder is removed if its process has ended, and kept while the process lives."""

from __future__ import annotations

import contextlib
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from towline import private_folder
from towline.errors import MachineError
from towline.private_folder import PrivateFolder, sweep

LEAVE = (
    "import os, sys; from towline.private_folder import PrivateFolder\nfolder ="
    " PrivateFolder({'TMPDIR': sys.argv[1]}); (folder.path / 'x').touch(); os.kill(os.getpid(), 9)"
)


def leave_one(base: Path) -> None:
    """The folder of a process that was killed before it could remove it."""
    subprocess.run([sys.executable, "-c", LEAVE, str(base)], check=False)


def test_it_is_private_and_gone_after_closing_it_twice(tmp_path: Path) -> None:
    folder = PrivateFolder({"TMPDIR": str(tmp_path)})
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    (folder.path / "a").mkdir()
    folder.close()
    folder.close()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_is_cleared_away_by_the_next(tmp_path: Path) -> None:
    leave_one(tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    folder = PrivateFolder({"TMPDIR": str(tmp_path)})
    assert list(tmp_path.iterdir()) == [folder.path]
    folder.close()


def test_the_folder_of_a_run_that_lives_stays(tmp_path: Path) -> None:
    first, second = (
        PrivateFolder({"TMPDIR": str(tmp_path)}),
        PrivateFolder({"TMPDIR": str(tmp_path)}),
    )
    assert first.path.is_dir() and second.path.is_dir()
    first.close()
    second.close()


def mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> Path:
    """A runtime folder of the user, which is a file system of this kind."""
    memory = tmp_path / "memory"
    memory.mkdir()
    (tmp_path / "mounts").write_text(f"proc /proc proc rw 0 0\nx {memory} {kind} rw 0 0\n")
    monkeypatch.setattr(private_folder, "_MOUNTS", tmp_path / "mounts")
    return memory


@pytest.mark.parametrize(("kind", "place"), [("tmpfs", "memory"), ("ext4", "disk")])
def test_a_secret_lies_in_memory_where_there_is_a_folder_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, place: str
) -> None:
    memory = mounted(tmp_path, monkeypatch, kind)
    (tmp_path / "disk").mkdir()
    folder = PrivateFolder(
        {"TMPDIR": str(tmp_path / "disk"), "XDG_RUNTIME_DIR": str(memory)}, secret=True
    )
    assert folder.path.parent == tmp_path / place
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    folder.close()
    assert list(memory.iterdir()) == []


def test_a_secret_lies_not_in_memory_that_is_the_workspace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = mounted(tmp_path, monkeypatch, "tmpfs")
    monkeypatch.chdir(memory)
    with contextlib.closing(
        PrivateFolder({"TMPDIR": str(tmp_path), "XDG_RUNTIME_DIR": str(memory)}, secret=True)
    ) as folder:
        assert folder.path.parent == tmp_path


def test_what_a_killed_run_left_anywhere_is_cleared_away_by_any_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = mounted(tmp_path, monkeypatch, "tmpfs")
    (tmp_path / "disk").mkdir()
    (tmp_path / "shared").mkdir()
    for base in (memory, tmp_path / "disk", tmp_path / "shared"):
        leave_one(base)
    monkeypatch.setattr(private_folder, "_SHARED", (tmp_path / "shared", tmp_path / "nowhere"))
    sweep({"TMPDIR": str(tmp_path / "disk"), "XDG_RUNTIME_DIR": str(memory)})
    assert [list(base.iterdir()) for base in (memory, tmp_path / "disk", tmp_path / "shared")] == [
        [],
        [],
        [],
    ]


def test_what_is_not_the_engines_stays(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "towline-git-link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "towline-git-file").touch()
    (tmp_path / "towline-other").mkdir()
    PrivateFolder({"TMPDIR": str(tmp_path)}).close()
    assert len(list(tmp_path.iterdir())) == 4


def test_a_folder_of_another_boot_stays_for_a_day(tmp_path: Path) -> None:
    recent, old = tmp_path / "towline-git-12345678-a", tmp_path / "towline-git-12345678-b"
    recent.mkdir()
    old.mkdir()
    os.utime(old, (time.time() - 100_000,) * 2)
    PrivateFolder({"TMPDIR": str(tmp_path)}).close()
    assert list(tmp_path.iterdir()) == [recent]


@pytest.mark.parametrize(("age", "stays"), [(0, True), (3_600, False)])
def test_an_empty_folder_stays_for_as_long_as_its_run_may_be_about_to_lock_it(
    tmp_path: Path, age: int, *, stays: bool
) -> None:
    mine = PrivateFolder({"TMPDIR": str(tmp_path)})
    other = tmp_path / f"{mine.path.name}x"
    other.mkdir()
    os.utime(other, (time.time() - age,) * 2)
    PrivateFolder({"TMPDIR": str(tmp_path)}).close()
    assert other.exists() is stays
    mine.close()


def test_many_that_begin_at_once_never_take_each_others(tmp_path: Path) -> None:
    begin = (
        "import sys; from towline.private_folder import PrivateFolder\nfor _ in range(40):\n folder"
        " = PrivateFolder({'TMPDIR': sys.argv[1]}); (folder.path / 'x').write_text('x');"
        " folder.close()"
    )
    running = [subprocess.Popen([sys.executable, "-c", begin, str(tmp_path)]) for _ in range(4)]
    assert [process.wait() for process in running] == [0] * 4
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_is_not_there_is_a_fault_of_the_machine(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="no temporary folder"):
        PrivateFolder({"TMPDIR": str(tmp_path / "missing")})
