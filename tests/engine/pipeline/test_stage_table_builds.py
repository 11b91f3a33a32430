"""What steps require of the loaded libraries, and how the build tool chooses the builders."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.engine.pipeline.test_stage_table import BY_CONDITION, PAIRS, VOTING, flagged
from tests.engine.pipeline.test_stages import documents, given
from towline.pipeline.planned import StagePlan, StepPlan
from towline.pipeline.stages import plan_stages

# by Piper they run whatever is configured
LEFT_OUT = {
    "artifactPrepareVersion",
    "checksPublishResults",
    "pipelineStashFilesAfterBuild",
    "pipelineStashFilesBeforeBuild",
    "testsPublishResults",
}
WHERE = ".pipeline/config.yml:1"


def plan(stage: str, section: Mapping[str, Any], *files: str) -> StagePlan:
    """The plan of a stage, whose section of the configuration has these values."""
    return of(stage, {"stages": {stage: {**section, "keep": 1}}}, *files)


def of(stage: str, project: Mapping[str, Any], *files: str) -> StagePlan:
    found = plan_stages(
        documents(json.dumps(project)), given(*files, change_request=stage == VOTING)
    )
    return next(each for each in found if each.name == stage)


def step(found: StagePlan, name: str) -> StepPlan:
    return next(each for each in found.steps if each.name == name)


@pytest.mark.parametrize(("stage", "name"), PAIRS)
def test_a_library_must_have_a_step_that_a_flag_switches_on(stage: str, name: str) -> None:
    found = step(of(stage, flagged(stage, name, {}, flag=True)), name)
    assert (found.active, found.required, found.where) == ("yes", True, WHERE)


@pytest.mark.parametrize(("stage", "name", "condition"), BY_CONDITION)
def test_a_library_must_have_a_step_that_a_key_switches_on_and_no_other(
    stage: str, name: str, condition: Mapping[str, Any]
) -> None:
    project = {key: value for key, value in condition.items() if key != "files"}
    found = step(of(stage, project, *condition.get("files", ())), name)
    by_key = bool(condition.get("general")) and name not in LEFT_OUT
    assert (found.active, found.required) == ("yes", by_key)
    assert not by_key or found.where == WHERE


@pytest.mark.parametrize(
    ("tool", "parts"),
    [
        ("maven", ["mavenBuild"]),
        ("mta", ["mtaBuild"]),
        ("npm", ["npmExecuteScripts"]),
        ("docker", ["kanikoExecute"]),
        ("kaniko", ["kanikoExecute"]),
    ],
)
def test_build_execute_has_the_steps_of_the_build_tool_as_its_parts(
    tool: str, parts: list[str]
) -> None:
    found = plan("Build", {"buildTool": tool})
    whole = step(found, "buildExecute")
    assert [part.name for part in whole.parts] == parts
    assert all(part.active == "yes" and part.required for part in whole.parts)
    assert not {each.name for each in found.steps} & set(parts)
    assert whole.parameters["buildTool"] == tool


@pytest.mark.parametrize(
    ("tool", "name"),
    [("golang", "golangBuild"), ("gradle", "gradleExecuteBuild"), ("pip", "pythonBuild")],
)
def test_build_tools_that_build_execute_does_not_know_have_their_own_step(
    tool: str, name: str
) -> None:
    found = plan("Build", {"buildTool": tool})
    assert step(found, name).required
    assert step(found, "buildExecute").active == "no"
    command = {"buildTool": tool, "dockerImage": "a", "dockerCommand": "b"}
    found = plan("Build", command)
    assert step(found, name).active == "no"
    assert step(found, "buildExecute").required


@pytest.mark.parametrize(
    ("section", "parts"),
    [
        ({"buildTool": "maven", "cnbBuild": True}, ["mavenBuild", "cnbBuild"]),
        ({"buildTool": "docker", "cnbBuild": True}, ["cnbBuild"]),
        ({"buildTool": "npm", "helmExecute": True}, ["npmExecuteScripts", "helmExecute"]),
        ({"buildTool": "docker", "helmExecute": True}, ["kanikoExecute", "helmExecute"]),
    ],
)
def test_images_and_charts_are_parts_as_in_piper(section: dict[str, Any], parts: list[str]) -> None:
    found = step(plan("Build", section), "buildExecute")
    assert [part.name for part in found.parts] == parts


def test_a_builder_that_build_execute_would_not_run_is_a_step_beside_it() -> None:
    found = plan("Build", {"buildTool": "maven", "kanikoExecute": True})
    assert [part.name for part in step(found, "buildExecute").parts] == ["mavenBuild"]
    assert step(found, "kanikoExecute").required


def test_the_version_is_of_docker_where_kaniko_builds() -> None:
    found = step(plan("Init", {"buildTool": "kaniko"}), "artifactPrepareVersion")
    assert found.parameters == {"buildTool": "docker"}
    found = step(plan("Init", {"buildTool": "maven"}), "artifactPrepareVersion")
    assert found.parameters == {"buildTool": "maven"}


@pytest.mark.parametrize(
    ("file", "tool"), [("mta.yaml", "mta"), ("pom.xml", "maven"), ("package.json", "npm")]
)
def test_the_build_tool_may_be_inferred(file: str, tool: str) -> None:
    found = plan("Build", {"inferBuildTool": True}, file)
    assert step(found, "buildExecute").parameters["buildTool"] == tool
    assert step(plan("Build", {}, file), "buildExecute").active == "no"


@pytest.mark.parametrize("tool", ["docker", "kaniko"])
def test_a_change_request_builds_no_image_since_its_builder_would_push_it(tool: str) -> None:
    found = plan(VOTING, {"buildTool": tool})
    assert step(found, "kanikoExecute").active == step(found, "buildExecute").active == "no"
    assert "would run kanikoExecute, which is left out" in step(found, "buildExecute").why


@pytest.mark.parametrize("publish", [True, False])
def test_a_change_request_builds_what_is_not_published(publish: bool) -> None:
    found = plan(VOTING, {"buildTool": "maven", "publish": publish})
    assert step(found, "buildExecute").active == ("no" if publish else "yes")
    assert found.active == "yes"


@pytest.mark.parametrize("name", ["cloudFoundryDeploy", "neoDeploy", "kubernetesDeploy"])
@pytest.mark.parametrize("stage", ["Acceptance", "Release"])
def test_multicloud_deploy_runs_instead_of_the_others(stage: str, name: str) -> None:
    found = plan(stage, {"multicloudDeploy": True, name: True})
    assert step(found, name).active == "no"
    assert step(found, name).overruled == WHERE
    found = plan(stage, {"multicloudDeploy": False, name: True})
    assert step(found, name).active == "yes"
