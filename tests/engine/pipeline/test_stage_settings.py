from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.plans import planned, stage_of, step_of

JOB = {"branch": "main", "job": "team/shop/main"}
FLAG = {"mavenExecuteStaticCodeChecks": True}


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def build_stage(workspace: Path, stage: dict[str, Any] | None = None, **general: Any) -> Any:
    configuration = {"general": general, "stages": {"Build": {**FLAG, **(stage or {})}}}
    return stage_of(planned(workspace, configuration, build=JOB), "Build")


def test_a_stage_has_a_lock_of_its_job_and_a_milestone(workspace: Path) -> None:
    found = build_stage(workspace)
    assert (found["lock"], found["milestone"], found["ordinal"]) == ("team/shop/main/10", True, 10)


def test_the_lock_may_be_named_or_switched_off(workspace: Path) -> None:
    named = build_stage(workspace, lockingResourceGroup="shop", lockingResource="cluster")
    assert named["lock"] == "shop/cluster"
    off = build_stage(workspace, stageLocking=False)
    assert (off["lock"], off["milestone"]) == ("", False)


def test_another_branch_cannot_take_the_lock_of_another_project(workspace: Path) -> None:
    configuration = {"general": {"lockingResourceGroup": "other"}, "stages": {"Init": {"x": 1}}}
    plan = planned(workspace, configuration, build={"branch": "x", "job": "team/shop/x"})
    assert stage_of(plan, "Init")["lock"] == "team/shop/x/1"


def test_confirm_and_post_lock_nothing(workspace: Path) -> None:
    plan = planned(workspace, {"stages": {"Release": {"healthExecuteCheck": True}}}, build=JOB)
    assert [stage_of(plan, name)["lock"] for name in ("Confirm", "Post")] == ["", ""]


def test_a_stage_gets_a_node_of_its_own_only_if_its_section_names_one(workspace: Path) -> None:
    assert build_stage(workspace, nodeLabel="linux")["ownNode"] is False
    own = build_stage(workspace, {"nodeLabel": "big"})
    assert (own["ownNode"], own["node"]) == (True, "big")
    assert build_stage(workspace, {"ownNode": True})["ownNode"] is True


def test_a_stage_may_have_a_time_limit(workspace: Path) -> None:
    assert build_stage(workspace)["timeout"] == 0
    assert build_stage(workspace, {"stageTimeout": 30})["timeout"] == 30


def test_a_failed_step_ends_the_stage_unless_the_configuration_lets_it_go_on(
    workspace: Path,
) -> None:
    def failure(**general: Any) -> tuple[bool, int]:
        configuration = {"general": general, "stages": {"Build": FLAG}}
        plan = planned(workspace, configuration)
        step = step_of(plan, "Build", "mavenExecuteStaticCodeChecks")
        return step["failOnError"], step["timeoutMinutes"]

    limits = {"mavenExecuteStaticCodeChecks": 5}
    assert failure() == (True, 0)
    assert failure(failOnError=False) == (False, 0)
    assert failure(failOnError=False, stepTimeouts=limits) == (False, 5)
    assert failure(stepTimeouts=limits) == (True, 0)
    mandatory = ["mavenExecuteStaticCodeChecks"]
    assert failure(failOnError=False, mandatorySteps=mandatory) == (True, 0)


def test_some_steps_are_always_mandatory(workspace: Path) -> None:
    configuration = {"general": {"failOnError": False}, "stages": {"Build": {"cnbBuild": True}}}
    assert step_of(planned(workspace, configuration), "Build", "cnbBuild")["failOnError"] is True


def test_an_extension_gets_the_stage_s_settings_without_secrets(workspace: Path) -> None:
    found = build_stage(workspace, {"mine": 1, "apiToken": "hunter22"}, shared="yes")
    assert found["configuration"]["mine"] == 1
    assert found["configuration"]["shared"] == "yes"
    assert "hunter22" not in str(found)


def test_jenkins_shows_technical_names_if_they_are_wanted(workspace: Path) -> None:
    assert build_stage(workspace)["title"] == "Build"
    found = build_stage(workspace, useTechnicalStageNames=True)
    assert (found["title"], found["name"], found["active"]) == ("build", "Build", "yes")
