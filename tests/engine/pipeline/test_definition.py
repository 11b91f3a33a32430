from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from towline.config.conditions import Condition
from towline.errors import ConfigError
from towline.pipeline.definition import StageDefinition, StepDefinition, definition, parse_pipeline

PIPERS = """\
apiVersion: project-piper.io/v1
kind: PipelineDefinition
metadata: {name: demo, displayName: Demo}
spec:
  something: else
  stages:
    - name: build
      displayName: Build
      description: builds
      extensionExists: true
      steps:
        - name: gitopsUpdateDeployment
          description: deploys
          container: {name: none}
          orchestrators: [Jenkins, AzureDevOps]
          conditions:
            - configKey: filePath
            - filePattern: "**/x"
          notActiveConditions:
            - config: {deploy: [false]}
        - name: foreignStep
    - displayName: Empty
    - displayName: Quoted
      extensionExists: "true"
      steps:
"""


def one(**step: Any) -> str:
    """A definition of one step; JSON is YAML, too."""
    return json.dumps(
        {"spec": {"stages": [{"displayName": "Build", "steps": [{"name": "deploy", **step}]}]}}
    )


def test_a_second_document_is_an_error() -> None:
    with pytest.raises(ConfigError, match="something stands behind it") as caught:
        parse_pipeline(f"{PIPERS}---\n{PIPERS}", "f")
    assert caught.value.where == "f:26"
    assert (
        parse_pipeline(f"{PIPERS}---\n# no more\n", "f").stages
        == parse_pipeline(PIPERS, "f").stages
    )


def test_pipers_own_format_is_read_as_it_is() -> None:
    deploy = StepDefinition(
        name="gitopsUpdateDeployment",
        conditions=(
            Condition(kind="configKey", value="filePath"),
            Condition(kind="filePattern", value="**/x"),
        ),
        not_active=(Condition(kind="config", value={"deploy": [False]}),),
        orchestrators=("Jenkins", "AzureDevOps"),
    )
    assert parse_pipeline(PIPERS, "f").stages == (
        StageDefinition(
            name="Build",
            change_requests="",
            steps=(deploy, StepDefinition(name="foreignStep")),
            technical_name="build",
            extensible=True,
        ),
        StageDefinition(name="Empty", change_requests="", steps=()),
        StageDefinition(name="Quoted", change_requests="", steps=()),
    )


def test_a_step_is_known_by_its_other_spellings_whichever_the_definition_uses() -> None:
    assert parse_pipeline(PIPERS, "f").spellings == {
        "gitopsUpdateDeployment": ("gitopsUpdateDeployment", "gitOpsUpdateDeployment"),
        "foreignStep": ("foreignStep",),
    }
    assert definition().spellings["gitOpsUpdateDeployment"] == (
        "gitOpsUpdateDeployment",
        "gitopsUpdateDeployment",
    )
    assert "kanikoBuild" in definition().spellings["kanikoExecute"]


def test_towlines_own_keys_say_what_a_change_request_runs() -> None:
    text = (
        "spec: {stages: [{displayName: A, changeRequests: only, steps: [{name: b, publishes:"
        " true}]}]}"
    )
    (stage,) = parse_pipeline(text, "f").stages
    assert (stage.change_requests, stage.steps) == (
        "only",
        (StepDefinition(name="b", publishes=True),),
    )


@pytest.mark.parametrize(
    ("text", "line", "part"),
    [
        ("[]", 1, "a map"),
        ("stages: []\n", 1, "spec"),
        ("spec: []\n", 1, "a map"),
        ("spec:\n  stages: x\n", 2, "stages must be a list"),
        ("spec:\n  stages: {A: 1}\n", 2, "stages must be a list"),
        ("spec:\n  stages:\n    - steps: []\n", 3, "displayName"),
        ("spec:\n  stages:\n    - displayName: 1\n", 3, "must be text"),
        ("spec:\n  stages:\n    - displayName: A\n      changeRequests: always\n", 4, "'always'"),
        ("spec:\n  stages:\n    - displayName: A\n      step: []\n", 4, "'step'"),
        (
            "spec:\n  stages:\n    - displayName: A\n      steps:\n        - conditions: []\n",
            5,
            "name",
        ),
        (
            (
                "spec:\n  stages:\n    - displayName: A\n      steps:\n        - name: b\n         "
                " publishes: 'yes'\n"
            ),
            6,
            "'yes'",
        ),
        (
            (
                "spec:\n  stages:\n    - displayName: A\n      steps:\n        - name: b\n         "
                " notActiveCondition: []\n"
            ),
            6,
            "'notActiveCondition'",
        ),
        (
            (
                "spec:\n  stages:\n    - displayName: A\n      steps:\n        - name: b\n         "
                " conditions: {configKey: a}\n"
            ),
            6,
            "must be a list",
        ),
        (
            (
                "spec:\n  stages:\n    - displayName: A\n      steps:\n        - name: b\n         "
                " conditions:\n            - inactive\n"
            ),
            7,
            "inactive",
        ),
        (
            (
                "spec:\n  stages:\n    - displayName: A\n      steps:\n        - name: b\n         "
                " conditions:\n            - x: 1\n"
            ),
            7,
            "x",
        ),
        (
            (
                "spec:\n  stages:\n    - displayName: A\n      steps:\n        - name: b\n         "
                " orchestrators: Jenkins\n"
            ),
            6,
            "must be a list",
        ),
    ],
)
def test_a_definition_that_is_not_understood_is_refused_with_its_line(
    text: str, line: int, part: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_pipeline(text, "stages.yaml")
    assert part in caught.value.message
    assert caught.value.hint
    assert caught.value.where in (f"stages.yaml:{line}", *(["stages.yaml"] if line < 2 else []))


def test_text_that_is_not_yaml_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_pipeline("spec: ]", "stages.yaml")
    assert caught.value.where.startswith("stages.yaml:1")


@pytest.mark.parametrize("key", ["label", "x-team", "1"])
def test_a_key_that_is_like_none_that_counts_is_left_alone(key: str) -> None:
    assert [step.name for step in parse_pipeline(one(**{key: True}), "f").stages[0].steps] == [
        "deploy"
    ]


# ---- the General Purpose Pipeline


def test_whatever_pushes_or_deploys_is_marked_so() -> None:
    steps = {step.name: step.publishes for stage in definition().stages for step in stage.steps}
    assert {name for name, publishes in steps.items() if publishes} == {
        "kanikoExecute",
        "cnbBuild",
        "imagePushToRegistry",
        "gitOpsUpdateDeployment",
        "containerPushToRegistry",
        "multicloudDeploy",
        "cloudFoundryDeploy",
        "neoDeploy",
        "kubernetesDeploy",
        "nexusUpload",
        "tmsUpload",
        "tmsExport",
        "githubPublishRelease",
        "transportRequestUploadCTS",
        "artifactPrepareVersion",
        "vaultRotateSecretId",
    }


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "spec: {}\n", "spec:\n", "apiVersion: v1\nspec: {stages: []}\n"]
)
def test_a_definition_without_a_stage_is_read_as_empty(text: str) -> None:
    assert parse_pipeline(text, "f").stages == ()


def test_a_stage_says_what_it_passes_to_another_library_s_step() -> None:
    (stage,) = parse_pipeline(
        "spec: {stages: [{displayName: A, steps: [{name: b, parameters: {stage: $(stage), c:"
        " d}}]}]}",
        "f",
    ).stages
    assert stage.steps[0].parameters == {"stage": "$(stage)", "c": "d"}
    with pytest.raises(ConfigError, match="must be a map"):
        parse_pipeline(
            "spec: {stages: [{displayName: A, steps: [{name: b, parameters: [1]}]}]}", "f"
        )


def test_every_spelling_of_every_step_with_metadata_leads_to_one_step() -> None:
    spellings = [name for names in definition().spellings.values() for name in names]
    assert len(spellings) == len(set(spellings))


def test_init_and_confirm_are_the_stages_that_nobody_extends() -> None:
    assert [stage.name for stage in definition().stages if not stage.extensible] == [
        "Init",
        "Confirm",
    ]


def test_the_comment_of_the_definition_explains_every_kind_that_it_uses() -> None:
    text = (Path(__file__).parents[3] / "resources/towline/stages.yaml").read_text(encoding="utf-8")
    comment = "".join(line for line in text.splitlines(keepends=True) if line.startswith("#"))
    kinds = {
        condition.kind
        for stage in definition().stages
        for step in stage.steps
        for condition in (*step.conditions, *step.not_active)
    }
    assert {kind for kind in kinds if f"{kind}:" not in comment} == set()
