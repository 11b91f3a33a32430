from __future__ import annotations

from pathlib import Path

import pytest

from towline.config.metadata import (
    all_schemas,
    load_schema,
    stage_names,
    step_names,
    step_spellings,
)
from towline.config.schema import PARAMETERS, STAGES, STEPS, Parameter, StepSchema
from towline.dispatch import STEPS as RUN_HERE
from towline.errors import UsageError
from towline.pipeline.definition import definition

FILES = Path(__file__).resolve().parents[3] / "resources" / "towline" / "steps"
OF_OTHERS = {"kanikoExecute", "cnbBuild", "kubernetesDeploy"}


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("gitOpsUpdateDeployment", "gitOpsUpdateDeployment"),
        ("gitopsUpdateDeployment", "gitOpsUpdateDeployment"),
        ("kanikoBuild", "kanikoExecute"),
        ("deployToKubernetes", "kubernetesDeploy"),
    ],
)
def test_a_step_is_known_by_each_of_its_spellings(spelling: str, name: str) -> None:
    assert load_schema(spelling).name == name


@pytest.mark.parametrize("name", ["imagePushToRegistri", "IMAGEPUSHTOREGISTRY"])
def test_an_unknown_step_gets_the_nearest_known_name(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_schema(name)
    assert caught.value.hint == "did you mean 'imagePushToRegistry'?"


@pytest.mark.parametrize("path", ["../stages", "steps/kanikoExecute", "", ".", "kaniko\0Execute"])
def test_a_path_is_not_a_step(path: str) -> None:
    with pytest.raises(UsageError):
        load_schema(path)


def test_a_step_is_called_as_its_file() -> None:
    assert [schema.name for schema in all_schemas()] == sorted(
        path.stem for path in FILES.glob("*.yaml")
    )


def test_spellings_are_those_of_the_whole_metadata() -> None:
    assert [step_spellings(name) for name in step_names()] == [
        schema.names for schema in all_schemas()
    ]


def test_a_step_without_metadata_has_its_own_name_only() -> None:
    assert step_spellings("mavenBuild") == ("mavenBuild",)


def test_a_spelling_means_one_step_only() -> None:
    every = [name for step in step_names() for name in step_spellings(step)]
    assert len(set(every)) == len(every)


def test_what_towline_does_not_run_itself_is_marked_so() -> None:
    assert {schema.name for schema in all_schemas() if schema.library} == OF_OTHERS
    assert {schema.name for schema in all_schemas() if not schema.library} == set(RUN_HERE)


# What Piper's steps can be told (facts, steps, sections 6 and 7), with the types that are not plain
# text.
PIPER = {
    "kanikoExecute": {
        "buildOptions": "list",
        "buildSettingsInfo": "",
        "containerBuildOptions": "",
        "containerImage": "",
        "containerImageName": "",
        "containerImageTag": "",
        "multipleImages": "objects",
        "containerMultiImageBuild": "boolean",
        "containerMultiImageBuildExcludes": "list",
        "containerMultiImageBuildTrimDir": "",
        "containerPreparationCommand": "",
        "containerRegistryUrl": "",
        "containerRegistryUser": "",
        "containerRegistryPassword": "",
        "customTlsCertificateLinks": "list",
        "dockerConfigJSON": "",
        "dockerfilePath": "",
        "readImageDigest": "boolean",
        "createBOM": "boolean",
        "syftDownloadUrl": "",
        "createBuildArtifactsMetadata": "boolean",
        "registryMirrors": "list",
    },
    "cnbBuild": {
        "containerImageName": "",
        "containerImageAlias": "",
        "containerImageTag": "",
        "containerRegistryUrl": "",
        "buildpacks": "list",
        "preBuildpacks": "list",
        "postBuildpacks": "list",
        "buildEnvVars": "object",
        "expandBuildEnvVars": "boolean",
        "path": "",
        "projectDescriptor": "",
        "dockerConfigJSON": "",
        "dockerConfigJSONCPE": "",
        "customTlsCertificateLinks": "list",
        "additionalTags": "list",
        "bindings": "object",
        "multipleImages": "objects",
        "preserveFiles": "list",
        "buildSettingsInfo": "",
        "createBOM": "boolean",
        "syftDownloadUrl": "",
        "runImage": "",
        "defaultProcess": "",
    },
    "kubernetesDeploy": {
        "deployTool": "",
        "deployCommand": "",
        "namespace": "",
        "containerRegistrySecret": "",
        "createDockerRegistrySecret": "boolean",
        "forceUpdates": "boolean",
        "helmDeployWaitSeconds": "integer",
        "helmTestWaitSeconds": "integer",
        "keepFailedDeployments": "boolean",
        "renderSubchartNotes": "boolean",
        "runHelmTests": "boolean",
        "showTestLogs": "boolean",
        "insecureSkipTLSVerify": "boolean",
        "dockerConfigJSON": "",
        "CACertificate": "",
        "additionalParameters": "list",
        "apiServer": "",
        "appTemplate": "",
        "chartPath": "",
        "containerImageName": "",
        "containerImageTag": "",
        "containerName": "",
        "containerNames": "list",
        "containerRegistryUrl": "",
        "containerRegistryUser": "",
        "containerRegistryPassword": "",
        "deploymentName": "",
        "githubToken": "",
        "helmValues": "list",
        "image": "",
        "imageNames": "list",
        "imageNameTags": "list",
        "imageDigests": "list",
        "ingressHosts": "list",
        "kubeConfig": "",
        "kubeContext": "",
        "kubeToken": "",
        "setupScript": "",
        "verificationScript": "",
        "teardownScript": "",
        "tillerNamespace": "",
        "valuesMapping": "map",
    },
}


@pytest.mark.parametrize("step", PIPER)
def test_a_step_of_another_library_has_every_parameter_with_its_type(step: str) -> None:
    types = {parameter.name: parameter.type for parameter in load_schema(step).parameters}
    credentials = {name for name in types if name.endswith("CredentialsId")} - PIPER[step].keys()
    assert {name: kind for name, kind in types.items() if name not in credentials} == {
        name: kind or "string" for name, kind in PIPER[step].items()
    }


@pytest.mark.parametrize(
    ("step", "name", "default"),
    [
        (
            "kanikoExecute",
            "buildOptions",
            ["--skip-tls-verify-pull", "--ignore-path=/workspace", "--ignore-path=/busybox"],
        ),
        ("kanikoExecute", "containerPreparationCommand", "rm -f /kaniko/.docker/config.json"),
        ("kanikoExecute", "dockerfilePath", "Dockerfile"),
        ("kanikoExecute", "readImageDigest", False),
        ("cnbBuild", "projectDescriptor", "project.toml"),
        ("kubernetesDeploy", "deployTool", "kubectl"),
        ("kubernetesDeploy", "deployCommand", "apply"),
        ("kubernetesDeploy", "namespace", "default"),
        ("kubernetesDeploy", "forceUpdates", True),
        ("kubernetesDeploy", "helmDeployWaitSeconds", 300),
        ("kubernetesDeploy", "containerRegistrySecret", "regsecret"),
        ("kubernetesDeploy", "dockerConfigJSON", ".pipeline/docker/config.json"),
        ("containerPushToRegistry", "tagLatest", False),
    ],
)
def test_defaults_are_those_of_piper(step: str, name: str, default: object) -> None:
    assert parameter(load_schema(step), name).default == default


@pytest.mark.parametrize(
    ("step", "alias", "name", "deprecated"),
    [
        ("kanikoExecute", "containerImageNameAndTag", "containerImage", True),
        ("kanikoExecute", "dockerImageName", "containerImageName", False),
        ("kanikoExecute", "images", "multipleImages", False),
        ("kanikoExecute", "dockerRegistryUser", "containerRegistryUser", False),
        ("cnbBuild", "dockerRegistryUrl", "containerRegistryUrl", False),
        ("kubernetesDeploy", "force", "forceUpdates", False),
        ("kubernetesDeploy", "helmDeploymentNamespace", "namespace", False),
        ("kubernetesDeploy", "k8sDeploymentNamespace", "namespace", False),
        ("kubernetesDeploy", "kubeCredentialsId", "kubeConfigFileCredentialsId", True),
    ],
)
def test_aliases_are_those_of_piper(step: str, alias: str, name: str, deprecated: bool) -> None:
    assert [
        known.deprecated
        for known in parameter(load_schema(step), name).aliases
        if known.name == alias
    ] == [deprecated]


@pytest.mark.parametrize(
    ("step", "name", "keys"),
    [
        ("kanikoExecute", "containerRegistryUrl", ["container/registryUrl"]),
        ("kanikoExecute", "containerRegistryPassword", ["container/repositoryPassword"]),
        ("cnbBuild", "containerImageTag", ["artifactVersion", "git/commitId"]),
        ("cnbBuild", "dockerConfigJSONCPE", ["custom/dockerConfigJSON"]),
        (
            "containerPushToRegistry",
            "sourceImage",
            ["custom/containerImage", "container/targetImageNameTag", "container/imageNameTag"],
        ),
        ("kubernetesDeploy", "imageNameTags", ["container/imageNameTags"]),
        ("kubernetesDeploy", "image", ["container/imageNameTag"]),
    ],
)
def test_what_the_pipeline_leaves_is_taken_from_where_piper_takes_it(
    step: str, name: str, keys: list[str]
) -> None:
    assert [
        source.pipeline_environment for source in parameter(load_schema(step), name).sources
    ] == keys


@pytest.mark.parametrize(
    ("step", "name", "scopes"),
    [
        ("kanikoExecute", "multipleImages", {PARAMETERS, STEPS}),
        ("cnbBuild", "multipleImages", {PARAMETERS, STEPS, STAGES}),
        ("cnbBuild", "dockerConfigJSON", {PARAMETERS}),
        ("cnbBuild", "dockerConfigJSONCPE", set()),
    ],
)
def test_a_parameter_stands_where_piper_lets_it_stand(
    step: str, name: str, scopes: set[str]
) -> None:
    assert set(parameter(load_schema(step), name).scope) == scopes


def test_only_what_jenkins_is_asked_to_bind_is_a_credential_of_towlines_own_steps() -> None:
    kinds = {
        schema.name: {credential.kind for credential in schema.credentials}
        for schema in all_schemas()
    }
    assert kinds["kanikoExecute"] == kinds["cnbBuild"] == {"file"}
    assert all(
        kinds[step] <= {"usernamePassword", "string", "file", "sshUserPrivateKey"}
        for step in RUN_HERE
    )


@pytest.mark.parametrize("name", ["chartPath", "deploymentName"])
@pytest.mark.parametrize("tool", ["helm", "helm3"])
def test_helm_needs_a_chart_and_a_release(name: str, tool: str) -> None:
    (requirement,) = parameter(load_schema("kubernetesDeploy"), name).mandatory_if
    assert requirement.parameter == "deployTool"
    assert tool in requirement.values


def parameter(schema: StepSchema, name: str) -> Parameter:
    return next(parameter for parameter in schema.parameters if parameter.name == name)


def test_the_stages_are_those_of_the_definition_in_its_order() -> None:
    assert stage_names() == tuple(stage.name for stage in definition().stages)
