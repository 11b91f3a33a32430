from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from towline.config.conditions import Scene, decide
from towline.config.merge import Setting
from towline.errors import ConfigError


def setting(value: object, layer: str = "general") -> Setting:
    return Setting(value=value, origin="config.yml:7", layer=layer, trusted=False)


SCENE = Scene(
    stage="Acceptance",
    step="deploy",
    config={"tool": setting("helm"), "count": setting(1), "off": setting(False), "nested": setting({"a": {"b": ""}}), "none": setting([])},
    own={"filePath": "config.yml:3"},
    configured=True,
    pipeline_environment={"container/imageNames": ["demo"], "number": 1, "text": "", "empty": [], "flag": False},
)


def answer(condition: dict[str, Any], scene: Scene = SCENE) -> tuple[str, str]:
    decision = decide([condition], scene)
    return decision.active, decision.why


@pytest.mark.parametrize(
    ("condition", "active", "why"),
    [
        ({"config": {"tool": ["kubectl", "helm"]}}, "yes", "tool is 'helm' (config.yml:7)"),
        ({"config": {"tool": "helm"}}, "yes", "tool is 'helm' (config.yml:7)"),
        ({"config": {"tool": ["kubectl"]}}, "no", "tool is none of 'kubectl' (config.yml:7)"),
        ({"config": {"count": ["1"]}}, "no", "count is none of '1' (config.yml:7)"),
        ({"config": {"count": [True]}}, "no", "count is none of True (config.yml:7)"),
        ({"config": {"missing": ["x"]}}, "no", "missing is not set"),
        ({"configKey": "tool"}, "yes", "tool is set (config.yml:7)"),
        ({"configKey": "off"}, "yes", "off is set (config.yml:7)"),
        ({"configKey": "none"}, "yes", "none is set (config.yml:7)"),
        ({"configKey": "nested/a/b"}, "yes", "nested/a/b is set (config.yml:7)"),
        ({"configKey": "nested/b"}, "no", "nested/b is not set"),
        ({"configKey": "tool/x"}, "no", "tool/x is not set"),
        ({"configKey": "missing"}, "no", "missing is not set"),
        ({"stageConfigKey": "filePath"}, "yes", "stage Acceptance names filePath (config.yml:3) and the project configures deploy"),
        ({"stageConfigKey": "tool"}, "no", "stage Acceptance does not name tool"),
        ({"pipelineEnvironmentFilled": "container/imageNames"}, "yes", "container/imageNames is in the pipeline environment"),
        ({"pipelineEnvironmentFilled": "empty"}, "yes", "empty is in the pipeline environment"),
        ({"pipelineEnvironmentFilled": "flag"}, "yes", "flag is in the pipeline environment"),
        ({"pipelineEnvironmentFilled": "text"}, "no", "text is not in the pipeline environment"),
        ({"pipelineEnvironmentFilled": "missing"}, "no", "missing is not in the pipeline environment"),
        ({"commonPipelineEnvironment": {"x": 1, "number": 1}}, "yes", "number is 1 in the pipeline environment"),
        ({"commonPipelineEnvironment": {"number": 2}}, "no", "number differ in the pipeline environment"),
        ({"inactive": True}, "no", "deploy runs only where `deploy: true` says so, and nothing does for stage Acceptance"),
        ({"inactive": False}, "yes", "deploy runs in stage Acceptance unless it is switched off"),
    ],
)
def test_a_condition_answers_and_says_why(condition: dict[str, Any], active: str, why: str) -> None:
    assert answer(condition) == (active, why)


def test_a_stage_that_names_the_key_does_not_run_a_step_that_the_project_does_not_configure() -> None:
    unconfigured = replace(SCENE, configured=False)
    why = "stage Acceptance names filePath (config.yml:3), but the project does not configure deploy"
    assert answer({"stageConfigKey": "filePath"}, unconfigured) == ("no", why)


@pytest.mark.parametrize("condition", [{"pipelineEnvironmentFilled": "container/imageNames"}, {"commonPipelineEnvironment": {"container/imageNames": "x"}}])
def test_what_the_pipeline_has_yet_to_write_is_undecided_while_planning(condition: dict[str, Any]) -> None:
    planning = replace(SCENE, pipeline_environment=None)
    assert answer(condition, planning) == ("undecided", "depends on container/imageNames, which the pipeline has yet to write")


@pytest.mark.parametrize(
    ("conditions", "active"),
    [
        ([{"inactive": True}, {"configKey": "tool"}], "yes"),
        ([{"inactive": True}, {"configKey": "missing"}], "no"),
        ([{"pipelineEnvironmentFilled": "x"}, {"configKey": "tool"}], "yes"),
        ([{"configKey": "missing"}, {"pipelineEnvironmentFilled": "x"}], "undecided"),
        ([], "yes"),
    ],
)
def test_any_condition_will_do(conditions: list[dict[str, Any]], active: str) -> None:
    assert decide(conditions, replace(SCENE, pipeline_environment=None)).active == active


def test_a_step_that_no_condition_admits_says_what_each_of_them_lacks() -> None:
    assert decide([{"configKey": "one"}, {"configKey": "two"}], SCENE).why == "one is not set; two is not set"


@pytest.mark.parametrize(("flag", "active"), [(True, "yes"), (False, "no")])
@pytest.mark.parametrize("condition", [{"configKey": "tool"}, {"inactive": True}, {"pipelineEnvironmentFilled": "text"}])
def test_a_flag_decides_over_every_condition(flag: bool, active: str, condition: dict[str, Any]) -> None:  # noqa: FBT001 - a column of the table
    flagged = replace(SCENE, config={**SCENE.config, "deploy": setting(flag, "stage Acceptance")})
    assert answer(condition, flagged) == (active, f"`deploy: {str(flag).lower()}` in stage Acceptance (config.yml:7)")


@pytest.mark.parametrize("flag", ["true", "false", 1, {"tool": "helm"}])
def test_only_a_boolean_is_a_flag(flag: object) -> None:
    assert answer({"inactive": True}, replace(SCENE, config={"deploy": setting(flag)}))[0] == "no"


@pytest.mark.parametrize(
    "condition",
    [
        {"filePattern": "**"},
        {},
        {"config": {"a": [1], "b": [2]}},
        {"config": {}},
        {"config": "a"},
        {"configKey": "a", "inactive": True},
        {"commonPipelineEnvironment": "x"},
    ],
)
def test_a_condition_that_is_not_understood_is_never_silently_true(condition: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        answer(condition)
    assert "deploy in stage Acceptance" in caught.value.message


def test_a_misspelt_kind_gets_the_nearest_known_one() -> None:
    with pytest.raises(ConfigError) as caught:
        answer({"stageConfigkey": "filePath"})
    assert caught.value.hint == "did you mean 'stageConfigKey'?"
