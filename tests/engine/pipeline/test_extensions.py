from __future__ import annotations

from pathlib import Path

import pytest

from tests.calls import Ending, configure
from tests.plans import planned, stage_of, step_of


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(workspace: Path, name: str) -> None:
    file = workspace / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("return this")


def test_the_project_s_extension_wraps_the_company_s(workspace: Path) -> None:
    put(workspace, ".pipeline/extensions/Acceptance.groovy")
    put(workspace, ".pipeline/tmp/global_extensions/Acceptance.groovy")
    found = stage_of(planned(workspace, {}), "Acceptance")
    assert found["extensions"] == [
        ".pipeline/extensions/Acceptance.groovy",
        ".pipeline/tmp/global_extensions/Acceptance.groovy",
    ]
    assert found["active"] == "yes"


@pytest.mark.parametrize("name", ["Build", "Central Build"])
def test_build_has_two_names(workspace: Path, name: str) -> None:
    put(workspace, f".pipeline/extensions/{name}.groovy")
    found = stage_of(planned(workspace, {}), "Build")
    assert found["extensions"] == [f".pipeline/extensions/{name}.groovy"]


def test_post_has_the_name_of_piper_s_settings_too(workspace: Path) -> None:
    put(workspace, ".pipeline/extensions/Post Actions.groovy")
    plan = planned(workspace, {"stages": {"Post Actions": {"mailSendNotification": False}}})
    assert [stage["name"] for stage in plan["stages"]][-2:] == ["Release", "Post"]
    assert stage_of(plan, "Post")["extensions"] == [".pipeline/extensions/Post Actions.groovy"]
    assert step_of(plan, "Post", "mailSendNotification")["active"] == "no"


def test_another_folder_may_be_named(workspace: Path) -> None:
    put(workspace, "ci/Build.groovy")
    plan = planned(workspace, {"general": {"projectExtensionsDirectory": "ci/"}})
    assert stage_of(plan, "Build")["extensions"] == ["ci/Build.groovy"]


def test_init_and_confirm_have_none(workspace: Path) -> None:
    for name in ("Init", "Confirm"):
        put(workspace, f".pipeline/extensions/{name}.groovy")
    plan = planned(workspace, {})
    assert [stage_of(plan, name)["extensions"] for name in ("Init", "Confirm")] == [[], []]


def test_the_agent_may_forbid_them(workspace: Path) -> None:
    put(workspace, ".pipeline/extensions/Build.groovy")
    plan = planned(workspace, {}, environ={"PIPER_DISABLE_EXTENSIONS": "true"})
    assert stage_of(plan, "Build")["extensions"] == []


def test_a_folder_outside_of_the_workspace_is_an_error(workspace: Path) -> None:
    configure(workspace, "general: {projectExtensionsDirectory: ../outside}")
    ending = Ending(["plan"], workspace)
    assert ending.code == 3
    assert ending.where == ".pipeline/config.yml:1"
