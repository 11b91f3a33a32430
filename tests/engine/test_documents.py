"""What the documents say is what the program does."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest

from towline.cli import main
from towline.config.metadata import load_schema
from towline.dispatch import COMMANDS, STEPS

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
CONTRACT = (ROOT / "docs" / "contract.md").read_text()

# The parameters that Piper's own steps have; every other name of ours must stand in the contract.
PIPER = {
    "imagePushToRegistry": {
        "targetImages",
        "sourceImages",
        "sourceImageTag",
        "sourceRegistryUrl",
        "sourceRegistryUser",
        "sourceRegistryPassword",
        "targetRegistryUrl",
        "targetRegistryUser",
        "targetRegistryPassword",
        "targetImageTag",
        "useImageNameTags",
        "sourceImageNameTags",
        "targetImageNameTags",
        "tagLatest",
        "dockerConfigJSON",
        "pushLocalDockerImage",
        "localDockerImagePath",
        "targetArchitecture",
        "disableHTTP2",
    },
    "gitOpsUpdateDeployment": {
        "branchName",
        "commitMessage",
        "serverUrl",
        "forcePush",
        "username",
        "password",
        "filePath",
        "containerName",
        "containerRegistryUrl",
        "containerImageNameTag",
        "chartPath",
        "helmValues",
        "deploymentName",
        "tool",
        "customTlsCertificateLinks",
        "gitHttpsCredentialsId",
        "authenticationMode",
        "githubAppId",
        "githubAppPrivateKey",
        "githubAppVaultSecretName",
        "githubAppApiUrl",
        "maxPushAttempts",
    },
    "containerPushToRegistry": {
        "dockerCredentialsId",
        "dockerRegistryUrl",
        "dockerArchive",
        "dockerBuildImage",
        "dockerImage",
        "skopeoImage",
        "sourceImage",
        "sourceRegistryUrl",
        "sourceCredentialsId",
        "tagLatest",
        "tagArtifactVersion",
    },
    "vaultRotateSecretId": {
        "secretStore",
        "jenkinsUrl",
        "jenkinsCredentialDomain",
        "jenkinsUsername",
        "jenkinsToken",
        "vaultAppRoleSecretTokenCredentialsId",
        "vaultServerUrl",
        "vaultNamespace",
        "daysBeforeExpiry",
    },
}


def block(name: str) -> str:
    found = re.search(rf"<!-- {re.escape(name)} -->\n```\w*\n(.*?)```\n<!-- /", README, re.DOTALL)
    assert found, f"README.md has no block {name!r}"
    return found[1]


def test_the_readme_shows_the_sample_configuration_as_it_is() -> None:
    assert block("sample") == (ROOT / "examples/azure-demo-k8s-go/.pipeline/config.yml").read_text()


@pytest.mark.parametrize("words", [[], ["plan"]])
def test_the_readme_shows_the_programs_own_help(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    with pytest.raises(SystemExit) as ending:
        main([*words, "--help"], environ={}, out=io.StringIO(), err=io.StringIO())
    assert ending.value.code == 0
    # newer Pythons lay it out otherwise
    assert (
        block(f"help: {' '.join(['towline', *words])}").split() == capsys.readouterr().out.split()
    )


@pytest.mark.parametrize("step", STEPS)
def test_the_contract_names_every_parameter_that_piper_does_not_have(step: str) -> None:
    table = CONTRACT.partition("## Names that Piper does not have")[2].partition("\n## ")[0]
    named = set(re.findall(r"`(\w+)`", table))
    ours = {parameter.name for parameter in load_schema(step).parameters}
    assert ours - PIPER[step] - named == set()


@pytest.mark.parametrize("step", STEPS)
def test_every_parameter_of_piper_is_known(step: str) -> None:
    assert PIPER[step] - {parameter.name for parameter in load_schema(step).parameters} == set()


@pytest.mark.parametrize("step", STEPS)
def test_every_parameter_says_what_it_is(step: str) -> None:
    assert [
        parameter.name
        for parameter in load_schema(step).parameters
        if len(parameter.description) < 10
    ] == []


def test_the_readme_names_commands_that_exist() -> None:
    named = set(re.findall(r"^    towline (\w+)", README, re.MULTILINE))
    assert named
    assert named <= set(COMMANDS)
