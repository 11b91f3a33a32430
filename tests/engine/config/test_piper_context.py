from __future__ import annotations

from typing import Any

import pytest

from towline.config.metadata import load_schema
from towline.config.piper_context import (
    condition_values,
    context_schema,
    first_keys,
    known_keys,
    schema_of_names,
    with_common_keys,
)
from towline.config.schema import SCOPES, ConditionalDefault, Parameter, StepSchema, parse_schema

TOOL = {
    "name": "tool",
    "type": "string",
    "description": "T.",
    "scope": ["STEPS"],
    "default": "helm",
}


def schema(**others: Any) -> StepSchema:
    return parse_schema({"name": "s", "description": "S.", "parameters": [TOOL], **others}, "f")


def by_name(found: StepSchema) -> dict[str, Parameter]:
    return {parameter.name: parameter for parameter in found.parameters}


def defaults(found: StepSchema) -> dict[str, object]:
    return {
        parameter.name: parameter.default
        for parameter in found.parameters
        if parameter.default is not None
    }


def test_a_container_of_the_metadata_gives_the_contexts_defaults() -> None:
    container = {
        "name": "box",
        "image": "i:1",
        "command": ["/bin/tail", "-f"],
        "shell": "/bin/sh",
        "workingDir": "/work",
        "imagePullPolicy": "Never",
        "env": [{"name": "A", "value": "1"}],
        "options": [{"name": "-u", "value": "0"}, {"name": "--entrypoint", "value": ""}],
        "volumeMounts": [{"name": "volume", "mountPath": "/x"}],
    }
    assert defaults(context_schema(schema(containers=[container], stashes=["source"]))) == {
        "containerCommand": "/bin/tail",
        "containerName": "box",
        "containerShell": "/bin/sh",
        "dockerEnvVars": {"A": "1"},
        "dockerImage": "i:1",
        "dockerName": "box",
        "dockerOptions": ["-u 0", "--entrypoint="],
        "dockerPullImage": False,
        "dockerVolumeBind": ["volume:/x"],
        "dockerWorkspace": "/work",
        "stashContent": ["source"],
    }


@pytest.mark.parametrize(
    ("policy", "pulls"), [("Always", True), ("IfNotPresent", True), ("Never", False), ("", None)]
)
def test_an_image_is_pulled_unless_its_policy_says_never(policy: str, pulls: bool | None) -> None:
    found = context_schema(schema(containers=[{"image": "i", "imagePullPolicy": policy}]))
    assert by_name(found)["dockerPullImage"].default is pulls


def test_a_conditional_container_gives_conditional_defaults_and_the_parameter_its_own() -> None:
    condition = [{"conditionRef": "strings-equal", "params": [{"name": "tool", "value": "helm"}]}]
    found = by_name(
        context_schema(schema(containers=[{"image": "i", "conditions": condition}, {"image": "j"}]))
    )
    assert found["dockerImage"].conditions == (
        ConditionalDefault(parameter="tool", value="helm", default="i"),
    )
    assert (found["dockerImage"].default, found["tool"].default) == ("j", "helm")


def test_a_context_takes_its_keys_from_every_section_and_no_parameter() -> None:
    found = by_name(context_schema(load_schema("imagePushToRegistry")))
    assert {
        "dockerImage",
        "dockerRegistryUrl",
        "stashContent",
        "targetRegistryCredentialsId",
        "vaultTokenCredentialsId",
    } <= found.keys()
    assert "targetRegistryUrl" not in found
    assert all(parameter.scope == SCOPES for parameter in found.values())


def test_a_step_without_container_and_stash_has_credentials_only() -> None:
    found = by_name(
        context_schema(
            parse_schema(
                {
                    "name": "s",
                    "description": "S.",
                    "parameters": [{**TOOL, "name": "id", "aliases": [{"name": "oldId"}]}],
                    "credentials": [{"name": "id", "kind": "string", "parameters": {"text": "id"}}],
                },
                "f",
            )
        )
    )
    assert set(found) == {
        "id",
        "vaultAppRoleTokenCredentialsId",
        "vaultAppRoleSecretTokenCredentialsId",
        "vaultTokenCredentialsId",
    }
    assert [alias.name for alias in found["id"].aliases] == ["oldId"]


def test_a_sidecar_makes_its_own_keys_known() -> None:
    assert {"sidecarImage", "containerPortMappings"} <= by_name(
        context_schema(schema(sidecars=[{"image": "i"}]))
    ).keys()


def test_every_step_takes_pipers_common_keys_beside_its_own() -> None:
    found = by_name(with_common_keys(load_schema("imagePushToRegistry")))
    assert {
        "verbose",
        "vaultServerUrl",
        "gcsBucketId",
        "registryCredentialsVaultSecretName",
        "targetRegistryUrl",
    } <= found.keys()
    assert "collectTelemetryData" not in found
    assert "collectTelemetryData" in known_keys(load_schema("imagePushToRegistry"))
    assert [alias.name for alias in found["gcsBucketId"].aliases] == ["pipelineId"]


def test_a_key_that_the_step_has_itself_stays_the_steps() -> None:
    found = with_common_keys(
        parse_schema(
            {"name": "s", "description": "S.", "parameters": [{**TOOL, "name": "verbose"}]}, "f"
        )
    )
    assert [parameter.type for parameter in found.parameters if parameter.name == "verbose"] == [
        "string"
    ]


def test_a_schema_of_no_step_takes_what_it_is_told_to() -> None:
    assert [parameter.name for parameter in schema_of_names(["a", "b"]).parameters] == ["a", "b"]


NAMED = {
    "name": "place",
    "type": "string",
    "description": "P.",
    "scope": ["STEPS"],
    "aliases": [{"name": "cloud/place"}, {"name": "spot"}],
    "conditions": [{"parameter": "tool", "value": "helm", "default": "here"}],
}


def test_the_first_keys_of_a_schema_are_names_aliases_and_values_of_conditions() -> None:
    named = schema(parameters=[TOOL, NAMED])
    assert first_keys(named) == {"tool", "place", "cloud", "spot", "helm"}
    assert condition_values(named) == {"helm"}


def test_a_step_s_own_section_may_hold_its_flag_its_parameters_and_what_every_step_takes() -> None:
    known = known_keys(schema(parameters=[TOOL, NAMED], aliases=["t"], stashes=["source"]))
    assert known >= {
        "s",
        "t",
        "tool",
        "place",
        "cloud",
        "spot",
        "helm",
        "stashContent",
        "verbose",
        "vaultPath",
        "gcsBucketId",
        "pipelineId",
    }
    assert not known & {"dockerImage", "failOnError", "cloud/place"}
    assert known_keys(schema(containers=[{"image": "i:1"}])) >= {"dockerImage", "dockerOptions"}


def test_a_step_that_another_library_runs_takes_what_that_wraps_it_in() -> None:
    assert "failOnError" in known_keys(schema(library=True))
