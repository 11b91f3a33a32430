from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from towline.config.documents import parse_document
from towline.config.json_schema import json_schema
from towline.config.merge import prune
from towline.config.metadata import all_schemas
from towline.config.schema import SCOPES, TYPES, parse_schema
from towline.config.values import coerce
from towline.pipeline.definition import definition

ROOT = Path(__file__).resolve().parents[3]
SEED = (ROOT / "examples/azure-demo-k8s-go/.pipeline/config.yml").read_text()
STAGES = {stage.name: [step.name for step in stage.steps] for stage in definition().stages}
SCHEMA = json_schema(all_schemas(), STAGES)
VALIDATOR = Draft202012Validator(SCHEMA)


def faults(text: str) -> list[str]:
    """The places where a configuration does not match the schema, as paths with slashes."""
    content = parse_document(text, "config.yml", trusted=False).content
    return sorted(
        "/".join(str(part) for part in fault.absolute_path)
        for fault in VALIDATOR.iter_errors(content)
    )


def test_it_is_a_schema_of_draft_2020_12() -> None:
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(SCHEMA)


def test_every_reference_leads_somewhere() -> None:
    links = [*references(SCHEMA)]
    assert links
    assert {link.removeprefix("#/$defs/") for link in links} <= set(SCHEMA["$defs"])


def references(part: Any) -> Any:
    for key, value in (
        part.items()
        if isinstance(part, dict)
        else enumerate(part)
        if isinstance(part, list)
        else ()
    ):
        if key == "$ref":
            yield value
        yield from references(value)


def test_the_seeds_configuration_fits() -> None:
    assert faults(SEED) == []


@pytest.mark.parametrize(
    "text",
    [
        "steps: {mavenBuild: {pomPath: app/pom.xml, profiles: [a]}}",
        (
            "general: {buildTool: docker, productiveBranch: main, changeManagement: {type: NONE},"
            " githubServerUrl: [not, ours, here]}"
        ),
        (
            "stages: {Integration: {mavenExecuteIntegration: true, credentials: []}, 'A stage of"
            " ours': {filePath: x.yaml, anything: {at: all}}}"
        ),
        (
            "customDefaults: [team.yml, 'https://github.example/raw/defaults.yml']\nhooks: {splunk:"
            " {dsn: x}}\nsomething: else"
        ),
        "general:\nsteps:\nstages:\ncustomDefaults:\nhooks:",
        "",
        (
            "steps: {gitOpsUpdateDeployment: null, imagePushToRegistry: {targetRegistryUrl:"
            " }}\nstages: {Build: }"
        ),
        (
            "steps: {imagePushToRegistry: {targetImageTag: 1.10, sourceImages: [app, 7, null],"
            " tagLatest: 'TRUE', targetImages: {app: 1, other: }}}"
        ),
        (
            "steps: {gitopsUpdateDeployment: {pushDeadline: '30', helmDeploymentName: app, image:"
            " 'app:1', tool: ''}}"
        ),
        (
            "stages: {Release: {imagePushToRegistry: false, gitopsUpdateDeployment: true,"
            " kanikoBuild: true}}"
        ),
        (
            "stages: {Release: {cloudFoundryDeploy: true, deployTool: mtaDeployPlugin}, Canary:"
            " {tool: helmm}, Build: {tool: helmm}}"
        ),
        "general: {deployTool: mtaDeployPlugin, additionalParameters: x}",
        (
            "steps: {kubernetesDeploy: {}}\nstages: {Build: {deployTool: mtaDeployPlugin}, Canary:"
            " {deployTool: x}}"
        ),
        "stages: {Release: {kubernetesDeploy: false, deployTool: mtaDeployPlugin, tool: helmm}}",
        (
            "stages: {Release: {kubernetesDeploy: 'False', gitopsUpdateDeployment: ' true ',"
            " cnbBuild: ''}}"
        ),
        "general: {customTlsCertificateLinks: ['https://ca']}",
        "steps: {cnbBuild: {buildEnvVars: {A: {b: [1]}}, multipleImages: [{path: a}, null]}}",
    ],
)
def test_a_value_that_the_engine_takes_is_not_an_error(text: str) -> None:
    assert faults(text) == []


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("steps: {gitOpsUpdateDeployment: {tool: helmm}}", "steps/gitOpsUpdateDeployment/tool"),
        ("steps: {gitopsUpdateDeployment: {tool: helmm}}", "steps/gitopsUpdateDeployment/tool"),
        ("steps: {kanikoBuild: {readImageDigest: maybe}}", "steps/kanikoBuild/readImageDigest"),
        (
            "steps: {gitOpsUpdateDeployment: }\nstages: {Release: {tool: helmm}, Build: {tool: x}}",
            "stages/Release/tool",
        ),
        (
            "general: {gitopsUpdateDeployment: true}\nstages: {Release: {tool: helmm}}",
            "stages/Release/tool",
        ),
        (
            "stages: {'A stage of ours': {gitOpsUpdateDeployment: true, tool: helmm}}",
            "stages/A stage of ours/tool",
        ),
        (
            "stages: {Release: {kubernetesDeploy: 'true', deployTool: mtaDeployPlugin}}",
            "stages/Release/deployTool",
        ),
        (
            "stages: {Release: {gitOpsUpdateDeployment: true, credentialHosts: [a]}}",
            "stages/Release/credentialHosts",
        ),
        (
            "steps: {gitOpsUpdateDeployment: {pushDeadline: soon}}",
            "steps/gitOpsUpdateDeployment/pushDeadline",
        ),
        (
            "steps: {gitOpsUpdateDeployment: {pushDeadline: 0}}",
            "steps/gitOpsUpdateDeployment/pushDeadline",
        ),
        (
            "steps: {gitOpsUpdateDeployment: {pushDeadline: 1.5}}",
            "steps/gitOpsUpdateDeployment/pushDeadline",
        ),
        (
            "steps: {gitOpsUpdateDeployment: {helmValues: values.yaml}}",
            "steps/gitOpsUpdateDeployment/helmValues",
        ),
        (
            "steps: {gitOpsUpdateDeployment: {helmValues: [{a: b}]}}",
            "steps/gitOpsUpdateDeployment/helmValues/0",
        ),
        (
            "steps: {gitOpsUpdateDeployment: {filePath: [a, b]}}",
            "steps/gitOpsUpdateDeployment/filePath",
        ),
        (
            "steps: {imagePushToRegistry: {targetImages: [a]}}",
            "steps/imagePushToRegistry/targetImages",
        ),
        ("steps: {imagePushToRegistry: {tagLatest: yes}}", "steps/imagePushToRegistry/tagLatest"),
        ("steps: {kubernetesDeploy: {force: sometimes}}", "steps/kubernetesDeploy/force"),
        (
            "steps: {gitOpsUpdateDeployment: {credentialHosts: [a.example]}}",
            "steps/gitOpsUpdateDeployment/credentialHosts",
        ),
        ("general: {allowPlainHttp: false}", "general/allowPlainHttp"),
        ("stages: {Build: {imagePushToRegistry: 'yes'}}", "stages/Build/imagePushToRegistry"),
        ("general: {containerRegistryUrl: [a]}", "general/containerRegistryUrl"),
        ("customDefaults: team.yml", "customDefaults"),
        ("customDefaults: [team.yml, 7]", "customDefaults/1"),
    ],
)
def test_what_the_engine_refuses_is_an_error_in_its_place(text: str, place: str) -> None:
    assert faults(text) == [place]


TEXTS = st.sampled_from(["", "true", "FALSE", "yes", " 7 ", "-12", "1" * 19])
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.sampled_from([0.5, 1.10, 5.0, -3.0]) | TEXTS
)
VALUES = st.recursive(
    SCALARS | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


@pytest.mark.parametrize("kind", TYPES)
@given(value=VALUES)
@example(value="")
@example(value=[None, "a", 1])
@example(value={"a": None, "b": "c"})
@example(value=[{"a": [None]}, None])
def test_a_value_fits_where_the_engine_takes_it(kind: str, value: object) -> None:
    metadata = {
        "name": "paint",
        "description": "d",
        "parameters": [{"name": "colour", "type": kind, "description": "d", "scope": list(SCOPES)}],
    }
    schema = json_schema([parse_schema(metadata, "f")], {})
    fits = Draft202012Validator(schema).is_valid({"steps": {"paint": {"colour": value}}})
    assert fits == (value is None or taken(prune(value), kind))


def taken(value: object, kind: str) -> bool:
    try:
        coerce(value, kind)
    except ValueError:
        return False
    return True


def described(scope: str, *parameters: dict[str, Any]) -> Any:
    """The schema of one section for made-up parameters that are allowed in all sections."""
    steps = [
        parse_schema(
            {
                "name": f"step{number}",
                "description": "d",
                "parameters": [{"description": "Colour.", "scope": list(SCOPES), **parameter}],
            },
            "f",
        )
        for number, parameter in enumerate(parameters)
    ]
    return json_schema(steps, {})["$defs"][scope]["properties"]


def test_a_parameter_is_described_with_type_default_and_possible_values() -> None:
    tool = SCHEMA["$defs"]["gitOpsUpdateDeployment"]["properties"]["tool"]
    assert tool["default"] == "kubectl"
    assert tool["enum"] == ["kubectl", "helm", "kustomize", "helm-values", "", None]
    assert tool["description"].startswith("How the image gets into the repository")


def test_a_deprecated_alias_says_so_and_what_to_use() -> None:
    image = SCHEMA["$defs"]["gitOpsUpdateDeployment"]["properties"]["image"]
    assert image["deprecated"] is True
    assert image["description"].startswith("Deprecated, use containerImageNameTag.")
    other = SCHEMA["$defs"]["gitOpsUpdateDeployment"]["properties"]["containerImage"]
    assert "deprecated" not in other
    assert other["description"].startswith("Another name of containerImageNameTag.")


def test_both_spellings_of_a_step_are_offered_as_section_and_as_flag() -> None:
    sections, flags = (
        SCHEMA["properties"]["steps"]["properties"],
        SCHEMA["$defs"]["stage"]["properties"],
    )
    assert sections["gitopsUpdateDeployment"]["$ref"] == sections["gitOpsUpdateDeployment"]["$ref"]
    assert (
        "Another spelling of gitOpsUpdateDeployment"
        in sections["gitopsUpdateDeployment"]["description"]
    )
    assert (
        flags["gitopsUpdateDeployment"]["type"]
        == flags["gitOpsUpdateDeployment"]["type"]
        == ["boolean", "string", "null"]
    )


def test_the_pipelines_stages_are_offered() -> None:
    assert list(SCHEMA["properties"]["stages"]["properties"]) == list(STAGES)


def test_a_key_stands_only_where_it_counts() -> None:
    sections = {
        name: set(SCHEMA["$defs"][name]["properties"])
        for name in ("general", "stage", "imagePushToRegistry", "gitOpsUpdateDeployment")
    }
    assert (
        "targetArchitecture"
        in sections["imagePushToRegistry"] - sections["stage"] - sections["general"]
    )
    assert (
        "containerRegistryUrl"
        in sections["general"] & sections["stage"] & sections["gitOpsUpdateDeployment"]
    )
    assert "dockerConfigJSON" not in SCHEMA["$defs"]["cnbBuild"]["properties"]
    assert (
        "githubServerUrl"
        in (sections["stage"] & sections["gitOpsUpdateDeployment"]) - sections["general"]
    )


def test_a_key_that_steps_read_as_different_things_may_be_each_of_them() -> None:
    shared = described(
        "general",
        {"name": "colour", "type": "list"},
        {"name": "colour", "type": "string"},
        {"name": "colour", "type": "list"},
    )["colour"]
    assert [each["type"] for each in shared["anyOf"]] == [
        ["array", "null"],
        ["string", "number", "null"],
    ]
    assert shared["description"] == "step0: Colour.\nstep1: Colour.\nstep2: Colour."


def test_an_alias_of_one_step_that_is_a_parameter_of_another_is_deprecated_for_neither() -> None:
    old = {"name": "colour", "type": "string", "aliases": [{"name": "paint", "deprecated": True}]}
    assert described("general", old)["paint"]["deprecated"] is True
    assert (
        "deprecated" not in described("general", old, {"name": "paint", "type": "string"})["paint"]
    )


def test_a_name_counts_before_another_parameter_s_alias() -> None:
    step = parse_schema(
        {
            "name": "s",
            "description": "d",
            "parameters": [
                {
                    "name": "colour",
                    "type": "list",
                    "description": "d",
                    "scope": list(SCOPES),
                    "aliases": [{"name": "paint"}],
                },
                {"name": "paint", "type": "boolean", "description": "d", "scope": list(SCOPES)},
            ],
        },
        "f",
    )
    assert "boolean" in json_schema([step], {})["$defs"]["s"]["properties"]["paint"]["type"]


def test_an_alias_with_slashes_is_a_map_in_a_map() -> None:
    properties = described(
        "general", {"name": "colour", "type": "integer", "aliases": [{"name": "paint/wall/colour"}]}
    )
    assert properties["paint"]["properties"]["wall"]["properties"]["colour"]["type"] == [
        "integer",
        "string",
        "null",
    ]
    assert "paint/wall/colour" not in properties


def test_possible_values_of_a_list_hold_for_each_of_them() -> None:
    colour = described(
        "general", {"name": "colour", "type": "list", "possibleValues": ["red", "blue"]}
    )["colour"]
    assert Draft202012Validator(colour).is_valid(["red", "blue"])
    assert not Draft202012Validator(colour).is_valid(["red", "pink"])


def test_a_secret_says_so() -> None:
    assert (
        "A secret: not in this file"
        in SCHEMA["$defs"]["imagePushToRegistry"]["properties"]["targetRegistryPassword"][
            "description"
        ]
    )
