from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.plans import planned, stage_of, step_of


def test_stages_after_confirm_are_marked(workspace: Path) -> None:
    plan = planned(workspace, {"stages": {"Release": {"healthExecuteCheck": True}}})
    after = [stage["name"] for stage in plan["stages"] if stage["afterConfirm"]]
    assert after == ["Promote", "Release"]
    assert plan["split"] is True


def test_scans_run_side_by_side_and_nothing_else_does(workspace: Path) -> None:
    plan = planned(workspace, {})
    assert [stage["name"] for stage in plan["stages"] if stage["parallel"]] == ["Security"]
    assert [stage["name"] for stage in plan["stages"] if stage["post"]] == ["Post"]


def test_own_stages_come_before_post_with_ordinals_behind_the_last(workspace: Path) -> None:
    plan = planned(workspace, {"stages": {"Canary": {"imagePushToRegistry": True}}})
    names = [stage["name"] for stage in plan["stages"]]
    assert names[-2:] == ["Canary", "Post"]
    assert stage_of(plan, "Canary")["ordinal"] == 100


def test_a_step_of_another_library_gets_values_of_the_configuration(workspace: Path) -> None:
    plan = planned(workspace, {"general": {"buildTool": "maven", "cfTargets": [{}]}})
    assert step_of(plan, "Build", "buildExecute")["parameters"] == {"buildTool": "maven"}
    assert step_of(plan, "Acceptance", "multicloudDeploy")["parameters"] == {"stage": "Acceptance"}


def test_the_configuration_for_the_piper_library_has_no_secrets(workspace: Path) -> None:
    plan = planned(
        workspace, {"general": {"verbose": True, "password": "hunter22"}, "steps": {"a": {"b": 1}}}
    )
    assert plan["configuration"] == {"general": {"verbose": True}, "steps": {"a": {"b": 1}}}


@pytest.mark.parametrize(
    "secret",
    [
        {"password": "hunter22"},
        {"key": "-----BEGIN PRIVATE KEY-----\\nhunter22"},
        {"note": "glpat-hunter22hunter22hunter22"},
        {"url": "https://me:hunter22@git.example.com/a"},
        {"list": [{"apiToken": "hunter22"}, ["https://me:hunter22@git.example.com/a"]]},
        {"env": {"clientSecret": {"deep": "hunter22"}}},
    ],
)
def test_a_secret_is_in_no_part_of_the_plan(workspace: Path, secret: dict[str, Any]) -> None:
    configuration = {
        "general": secret,
        "stages": {"Build": {**secret, "mavenExecuteStaticCodeChecks": True}},
        "steps": {"theirs": secret},
    }
    assert "hunter22" not in str(planned(workspace, configuration))


def test_results_are_published_after_a_failure(workspace: Path) -> None:
    plan = planned(workspace, {"general": {"buildTool": "maven"}})
    assert step_of(plan, "Build", "testsPublishResults")["afterFailure"] is True
    assert step_of(plan, "Build", "buildExecute")["afterFailure"] is False
