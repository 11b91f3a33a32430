from __future__ import annotations

from typing import Any

import pytest

from towline.config.documents import read_yaml
from towline.config.piper_metadata import parse
from towline.config.schema import (
    ConditionalDefault,
    ParameterAlias,
    Requirement,
    StepSchema,
    ValueSource,
    VaultReference,
)
from towline.errors import ConfigError

PAINT = """\
metadata:
  name: paint
  aliases: [{name: Paint}, {name: draw, deprecated: true}]
  description: Paints.
  longDescription: ignored
spec:
  inputs:
    secrets:
      - name: paintCredentialsId
        description: c
        type: jenkins
        aliases: [{name: oldId, deprecated: true}]
    resources:
      - {name: source, type: stash}
      - name: other
        type: stash
        conditions: [{conditionRef: strings-equal, params: [{name: tool, value: brush}]}]
      - {name: report, type: piperEnvironment}
    params:
      - name: colour
        type: string
        description: A colour.
        scope: [PARAMETERS, ENV, STEPS, GENERAL]
        default: red
        mandatory: true
        secret: true
        possibleValues: [red, 1, true]
        aliases: [{name: color, deprecated: true}, {name: a/b}]
        resourceRef:
          - {name: commonPipelineEnvironment, param: custom/colour}
          - {name: paintVaultSecretName, type: vaultSecretFile, default: paint}
          - {name: paintCredentialsId, type: secret, param: x}
        mandatoryIf: [{name: tool, value: brush}, {name: names, notEmpty: true}]
      - {name: tool, type: string}
      - {name: names, type: "[]string"}
      - name: width
        type: int
        default: 3
        conditions: [{conditionRef: strings-equal, params: [{name: tool, value: brush}]}]
  containers: [{image: "a:1"}]
  sidecars: [{image: "b:1"}]
  outputs: {resources: []}
"""


def read(text: str) -> StepSchema:
    return parse(read_yaml(text, "paint.yaml").value, "paint.yaml")


def test_pipers_metadata_becomes_a_schema() -> None:
    schema = read(PAINT)
    assert (schema.names, schema.description, schema.stashes) == (
        ("paint", "Paint", "draw"),
        "Paints.",
        ("source",),
    )
    assert (schema.containers, schema.sidecars) == (({"image": "a:1"},), ({"image": "b:1"},))
    assert schema.credentials[0].name == "paintCredentialsId"
    assert schema.credentials[0].aliases == (ParameterAlias(name="oldId", deprecated=True),)


def test_a_parameter_keeps_everything_that_counts() -> None:
    colour = read(PAINT).parameters[0]
    assert (colour.type, colour.scope, colour.default, colour.mandatory, colour.secret) == (
        "string",
        ("GENERAL", "STEPS", "PARAMETERS"),
        "red",
        True,
        True,
    )
    assert (colour.aliases, colour.possible_values) == (
        (ParameterAlias(name="color", deprecated=True), ParameterAlias(name="a/b")),
        ("red", "1", "true"),
    )
    assert colour.sources == (ValueSource(pipeline_environment="custom/colour"),)
    assert colour.vault == VaultReference(secret="paintVaultSecretName", default="paint", file=True)
    assert colour.mandatory_if == (
        Requirement(parameter="tool", values=("brush",)),
        Requirement(parameter="names", not_empty=True),
    )


def test_the_default_of_a_conditional_parameter_is_a_conditional_default() -> None:
    width = read(PAINT).find("width")
    assert width is not None
    assert (width.default, width.conditions) == (
        None,
        (ConditionalDefault(parameter="tool", value="brush", default=3),),
    )


@pytest.mark.parametrize(
    ("piper", "ours"),
    [
        ("string", "string"),
        ("bool", "boolean"),
        ("int", "integer"),
        ("'[]string'", "list"),
        ("'map[string]string'", "map"),
        ("'map[string]interface{}'", "object"),
        ("'[]map[string]interface{}'", "objects"),
        ("unheard-of", "string"),
    ],
)
def test_types_have_other_names_here(piper: str, ours: str) -> None:
    assert (
        read(f"metadata: {{name: s}}\nspec: {{inputs: {{params: [{{name: p, type: {piper}}}]}}}}")
        .parameters[0]
        .type
        == ours
    )


@pytest.mark.parametrize(
    "text",
    [
        "metadata: {name: s}",
        "metadata: {name: s}\nspec:\n",
        "metadata: {name: s}\nspec: {inputs: {params: null}}",
    ],
)
def test_a_step_may_have_nothing(text: str) -> None:
    assert read(text).parameters == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names no step"),
        ("spec: {}", "names no step"),
        ("- a", "must be a map"),
        (
            "metadata: {name: s}\nspec: {inputs: {params: {name: p}}}",
            "params of the step metadata must be a list",
        ),
        ("metadata: {name: s}\nspec: {inputs: {params: [p]}}", "must be a map"),
        ("metadata: {name: s}\nspec: {inputs: {params: [{type: string}]}}", "has no name"),
    ],
)
def test_invalid_metadata_is_named_with_its_file(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert message in caught.value.message
    assert caught.value.where == "paint.yaml"


def test_metadata_of_any_shape_is_read_or_refused() -> None:
    shapes: list[Any] = [None, 1, "a", [], {}, [1], {"name": 1}]
    for value in shapes:
        for path in ("metadata", "spec"):
            try:
                parse({"metadata": {"name": "s"}, path: value}, "f")
            except ConfigError as fault:
                assert fault.where == "f"  # noqa: PT017 - either is right, but nothing else
