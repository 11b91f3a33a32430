from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from towline.errors import MachineError
from towline.pipeline.proven import ProvenCopy

BUILD = ("GitLab", "team/app", "7", "https://gitlab.example/7")
VALUES: dict[str, object] = {
    "container/targetRegistryUrl": "https://r",
    "container/targetImageNameTags": ["app:1"],
    "artifactVersion": "1",
}


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "home").mkdir(mode=0o755)
    folder = tmp_path / "workspace"
    folder.mkdir()
    before = os.umask(0)  # even so nobody else may write there
    yield folder
    os.umask(before)


def copy(workspace: Path, build: tuple[str, ...] = BUILD, **environ: str) -> ProvenCopy:
    return ProvenCopy(workspace, build, environ or {"HOME": str(workspace.parent / "home")})


def own(workspace: Path) -> Path:
    """The folder of the only build."""
    (found,) = (workspace.parent / "home" / ".local" / "state" / "towline" / "builds").iterdir()
    return found


def test_what_was_kept_is_there_for_later_steps_of_the_build(workspace: Path) -> None:
    assert copy(workspace).read() == {}
    copy(workspace).keep(VALUES)
    copy(workspace).keep({"artifactVersion": None, "custom/x": {"a": [1, True]}})
    left = {key: value for key, value in VALUES.items() if key != "artifactVersion"}
    assert copy(workspace).read() == {**left, "custom/x": {"a": [1, True]}}


def test_a_value_that_becomes_a_secret_is_no_longer_a_fact(workspace: Path) -> None:
    copy(workspace).keep({"custom/url": "https://b"})
    copy(workspace).keep({"custom/url": "https://a:a-pass-word@b"})
    assert copy(workspace).read() == {}


def test_it_is_for_nobody_else_and_holds_no_secret(workspace: Path) -> None:
    secrets = {
        "container/repositoryPassword": "a-pass-word",
        "custom/deep": {"x": [{"apiToken": "a-pass-word"}]},
        "custom/url": "https://a:a-pass-word@b",
    }
    copy(workspace).keep({**VALUES, **secrets})
    assert copy(workspace).read() == VALUES
    found = [
        workspace.parent / "home" / ".local",
        *(workspace.parent / "home" / ".local").rglob("*"),
    ]
    assert {stat.S_IMODE(path.lstat().st_mode) for path in found if path.is_file()} == {0o600}
    assert (
        stat.S_IMODE(own(workspace).stat().st_mode)
        == stat.S_IMODE(own(workspace).parent.stat().st_mode)
        == 0o700
    )
    assert not any("a-pass-word" in path.read_text() for path in found if path.is_file())


@pytest.mark.parametrize(
    "other",
    [
        ("GitLab", "team/app", "8", "https://gitlab.example/7"),
        ("GitLab", "team/other", "7", "https://gitlab.example/7"),
        ("GitLab", "team/app", "7", "https://gitlab.example/8"),
        ("", "", "", ""),
        ("GitLab", "team/app7", "", "https://gitlab.example/7"),
    ],
)
def test_another_build_in_the_same_workspace_has_facts_of_its_own(
    workspace: Path, other: tuple[str, ...]
) -> None:
    copy(workspace).keep(VALUES)
    assert copy(workspace, other).read() == {}


def test_another_workspace_has_facts_of_its_own_and_a_link_to_this_one_has_these(
    workspace: Path,
) -> None:
    copy(workspace).keep(VALUES)
    elsewhere = workspace.parent / "elsewhere"
    elsewhere.mkdir()
    assert copy(elsewhere).read() == {}
    (workspace.parent / "link").symlink_to(workspace)
    assert copy(workspace.parent / "link").read() == VALUES


@pytest.mark.parametrize("variable", ["RUNNER_TEMP", "XDG_STATE_HOME"])
def test_the_places_are_the_job_s_own_then_the_user_s(workspace: Path, variable: str) -> None:
    first, home = workspace.parent / "first", workspace.parent / "home"
    first.mkdir(mode=0o755)
    ProvenCopy(workspace, BUILD, {variable: str(first), "HOME": str(home)}).keep(VALUES)
    assert (list(home.iterdir()), (first / "towline" / "builds").is_dir()) == ([], True)
    assert ProvenCopy(workspace, BUILD, {variable: str(first)}).read() == VALUES


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"HOME": ""},
        {"HOME": "home"},
        {"HOME": "{workspace}"},
        {"HOME": "{workspace}/home"},
        {"HOME": "{link}"},
        {"HOME": "", "XDG_STATE_HOME": "{workspace}/state", "RUNNER_TEMP": "{workspace}"},
    ],
)
def test_what_lies_in_the_workspace_proves_nothing(
    workspace: Path, environ: dict[str, str]
) -> None:
    link = workspace.parent / "link"
    link.symlink_to(workspace)
    places = {name: text.format(workspace=workspace, link=link) for name, text in environ.items()}
    found = ProvenCopy(workspace, BUILD, places)
    assert found.read() == {}
    with pytest.raises(
        MachineError, match="no folder for facts outside of the workspace"
    ) as caught:
        found.keep(VALUES)
    assert "XDG_STATE_HOME" in caught.value.hint
    assert list(workspace.rglob("*")) == []


def test_a_home_in_the_workspace_is_passed_over_for_a_better_place(workspace: Path) -> None:
    (workspace.parent / "state").mkdir(mode=0o755)
    copy(
        workspace,
        RUNNER_TEMP=str(workspace),
        XDG_STATE_HOME=str(workspace.parent / "state"),
        HOME=str(workspace),
    ).keep(VALUES)
    assert (list(workspace.iterdir()), (workspace.parent / "state" / "towline").is_dir()) == (
        [],
        True,
    )


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_a_folder_that_others_can_write_into_proves_nothing(workspace: Path, mode: int) -> None:
    copy(workspace).keep(VALUES)
    for folder in (own(workspace), own(workspace).parent):
        folder.chmod(mode)
        assert copy(workspace).read() == {}
        with pytest.raises(MachineError, match="others can write there"):
            copy(workspace).keep(VALUES)
        folder.chmod(0o700)
    assert copy(workspace).read() == VALUES


@pytest.mark.parametrize("mode", [0o777, 0o2777, 0o702])
@pytest.mark.parametrize(
    "folder", ["home", "home/.local", "home/.local/state", "home/.local/state/towline"]
)
def test_a_folder_above_that_others_can_write_into_proves_nothing(
    workspace: Path, folder: str, mode: int
) -> None:
    """The folder below could be renamed, and another one put in its place."""
    copy(workspace).keep(VALUES)
    there = workspace.parent / folder
    there.chmod(mode)
    assert copy(workspace).read() == {}
    with pytest.raises(MachineError, match="others can write there") as caught:
        copy(workspace).keep(VALUES)
    assert caught.value.where == str(there)
    there.chmod(0o1777)  # as /tmp: each may rename what is his
    assert copy(workspace).read() == VALUES


def test_a_place_that_others_can_write_to_is_passed_over_for_a_better_one(workspace: Path) -> None:
    """Such a place is a runner's work volume in a cluster; its home is not."""
    volume, home = workspace.parent / "volume", workspace.parent / "home"
    (volume / "temp").mkdir(parents=True)
    (volume / "temp").chmod(0o755)
    volume.chmod(0o777)
    copy(workspace, RUNNER_TEMP=str(volume / "temp"), HOME=str(home)).keep(VALUES)
    assert (list((volume / "temp").iterdir()), copy(workspace).read()) == ([], VALUES)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_another_user_s_folder_above_proves_nothing_but_for_the_runner_s_own(
    workspace: Path,
) -> None:
    """In a container of GitHub the job is root, and its temporary folder belongs to the runner's
    user.
    """
    there = workspace.parent / "home"
    copy(workspace).keep(VALUES)
    os.chown(there, 12345, 12345)
    assert copy(workspace).read() == {}
    os.chown(there, 0, 0)
    work = workspace.parent / "work"
    (work / "temp").mkdir(parents=True)
    for folder in (work, work / "temp"):
        folder.chmod(0o755)
        os.chown(folder, 12345, 12345)
    temp = str(work / "temp")
    copy(workspace, RUNNER_TEMP=temp).keep(VALUES)
    assert copy(workspace, RUNNER_TEMP=temp).read() == VALUES
    os.chown(work, 12346, 12346)
    assert copy(workspace, RUNNER_TEMP=temp).read() == {}


def test_a_link_in_its_place_proves_nothing(workspace: Path) -> None:
    copy(workspace).keep(VALUES)
    there = own(workspace)
    there.rename(workspace / "committed")
    there.symlink_to(workspace / "committed")
    assert copy(workspace).read() == {}


def test_another_user_s_folder_proves_nothing(workspace: Path) -> None:
    copy(workspace).keep(VALUES)
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    os.chown(own(workspace), 12345, 12345)
    assert copy(workspace).read() == {}


def test_a_place_that_cannot_be_written_to_is_a_fault_that_says_so(workspace: Path) -> None:
    (workspace.parent / "home" / ".local").write_text("a file")
    with pytest.raises(MachineError, match="Not a directory"):
        copy(workspace).keep(VALUES)
    assert copy(workspace).read() == {}


def test_a_copy_that_is_broken_proves_nothing(workspace: Path) -> None:
    copy(workspace).keep(VALUES)
    (own(workspace) / "container" / "targetImageNameTags.json").write_text("[")
    assert copy(workspace).read() == {}


def test_copies_of_builds_that_are_over_are_removed_and_nothing_else(workspace: Path) -> None:
    copy(workspace).keep(VALUES)
    old, month = own(workspace), 31 * 24 * 3600
    (old.parent / "of-somebody-else").mkdir()
    later = old.stat().st_mtime - month
    for path in (old, old.parent / "of-somebody-else"):
        os.utime(path, (later, later))
    copy(workspace, ("GitLab", "team/app", "8", "")).keep(VALUES)
    assert (old.exists(), (old.parent / "of-somebody-else").exists()) == (False, True)
    assert copy(workspace, ("GitLab", "team/app", "8", "")).read() == VALUES


def test_a_build_that_goes_on_keeps_its_copy(workspace: Path) -> None:
    copy(workspace).keep(VALUES)
    os.utime(own(workspace), (0, 0))
    copy(workspace).keep({"custom/x": 1})
    assert copy(workspace).read() == {**VALUES, "custom/x": 1}
