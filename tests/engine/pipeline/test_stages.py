from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from towline.config.conditions import Decision
from towline.config.layers import Documents, parse_document
from towline.errors import ConfigError, UsageError
from towline.pipeline.stages import StagePlan, decide, definition, parse, plan

SEED = (Path(__file__).parents[1] / "config" / "seed.yml").read_text(encoding="utf-8")
STAGES = ["Init", "Pull-Request Voting", "Build", "Additional Unit Tests", "Integration", "Acceptance", "Security", "Performance", "Compliance", "Confirm",
          "Promote", "Release", "Post"]
NOTHING = "a change-request build pushes and deploys nothing"


def documents(project: str = SEED, *defaults: str) -> Documents:
    return Documents(
        defaults=tuple(parse_document(text, "team.yml", trusted=True) for text in defaults),
        project=parse_document(project, ".pipeline/config.yml", trusted=False),
    )


def planned(stage: str, project: str = SEED, *defaults: str, change_request: bool = False) -> StagePlan:
    return next(found for found in plan(documents(project, *defaults), change_request=change_request) if found.name == stage)


def active(stage: StagePlan) -> dict[str, str]:
    return {step.name: step.active for step in stage.steps}


def why(stage: StagePlan, step: str) -> str:
    return next(found.why for found in stage.steps if found.name == step)


def decided(step: str, stage: str, project: str = SEED, *, change_request: bool = False, **environment: object) -> Decision:
    return decide(documents(project), stage=stage, step=step, pipeline_environment=environment, change_request=change_request)


def test_the_stages_stand_in_the_order_of_the_general_purpose_pipeline() -> None:
    assert [stage.name for stage in plan(documents(), change_request=False)] == STAGES


def test_the_sample_runs_its_four_stages_and_no_other() -> None:
    answers = {stage.name: stage.active for stage in plan(documents(), change_request=False)}
    assert [name for name, answer in answers.items() if answer == "yes"] == ["Build", "Acceptance", "Performance", "Release"]
    assert set(answers.values()) == {"yes", "no"}


def test_the_samples_build_stage_runs_the_steps_that_it_flags() -> None:
    stage = planned("Build")
    assert active(stage) == {"kanikoExecute": "yes", "cnbBuild": "no", "imagePushToRegistry": "yes"}
    assert why(stage, "imagePushToRegistry") == "`imagePushToRegistry: true` in stage Build (.pipeline/config.yml:3)"
    assert why(stage, "kanikoExecute") == "`kanikoExecute: true` in stage Build (.pipeline/config.yml:4)"
    assert "only where `cnbBuild: true`" in why(stage, "cnbBuild")
    assert stage.why == "kanikoExecute, imagePushToRegistry are active"


@pytest.mark.parametrize("spelling", ["gitOpsUpdateDeployment:", "gitopsUpdateDeployment:"])
@pytest.mark.parametrize(("stage", "line"), [("Performance", 8), ("Acceptance", 11), ("Release", 14)])
def test_the_samples_deployment_stages_run_because_they_name_a_file(stage: str, line: int, spelling: str) -> None:
    found = planned(stage, SEED.replace("gitOpsUpdateDeployment:", spelling))
    assert active(found) == {"gitOpsUpdateDeployment": "yes"}
    assert why(found, "gitOpsUpdateDeployment") == (
        f"stage {stage} names filePath (.pipeline/config.yml:{line}) and the project configures gitOpsUpdateDeployment"
    )


def test_a_stage_with_a_file_of_another_step_does_not_deploy() -> None:
    found = planned("Acceptance", "stages: {Acceptance: {filePath: f}}")
    assert active(found) == {"gitOpsUpdateDeployment": "no"}
    assert "does not configure gitOpsUpdateDeployment" in why(found, "gitOpsUpdateDeployment")


def test_a_file_that_is_named_elsewhere_makes_no_stage_deploy() -> None:
    project = "general: {filePath: f}\nsteps: {gitOpsUpdateDeployment: {filePath: f}}\n"
    defaults = "stages: {Release: {filePath: f}}"
    assert active(planned("Release", project, defaults)) == {"gitOpsUpdateDeployment": "no"}


@pytest.mark.parametrize("spelling", ["gitOpsUpdateDeployment", "gitopsUpdateDeployment"])
@pytest.mark.parametrize(("flag", "answer"), [("true", "yes"), ("false", "no")])
def test_a_flag_in_the_stage_decides_over_the_file(spelling: str, flag: str, answer: str) -> None:
    project = SEED.replace("filePath: manifest-acceptance", f"{spelling}: {flag}\n        filePath: manifest-acceptance")
    found = planned("Acceptance", project)
    assert active(found) == {"gitOpsUpdateDeployment": answer}
    assert why(found, "gitOpsUpdateDeployment") == f"`gitOpsUpdateDeployment: {flag}` in stage Acceptance (.pipeline/config.yml:11)"


@pytest.mark.parametrize(
    ("project", "default", "answer"),
    [
        ("general: {imagePushToRegistry: true}", "", "yes"),
        ("steps: {imagePushToRegistry: {imagePushToRegistry: true}}", "", "yes"),
        ("", "stages: {Build: {imagePushToRegistry: true}}", "yes"),
        ("stages: {Build: {imagePushToRegistry: false}}", "general: {imagePushToRegistry: true}", "no"),
        ("general: {imagePushToRegistry: true}\nstages: {Build: {imagePushToRegistry: false}}", "", "no"),
        ("general: {imagePushToRegistry: false}", "stages: {Build: {imagePushToRegistry: true}}", "no"),
        ("stages: {Build: {imagePushToRegistry: 'true'}}", "", "no"),
        ("stages: {Release: {imagePushToRegistry: true}}", "", "no"),
    ],
)
def test_a_flag_may_stand_in_every_section_and_the_strongest_decides(project: str, default: str, answer: str) -> None:
    assert active(planned("Build", project, default))["imagePushToRegistry"] == answer


def test_the_seeds_name_for_kaniko_is_another_spelling_of_it() -> None:
    assert active(planned("Build", "stages: {Build: {kanikoBuild: true}}"))["kanikoExecute"] == "yes"


def test_a_stage_that_the_project_configures_is_active_without_active_steps() -> None:
    found = planned("Security", "\nstages:\n  Security: {anything: 1}\n")
    assert (found.active, found.why) == ("yes", "the project configures stage Security (.pipeline/config.yml:3)")
    assert planned("Security", "stages: {Security: {}}").active == "no"


def test_the_projects_own_stages_come_last_with_the_steps_that_they_flag() -> None:
    project = "stages: {Preview: {gitopsUpdateDeployment: true, imagePushToRegistry: false, cnbBuild: 'true'}, Empty: {filePath: f}}"
    stages = plan(documents(project, "stages: {Team: {cnbBuild: true}}"), change_request=False)
    assert [stage.name for stage in stages] == [*STAGES, "Team", "Preview", "Empty"]
    assert [(stage.name, stage.active, active(stage)) for stage in stages[-3:]] == [
        ("Team", "yes", {"cnbBuild": "yes"}),
        ("Preview", "yes", {"cnbBuild": "no", "imagePushToRegistry": "no", "gitOpsUpdateDeployment": "yes"}),
        ("Empty", "no", {}),
    ]


def test_a_change_request_pushes_and_deploys_nothing() -> None:
    stages = plan(documents(SEED + "\n"), change_request=True)
    assert {step.active for stage in stages for step in stage.steps} == {"no"}
    assert {step.why for stage in stages for step in stage.steps} == {NOTHING}
    assert planned("Build", change_request=True).why == "a change-request build does not run stage Build"


def test_a_change_request_runs_the_stages_that_are_for_it() -> None:
    project = "stages: {Init: {a: 1}, Pull-Request Voting: {a: 1}, Integration: {a: 1}, Post: {a: 1}}"
    for_change_request = [stage.name for stage in plan(documents(project), change_request=True) if stage.active == "yes"]
    others = [stage.name for stage in plan(documents(project), change_request=False) if stage.active == "yes"]
    assert for_change_request == ["Init", "Pull-Request Voting", "Post"]
    assert others == ["Init", "Integration", "Post"]


def test_an_own_stage_deploys_nothing_for_a_change_request_either() -> None:
    project = "stages: {Preview: {gitOpsUpdateDeployment: true}}"
    assert decided("gitOpsUpdateDeployment", "Preview", project).active == "yes"
    assert decided("gitOpsUpdateDeployment", "Preview", project, change_request=True) == Decision(active="no", why=NOTHING)


@pytest.mark.parametrize("change_request", [True, False])
@pytest.mark.parametrize("project", [SEED, "", "stages: {Mine: {imagePushToRegistry: true}}"])
def test_a_decision_is_what_the_plan_said(project: str, change_request: bool) -> None:  # noqa: FBT001 - both kinds of build
    for stage in plan(documents(project), change_request=change_request):
        for step in stage.steps:
            found = decided(step.name, stage.name, project, change_request=change_request)
            assert (found.active, found.why) == (step.active, step.why)


@pytest.mark.parametrize("spelling", ["gitOpsUpdateDeployment", "gitopsUpdateDeployment"])
def test_a_step_is_decided_by_each_of_its_spellings(spelling: str) -> None:
    assert decided(spelling, "Release").active == "yes"


@pytest.mark.parametrize(("step", "stage"), [("imagePushToRegistry", "Release"), ("imagePushToRegistry", "Unheard-of"), ("mavenBuild", "Build")])
def test_a_step_that_the_stage_does_not_have_is_not_active(step: str, stage: str) -> None:
    project = SEED.replace("filePath: manifest-release", "imagePushToRegistry: true\n        filePath: manifest-release")
    assert decided(step, stage, project) == Decision(active="no", why=f"stage {stage} has no step {step}")


def test_without_a_stage_nothing_can_be_decided() -> None:
    with pytest.raises(UsageError, match="stage"):
        decided("imagePushToRegistry", "")


# ---- the definition


def one(**step: Any) -> dict[str, Any]:
    return {"spec": {"stages": [{"displayName": "Build", "steps": [{"name": "deploy", **step}]}]}}


def test_a_definition_names_stages_steps_and_spellings() -> None:
    pipeline = parse({**one(publishes=True), "stepAliases": {"deploy": ["ship"]}}, "f")
    assert pipeline.spellings == {"deploy": ("deploy", "ship")}
    assert [(stage.name, [(step.name, step.publishes) for step in stage.steps]) for stage in pipeline.stages] == [("Build", [("deploy", True)])]


def test_a_stage_waits_for_a_step_whose_condition_the_pipeline_has_yet_to_fill() -> None:
    waiting = {"name": "deploy", "conditions": [{"pipelineEnvironmentFilled": "container/imageNames"}]}
    ruled_out = {"name": "scan", "conditions": [{"inactive": True}]}
    pipeline = parse({"spec": {"stages": [{"displayName": "Build", "steps": [ruled_out, waiting]}]}}, "f")
    (stage,) = plan(documents(""), change_request=False, pipeline=pipeline)
    assert active(stage) == {"scan": "no", "deploy": "undecided"}
    assert (stage.active, stage.why) == ("undecided", why(stage, "deploy"))


def test_a_step_that_publishes_nothing_runs_for_a_change_request_too() -> None:
    pipeline = parse({"spec": {"stages": [{"displayName": "Build", "changeRequests": "also", "steps": [{"name": "test"}]}]}}, "f")
    (stage,) = plan(documents(""), change_request=True, pipeline=pipeline)
    assert (stage.active, active(stage)) == ("yes", {"test": "yes"})


@pytest.mark.parametrize(
    "data",
    [
        [],
        {"spec": []},
        {"spec": {"stages": [{"steps": []}]}},
        {"spec": {"stages": [{"displayName": "Build", "changeRequests": "always"}]}},
        {"spec": {"stages": [{"displayName": "Build", "steps": [{"conditions": []}]}]}},
        one(notActiveConditions=[{"configKey": "x"}]),
        one(conditions=["inactive"]),
    ],
)
def test_a_definition_that_is_not_understood_is_refused(data: object) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(data, "stages.yaml")
    assert caught.value.where == "stages.yaml"


def test_whatever_pushes_or_deploys_is_marked_so() -> None:
    steps = {step.name: step.publishes for stage in definition().stages for step in stage.steps}
    assert steps == {"kanikoExecute": True, "cnbBuild": True, "imagePushToRegistry": True, "gitOpsUpdateDeployment": True}
