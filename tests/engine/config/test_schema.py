from __future__ import annotations

from typing import Any

import pytest

from towline.config.metadata import all_schemas
from towline.config.schema import (
    ConditionalDefault,
    OneOfRule,
    ParameterAlias,
    Requirement,
    StepSchema,
    ValueSource,
    VaultReference,
    as_text,
    parse_schema,
)
from towline.errors import ConfigError

PARAMETER = {"name": "colour", "type": "string", "description": "A colour.", "scope": ["STEPS"]}


def step(**changes: Any) -> dict[str, Any]:
    return {"name": "paint", "description": "Paints.", "parameters": [PARAMETER], **changes}


def one(**changes: Any) -> StepSchema:
    return parse_schema(step(parameters=[{**PARAMETER, **changes}]), "steps/paint.yaml")


def test_metadata_becomes_a_schema() -> None:
    parameter = one(
        default="red",
        aliases=[{"name": "color", "deprecated": True}, {"name": "hue", "scope": ["STEPS"]}],
        sources=[{"pipelineEnvironment": "custom/colour", "over": "GENERAL"}],
        possibleValues=["red", 1],
        mandatory=True,
    ).parameters[0]
    assert one(type="integer", minimum=0).parameters[0].minimum == 0
    assert parameter.aliases == (
        ParameterAlias(name="color", deprecated=True),
        ParameterAlias(name="hue", scope=("STEPS",)),
    )
    assert parameter.sources == (ValueSource(pipeline_environment="custom/colour", over="GENERAL"),)
    assert (
        parameter.default,
        parameter.possible_values,
        parameter.mandatory,
        parameter.secret,
    ) == ("red", ("red", "1"), True, False)


def test_a_parameter_says_when_it_is_needed_and_where_its_value_may_come_from() -> None:
    parameter = one(
        mandatoryIf=[
            {"name": "colour", "value": False},
            {"name": "colour", "value": ["a", 1]},
            {"name": "colour", "notEmpty": True},
        ],
        conditions=[{"parameter": "colour", "value": "red", "default": "bright"}],
        vault={"secret": "paintVaultSecretName", "default": "paint", "file": True},
    ).parameters[0]
    one_of, filled = (
        Requirement(parameter="colour", values=("a", "1")),
        Requirement(parameter="colour", not_empty=True),
    )
    assert parameter.mandatory_if == (
        Requirement(parameter="colour", values=("false",)),
        one_of,
        filled,
    )
    assert parameter.conditions == (
        ConditionalDefault(parameter="colour", value="red", default="bright"),
    )
    assert parameter.vault == VaultReference(
        secret="paintVaultSecretName", default="paint", file=True
    )
    assert one().parameters[0].vault is None


def test_a_step_has_rules_and_what_its_context_needs() -> None:
    rule = {"oneOf": [["colour", "shade"], ["colour"]], "optional": True, "message": "Give both."}
    parameters = [PARAMETER, {**PARAMETER, "name": "shade"}]
    schema = parse_schema(
        step(
            parameters=parameters,
            rules=[rule],
            library=True,
            containers=[{"image": "i:1"}],
            sidecars=[{"image": "s"}],
            stashes=["source"],
        ),
        "f",
    )
    assert schema.rules == (
        OneOfRule(one_of=(("colour", "shade"), ("colour",)), optional=True, message="Give both."),
    )
    assert (schema.library, schema.containers, schema.sidecars, schema.stashes) == (
        True,
        ({"image": "i:1"},),
        ({"image": "s"},),
        ("source",),
    )
    assert not parse_schema(step(), "f").library


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rules": [{"oneOf": [["unknown"]]}]}, "a rule's parameter is 'unknown'"),
        ({"rules": [{"message": "x"}]}, "lacks 'oneOf'"),
        ({"containers": [{"image": "i", "entrypoint": "x"}]}, "unknown key 'entrypoint'"),
        ({"sidecars": [{"name": "n"}]}, "lacks 'image'"),
    ],
)
def test_a_slip_in_a_step_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_schema(step(**changes), "f")
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("value", "text"), [(True, "true"), (False, "false"), (1, "1"), ("True", "True")]
)
def test_a_conditions_value_is_compared_as_yaml_writes_it(value: object, text: str) -> None:
    assert as_text(value) == text


def test_a_parameter_is_found_by_its_name_and_by_its_alias() -> None:
    schema = one(aliases=[{"name": "color"}])
    assert schema.find("color") is schema.find("colour") is schema.parameters[0]
    assert schema.find("shade") is None


def test_a_name_counts_before_another_parameters_alias() -> None:
    schema = parse_schema(
        step(
            parameters=[{**PARAMETER, "aliases": [{"name": "hue"}]}, {**PARAMETER, "name": "hue"}]
        ),
        "f",
    )
    assert schema.find("hue") is schema.parameters[1]


def test_a_step_lists_every_spelling_with_its_own_name_first() -> None:
    assert parse_schema(step(aliases=["Paint", "draw"]), "f").names == ("paint", "Paint", "draw")


@pytest.mark.parametrize(
    ("changes", "message", "hint"),
    [
        ({"typ": "string"}, "unknown key 'typ'", "'type'"),
        ({"minimum": 1}, "a minimum is for a whole number", ""),
        ({"type": "integer", "minimum": "1"}, "a minimum is for a whole number", ""),
        ({"type": "strng"}, "type is 'strng'", "'string'"),
        ({"scope": ["STAGE"]}, "scope is 'STAGE'", "'STAGES'"),
        (
            {"sources": [{"pipelineEnvironment": "x", "over": "STEPS"}]},
            "over is 'STEPS'",
            "GENERAL",
        ),
        ({"sources": [{"vault": "x"}]}, "unknown key 'vault'", "pipelineEnvironment"),
        ({"description": ""}, "lacks 'description'", ""),
        ({"mandatoryIf": [{"name": "color", "value": "x"}]}, "condition is 'color'", "'colour'"),
        ({"mandatoryIf": [{"name": "colour"}]}, "needs a value, or notEmpty", ""),
        (
            {"mandatoryIf": [{"name": "colour", "value": "x", "notEmpty": True}]},
            "needs a value, or notEmpty",
            "",
        ),
        ({"conditions": [{"parameter": "shade", "value": "x"}]}, "condition is 'shade'", ""),
        ({"conditions": [{"parameter": "colour"}]}, "lacks 'value'", ""),
        ({"vault": {"default": "x"}}, "lacks 'secret'", ""),
    ],
)
def test_a_slip_in_metadata_is_named_with_its_file(
    changes: dict[str, Any], message: str, hint: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        one(**changes)
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert caught.value.where == "steps/paint.yaml"


@pytest.mark.parametrize(
    "credential",
    [
        {"name": "unknownId", "kind": "string", "parameters": {"text": "colour"}},
        {"name": "colour", "kind": "ssh", "parameters": {"text": "colour"}},
        {"name": "colour", "kind": "string", "parameters": {"text": "unknown"}},
        {"name": "colour", "kind": "string"},
    ],
)
def test_a_credential_is_of_a_known_kind_and_fills_parameters_of_the_step(
    credential: dict[str, Any],
) -> None:
    with pytest.raises(ConfigError):
        parse_schema(step(credentials=[credential]), "f")


def test_a_parameter_is_described_once() -> None:
    with pytest.raises(ConfigError, match="twice"):
        parse_schema(step(parameters=[PARAMETER, PARAMETER]), "f")


def test_metadata_that_is_not_a_map_is_refused() -> None:
    with pytest.raises(ConfigError):
        parse_schema(["paint"], "f")


def test_the_steps_of_towline_are_described() -> None:
    assert {schema.name for schema in all_schemas()} >= {
        "imagePushToRegistry",
        "gitOpsUpdateDeployment",
    }


@pytest.mark.parametrize("schema", all_schemas(), ids=lambda schema: schema.name)
def test_metadata_is_sound(schema: StepSchema) -> None:
    for parameter in schema.parameters:
        assert parameter.scope or parameter.sources, parameter.name
        assert parameter.description.endswith("."), parameter.name
        assert not parameter.secret or parameter.default is None, parameter.name
        assert (
            parameter.default is None
            or not parameter.possible_values
            or parameter.default in parameter.possible_values
        ), parameter.name
        assert (
            parameter.minimum is None
            or not isinstance(parameter.default, int)
            or parameter.default >= parameter.minimum
        ), parameter.name


@pytest.mark.parametrize("schema", all_schemas(), ids=lambda schema: schema.name)
def test_what_is_secret_by_name_is_secret_by_metadata(schema: StepSchema) -> None:
    for parameter in schema.parameters:
        named_so = parameter.name.lower().endswith(
            ("password", "token", "privatekey", "vaultapproleid", "secretid")
        )
        assert parameter.secret == named_so, parameter.name


@pytest.mark.parametrize("schema", all_schemas(), ids=lambda schema: schema.name)
def test_what_lets_a_credential_out_is_for_trusted_layers_only(schema: StepSchema) -> None:
    tls = {"clientCertificates", "clientKeys", "insecureRegistries", "customTlsCertificateLinks"}
    # neither Vault nor Jenkins without TLS, nor by certificate
    tls = {"customTlsCertificateLinks"} if schema.name == "vaultRotateSecretId" else tls
    tls |= (
        {"gitSshKnownHosts", "chartRepositories", "allowedPaths"}
        if schema.name == "gitOpsUpdateDeployment"
        else set()
    )
    trusted = {parameter.name for parameter in schema.parameters if parameter.trusted}
    ours = {
        "credentialHosts",
        "credentials",
        "strictCredentials",
        "enforcement",
        "allowedCredentialIds",
        "allowChangeRequest",
    }
    assert trusted == (set() if schema.library else {"allowPlainHttp", *ours, *tls})
