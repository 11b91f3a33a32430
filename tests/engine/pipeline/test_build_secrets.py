from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from towline.errors import MachineError
from towline.pipeline.build_secrets import BuildSecrets, Handle, handle_of

BUILD = ("team/app", "7", "https://jenkins.example/7")
SECRET = 'hunter2"\n\u00e4\U0001f600$HOME'


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "home").mkdir(mode=0o755)
    folder = tmp_path / "workspace"
    folder.mkdir()
    before = os.umask(0)  # even so nobody else may read it
    yield folder
    os.umask(before)


@pytest.fixture
def on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without a folder in memory."""
    monkeypatch.setattr("towline.pipeline.build_secrets.memory_folders", lambda _: [])


@pytest.fixture
def in_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder in memory that every user may write to."""
    folder = tmp_path / "memory"
    folder.mkdir()
    folder.chmod(0o1777)
    monkeypatch.setattr("towline.pipeline.build_secrets.memory_folders", lambda _: [folder])
    return folder


def secrets(workspace: Path, build: tuple[str, ...] = BUILD, **environ: str) -> BuildSecrets:
    return BuildSecrets(workspace, build, environ or {"HOME": str(workspace.parent / "home")})


def kept(workspace: Path) -> list[Path]:
    """All files with secrets."""
    return [path for path in workspace.parent.rglob("*") if path.is_file()]


@pytest.mark.parametrize("value", [SECRET, "", 7, ["a", {"token": SECRET}], {"password": None}])
@pytest.mark.usefixtures("on_disk")
def test_a_later_step_reads_the_stored_value(workspace: Path, value: object) -> None:
    name = secrets(workspace).keep(value)
    assert secrets(workspace).read(name) == (value,)


@pytest.mark.usefixtures("on_disk")
def test_files_are_for_this_user_alone_and_outside_of_the_workspace(workspace: Path) -> None:
    secrets(workspace).keep(SECRET)
    (file,) = kept(workspace)
    assert not file.is_relative_to(workspace)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    folders = [file.parent, file.parent.parent]
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in folders} == {0o700}


@pytest.mark.parametrize(
    "other",
    [
        ("team/app", "8", "https://jenkins.example/7"),
        ("team/other", "7", "https://jenkins.example/7"),
        ("team/app", "7", "https://jenkins.example/8"),
    ],
)
@pytest.mark.usefixtures("on_disk")
def test_another_build_cannot_read_it(workspace: Path, other: tuple[str, ...]) -> None:
    name = secrets(workspace).keep(SECRET)
    assert secrets(workspace, other).read(name) is None


@pytest.mark.parametrize("name", ["0" * 32, "../x", "", ".", "/etc/passwd"])
@pytest.mark.usefixtures("on_disk")
def test_an_id_that_nobody_has_kept_has_no_secret(workspace: Path, name: str) -> None:
    secrets(workspace).keep(SECRET)
    assert secrets(workspace).read(name) is None


@pytest.mark.usefixtures("on_disk")
def test_another_workspace_of_the_build_reads_it_as_well(workspace: Path) -> None:
    name = secrets(workspace).keep(SECRET)
    other = workspace.with_name("workspace@2")
    other.mkdir()
    assert secrets(other).read(name) == (SECRET,)


def test_memory_comes_before_a_disk(workspace: Path, in_memory: Path) -> None:
    name = secrets(workspace).keep(SECRET)
    assert [path.is_relative_to(in_memory) for path in kept(workspace)] == [True]
    assert secrets(workspace).read(name) == (SECRET,)


def test_what_another_user_has_put_in_memory_is_not_used(workspace: Path, in_memory: Path) -> None:
    squatted = in_memory / f"towline-secrets-{os.geteuid()}"
    squatted.mkdir()
    squatted.chmod(0o777)
    name = secrets(workspace).keep(SECRET)
    assert [path.is_relative_to(in_memory) for path in kept(workspace)] == [False]
    assert secrets(workspace).read(name) == (SECRET,)


def test_nothing_is_removed_in_a_folder_that_another_user_can_write_to(
    workspace: Path, in_memory: Path
) -> None:
    squatted = in_memory / f"towline-secrets-{os.geteuid()}"
    (squatted / ("0" * 32)).mkdir(parents=True)
    os.utime(squatted / ("0" * 32), (0, 0))
    victim = workspace / ".a.tmp"
    victim.touch()
    os.utime(victim, (0, 0))
    (squatted / ("1" * 32)).symlink_to(workspace)
    squatted.chmod(0o777)
    secrets(workspace).sweep()
    assert (squatted / ("0" * 32)).exists()
    squatted.chmod(0o700)
    secrets(workspace).sweep()
    assert not (squatted / ("0" * 32)).exists()
    assert victim.exists()


@pytest.mark.usefixtures("on_disk")
def test_without_a_folder_outside_of_the_workspace_nothing_is_kept(workspace: Path) -> None:
    with pytest.raises(MachineError, match="no folder") as caught:
        secrets(workspace, HOME=str(workspace)).keep(SECRET)
    assert "XDG_STATE_HOME" in caught.value.hint
    assert kept(workspace) == []


@pytest.mark.usefixtures("on_disk")
def test_a_folder_that_others_can_write_to_is_not_read(workspace: Path) -> None:
    name = secrets(workspace).keep(SECRET)
    (file,) = kept(workspace)
    file.parent.chmod(0o777)
    assert secrets(workspace).read(name) is None


@pytest.mark.usefixtures("on_disk")
def test_secrets_of_builds_that_are_over_are_removed(workspace: Path) -> None:
    secrets(workspace).keep(SECRET)
    (old,) = kept(workspace)
    os.utime(old.parent, (0, 0))
    secrets(workspace, ("team/other", "1", "")).sweep()
    assert kept(workspace) == []


@pytest.mark.usefixtures("on_disk")
def test_what_a_killed_run_has_half_written_is_removed_soon(workspace: Path) -> None:
    secrets(workspace).keep(SECRET)
    (whole,) = kept(workspace)
    half = whole.parent / f".{'0' * 16}.tmp"
    half.write_text('"hunt')
    secrets(workspace).sweep()
    assert set(kept(workspace)) == {whole, half}  # perhaps it is being written
    os.utime(half, (0, 0))
    secrets(workspace, ("team/other", "1", "")).sweep()
    assert kept(workspace) == [whole]


@pytest.mark.usefixtures("on_disk")
def test_a_build_that_goes_on_keeps_its_secrets(workspace: Path) -> None:
    name = secrets(workspace).keep(SECRET)
    (file,) = kept(workspace)
    os.utime(file.parent, (0, 0))
    assert secrets(workspace).read(name) == (SECRET,)
    secrets(workspace).sweep()
    assert secrets(workspace).read(name) == (SECRET,)


def test_a_handle_says_itself_what_it_is() -> None:
    for handle in (Handle(id="0f" * 16), Handle(id="0f" * 16, sealed="a-_0=")):
        assert handle_of(str(handle)) == handle
    for value in ("towline-secret:0f", f"x towline-secret:{'0f' * 16}", "", None, 7, ["x"]):
        assert handle_of(value) is None
