from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from towline.config.documents import ConfigDocuments, parse_document
from towline.config.layers import (
    Inputs,
    effective_settings,
    mentions_any,
    step_layers,
    unfiltered_layers,
)
from towline.config.merge import Layer, fold_settings, layer_of
from towline.config.metadata import load_schema
from towline.config.schema import StepSchema, parse_schema
from towline.errors import ConfigError
from towline.pipeline.environment import PipelineEnvironment
from towline.record import replace

EVERYWHERE = ["PARAMETERS", "STAGES", "STEPS", "GENERAL"]
SCHEMA = parse_schema(
    {
        "name": "paint",
        "aliases": ["Paint"],
        "description": "Paints.",
        "parameters": [
            {
                "name": "colour",
                "type": "string",
                "description": "A colour.",
                "scope": EVERYWHERE,
                "default": "metadata",
                "aliases": [
                    {"name": "color"},
                    {"name": "old/deep/hue"},
                    {"name": "shade", "scope": ["STEPS"]},
                ],
                "sources": [
                    {"pipelineEnvironment": "custom/strong", "over": "GENERAL"},
                    {"pipelineEnvironment": "custom/colour"},
                ],
            },
            {"name": "stageOnly", "type": "string", "description": "S.", "scope": ["STAGES"]},
            {"name": "stepOnly", "type": "string", "description": "S.", "scope": ["STEPS"]},
            {
                "name": "names",
                "type": "list",
                "description": "N.",
                "scope": EVERYWHERE,
                "sources": [{"pipelineEnvironment": "custom/names"}],
            },
            {"name": "labels", "type": "map", "description": "L.", "scope": EVERYWHERE},
        ],
    },
    "steps/paint.yaml",
)


def inputs(project: str = "", *defaults: str) -> Inputs:
    documents = ConfigDocuments(
        defaults=tuple(
            parse_document(text, f"team{number}.yml", trusted=True)
            for number, text in enumerate(defaults)
        ),
        project=parse_document(project, "config.yml", trusted=False),
    )
    return Inputs(
        stage="Build",
        documents=documents,
        pipeline_environment={},
        environ={},
        parameters={},
        flags={},
    )


def values(given: Inputs, schema: StepSchema = SCHEMA) -> dict[str, object]:
    return {
        key: setting.value for key, setting in fold_settings(step_layers(schema, given)).items()
    }


def origin(given: Inputs, key: str = "colour") -> str:
    return fold_settings(step_layers(SCHEMA, given))[key].origin


def at(path: str, value: str) -> str:
    """A document with one value at a path such as stages/Build/colour."""
    parts = path.split("/")
    return "".join(
        f"{'  ' * depth}{part}:{f' {value}' if depth == len(parts) - 1 else ''}\n"
        for depth, part in enumerate(parts)
    )


# ---- precedence


CLAIMS = {"custom/colour": "pipeline environment"}
FACTS = PipelineEnvironment(CLAIMS, CLAIMS)
SOURCES = {
    "metadata": lambda given: given,
    "pipeline environment": lambda given: replace(given, pipeline_environment=FACTS),
    "default general": lambda given: given,
    "default step": lambda given: given,
    "default stage": lambda given: given,
    "later default general": lambda given: given,
    "general": lambda given: given,
    "pipeline environment over general": lambda given: replace(
        given, pipeline_environment={"custom/strong": "pipeline environment over general"}
    ),
    "step": lambda given: given,
    "stage": lambda given: given,
    "variable": lambda given: replace(given, environ={"PIPER_colour": "variable"}),
    "parameters JSON": lambda given: replace(
        given, environ={**given.environ, "PIPER_parametersJSON": '{"colour": "parameters JSON"}'}
    ),
    "call": lambda given: replace(given, parameters={"colour": "call"}),
    "flag": lambda given: replace(given, flags={"colour": "flag"}),
    "vault": lambda given: replace(
        given,
        vault=layer_of("Vault", {"colour": "vault"}, trusted=True, origins={"colour": "kv/paint"}),
    ),
}
SECTIONS = {
    "general": "general/colour",
    "step": "steps/paint/colour",
    "stage": "stages/Build/colour",
}


def with_sources(*names: str) -> Inputs:
    """Inputs in which each of `names` sets the colour to its own name."""
    first = "".join(
        at(SECTIONS[name.removeprefix("default ")], name)
        for name in names
        if name.startswith("default ")
    )
    second = "".join(
        at(SECTIONS[name.removeprefix("later default ")], name)
        for name in names
        if name.startswith("later default ")
    )
    project = "".join(at(SECTIONS[name], name) for name in names if name in SECTIONS)
    given = inputs(project, first, second)
    for name in names:
        given = SOURCES[name](given)
    return given


@pytest.mark.parametrize(
    ("weaker", "stronger"), list(zip(list(SOURCES), list(SOURCES)[1:], strict=False))
)
def test_each_layer_loses_to_the_next(weaker: str, stronger: str) -> None:
    assert values(with_sources(weaker))["colour"] == weaker
    assert values(with_sources(weaker, stronger))["colour"] == stronger


def test_all_layers_at_once_are_ordered_and_trusted_or_not() -> None:
    setting = fold_settings(step_layers(SCHEMA, with_sources(*SOURCES)))["colour"]
    seen = [
        (before.value, before.trusted)
        for before in setting.overridden
        if before.value != "pipeline environment"
    ]
    untrusted = {"general", "pipeline environment over general", "step", "stage"}
    assert seen == [
        (name, name not in untrusted)
        for name in SOURCES
        if name not in ("pipeline environment", "vault")
    ]
    assert (setting.value, setting.trusted) == ("vault", True)


@pytest.mark.parametrize(
    ("names", "place"),
    [
        (["metadata"], "default"),
        (["pipeline environment"], "custom/colour in the pipeline environment"),
        (["later default general"], "team1.yml:2"),
        (["general", "step", "stage"], "config.yml:8"),
        (["variable"], "PIPER_colour"),
        (["call"], "parameter of the call"),
        (["parameters JSON"], "PIPER_parametersJSON"),
        (["flag"], "--colour"),
        (["vault"], "kv/paint"),
    ],
)
def test_a_value_says_where_it_stands(names: list[str], place: str) -> None:
    assert origin(with_sources(*names)) == place


def test_the_first_source_that_is_not_empty_counts() -> None:
    schema = parse_schema(
        {
            "name": "s",
            "description": "S.",
            "parameters": [
                {
                    "name": "image",
                    "type": "string",
                    "description": "I.",
                    "scope": ["STEPS"],
                    "sources": [
                        {"pipelineEnvironment": "first"},
                        {"pipelineEnvironment": "second"},
                        {"pipelineEnvironment": "third"},
                    ],
                }
            ],
        },
        "f",
    )
    given = replace(
        inputs(), pipeline_environment={"first": " \n", "second": " two\n", "third": "three"}
    )
    assert values(given, schema) == {"image": "two"}


def test_an_empty_list_overrides_only_the_default() -> None:
    usual = replace(
        SCHEMA,
        parameters=tuple(
            replace(one, default=["b"]) if one.name == "names" else one for one in SCHEMA.parameters
        ),
    )
    empty: dict[str, object] = {"custom/names": []}
    assert values(inputs(), usual)["names"] == ["b"]
    assert values(replace(inputs(), pipeline_environment=empty), usual)["names"] == []
    assert values(replace(inputs("general: {names: [a]}"), pipeline_environment=empty), usual)[
        "names"
    ] == ["a"]


@pytest.mark.parametrize("empty", ["", None, [], {}])
def test_an_empty_source_sets_nothing(empty: object) -> None:
    assert "names" not in values(replace(inputs(), pipeline_environment={"custom/names": empty}))


def test_an_empty_variable_sets_nothing_but_an_empty_parameter_does() -> None:
    given = inputs(at("general/colour", "red"))
    assert values(replace(given, environ={"PIPER_colour": ""}))["colour"] == "red"
    assert values(replace(given, parameters={"colour": ""}))["colour"] == ""


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("names", "a, b,,c", ["a", "b", "c"]),
        ("names", '"a,b", "c,d"', ["a,b", "c,d"]),
        ("names", "a\nb", ["a", "b"]),
        ("labels", "k=v, k2=v=2", {"k": "v", "k2": "v=2"}),
        ("labels", "no pair", "no pair"),
        ("colour", "a,b", "a,b"),
    ],
)
def test_text_of_variables_and_flags_is_read_by_type(name: str, text: str, value: object) -> None:
    assert values(replace(inputs(), environ={f"PIPER_{name}": text}))[name] == value
    assert values(replace(inputs(), flags={name: text}))[name] == value


def test_a_flag_that_is_a_list_already_stays_one() -> None:
    assert values(replace(inputs(), flags={"names": ["a,b"]}))["names"] == ["a,b"]


def test_text_that_is_not_a_list_at_all_stays_for_the_check_of_types() -> None:
    text = "x" * 200_000
    assert values(replace(inputs(), flags={"names": text}))["names"] == text


def test_a_map_from_a_flag_merges_into_the_projects() -> None:
    given = inputs("steps: {paint: {labels: {a: 1, b: 2}}}")
    assert values(replace(given, flags={"labels": "b=3"}))["labels"] == {"a": 1, "b": "3"}


# ---- scope and aliases


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("general/stageOnly", False),
        ("steps/paint/stageOnly", False),
        ("stages/Build/stageOnly", True),
        ("stages/Other/stageOnly", False),
        ("stages/Build/stepOnly", False),
        ("steps/paint/stepOnly", True),
        ("steps/paint/colours", False),
        ("steps/paint/COLOUR", False),
    ],
)
def test_a_section_takes_the_keys_of_its_scope_by_exact_name(path: str, kept: bool) -> None:
    given = values(inputs(at(path, "x")))
    assert (given.get(path.rpartition("/")[2]) == "x") == kept


def test_a_stage_of_a_default_document_asks_for_the_scope_of_steps() -> None:
    given = values(inputs("", "stages: {Build: {stepOnly: x, stageOnly: x}}"))
    assert (given.get("stepOnly"), given.get("stageOnly")) == ("x", None)


@pytest.mark.parametrize(
    ("section", "value"),
    [
        ("{color: alias}", "alias"),
        ("{color: alias, colour: own}", "own"),
        ("{color: alias, colour: null}", "alias"),
        ("{old: {deep: {hue: deep}}, color: first}", "first"),
        ("{old: {deep: {hue: deep}}}", "deep"),
        ("{old: {deep: text}}", "metadata"),
    ],
)
def test_an_alias_counts_where_the_name_is_absent(section: str, value: str) -> None:
    assert values(inputs(f"steps: {{paint: {section}}}"))["colour"] == value
    assert values(replace(inputs(), parameters={"color": "alias"}))["colour"] == "alias"


def test_an_alias_in_a_stronger_section_beats_the_name_in_a_weaker_one() -> None:
    given = inputs("general: {colour: general}\nstages: {Build: {color: stage}}")
    assert values(given)["colour"] == "stage"
    assert origin(given) == "config.yml:2"


def test_an_alias_counts_in_the_sections_of_its_own_scope_only() -> None:
    assert values(inputs("general: {shade: x}"))["colour"] == "metadata"
    assert values(inputs("steps: {paint: {shade: x}}"))["colour"] == "x"


def test_the_address_of_the_code_host_is_not_a_repository() -> None:
    schema = load_schema("gitOpsUpdateDeployment")
    assert "serverUrl" not in values(
        inputs("general: {githubServerUrl: https://github.example}"), schema
    )
    assert (
        values(
            inputs("steps: {gitOpsUpdateDeployment: {githubServerUrl: https://x/r.git}}"), schema
        )["serverUrl"]
        == "https://x/r.git"
    )


@pytest.mark.parametrize("name", ["parameters", "environ"])
def test_a_deep_alias_counts_in_what_the_call_passes_too(name: str) -> None:
    deep = {"old": {"deep": {"hue": "deep"}}}
    given = (
        replace(inputs(), parameters=deep)
        if name == "parameters"
        else replace(inputs(), environ={"PIPER_parametersJSON": json.dumps(deep)})
    )
    setting = fold_settings(step_layers(SCHEMA, given))["colour"]
    aliases = [
        (key, held.alias)
        for layer in step_layers(SCHEMA, given)
        for key, held in layer.settings.items()
        if held.alias
    ]
    assert (setting.value, aliases) == ("deep", [("colour", "old/deep/hue")])


def test_a_deep_alias_says_the_line_of_its_last_key() -> None:
    assert origin(inputs("general:\n  old:\n    deep:\n      hue: deep\n")) == "config.yml:4"


def test_variables_and_flags_know_no_alias() -> None:
    assert (
        values(replace(inputs(), environ={"PIPER_color": "x"}, flags={"color": "y"}))["colour"]
        == "metadata"
    )


def test_another_spelling_of_the_step_fills_in_what_its_own_section_lacks() -> None:
    given = inputs(
        "steps:\n  Paint:\n    colour: alias\n    stepOnly: alias\n  paint:\n    colour: own\n"
    )
    assert {key: values(given)[key] for key in ("colour", "stepOnly")} == {
        "colour": "own",
        "stepOnly": "alias",
    }
    assert (origin(given), origin(given, "stepOnly")) == ("config.yml:6", "config.yml:4")


def test_unfiltered_layers_hold_every_key_and_the_steps_flag_under_its_own_name() -> None:
    given = inputs(
        "general: {free: 1}\nsteps: {Paint: {colour: red}}\nstages: {Build: {Paint: true, filePath:"
        " f}, Other: {x: 1}}"
    )
    folded = fold_settings(unfiltered_layers(given.documents, SCHEMA.names, "Build"))
    assert {key: setting.value for key, setting in folded.items()} == {
        "free": 1,
        "colour": "red",
        "filePath": "f",
        "paint": True,
    }
    assert (folded["paint"].layer, folded["paint"].origin) == ("stage Build", "config.yml:3")


def test_the_own_spelling_of_a_flag_counts_before_another_one() -> None:
    given = inputs("stages: {Build: {Paint: true, paint: false}}")
    assert (
        fold_settings(unfiltered_layers(given.documents, SCHEMA.names, "Build"))["paint"].value
        is False
    )


def test_layers_are_data_that_a_reader_can_list() -> None:
    names = [layer.name for layer in step_layers(SCHEMA, inputs("", ""))]
    left = ["changed pipeline environment", "unproven pipeline environment", "pipeline environment"]
    assert names == [
        "default",
        *left,
        "general",
        "step paint",
        "stage Build",
        "general",
        *left,
        "step paint",
        "stage Build",
        "variables",
        "parameters JSON",
        "call",
        "flags",
    ]
    assert all(isinstance(layer, Layer) for layer in step_layers(SCHEMA, inputs()))


def test_what_no_step_is_known_to_have_written_counts_as_much_and_says_what_it_is() -> None:
    for known, layer in (
        (FACTS, "pipeline environment"),
        (CLAIMS, "unproven pipeline environment"),
    ):
        setting = effective_settings(SCHEMA, replace(inputs(), pipeline_environment=known))[
            "colour"
        ]
        assert (setting.value, setting.layer, setting.trusted) == (
            "pipeline environment",
            layer,
            False,
        )
        assert setting.origin.startswith("custom/colour in the pipeline environment")
        assert setting.origin.endswith(
            ", which no step of this build is known to have written"
        ) is (known is CLAIMS)


# ---- parameters JSON


@pytest.mark.parametrize("text", ["", "  ", "{}"])
def test_parameters_may_be_none(text: str) -> None:
    assert values(replace(inputs(), environ={"PIPER_parametersJSON": text}))["colour"] == "metadata"


def test_parameters_of_other_steps_are_left_alone() -> None:
    given = values(
        replace(
            inputs(),
            environ={
                "PIPER_parametersJSON": (
                    '{"names": ["a"], "free": 1, "stageName": "x", "labels": null}'
                )
            },
        )
    )
    assert (given["names"], "free" in given, "labels" in given) == (["a"], False, False)


@pytest.mark.parametrize("text", ["{", "[]", "null", "1", "{" * 100_000])
def test_parameters_that_are_not_an_object_are_an_error(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        step_layers(SCHEMA, replace(inputs(), environ={"PIPER_parametersJSON": text}))
    assert caught.value.where == "PIPER_parametersJSON"


# ---- conditional defaults


TOOLS = parse_schema(
    {
        "name": "s",
        "description": "S.",
        "parameters": [
            {
                "name": "tool",
                "type": "string",
                "description": "T.",
                "scope": EVERYWHERE,
                "default": "brush",
            },
            {
                "name": "width",
                "type": "integer",
                "description": "W.",
                "scope": ["STEPS", "PARAMETERS"],
                "conditions": [
                    {"parameter": "tool", "value": "brush", "default": 3},
                    {"parameter": "tool", "value": "spray"},
                ],
            },
            {
                "name": "depth",
                "type": "integer",
                "description": "D.",
                "scope": ["STEPS"],
                "conditions": [{"parameter": "tool", "value": "brush", "default": 1}],
            },
        ],
    },
    "f",
)


@pytest.mark.parametrize(
    ("project", "width", "place"),
    [
        ("", 3, "default"),
        ("general: {tool: spray}", None, ""),
        ("general: {tool: roll}", None, ""),
        ("general: {tool: spray}\nsteps: {s: {spray: {width: 9}}}", 9, "config.yml:2"),
        ("steps: {s: {brush: {width: 9}}}", 9, "config.yml:1"),
        ("steps: {s: {brush: {width: null}}}", 3, "default"),
        ("steps: {s: {brush: text}}", 3, "default"),
        ("general: {brush: {width: 9}}", 3, "default"),
        ("steps: {s: {width: 5, brush: {width: 9}}}", 5, "config.yml:1"),
    ],
)
def test_a_conditional_default_holds_where_its_condition_does_and_nothing_else_is_set(
    project: str, width: int | None, place: str
) -> None:
    found = effective_settings(TOOLS, inputs(project)).get("width")
    assert (found.value if found else None, found.origin if found else "") == (width, place)


def test_several_conditional_defaults_of_one_value_stand_together() -> None:
    settings = effective_settings(TOOLS, inputs("steps: {s: {brush: {width: 9}}}"))
    assert (settings["width"].value, settings["depth"].value) == (9, 1)
    assert [before.value for before in settings["width"].overridden] == [3]


def test_the_call_may_bring_a_conditional_default() -> None:
    assert (
        effective_settings(TOOLS, replace(inputs(), parameters={"brush": {"width": 7}}))[
            "width"
        ].value
        == 7
    )


def test_vault_is_weaker_than_nothing_but_conditional_defaults_do_not_touch_it() -> None:
    vault = layer_of("Vault", {"width": 8}, trusted=True)
    assert (
        effective_settings(TOOLS, replace(inputs("steps: {s: {brush: {width: 9}}}"), vault=vault))[
            "width"
        ].value
        == 8
    )


# ---- the stage that was once called Central Build


@pytest.mark.parametrize("stage", ["Build", "Central Build"])
@pytest.mark.parametrize("section", ["Build", "Central Build"])
def test_build_is_one_stage_under_both_of_its_names(stage: str, section: str) -> None:
    given = replace(
        inputs(at(f"stages/{section}/colour", "red"), at(f"stages/{section}/names", "[a]")),
        stage=stage,
    )
    assert (values(given)["colour"], values(given)["names"]) == ("red", ["a"])
    assert (
        fold_settings(unfiltered_layers(given.documents, SCHEMA.names, stage))["colour"].value
        == "red"
    )


def test_parameters_with_a_key_twice_are_an_error_that_names_it() -> None:
    with pytest.raises(ConfigError) as caught:
        step_layers(
            SCHEMA,
            replace(
                inputs(), environ={"PIPER_parametersJSON": '{"colour": "red", "colour": "blue"}'}
            ),
        )
    assert (caught.value.message, caught.value.where) == (
        "the parameters have the key colour twice",
        "PIPER_parametersJSON",
    )


@pytest.mark.parametrize(
    ("project", "others", "expected"),
    [
        ("general: {wanted: }", {}, True),
        ("steps: {Paint: {wanted: x}}", {}, True),
        ("stages: {Build: {wanted: x}}", {}, True),
        (
            (
                "stages: {Other: {wanted: x}}\nsteps: {other: {wanted: x}}\nwanted: x\ngeneral:"
                " {deep: {wanted: x}}"
            ),
            {},
            False,
        ),
        ("", {"environ": {"PIPER_wanted": "x"}}, True),
        ("", {"environ": {"PIPER_wanted": ""}}, False),
        ("", {"parameters": {"wanted": ""}}, True),
        ("", {"flags": {"wanted": "x"}}, True),
        ("", {"environ": {"PIPER_parametersJSON": '{"wanted": 1}'}}, True),
    ],
)
def test_a_key_is_mentioned_where_it_counts_for_the_step(
    project: str, others: dict[str, Mapping[str, str]], *, expected: bool
) -> None:
    given = replace(inputs(project), **others)  # type: ignore[arg-type]
    assert mentions_any(SCHEMA, given, ["another", "wanted"]) is expected
    assert mentions_any(SCHEMA, inputs("", project), ["wanted"]) is (expected and not others)
