from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from towline.errors import ConfigError, MachineError
from towline.pipeline.environment import (
    ENVIRONMENT_FOLDER,
    check_writable,
    read_environment,
    write_environment,
)

VALUES = {
    "artifactVersion": "1.2.3+7",
    "container/imageNames": ["demo", "\u00fcber"],
    "custom/deep/nested/key": "text with\nlines \u00e4\n",
    "custom/map": {"a": [1, 2.5, None, True]},
    "custom/flag": False,
    "custom/number": 7,
    "custom/empty": "",
    "custom/emptyList": [],
}


def files(workspace: Path) -> dict[str, str]:
    root = workspace / ENVIRONMENT_FOLDER
    return {
        path.relative_to(root).as_posix(): path.read_text(encoding="utf-8")
        for path in root.rglob("*")
        if path.is_file()
    }


def put(workspace: Path, name: str, content: bytes = b"x") -> Path:
    path = workspace / ENVIRONMENT_FOLDER / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_texts_are_raw_files_and_everything_else_is_compact_json(tmp_path: Path) -> None:
    write_environment(tmp_path, VALUES)
    assert files(tmp_path) == {
        "artifactVersion": "1.2.3+7",
        "container/imageNames.json": '["demo","\u00fcber"]',
        "custom/deep/nested/key": "text with\nlines \u00e4\n",
        "custom/map.json": '{"a":[1,2.5,null,true]}',
        "custom/flag.json": "false",
        "custom/number.json": "7",
        "custom/empty": "",
        "custom/emptyList.json": "[]",
    }


def test_what_was_written_is_read_back_under_its_whole_key(tmp_path: Path) -> None:
    write_environment(tmp_path, VALUES)
    assert read_environment(tmp_path) == VALUES


scalars = st.booleans() | st.integers() | st.text(max_size=5)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(
    deadline=None,
    max_examples=30,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(values)
def test_every_value_survives_the_disk(tmp_path: Path, value: object) -> None:
    write_environment(tmp_path, {"custom/value": value})
    assert read_environment(tmp_path) == {"custom/value": value}


def test_a_workspace_without_environment_has_none(tmp_path: Path) -> None:
    assert read_environment(tmp_path) == {}
    write_environment(tmp_path, {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("before", "after", "left"),
    [("text", ["list"], "key.json"), (["list"], "text", "key"), ("text", "other", "key")],
)
def test_a_value_of_another_kind_leaves_no_stale_twin(
    tmp_path: Path, before: object, after: object, left: str
) -> None:
    write_environment(tmp_path, {"key": before})
    write_environment(tmp_path, {"key": after})
    assert list(files(tmp_path)) == [left]
    assert read_environment(tmp_path) == {"key": after}


def test_none_removes_a_value_of_either_kind(tmp_path: Path) -> None:
    write_environment(tmp_path, {"text": "a", "list": [1], "kept": "b"})
    write_environment(tmp_path, {"text": None, "list": None, "never": None})
    assert read_environment(tmp_path) == {"kept": "b"}


def test_json_wins_over_a_stale_text_as_it_does_for_piper(tmp_path: Path) -> None:
    put(tmp_path, "container/imageNames", b"stale")
    put(tmp_path, "container/imageNames.json", b'["new"]')
    assert read_environment(tmp_path) == {"container/imageNames": ["new"]}


@pytest.mark.parametrize("content", [b"null", b"[]", b'"text"', b"1.10"])
def test_other_writers_json_is_read_as_it_is(tmp_path: Path, content: bytes) -> None:
    put(tmp_path, "custom/x.json", content)
    assert read_environment(tmp_path) == {"custom/x": json.loads(content)}


def test_bytes_that_are_not_text_are_replaced(tmp_path: Path) -> None:
    put(tmp_path, "text", b"a\xffb")
    put(tmp_path, "data.json", b'"a\xff\tb"')
    assert read_environment(tmp_path) == {"text": "a\ufffdb", "data": "a\ufffd\tb"}


@pytest.mark.parametrize(
    ("content", "text"), [(b"toBeEmptied", ""), (b"toBeEmptied\n", "toBeEmptied\n")]
)
def test_pipers_mark_for_an_empty_text_is_one(tmp_path: Path, content: bytes, text: str) -> None:
    assert put(tmp_path, "custom/x", content).exists()
    assert read_environment(tmp_path) == {"custom/x": text}


@pytest.mark.parametrize("content", [b"toBeEmptied", b""])
def test_a_list_that_piper_emptied_is_neither_an_error_nor_a_value(
    tmp_path: Path, content: bytes
) -> None:
    """Piper leaves an empty file for `toBeEmptied`."""
    put(tmp_path, "custom/x.json", content)
    assert read_environment(tmp_path) == {"custom/x": ""}


@pytest.mark.parametrize("content", [b" ", b"{", b"[" * 100_000])
def test_a_file_that_is_not_json_is_named(tmp_path: Path, content: bytes) -> None:
    put(tmp_path, "container/imageNames.json", content)
    with pytest.raises(ConfigError) as caught:
        read_environment(tmp_path)
    assert caught.value.where == f"{ENVIRONMENT_FOLDER}/container/imageNames.json"


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/",
        "/etc/passwd",
        "../outside",
        "a/../../outside",
        "a//b",
        "a/",
        "..",
        ".hidden",
        "a/.hidden/b",
        "a\\b",
        "a\0b",
        "container/x.json",
    ],
)
def test_a_key_that_leads_elsewhere_is_refused_before_anything_is_written(
    tmp_path: Path, key: str
) -> None:
    with pytest.raises(ConfigError):
        write_environment(tmp_path, {"good": "value", key: "value"})
    assert list(tmp_path.rglob("*")) == []


def test_a_link_leads_neither_writing_nor_reading_out_of_the_folder(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret", encoding="utf-8")
    workspace = tmp_path / "workspace"
    put(workspace, "kept")
    (workspace / ENVIRONMENT_FOLDER / "folder").symlink_to(outside)
    (workspace / ENVIRONMENT_FOLDER / "file").symlink_to(outside / "secret")
    assert read_environment(workspace) == {"kept": "x"}
    with pytest.raises(ConfigError):
        write_environment(workspace, {"folder/secret": "overwritten"})
    write_environment(workspace, {"file": "new"})
    assert (outside / "secret").read_text(encoding="utf-8") == "secret"


def test_hidden_files_pipes_and_files_beyond_configuration_are_left_alone(tmp_path: Path) -> None:
    put(tmp_path, ".artifactVersion.1.tmp")
    put(tmp_path, ".cache/value")
    put(tmp_path, "custom/huge", b"x" * (1024 * 1024 + 1))
    put(tmp_path, "custom/large", b"x" * (1024 * 1024))
    os.mkfifo(tmp_path / ENVIRONMENT_FOLDER / "pipe")
    assert list(read_environment(tmp_path)) == ["custom/large"]


def test_a_folder_of_too_many_files_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "0")
    for number in range(10_000):
        os.link(tmp_path / ENVIRONMENT_FOLDER / "0", tmp_path / ENVIRONMENT_FOLDER / f"n{number}")
    with pytest.raises(ConfigError, match="10000 files"):
        read_environment(tmp_path)


def test_an_environment_that_would_not_fit_into_memory_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "0", b"x" * (1024 * 1024))
    for number in range(64):
        os.link(tmp_path / ENVIRONMENT_FOLDER / "0", tmp_path / ENVIRONMENT_FOLDER / f"n{number}")
    with pytest.raises(ConfigError, match="more than 67108864 bytes"):
        read_environment(tmp_path)


def test_a_key_whose_parent_is_a_value_is_a_clear_fault(tmp_path: Path) -> None:
    write_environment(tmp_path, {"custom": "a text"})
    with pytest.raises(MachineError):
        write_environment(tmp_path, {"custom/key": "value"})
    assert read_environment(tmp_path) == {"custom": "a text"}


def test_no_temporary_file_stays_behind(tmp_path: Path) -> None:
    write_environment(tmp_path, VALUES)
    assert [path for path in tmp_path.rglob("*") if path.name.endswith(".tmp")] == []


def test_an_environment_that_a_link_puts_elsewhere_is_neither_read_nor_written(
    tmp_path: Path,
) -> None:
    workspace, other = tmp_path / "workspace", tmp_path / "other"
    (workspace / ".pipeline").mkdir(parents=True)
    other.mkdir()
    (other / "artifactVersion").write_text("1")
    (workspace / ".pipeline" / "commonPipelineEnvironment").symlink_to(other)
    with pytest.raises(ConfigError, match="leads out of the workspace"):
        read_environment(workspace)
    with pytest.raises(ConfigError, match="leads out of the workspace"):
        write_environment(workspace, {"artifactVersion": "2"})
    assert (other / "artifactVersion").read_text() == "1"


def test_a_workspace_that_cannot_be_written_to_is_seen_before(tmp_path: Path) -> None:
    """For example a read-only mount, for a user who may only read there."""
    check_writable(tmp_path)
    assert not list(tmp_path.iterdir())
    (tmp_path / ".pipeline").mkdir()
    (tmp_path / ".pipeline").chmod(0o555)
    tmp_path.chmod(0o755)
    code = (
        "import os, sys, pathlib\n"
        "from towline.errors import MachineError\n"
        "from towline.pipeline.environment import check_writable\n"
        "os.chdir(sys.argv[1])\n"
        "os.geteuid() or (os.setgroups([]), os.setgid(65534), os.setuid(65534))\n"
        "try:\n"
        "    check_writable(pathlib.Path('.'))\n"
        "except MachineError as fault:\n"
        "    print(fault.where, fault.message)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.stdout == ".pipeline the pipeline environment cannot be written\n", done.stderr
    with pytest.raises(MachineError, match="cannot be written"):
        check_writable(tmp_path / "gone")
