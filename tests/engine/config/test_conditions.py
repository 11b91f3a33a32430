from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from towline.config.conditions import (
    Answer,
    ConditionContext,
    Decision,
    apply_not_active,
    decide,
    equal_values,
    parse_condition,
)
from towline.config.merge import Setting
from towline.errors import ConfigError
from towline.record import replace


class Listing:
    """A workspace of names: a pattern matches if it is one of them.

    `scripts` are in package.json; the patterns that were asked for are kept.
    """

    def __init__(self, names: Sequence[str], scripts: Sequence[str]) -> None:
        self.names, self.scripts = names, scripts
        self.asked: list[str] = []
        self.excludes: Sequence[str] = ()

    def find(self, pattern: str) -> str:
        self.asked.append(pattern)
        if pattern.startswith(("/", "..")):
            raise ConfigError(f"{pattern!r} is not a path inside the workspace")
        return pattern if pattern in self.names else ""

    def find_script(self, name: str, excludes: Sequence[str]) -> str:
        self.excludes = excludes
        return "package.json" if name in self.scripts else ""


def setting(value: object, layer: str = "general") -> Setting:
    return Setting(value=value, origin="config.yml:7", layer=layer, trusted=False)


CONFIG: dict[str, object] = {
    "tool": "helm",
    "count": 1,
    "share": 0.5,
    "off": False,
    "nested": {"a": {"b": ""}},
    "none": [],
    "words": ["a", "b"],
    "map": {"x": 1, "y": [2]},
    "file": "there.json",
    "files": ["gone.json", "there.json"],
    "missingFile": "gone.json",
    "number": 7,
    "blank": "",
    "outside": "/etc/passwd",
    "up": ["../x", "there.json"],
    "npmScriptsPackageJSONExcludes": ["old/**", 3],
}
SCENE = ConditionContext(
    stage="Acceptance",
    step="deploy",
    config={key: setting(value) for key, value in CONFIG.items()},
    own={"filePath": "config.yml:3"},
    configured=True,
    pipeline_environment={
        "container/imageNames": ["demo"],
        "number": 1,
        "half": 0.5,
        "whole": 2.0,
        "text": "",
        "blank": " \n",
        "padded": "a\n",
        "empty": [],
        "map": {},
        "flag": False,
        "zero": 0,
        "null": None,
        "list": [1, {"a": 2}],
        "digits": "1",
    },
    planning=False,
    workspace=Listing(["there.json"], ["test"]),
    others={},
)


def answer(condition: dict[str, Any], scene: ConditionContext = SCENE) -> tuple[str, str]:
    decision = decide([parse_condition(condition, "stages.yaml:4")], scene)
    return decision.active, decision.why


@pytest.mark.parametrize(
    ("condition", "active", "why"),
    [
        # config
        ({"config": {"tool": ["kubectl", "helm"]}}, "yes", "tool is 'helm' (config.yml:7)"),
        (
            {"config": {"tool": None}},
            "no",
            "tool is set, and the condition has no value for it (config.yml:7)",
        ),
        ({"config": {"tool": ["kubectl"]}}, "no", "tool is not one of 'kubectl' (config.yml:7)"),
        ({"config": {"count": ["1"]}}, "no", "count is not one of '1' (config.yml:7)"),
        ({"config": {"count": [True]}}, "no", "count is not one of True (config.yml:7)"),
        ({"config": {"count": [1.0]}}, "yes", "count is 1 (config.yml:7)"),
        ({"config": {"share": [0.5]}}, "yes", "share is 0.5 (config.yml:7)"),
        ({"config": {"off": [False]}}, "yes", "off is False (config.yml:7)"),
        ({"config": {"off": [0]}}, "no", "off is not one of 0 (config.yml:7)"),
        ({"config": {"words": [["a", "b"]]}}, "yes", "words is ['a', 'b'] (config.yml:7)"),
        ({"config": {"words": ["a", "b"]}}, "no", "words is not one of 'a', 'b' (config.yml:7)"),
        (
            {"config": {"map": [{"y": [2.0], "x": 1}]}},
            "yes",
            "map is {'x': 1, 'y': [2]} (config.yml:7)",
        ),
        ({"config": {"map": ["x"]}}, "no", "map is not one of 'x' (config.yml:7)"),
        ({"config": {"missing": ["x"]}}, "no", "missing is not set"),
        ({"config": {"missing": [None]}}, "yes", "missing is not set"),
        # configKey
        ({"configKey": "tool"}, "yes", "tool is set (config.yml:7)"),
        ({"configKey": "off"}, "yes", "off is set (config.yml:7)"),
        ({"configKey": "none"}, "yes", "none is set (config.yml:7)"),
        ({"configKey": "blank"}, "yes", "blank is set (config.yml:7)"),
        ({"configKey": "nested/a/b"}, "yes", "nested/a/b is set (config.yml:7)"),
        ({"configKey": "nested/a/gone/x"}, "no", "nested/a/gone/x is not set"),
        ({"configKey": "nested/b"}, "no", "nested/b is not set"),
        ({"configKey": "tool/x"}, "no", "tool/x is not set"),
        ({"configKey": "missing"}, "no", "missing is not set"),
        # files
        ({"filePattern": "there.json"}, "yes", "there.json matches there.json"),
        ({"filePattern": "gone.json"}, "no", "no file matches gone.json"),
        (
            {"filePatternFromConfig": "file"},
            "yes",
            "there.json matches there.json, from file (config.yml:7)",
        ),
        (
            {"filePatternFromConfig": "files"},
            "yes",
            "there.json matches there.json, from files (config.yml:7)",
        ),
        (
            {"filePatternFromConfig": "missingFile"},
            "no",
            "no file matches gone.json, from missingFile (config.yml:7)",
        ),
        ({"filePatternFromConfig": "missing"}, "no", "missing is not set"),
        ({"filePatternFromConfig": "blank"}, "no", "no path is given, from blank (config.yml:7)"),
        ({"filePatternFromConfig": "none"}, "no", "no path is given, from none (config.yml:7)"),
        ({"filePatternFromConfig": "map"}, "no", "no path is given, from map (config.yml:7)"),
        ({"filePatternFromConfig": "number"}, "no", "no path is given, from number (config.yml:7)"),
        (
            {"filePatternFromConfig": "outside"},
            "no",
            "'/etc/passwd' is not a path inside the workspace, from outside (config.yml:7)",
        ),
        (
            {"filePatternFromConfig": "up"},
            "yes",
            "there.json matches there.json, from up (config.yml:7)",
        ),
        # npmScript
        ({"npmScript": "test"}, "yes", "package.json has the script test"),
        ({"npmScript": "build"}, "no", "no package.json has the script build"),
        # the pipeline environment
        (
            {"pipelineEnvironmentFilled": "container/imageNames"},
            "yes",
            "container/imageNames is in the pipeline environment",
        ),
        ({"pipelineEnvironmentFilled": "flag"}, "yes", "flag is in the pipeline environment"),
        ({"pipelineEnvironmentFilled": "zero"}, "yes", "zero is in the pipeline environment"),
        (
            {"pipelineEnvironmentFilled": "empty"},
            "no",
            "empty has no value in the pipeline environment",
        ),
        (
            {"pipelineEnvironmentFilled": "map"},
            "no",
            "map has no value in the pipeline environment",
        ),
        (
            {"pipelineEnvironmentFilled": "null"},
            "no",
            "null has no value in the pipeline environment",
        ),
        (
            {"pipelineEnvironmentFilled": "text"},
            "no",
            "text has no value in the pipeline environment",
        ),
        (
            {"pipelineEnvironmentFilled": "blank"},
            "no",
            "blank has no value in the pipeline environment",
        ),
        (
            {"pipelineEnvironmentFilled": "missing"},
            "no",
            "missing has no value in the pipeline environment",
        ),
        (
            {"commonPipelineEnvironment": {"x": 1, "number": 1}},
            "yes",
            "number is 1 in the pipeline environment",
        ),
        (
            {"commonPipelineEnvironment": {"number": 1.0}},
            "yes",
            "number is 1.0 in the pipeline environment",
        ),
        (
            {"commonPipelineEnvironment": {"whole": 2}},
            "yes",
            "whole is 2 in the pipeline environment",
        ),
        (
            {"commonPipelineEnvironment": {"half": 0.5}},
            "yes",
            "half is 0.5 in the pipeline environment",
        ),
        (
            {"commonPipelineEnvironment": {"number": True}},
            "no",
            "number has no such value in the pipeline environment",
        ),
        (
            {"commonPipelineEnvironment": {"flag": 0}},
            "no",
            "flag has no such value in the pipeline environment",
        ),
        (
            {"commonPipelineEnvironment": {"digits": 1}},
            "no",
            "digits has no such value in the pipeline environment",
        ),
        (
            {"commonPipelineEnvironment": {"list": [1.0, {"a": 2}]}},
            "yes",
            "list is [1.0, {'a': 2}] in the pipeline environment",
        ),
        (
            {"commonPipelineEnvironment": {"list": [1]}},
            "no",
            "list has no such value in the pipeline environment",
        ),
        (
            {"commonPipelineEnvironment": {"padded": "a"}},
            "yes",
            "padded is 'a' in the pipeline environment",
        ),
        (
            {"commonPipelineEnvironment": {"number": 2, "x": 3}},
            "no",
            "number, x has none of these values in the pipeline environment",
        ),
        # the others
        ({"onlyActiveStepInStage": True}, "yes", "no other step is active in stage Acceptance"),
        (
            {"inactive": True},
            "no",
            "deploy runs only if `deploy: true` is set, and it is not set for stage Acceptance",
        ),
        ({"inactive": False}, "yes", "deploy runs in stage Acceptance unless it is switched off"),
        (
            {"stageConfigKey": "filePath"},
            "yes",
            "stage Acceptance names filePath (config.yml:3) and the project configures deploy",
        ),
        ({"stageConfigKey": "tool"}, "no", "stage Acceptance does not name tool"),
    ],
)
def test_a_condition_answers_and_says_why(condition: dict[str, Any], active: str, why: str) -> None:
    assert answer(condition) == (active, why)


def test_a_stage_that_names_the_key_does_not_run_a_step_that_the_project_does_not_configure() -> (
    None
):
    unconfigured = replace(SCENE, configured=False)
    why = (
        "stage Acceptance names filePath (config.yml:3), but the project does not configure deploy"
    )
    assert answer({"stageConfigKey": "filePath"}, unconfigured) == ("no", why)


def test_a_value_of_the_environment_that_must_not_be_there() -> None:
    condition = {"commonPipelineEnvironment": {"custom/none": None}}
    assert answer(condition) == ("yes", "custom/none is not in the pipeline environment")
    assert answer(condition, replace(SCENE, pipeline_environment={"custom/none": "x"}))[0] == "no"
    assert answer(condition, replace(SCENE, planning=True))[0] == "undecided"


@pytest.mark.parametrize(
    ("others", "active", "why"),
    [
        ({}, "no", "other is not active in stage Acceptance"),
        ({"other": "yes"}, "yes", "other is active in stage Acceptance"),
        ({"other": "undecided"}, "undecided", "other may become active in stage Acceptance"),
    ],
)
def test_whether_another_step_is_active(others: dict[str, Any], active: str, why: str) -> None:
    assert answer({"stepActive": "other"}, replace(SCENE, others=others)) == (active, why)


def test_an_npm_script_is_looked_for_without_what_the_project_excludes() -> None:
    workspace = Listing([], ["test"])
    assert answer({"npmScript": "test"}, replace(SCENE, workspace=workspace))[0] == "yes"
    assert workspace.excludes == ["old/**"]


def test_a_pattern_of_the_definition_that_leads_out_is_a_fault_with_its_place() -> None:
    with pytest.raises(ConfigError) as caught:
        answer({"filePattern": "../secret"})
    assert caught.value.where == "stages.yaml:4"


@pytest.mark.parametrize(
    "condition",
    [{"pipelineEnvironmentFilled": "custom/x"}, {"commonPipelineEnvironment": {"custom/x": "x"}}],
)
def test_what_the_pipeline_has_yet_to_write_is_undecided_while_planning(
    condition: dict[str, Any],
) -> None:
    planning = replace(SCENE, planning=True)
    assert answer(condition, planning) == (
        "undecided",
        "depends on custom/x, which the pipeline may yet write",
    )


@pytest.mark.parametrize(
    "condition",
    [{"pipelineEnvironmentFilled": "number"}, {"commonPipelineEnvironment": {"number": 1}}],
)
def test_what_the_pipeline_has_written_is_decided_while_planning(condition: dict[str, Any]) -> None:
    assert answer(condition, replace(SCENE, planning=True))[0] == "yes"


@pytest.mark.parametrize(
    ("others", "active", "why"),
    [
        ({"scan": "no"}, "yes", "no other step is active in stage Acceptance"),
        ({"scan": "no", "test": "yes"}, "no", "test is active in stage Acceptance, too"),
        (
            {"scan": "yes", "test": "yes", "push": "undecided"},
            "no",
            "scan, test are active in stage Acceptance, too",
        ),
        (
            {"scan": "no", "push": "undecided"},
            "undecided",
            "depends on whether push will be active in stage Acceptance",
        ),
    ],
)
def test_the_only_active_step_looks_at_the_others(
    others: dict[str, Any], active: str, why: str
) -> None:
    assert answer({"onlyActiveStepInStage": True}, replace(SCENE, others=others)) == (active, why)


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
    assert (
        decide(
            [parse_condition(condition, "") for condition in conditions],
            replace(SCENE, planning=True),
        ).active
        == active
    )


def test_the_first_condition_that_holds_ends_the_search() -> None:
    workspace = Listing(["a"], [])
    found = [parse_condition({"filePattern": name}, "") for name in ("x", "a", "y")]
    assert decide(found, replace(SCENE, workspace=workspace)).active == "yes"
    assert workspace.asked == ["x", "a"]


def test_a_step_that_no_condition_admits_says_what_each_of_them_lacks() -> None:
    found = [parse_condition({"configKey": key}, "") for key in ("one", "two")]
    assert decide(found, SCENE).why == "one is not set; two is not set"


@pytest.mark.parametrize(("flag", "active"), [(True, "yes"), (False, "no")])
@pytest.mark.parametrize(
    "condition", [{"configKey": "tool"}, {"inactive": True}, {"pipelineEnvironmentFilled": "text"}]
)
def test_a_flag_decides_over_every_condition(
    flag: bool, active: str, condition: dict[str, Any]
) -> None:
    flagged = replace(SCENE, config={**SCENE.config, "deploy": setting(flag, "stage Acceptance")})
    assert answer(condition, flagged) == (
        active,
        f"`deploy: {str(flag).lower()}` in stage Acceptance (config.yml:7)",
    )


def flagged(flag: object, *, bare: bool = False) -> ConditionContext:
    return replace(SCENE, config={"deploy": setting(flag, "stage Acceptance")}, bare=bare)


@pytest.mark.parametrize("condition", [{"inactive": True}, {"inactive": False}])
@pytest.mark.parametrize(
    ("flag", "active"), [("true", "yes"), ("True", "yes"), (" FALSE ", "no"), ("false", "no")]
)
def test_a_flag_in_quotes_is_the_one_that_it_spells(
    flag: str, active: str, condition: dict[str, Any]
) -> None:
    assert answer(condition, flagged(flag)) == (
        active,
        f'`deploy: "{flag}"` in stage Acceptance (config.yml:7)',
    )


@pytest.mark.parametrize("flag", ["", [], {}])
def test_an_empty_flag_is_ignored(flag: object) -> None:
    assert [answer({"inactive": value}, flagged(flag))[0] for value in (True, False)] == [
        "no",
        "yes",
    ]


@pytest.mark.parametrize(
    ("flag", "shown"),
    [("yes", '"yes"'), (1, "1"), (0, "0"), ({"password": "x"}, "..."), (["true"], "...")],
)
def test_a_value_that_is_not_a_flag_is_an_error_with_its_line(flag: object, shown: str) -> None:
    with pytest.raises(ConfigError) as caught:
        answer({"inactive": True}, flagged(flag))
    assert (caught.value.message, caught.value.where) == (
        f"`deploy: {shown}` in stage Acceptance is neither true nor false",
        "config.yml:7",
    )
    assert "steps.deploy" in caught.value.hint


@pytest.mark.parametrize(
    ("flag", "shown", "kind"),
    [
        ("true", '"true"', "a text"),
        ("false", '"false"', "a text"),
        ("yes", '"yes"', "a text"),
        (1, "1", "neither true nor false"),
        ({"password": "x"}, "...", "neither true nor false"),
    ],
)
@pytest.mark.parametrize(
    ("condition", "active"),
    [({"inactive": True}, "no"), ({"inactive": False}, "yes"), (None, "yes")],
)
def test_for_the_drop_in_only_a_boolean_is_a_flag(
    flag: object, shown: str, kind: str, condition: dict[str, Any] | None, active: Answer
) -> None:
    conditions = [parse_condition(condition, "stages.yaml:4")] if condition else []
    bare = decide(conditions, SCENE)
    found = decide(conditions, flagged(flag, bare=True))
    said = (
        f"`deploy: {shown}` in stage Acceptance (config.yml:7) is ignored, since it is {kind}:"
        " write true or false, without quotes"
    )
    assert found == Decision(active=active, why=f"{bare.why}; {said}")


# ---- notActiveConditions

YES, NO, OPEN = (
    Decision(active="yes", why="flag"),
    Decision(active="no", why="no flag"),
    Decision(active="undecided", why="later"),
)


@pytest.mark.parametrize(
    ("before", "conditions", "expected"),
    [
        (YES, [], YES),
        (YES, [{"configKey": "missing"}], YES),
        (
            YES,
            [{"configKey": "missing"}, {"configKey": "tool"}],
            Decision(
                active="no", why="switched off by the stage definition: tool is set (config.yml:7)"
            ),
        ),
        (
            OPEN,
            [{"configKey": "tool"}],
            Decision(
                active="no", why="switched off by the stage definition: tool is set (config.yml:7)"
            ),
        ),
        (OPEN, [{"configKey": "missing"}], OPEN),
        (
            YES,
            [{"pipelineEnvironmentFilled": "x"}],
            Decision(active="undecided", why="depends on x, which the pipeline may yet write"),
        ),
        (NO, [{"configKey": "missing"}], NO),
        (NO, [{"pipelineEnvironmentFilled": "x"}], NO),
    ],
)
def test_what_switches_off_wins_over_what_switches_on(
    before: Decision, conditions: list[dict[str, Any]], expected: Decision
) -> None:
    assert (
        apply_not_active(
            before,
            [parse_condition(condition, "") for condition in conditions],
            replace(SCENE, planning=True),
        )
        == expected
    )


# ---- the definition


@pytest.mark.parametrize(
    "condition",
    [
        {},
        [],
        "inactive",
        {"config": {"a": [1], "b": [2]}},
        {"config": {}},
        {"config": "a"},
        {"config": {"a": "b"}},
        {"filePattern": "["},
        {"filePattern": "{a,b"},
        {"filePattern": "a\\"},
        {"filePattern": "a" * 5000},
        {"stepActive": True},
        {"configKey": "a", "inactive": True},
        {"configKey": ["a"]},
        {"configKey": ""},
        {"filePattern": ["a", "b"]},
        {"filePatternFromConfig": 1},
        {"npmScript": None},
        {"commonPipelineEnvironment": "x"},
        {"commonPipelineEnvironment": {}},
        {"pipelineEnvironmentFilled": {"a": "b"}},
        {"onlyActiveStepInStage": False},
        {"inactive": "true"},
        {"unknownKind": True},
    ],
)
def test_a_condition_that_is_not_understood_is_never_silently_true(condition: object) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_condition(condition, "stages.yaml:4")
    assert caught.value.where == "stages.yaml:4"
    assert caught.value.hint


def test_a_misspelt_kind_gets_the_nearest_known_one() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_condition({"stageConfigkey": "filePath"}, "")
    assert caught.value.hint == "did you mean 'stageConfigKey'?"


# ---- equality


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        (1, 1.0, True),
        (1, True, False),
        (0, False, False),
        (True, True, True),
        ("1", 1, False),
        ("a", "a", True),
        (None, None, True),
        (None, "", False),
        ([1, [2]], [1.0, [2]], True),
        ([1], [1, 2], False),
        ([True], [1], False),
        ({"a": 1}, {"a": 1.0}, True),
        ({"a": 1}, {"b": 1}, False),
        ({"a": {"b": True}}, {"a": {"b": 1}}, False),
        ({}, [], False),
        (float("nan"), float("nan"), False),
        (2**63, 2.0**63, True),
    ],
)
def test_values_are_equal_by_kind_and_numbers_by_value(
    one: object, other: object, equal: bool
) -> None:
    assert equal_values(one, other) is equal
    assert equal_values(other, one) is equal
