"""Shared data is found, and a file is written completely or not at all."""

from __future__ import annotations

import os
import re
import resource
import stat
import sys
import threading
import zipfile
from pathlib import Path

import pytest

from towline.errors import MachineError
from towline.files import (
    append,
    enter_workspace,
    in_workspace,
    misfit,
    resource_text,
    version,
    write_whole,
)
from towline.process import run

ROOT = Path(__file__).resolve().parents[2]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_shared_data_is_that_of_the_library() -> None:
    assert resource_text("VERSION") == (ROOT / "resources" / "towline" / "VERSION").read_text(
        encoding="utf-8"
    )
    for path in (ROOT / "resources" / "towline").rglob("*.yaml"):
        assert resource_text(
            str(path.relative_to(ROOT / "resources" / "towline"))
        ) == path.read_text(encoding="utf-8")


def test_shared_data_is_found_in_a_zipapp(tmp_path: Path) -> None:
    engine, data = ROOT / "engine" / "towline", ROOT / "resources" / "towline"
    with zipfile.ZipFile(tmp_path / "towline.pyz", "w") as archive:
        for module in ("__init__.py", "errors.py", "files.py"):
            archive.write(engine / module, f"towline/{module}")
        archive.write(data / "VERSION", "towline/resources/VERSION")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path / 'towline.pyz')!r}); from towline import"
        " files; print(files.__file__, files.version())"
    )
    ended = run([sys.executable, "-I", "-c", code], environment={})
    assert ended.out.decode().split() == [
        str(tmp_path / "towline.pyz" / "towline" / "files.py"),
        version(),
    ], ended.err


def test_the_version_is_three_numbers() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", version())


def test_data_that_is_not_there_is_a_missing_file() -> None:
    with pytest.raises(FileNotFoundError):
        resource_text("no-such-file.yaml")


def test_a_file_is_written_with_its_folders_and_mode(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "result.json"
    write_whole(path, b"one", mode=0o600)
    write_whole(path, b"two", mode=0o600, lasting=False)
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"two", 0o600)
    assert names(path.parent) == ["result.json"]


def test_a_name_as_long_as_names_may_be_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 255)
    write_whole(path, b"data")
    assert path.read_bytes() == b"data"


def test_a_disk_that_is_full_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write_whole(path, b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # the write stops with an error in the middle, as on a full disk
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(
            MachineError, match=r"cannot write result\.json: File too large"
        ) as caught:
            write_whole(path, b"new" * 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.where == str(path)
    assert (names(tmp_path), path.read_bytes()) == (["result.json"], b"old")


def test_a_place_that_cannot_be_written_is_a_fault_of_the_machine(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    for path in (
        tmp_path / "file" / "result.json",
        tmp_path / "folder",
        Path("/proc/towline/result.json"),
    ):
        with pytest.raises(MachineError, match="cannot write"):
            write_whole(path, b"data")
    assert names(tmp_path) == ["file", "folder"]


def test_what_a_killed_run_left_behind_is_not_in_the_way(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    # in a container the next run may have the same process id
    (tmp_path / f".result.json.{os.getpid()}.tmp").write_bytes(b"half")
    write_whole(path, b"whole")
    assert path.read_bytes() == b"whole"


def test_readers_see_one_of_the_writers_files_whole(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    whole = {bytes([letter]) * 100_000 for letter in b"abcd"}

    def write(data: bytes) -> None:
        for _ in range(10):
            write_whole(path, data)

    writers = [threading.Thread(target=write, args=(data,)) for data in whole]
    write_whole(path, b"a" * 100_000)
    for writer in writers:
        writer.start()
    seen = {path.read_bytes() for _ in range(200)}
    for writer in writers:
        writer.join()
    assert seen <= whole
    assert names(tmp_path) == ["result.json"]


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("file/result.json", "file is not a folder"),
        ("file/deep/r.json", "file is not a folder"),
        ("folder", "there is a folder of that name"),
    ],
)
def test_a_file_that_cannot_be_where_it_is_to_be_says_why(
    tmp_path: Path, path: str, what: str
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder" / "in").mkdir(parents=True)
    with pytest.raises(MachineError) as caught:
        write_whole(tmp_path / path, b"x")
    assert caught.value.message.endswith(what)
    assert caught.value.hint.startswith("name a file")


@pytest.mark.parametrize("path", [".", "/", "..", "./"])
def test_a_folder_without_a_name_of_its_own_is_not_a_file_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MachineError, match="there is a folder of that name"):
        write_whole(Path(path), b"x")


@pytest.mark.parametrize(
    ("path", "inside"),
    [
        ("workspace/a", True),
        ("workspace", True),
        ("other/../workspace/a", True),
        ("out/a", False),
        ("workspace/out/a", True),
        ("in/a", True),
        ("workspaces/a", False),
        ("workspace/../a", False),
        ("gone/a", False),
    ],
)
def test_what_a_pull_request_can_change_is_what_lies_in_the_workspace_or_leads_there(
    tmp_path: Path, path: str, inside: bool
) -> None:
    (tmp_path / "workspace").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "workspace" / "out").symlink_to(tmp_path / "out")
    (tmp_path / "in").symlink_to(tmp_path / "workspace")
    assert in_workspace(tmp_path / path, tmp_path / "workspace") == inside
    assert in_workspace(tmp_path / path, tmp_path / "in") == inside


def test_where_the_workspace_lies_is_looked_up_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "on disk/app").mkdir(parents=True)
    (tmp_path / "workspace").symlink_to(tmp_path / "on disk")
    enter_workspace(tmp_path / "workspace/app", {"WORKSPACE": str(tmp_path / "workspace")})
    asked: list[Path] = []
    realpath = os.path.realpath

    def counted(path: Path) -> str:
        asked.append(path)
        return realpath(path)

    monkeypatch.setattr(os.path, "realpath", counted)
    for path in ("workspace/x", "on disk/x"):
        assert in_workspace(tmp_path / path, tmp_path / "workspace/app")
    assert not in_workspace(tmp_path / "x", tmp_path / "workspace/app")
    assert asked == [tmp_path / "workspace/x", tmp_path / "on disk/x", tmp_path / "x"]


def test_a_workspace_that_is_the_whole_machine_makes_nothing_suspect() -> None:
    assert not in_workspace(Path("/usr/bin/env"), Path("/"))


def test_each_kind_of_unreadable_file_has_its_own_message(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 11)
    os.mkfifo(tmp_path / "pipe")
    found = [misfit(tmp_path / name, 10) for name in ("file", "gone", "file/below", ".", "pipe")]
    assert found == [
        "is larger than 0 MiB",
        "is not there",
        "is not there",
        "is a folder",
        "is not a regular file",
    ]
    assert misfit(tmp_path / "file", 11) == ""


def test_append_makes_a_file_and_adds_to_it(tmp_path: Path) -> None:
    append(tmp_path / "f", "a\n")
    append(tmp_path / "f", "ü\n")
    assert (tmp_path / "f").read_text("utf-8") == "a\nü\n"


def test_append_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(MachineError):
        append(tmp_path / "link", "a")
    assert not (tmp_path / "real").exists()
