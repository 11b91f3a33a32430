from __future__ import annotations

from typing import Any

import pytest

from towline import deadline, dispatch
from towline.config.lint.findings import RULES
from towline.config.merge import Layer, Setting, fold_settings, layer_of
from towline.config.metadata import load_schema
from towline.config.rules import SettingFault, check_settings, how_to_set
from towline.config.schema import StepSchema, parse_schema

SCOPE = ["STAGES", "STEPS"]


def parameter(name: str, kind: str = "string", **others: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, "description": "P.", "scope": SCOPE, **others}


def step(*parameters: dict[str, Any], **others: Any) -> StepSchema:
    return parse_schema(
        {"name": "s", "description": "S.", "parameters": list(parameters), **others}, "f"
    )


def faults(schema: StepSchema, **values: object) -> list[SettingFault]:
    layers = [
        layer_of(
            "step s",
            values,
            trusted=False,
            origins={name: f"config.yml:{number}" for number, name in enumerate(values, start=1)},
        )
    ]
    return list(check_settings(schema, layers, fold_settings(layers))[1])


def whats(schema: StepSchema, **values: object) -> list[str]:
    return [fault.problem for fault in faults(schema, **values)]


# ---- one value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "p is 0, expected at least 1"),
        ("-3", "p is -3, expected at least 1"),
        (1, ""),
        ("7", ""),
        ("soon", 'p is "soon", expected a whole number'),
    ],
)
def test_a_number_is_not_below_its_minimum(value: object, expected: str) -> None:
    assert whats(step(parameter("p", "integer", minimum=1)), p=value) == [expected] * bool(expected)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (10, ""),
        ("11", "p is 11, expected at most 10"),
        (10**14, f"p is {10**14}, expected at most 10"),
    ],
)
def test_a_number_is_not_above_its_maximum(value: object, expected: str) -> None:
    assert whats(step(parameter("p", "integer", maximum=10)), p=value) == [expected] * bool(
        expected
    )


@pytest.mark.parametrize("name", dispatch.STEPS)
def test_no_step_takes_longer_than_a_day(name: str) -> None:
    """Otherwise a project could let a step run forever; and clocks have a limit, too."""
    deadlines = [one for one in load_schema(name).parameters if one.name.endswith("Deadline")]
    assert all(one.maximum == deadline.LONGEST_STEP for one in deadlines)


def test_a_map_that_has_a_key_twice_says_which() -> None:
    assert whats(step(parameter("p", "map")), p="a=1,b=2,a=3") == [
        'p is "a=1,b=2,a=3", expected a map of texts, each key once (a)'
    ]
    assert whats(step(parameter("p", "map", secret=True)), p="a=1,a=3") == [
        "p is a secret value that does not fit, expected a map of texts"
    ]


@pytest.mark.parametrize(
    ("others", "hint"),
    [
        ({}, "correct it, or leave it out"),
        ({"default": 600}, "correct it, or leave it out for 600"),
    ],
)
def test_a_number_below_its_minimum_says_what_counts_without_it(
    others: dict[str, Any], hint: str
) -> None:
    assert faults(step(parameter("p", "integer", minimum=1, **others)), p=0)[0].hint == hint


@pytest.mark.parametrize(
    ("others", "value"),
    [
        ({"possibleValues": ["a", "b"], "default": "a"}, "a"),
        ({"possibleValues": ["a"]}, ""),
        ({"default": "a"}, ""),
    ],
)
def test_an_empty_text_among_a_few_possible_ones_stands_for_the_default(
    others: dict[str, Any], value: str
) -> None:
    layer = layer_of("general", {"p": ""}, trusted=False, origins={"p": "config.yml:3"})
    assert (
        check_settings(step(parameter("p", **others)), [layer], fold_settings([layer]))[0][
            "p"
        ].value
        == value
    )


def test_a_value_that_does_not_fit_is_called_as_it_is_written() -> None:
    schema = step(parameter("p", aliases=[{"name": "old/p"}]))
    layers = [
        Layer(
            name="general",
            trusted=False,
            settings={
                "p": Setting(
                    value=[], origin="config.yml:3", layer="general", trusted=False, alias="old/p"
                )
            },
        ),
        layer_of("step s", {"p": [1]}, trusted=False, origins={"p": "config.yml:7"}),
    ]
    for used, called in ((layers[:1], "p (written as old/p)"), (layers, "p")):
        fault = check_settings(schema, used, fold_settings(used))[1][0]
        assert (fault.problem, fault.hint) == (
            f"{called} is a list, expected text",
            "write one text, in quotes",
        )


# ---- mandatory


@pytest.mark.parametrize(
    ("kind", "value", "missing"),
    [
        ("string", "", True),
        ("list", [], True),
        ("map", {}, True),
        ("string", "x", False),
        ("boolean", False, False),
        ("integer", 0, False),
    ],
)
def test_what_is_mandatory_must_not_be_empty(kind: str, value: object, missing: bool) -> None:
    schema = step(parameter("p", kind, mandatory=True))
    assert whats(schema) == ["p is not set"]
    assert whats(schema, p=value) == (["p is not set"] if missing else [])


CONDITION = {"name": "tool", "value": ["helm", "helm3"]}


@pytest.mark.parametrize(
    ("conditions", "values", "message"),
    [
        (
            [{"name": "tool", "value": "helm"}],
            {"tool": "helm"},
            "p is not set, and tool helm (config.yml:1) needs it",
        ),
        ([{"name": "tool", "value": "helm"}], {"tool": "kubectl"}, ""),
        ([{"name": "tool", "value": "helm"}], {}, ""),
        ([{"name": "tool", "value": ""}], {}, "p is not set, and a missing tool needs it"),
        ([CONDITION], {"tool": "helm3"}, "p is not set, and tool helm3 (config.yml:1) needs it"),
        (
            [{"name": "on", "value": False}],
            {"on": False},
            "p is not set, and on false (config.yml:1) needs it",
        ),
        (
            [{"name": "on", "value": "true"}],
            {"on": "True"},
            "p is not set, and on true (config.yml:1) needs it",
        ),
        (
            [{"name": "count", "value": 3}],
            {"count": 3.0},
            "p is not set, and count 3 (config.yml:1) needs it",
        ),
        (
            [{"name": "tool", "notEmpty": True}],
            {"tool": "x"},
            "p is not set, and tool (config.yml:1) needs it",
        ),
        ([{"name": "tool", "notEmpty": True}], {"tool": ""}, ""),
        ([{"name": "names", "notEmpty": True}], {"names": []}, ""),
        (
            [CONDITION, {"name": "on", "value": True}],
            {"tool": "helm", "on": True},
            "p is not set, and tool helm (config.yml:1) and on true (config.yml:2) need it",
        ),
        ([CONDITION, {"name": "on", "value": True}], {"tool": "helm", "on": False}, ""),
    ],
)
@pytest.mark.parametrize("kind", ["string", "list"])
def test_what_is_mandatory_under_conditions_is_so_where_all_hold(
    conditions: list[dict[str, Any]], values: dict[str, Any], message: str, kind: str
) -> None:
    schema = step(
        parameter("tool"),
        parameter("on", "boolean"),
        parameter("count", "integer"),
        parameter("names", "list"),
        parameter("p", kind, mandatoryIf=conditions),
    )
    assert whats(schema, **values) == ([message] if message else [])
    assert whats(schema, **values, p=[] if kind == "list" else "") == ([message] if message else [])
    assert whats(schema, **values, p=["x"] if kind == "list" else "x") == []


def test_a_condition_on_a_value_that_does_not_fit_brings_no_second_fault() -> None:
    schema = step(
        parameter("tool", possibleValues=["helm"]),
        parameter("p", mandatoryIf=[{"name": "tool", "value": "helmm"}]),
    )
    assert whats(schema, tool="helmm") == ['tool is "helmm"']


# ---- groups


PARTS = tuple(
    parameter(name, secret=name == "password")
    for name in ("user", "password", "file", "id", "token")
)
CREDENTIALS = [
    {
        "name": "id",
        "kind": "usernamePassword",
        "parameters": {"username": "user", "password": "password"},
    }
]


def ruled(*groups: list[str], **others: Any) -> StepSchema:
    return step(*PARTS, rules=[{"oneOf": list(groups), **others}], credentials=CREDENTIALS)


@pytest.mark.parametrize("optional", [True, False])
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["user", "password"], []),
        (["file"], []),
        (["user", "password", "file"], []),
        (["user"], ["user is set and password is not"]),
        (["password"], ["password is set and user is not"]),
        (["user", "file"], ["user is set and password is not"]),
        (["id"], []),
        (["id", "user"], []),
    ],
)
def test_a_group_is_given_whole_or_not_at_all(
    given: list[str], expected: list[str], optional: bool
) -> None:
    schema = ruled(["user", "password"], ["file"], optional=optional)
    assert whats(schema, **dict.fromkeys(given, "x")) == expected


def test_one_group_is_needed_unless_the_rule_is_optional() -> None:
    assert whats(ruled(["user", "password"], ["file"], optional=True)) == []
    assert whats(ruled(["user", "password"], ["file"])) == ["user and password or file must be set"]


def test_a_broken_group_says_how_to_mend_it() -> None:
    fault = faults(ruled(["user", "password"], optional=True), user="me")[0]
    assert (fault.where, fault.hint) == (
        "config.yml:1",
        "set PIPER_password, or name a Jenkins credential in id",
    )
    assert fault.credential
    assert (
        faults(ruled(["user", "password"], message="give both"), user="me")[0].hint == "give both"
    )


def test_a_group_without_a_secret_does_not_concern_credentials() -> None:
    schema = ruled(["user", "file", "token"], optional=True)
    assert [(fault.problem, fault.credential) for fault in faults(schema, user="a")] == [
        ("user is set and file and token are not", False)
    ]
    assert whats(schema, user="a", file="b") == ["user and file are set and token is not"]


def test_a_group_with_a_value_that_does_not_fit_brings_no_second_fault() -> None:
    assert whats(ruled(["user", "password"], optional=True), user=["a"]) == [
        "user is a list, expected text"
    ]


# ---- words


@pytest.mark.parametrize(
    ("others", "text"),
    [
        ({}, "set p in steps.s or the stage's section of .pipeline/config.yml, or as PIPER_p"),
        ({"scope": ["GENERAL"]}, "set p in general of .pipeline/config.yml, or as PIPER_p"),
        ({"scope": []}, "set PIPER_p"),
        (
            {"secret": True, "vault": {"secret": "pVaultSecretName", "default": "drawer"}},
            "set PIPER_p, or keep it in Vault (secret drawer)",
        ),
        (
            {"secret": True, "sources": [{"pipelineEnvironment": "a/b"}]},
            "set PIPER_p, or let an earlier step leave a/b in the pipeline environment",
        ),
    ],
)
def test_every_way_to_set_a_parameter_is_named_and_for_a_secret_never_a_file(
    others: dict[str, Any], text: str
) -> None:
    schema = step({**parameter("p"), **others})
    assert how_to_set(schema, schema.parameters[0]) == text


def test_a_fault_is_one_line() -> None:
    assert (
        str(SettingFault(where="f:1", problem="p is not set", hint="set it"))
        == "f:1: p is not set (set it)"
    )
    assert (
        str(SettingFault(where="", problem="p is not set", hint="set it"))
        == "p is not set (set it)"
    )


# ---- lint


@pytest.mark.parametrize(
    ("described", "value", "rule"),
    [
        (parameter("p", "integer"), "soon", "wrong-type"),
        (parameter("p", possibleValues=["a"]), "b", "wrong-value"),
        (parameter("p", later="do something else"), "b", ""),
        (parameter("p", trusted=True), "b", "platform-only"),
        (parameter("p", mandatory=True), "", ""),
    ],
)
def test_a_fault_of_a_single_value_names_lint_s_rule(
    described: dict[str, Any], value: object, rule: str
) -> None:
    assert [fault.rule for fault in faults(step(described), p=value)] == [rule]
    assert rule in {"", *RULES}
