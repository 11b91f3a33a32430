from __future__ import annotations

import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from towline.errors import ConfigError, MachineError
from towline.registry.local import spool as module
from towline.registry.local.spool import FileSlice, Spool


@pytest.mark.parametrize(
    ("offset", "size", "start", "wanted"),
    [
        (0, 10, 0, b"0123456789"),
        (2, 5, 0, b"23456"),
        (2, 5, 3, b"56"),
        (2, 5, 5, b""),
        (2, 5, 99, b""),
        (8, 10, 0, b"89"),
    ],
)
def test_an_extent_is_its_part_of_the_file_and_no_more(
    offset: int, size: int, start: int, wanted: bytes, tmp_path: Path
) -> None:
    (tmp_path / "f").write_bytes(b"0123456789")
    with (tmp_path / "f").open("rb") as file:
        assert FileSlice(file.fileno(), offset, size).skip(start).read() == wanted


def test_small_buffers_are_filled_one_after_the_other(tmp_path: Path) -> None:
    with Spool() as spool:
        spool.append(b"abcdef")
        extent, buffer = spool.slice(1, 4), bytearray(3)
        assert [(extent.readinto(memoryview(buffer)), bytes(buffer)) for _ in range(3)] == [
            (3, b"bcd"),
            (1, b"ecd"),
            (0, b"ecd"),
        ]


def test_an_owned_file_is_closed_with_its_extent_and_any_other_stays_open(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x")
    descriptor = os.open(tmp_path / "f", os.O_RDONLY)
    with FileSlice(descriptor, 0, 1):
        pass
    with FileSlice(descriptor, 0, 1, owned=True) as extent:
        assert extent.read() == b"x"
    with pytest.raises(MachineError, match="Bad file descriptor"):
        FileSlice(descriptor, 0, 1).read()


def test_threads_read_one_file_side_by_side(tmp_path: Path) -> None:
    with Spool() as spool:
        for number in range(64):
            spool.append(bytes([number]) * 1000)
        with ThreadPoolExecutor(8) as pool:
            found = list(
                pool.map(lambda number: spool.slice(number * 1000, 1000).read(), range(64))
            )
    assert found == [bytes([number]) * 1000 for number in range(64)]


def test_a_spool_never_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with Spool() as spool:
        spool.append(b"secret")
        assert list(tmp_path.iterdir()) == []
        assert spool.slice().read() == b"secret"
    assert list(tmp_path.iterdir()) == []


def test_a_spool_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SPOOL_LIMIT", 5)
    with Spool() as spool:
        spool.append(b"12345")
        with pytest.raises(ConfigError, match="takes more than"):
            spool.append(b"6")


def test_a_full_disk_is_a_fault_of_the_machine_that_says_what_helps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
        with pytest.raises(MachineError) as caught:
            Spool()
    assert "TMPDIR" in caught.value.hint
    with Spool() as spool:
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, spool.fileno())
        os.close(full)
        with pytest.raises(MachineError, match="No space left"):
            spool.append(b"x")
