"""Every pair of stage and step of Piper's General Purpose Pipeline, by flag and by condition."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from tests.engine.pipeline.test_stages import documents, given
from towline.pipeline.stages import plan_stages

VOTING = "Pull-Request Voting"
ALWAYS: Mapping[str, object] = {}
MAVEN = {"general": {"buildTool": "maven"}}


def general(**keys: object) -> Mapping[str, object]:
    return {"general": keys}


def file(name: str, **keys: object) -> Mapping[str, object]:
    return {"files": [name], "general": keys}


# by stage and step what makes it active without its flag; None: the flag alone does
TABLE: Mapping[str, Mapping[str, Sequence[Mapping[str, object]] | None]] = {
    "Init": {
        "slackSendNotification": [general(channel="c")],
        "artifactPrepareVersion": [MAVEN],
        "transportRequestReqIDFromGit": None,
        "pipelineStashFilesBeforeBuild": [ALWAYS],
    },
    VOTING: {
        "buildExecute": [MAVEN, general(buildTool="npm"), general(buildTool="mta")],
        "testsPublishResults": [
            MAVEN,
            file("integration-tests/pom.xml"),
            general(runScripts=["a"]),
        ],
        "checksPublishResults": [MAVEN],
        "sonarExecuteScan": [file("**/sonar-project.properties")],
        "karmaExecuteTests": None,
        "mavenExecuteIntegration": [file("integration-tests/pom.xml")],
        "mavenExecuteStaticCodeChecks": None,
        "npmExecuteLint": None,
        "npmExecuteScripts": [general(runScripts=["a"])],
        "whitesourceExecuteScan": None,
    },
    "Build": {
        "buildExecute": [
            MAVEN,
            general(buildTool="docker"),
            general(buildTool="kaniko"),
            general(buildTool="golang", dockerImage="a", dockerCommand="make"),
        ],
        "pipelineStashFilesAfterBuild": [MAVEN],
        "testsPublishResults": [MAVEN],
        "checksPublishResults": [MAVEN],
        "sonarExecuteScan": [file("**/sonar-project.properties")],
        "mavenExecuteStaticCodeChecks": None,
        "npmExecuteLint": None,
    },
    "Additional Unit Tests": {
        "batsExecuteTests": [file("**/*.bats")],
        "karmaExecuteTests": [file("**/karma.conf.js")],
        "npmExecuteScripts": [general(runScripts=["a"])],
        "testsPublishResults": [file("**/*.bats"), file("**/karma.conf.js")],
    },
    "Integration": {
        "npmExecuteScripts": [general(runScripts=["a"])],
        "mavenExecuteIntegration": [file("integration-tests/pom.xml")],
        "testsPublishResults": [file("integration-tests/pom.xml"), general(runScripts=["a"])],
    },
    "Acceptance": {
        "multicloudDeploy": [general(cfTargets=[]), general(neoTargets=[])],
        "cloudFoundryDeploy": [general(cfSpace="s"), general(cloudFoundry={"space": "s"})],
        "neoDeploy": None,
        "kubernetesDeploy": None,
        "healthExecuteCheck": [general(testServerUrl="u")],
        "gaugeExecuteTests": None,
        "newmanExecute": [file("*.json", newmanCollection="*.json"), general(testRepository="r")],
        "uiVeri5ExecuteTests": [file("**/conf.js"), general(testRepository="r")],
        "npmExecuteEndToEndTests": [general(appUrls=[])],
        "testsPublishResults": [file("**/conf.js"), general(testRepository="r")],
    },
    "Security": {
        "checkmarxExecuteScan": [general(checkmarxCredentialsId="c")],
        "detectExecuteScan": None,
        "fortifyExecuteScan": [general(fortifyCredentialsId="f")],
        "whitesourceExecuteScan": [
            general(userTokenCredentialsId="w"),
            general(whitesource={"userTokenCredentialsId": "w"}),
            general(whitesourceUserTokenCredentialsId="w"),
        ],
    },
    "Performance": {
        "multicloudDeploy": [general(cfTargets=[]), general(neoTargets=[])],
        "gatlingExecuteTests": [file("p/pom.xml", pomPath="p/pom.xml"), general(appUrls=[])],
    },
    "Compliance": {"sonarExecuteScan": None},
    "Promote": {
        "containerPushToRegistry": [general(dockerRegistryUrl="r")],
        "nexusUpload": [general(url="n")],
    },
    "Release": {
        "multicloudDeploy": [general(cfTargets=[]), general(neoTargets=[])],
        "cloudFoundryDeploy": [general(cfSpace="s"), general(cloudFoundry={"space": "s"})],
        "neoDeploy": [general(neo={"account": "a"})],
        "kubernetesDeploy": None,
        "tmsUpload": [general(nodeName="n")],
        "tmsExport": None,
        "healthExecuteCheck": [general(testServerUrl="u")],
        "npmExecuteEndToEndTests": [general(appUrls=[])],
        "githubPublishRelease": [general(githubTokenCredentialsId="g")],
        "transportRequestUploadCTS": None,
    },
}
PAIRS = [(stage, step) for stage, steps in TABLE.items() for step in steps]
BY_CONDITION = [
    (stage, step, condition)
    for stage, steps in TABLE.items()
    for step, conditions in steps.items()
    for condition in conditions or ()
]


def answer(stage: str, step: str, condition: Mapping[str, Any], **build: Any) -> str:
    """Whether the step is active in the stage, in a build that runs the stage."""
    project = {key: value for key, value in condition.items() if key != "files"}
    build = {"change_request": stage == VOTING, **build}
    plans = plan_stages(documents(json.dumps(project)), given(*condition.get("files", ()), **build))
    found = next(plan for plan in plans if plan.name == stage)
    steps = [*found.steps, *(part for each in found.steps for part in each.parts)]
    return next(each.active for each in steps if each.name == step)


def flagged(stage: str, step: str, condition: Mapping[str, object], *, flag: bool) -> Any:
    return {**condition, "stages": {stage: {step: flag}}}


def test_the_table_has_every_pair_of_stage_and_step() -> None:
    assert len(PAIRS) == 57


@pytest.mark.parametrize(("stage", "step", "condition"), BY_CONDITION)
def test_each_step_runs_by_its_condition_unless_its_flag_is_false(
    stage: str, step: str, condition: Mapping[str, object]
) -> None:
    assert answer(stage, step, condition) == "yes"
    assert answer(stage, step, flagged(stage, step, condition, flag=False)) == "no"


@pytest.mark.parametrize(("stage", "step"), PAIRS)
def test_each_step_runs_by_its_flag(stage: str, step: str) -> None:
    assert answer(stage, step, flagged(stage, step, {}, flag=True)) == "yes"


@pytest.mark.parametrize(("stage", "step"), PAIRS)
def test_without_flag_and_condition_no_step_runs_but_those_that_always_do(
    stage: str, step: str
) -> None:
    always = TABLE[stage][step] == [ALWAYS]
    assert answer(stage, step, {}) == ("yes" if always else "no")


@pytest.mark.parametrize(("stage", "step"), PAIRS)
def test_no_flag_runs_a_step_in_a_build_that_does_not_run_its_stage(stage: str, step: str) -> None:
    if stage == "Init":
        return
    build = {} if stage == VOTING else {"branch": "feature/x"}
    asked = flagged(stage, step, {}, flag=True)
    assert answer(stage, step, asked, change_request=False, **build) == "no"
    if stage != VOTING:
        assert answer(stage, step, asked, change_request=True) == "no"


@pytest.mark.parametrize("build", [{"branch": "feature/x"}, {"change_request": True}])
@pytest.mark.parametrize("step", ["slackSendNotification", "artifactPrepareVersion"])
def test_init_tells_and_versions_on_the_productive_branch_only(
    step: str, build: Mapping[str, Any]
) -> None:
    (condition,) = TABLE["Init"][step] or ()
    assert answer("Init", step, condition, **build) == "no"


@pytest.mark.parametrize("stage", ["Acceptance", "Release"])
@pytest.mark.parametrize("step", ["cloudFoundryDeploy", "neoDeploy", "kubernetesDeploy"])
def test_one_deployment_to_many_clouds_replaces_the_single_ones(stage: str, step: str) -> None:
    asked = flagged(stage, step, general(cfTargets=[]), flag=True)
    assert answer(stage, step, asked) == "no"
    assert answer(stage, "multicloudDeploy", asked) == "yes"


def test_an_upload_replaces_the_export() -> None:
    asked = flagged("Release", "tmsExport", general(nodeName="n"), flag=True)
    assert answer("Release", "tmsExport", asked) == "no"
    assert answer("Release", "tmsUpload", asked) == "yes"


@pytest.mark.parametrize(
    "step", ["karmaExecuteTests", "npmExecuteScripts", "mavenExecuteIntegration", "mavenBuild"]
)
def test_results_of_tests_of_a_change_request_are_published_after_all_of_them(step: str) -> None:
    asked = documents(json.dumps(flagged(VOTING, step, {}, flag=True)))
    plans = plan_stages(asked, given(change_request=True))
    steps = next(plan.steps for plan in plans if plan.name == VOTING)
    running = [each.name for each in steps if each.active == "yes"]
    assert running.index(step) < running.index("testsPublishResults")
