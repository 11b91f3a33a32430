from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from towline.errors import ConfigError, MachineError
from towline.files import (
    Misfit,
    Outside,
    is_folder,
    is_inside,
    leads_out,
    open_inside,
    read_inside,
    remove_inside,
    write_inside,
    write_named,
)

SECRET = b"S3cr3t of the agent"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A workspace with links in it and out of it, beside a file of the agent."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_bytes(SECRET)
    folder = tmp_path / "workspace"
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "b" / "file").write_bytes(b"own")
    links = {
        "near": "a/b/file",
        "up": "a/../a/b/file",
        "a/b/back": "../../near",
        "absolute": str(folder / "a" / "b"),
        "again": "absolute/back",
        "out": str(tmp_path / "outside"),
        "outfile": "../outside/secret",
        "gone": "../outside/none",
        "rootish": "/",
        "circle": "circle",
        "home": f"../{folder.name}/near",
        "late": "a/b/../../out/secret",
        "missing": "a/none",
        "dot": "./a/./b/file",
    }
    for name, target in links.items():
        (folder / name).symlink_to(target)
    return folder


def answer(folder: Path, name: str) -> bytes | str:
    """The text of the file, or why it is not read."""
    try:
        return read_inside(folder, name, 1 << 20)
    except (Outside, Misfit, OSError, ValueError) as fault:
        return f"{type(fault).__name__} {fault}".strip()


@pytest.mark.parametrize(
    "name",
    [
        "a/b/file",
        "a/../a/b/file",
        "near",
        "up",
        "a/b/back",
        "absolute/file",
        "again",
        "dot",
        "out/../near",
        "gone/x/../../near",
        "{folder}/a/b/file",
        "../workspace/near",
    ],
)
def test_what_lies_in_the_folder_is_read_whatever_leads_to_it(folder: Path, name: str) -> None:
    assert answer(folder, name.format(folder=folder)) == b"own"


@pytest.mark.parametrize(
    "name",
    [
        "..",
        "../outside/secret",
        "../outside/none",
        "out",
        "out/secret",
        "out/none",
        "outfile",
        "gone",
        "rootish",
        "rootish/etc/passwd",
        "late",
        "home",
        "/etc/passwd",
        "/etc/none",
        "{folder}x",
    ],
)
def test_what_lies_or_leads_outside_has_one_answer_whether_it_is_there_or_not(
    folder: Path, name: str
) -> None:
    assert answer(folder, name.format(folder=folder)) == "Outside"
    assert leads_out(folder, name.format(folder=folder))
    assert not is_inside(folder, name.format(folder=folder))


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("none", "FileNotFoundError"),
        ("missing", "FileNotFoundError"),
        ("a/b/file/x", "NotADirectoryError"),
        ("near/x", "NotADirectoryError"),
        ("circle", "OSError"),
        ("a\0b", "ValueError"),
        ("", "Misfit is a folder"),
        (".", "Misfit is a folder"),
        ("a/b", "Misfit is a folder"),
        ("absolute", "Misfit is a folder"),
        ("pipe", "Misfit is not a regular file"),
        ("socket", "Misfit is not a regular file"),
    ],
)
def test_what_cannot_be_read_says_why(
    folder: Path, name: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(folder / "pipe")
    monkeypatch.chdir(folder)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        said = answer(folder, name)
    assert isinstance(said, str)
    assert said.startswith(why)
    assert not leads_out(folder, name)
    assert is_inside(folder, name) == why.startswith("Misfit")
    assert is_folder(folder, name) == (why == "Misfit is a folder")


def test_one_byte_too_many_is_refused_also_where_it_comes_late(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read_inside(folder, "near", 3) == b"own"
    with pytest.raises(Misfit, match="larger"):
        read_inside(folder, "near", 2)
    status = os.fstat

    def grows(descriptor: int) -> os.stat_result:
        found = status(descriptor)
        with (folder / "a" / "b" / "file").open("ab") as stream:
            stream.write(b"!")
        return found

    monkeypatch.setattr(os, "fstat", grows)
    with pytest.raises(Misfit, match="larger"):
        read_inside(folder, "near", 3)


def test_a_folder_that_is_a_link_itself_is_the_workspace(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    assert answer(tmp_path / "link", "near") == b"own"
    assert answer(tmp_path / "link", str(tmp_path / "link" / "near")) == b"own"
    assert answer(tmp_path / "link", "absolute/file") == b"own"


def test_the_whole_machine_may_be_the_workspace(folder: Path) -> None:
    assert answer(Path("/"), str(folder / "near")) == b"own"


def test_nothing_stays_open(folder: Path) -> None:
    before = set(Path("/proc/self/fd").iterdir())
    for name in ("near", "again", "out", "none", "circle", "a/b", "late", "a/b/file/x"):
        answer(folder, name)
    os.close(open_inside(folder, "a/b"))
    assert set(Path("/proc/self/fd").iterdir()) == before


# ---- what is put in its place meanwhile


def swap(path: Path, target: Path) -> None:
    """Replace the file or folder at `path` by a link."""
    path.rename(path.with_name("moved"))
    path.symlink_to(target)


@pytest.mark.parametrize("name", ["a", "b", "file"])
@pytest.mark.parametrize("late", [False, True])
def test_a_link_that_takes_the_place_of_a_part_meanwhile_leads_nowhere(
    folder: Path,
    name: str,
    late: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The link appears at each moment after a part was checked, before or after it is opened."""
    place = {"a": folder / "a", "b": folder / "a" / "b", "file": folder / "a" / "b" / "file"}[name]
    goal = folder.parent / "outside" / ("secret" if name == "file" else "")
    (goal.parent / "b").mkdir(exist_ok=True)
    (folder.parent / "outside" / "file").write_bytes(SECRET)
    real: Callable[..., int] = os.open

    def opened(path: str, *words: int, dir_fd: int | None = None) -> int:
        if path == name and not late:
            swap(place, goal)
        descriptor = real(path, *words, dir_fd=dir_fd)
        if path == name and late:
            swap(place, goal)
        return descriptor

    monkeypatch.setattr(os, "open", opened)
    said = answer(folder, "a/b/file")
    assert said == b"own" if late else isinstance(said, str)


@pytest.mark.parametrize("name", ["swapped", "over/file"])
def test_who_swaps_links_all_the_time_never_has_a_file_outside_read(
    folder: Path, name: str
) -> None:
    (folder.parent / "outside" / "file").write_bytes(SECRET)
    place, over = folder / name.partition("/")[0], threading.Event()
    targets = (
        [folder / "a" / "b", folder.parent / "outside"]
        if "/" in name
        else [folder / "near", folder.parent / "outside" / "secret"]
    )

    def spin() -> None:
        while not over.is_set():
            for target in targets:
                (folder / "beside").symlink_to(target)
                (folder / "beside").replace(place)

    place.symlink_to(targets[0])
    thread = threading.Thread(target=spin)
    thread.start()
    try:
        answers = {answer(folder, name) for _ in range(400)}
    finally:
        over.set()
        thread.join()
    assert b"own" in answers
    assert SECRET not in answers


# ---- writing


@pytest.mark.parametrize(
    "name",
    ["new", "more/than/one/folder/new", "absolute/new", "a/b/file", "near", "outfile", "circle"],
)
def test_a_file_is_written_in_the_folder_and_takes_the_place_of_a_link(
    folder: Path, name: str
) -> None:
    write_inside(folder, name, b"written")
    assert (folder / name).read_bytes() == b"written"
    assert not (folder / name).is_symlink()
    assert (folder.parent / "outside" / "secret").read_bytes() == SECRET
    assert list(folder.rglob("*.tmp")) == []


@pytest.mark.parametrize(
    "name",
    ["../new", "out/new", "out/secret", "gone/new", "rootish/new", "home/../../new", "/tmp/new"],
)
def test_nothing_outside_is_written_or_removed(folder: Path, name: str) -> None:
    before = sorted(folder.parent.rglob("*"))
    with pytest.raises(Outside):
        write_inside(folder, name, b"written")
    with pytest.raises(Outside):
        remove_inside(folder, name)
    assert sorted(folder.parent.rglob("*")) == before


def test_what_cannot_be_written_leaves_nothing_behind(folder: Path) -> None:
    with pytest.raises(NotADirectoryError):
        write_inside(folder, "a/b/file/new", b"written")
    with pytest.raises(IsADirectoryError):
        write_inside(folder, "a", b"written")
    assert list(folder.rglob("*.tmp")) == []
    assert answer(folder, "a/b/file") == b"own"


def test_a_link_itself_is_removed_and_a_missing_file_is_not_an_error(folder: Path) -> None:
    for name in ("outfile", "near", "none", "none/deeper"):
        remove_inside(folder, name)
    assert (folder.parent / "outside" / "secret").exists()
    assert answer(folder, "a/b/file") == b"own"
    assert not os.path.lexists(folder / "near")


def test_a_folder_that_becomes_a_link_meanwhile_is_not_written_into(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real: Callable[..., int] = os.open

    def opened(path: str, *words: int, dir_fd: int | None = None) -> int:
        if path == "b":
            swap(folder / "a" / "b", folder.parent / "outside")
        return real(path, *words, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", opened)
    with pytest.raises(OSError, match=r"Not a directory|Too many levels"):
        write_inside(folder, "a/b/new", b"written")
    assert [path.name for path in (folder.parent / "outside").iterdir()] == ["secret"]


def test_who_calls_may_name_a_file_outside_but_no_link_leads_there(folder: Path) -> None:
    for name in ("../named", str(folder.parent / "named"), str(folder / "a" / "new")):
        write_named(folder, name, b"written", mode=0o600)
        assert (folder / name).read_bytes() == b"written"
        assert (folder / name).stat().st_mode & 0o777 == 0o600
    with pytest.raises(ConfigError, match="leads out of the workspace") as caught:
        write_named(folder, "out/new", b"written")
    assert caught.value.where == "out/new"
    for name in ("a", ".", str(folder), ".."):
        with pytest.raises(MachineError, match="there is a folder of that name"):
            write_named(folder, name, b"written")
