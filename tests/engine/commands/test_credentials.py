from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.calls import SAMPLE, Ending, configure, request, team_file

PUSH, DEPLOY, PROMOTE = "imagePushToRegistry", "gitOpsUpdateDeployment", "containerPushToRegistry"
REGISTRY, GIT = "https://piper-test.common.repositories.cloud.sap", "https://github.tools.sap"
SECRET = "correct-horse-battery"


def rows(ending: Ending) -> dict[tuple[str, str], dict[str, Any]]:
    """Rows by step and destination; secrets for the build itself by their kind."""
    assert ending.code == 0, ending.err
    found: list[dict[str, Any]] = ending.result["outputs"]["credentials"]
    return {
        (row["step"], row["to"] if row["to"] != "this build" else row["credential"]): row
        for row in found
    }


def test_the_sample_s_credentials_go_where_it_says_on_its_productive_branch(
    workspace: Path,
) -> None:
    ending = Ending(["explain", "--credentials", "--branch", "main"], workspace)
    found = rows(ending)
    assert found[PUSH, REGISTRY]["by"].startswith("the project (.pipeline/config.yml:")
    assert found[DEPLOY, GIT]["by"].endswith(", for the productive branch main")
    assert not any(row["refused"] for row in found.values())
    assert (
        "what is built: the productive branch main, where the project's configuration may name"
        " hosts\n" in ending.out
    )
    assert (
        f"  password (not set here) -> {GIT}\n      by the project (.pipeline/config.yml:"
        in ending.out
    )
    assert "the platform team allows" not in ending.out


@pytest.mark.parametrize("words", [["--branch", "x"], ["--change-request", "7"]])
def test_what_is_refused_elsewhere_comes_with_lines_that_allow_it(
    workspace: Path, words: list[str]
) -> None:
    configure(workspace, SAMPLE.replace("forcePush: true", "gitHttpsCredentialsId: bot"))
    ending = Ending(["explain", "--credentials", *words], workspace)
    refused = {goal: row for (_, goal), row in rows(ending).items() if row["refused"]}
    assert set(refused) == {REGISTRY, GIT, "Jenkins credential 'bot' (.pipeline/config.yml:21)"}
    assert (
        "the platform team allows what is refused by adding this to its default documents"
        in ending.out
    )
    lines = ending.out.partition("(TOWLINE_DEFAULTS):\n")[2]
    assert yaml.safe_load(lines) == {
        "general": {
            "credentials": {
                "targetRegistryPassword": [REGISTRY.removeprefix("https://")],
                "bot": ["github.tools.sap"],
            },
            "allowedCredentialIds": ["bot"],
        }
    }
    team = team_file(workspace, lines)
    again = Ending(["explain", "--credentials", *words], workspace, {"TOWLINE_DEFAULTS": str(team)})
    assert not any(row["refused"] for row in rows(again).values())
    assert rows(again)[DEPLOY, GIT]["by"] == "credentials of a trusted layer has it for bot"


def test_a_warning_is_told_for_what_will_be_refused(workspace: Path) -> None:
    ending = Ending(
        ["explain", "--credentials", PUSH, "--branch", "x"],
        workspace,
        {"PIPER_enforcement": "warn"},
    )
    row = rows(ending)[PUSH, REGISTRY]
    assert (row["by"], "is not sent to" in row["warning"]) == ("enforcement: warn", True)
    assert (
        "      warning: without `enforcement: warn` this will be refused: targetRegistryPassword"
        in ending.out
    )
    lines = ending.out.partition(
        "the platform team allows what is refused, or would be without `enforcement: warn`,"
    )[2].partition("\n")[2]
    assert yaml.safe_load(lines) == {
        "general": {"credentials": {"targetRegistryPassword": [REGISTRY.removeprefix("https://")]}}
    }


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({}, "its own record\n"),
        (
            {"PIPER_credentialHosts": "a.example"},
            "its own record, within credentialHosts (PIPER_credentialHosts)\n",
        ),
    ],
)
def test_what_bounds_the_logins_of_docker_is_told_where_there_is_such_a_bound(
    workspace: Path, environ: dict[str, str], said: str
) -> None:
    ending = Ending(["explain", "--credentials", PUSH, "--branch", "main"], workspace, environ)
    assert f"by the key of each in that configuration, {said}" in ending.out


def test_one_step_may_be_asked_for_and_no_secret_is_shown(workspace: Path) -> None:
    environ = {
        "PIPER_username": "ann",
        "PIPER_password": SECRET,
        "PIPER_vaultToken": SECRET,
        "PIPER_vaultServerUrl": "https://vault.example",
    }
    configure(workspace, f"{SAMPLE}\ngeneral: {{vaultPath: kv/ours}}\n")
    ending = Ending(
        ["explain", "gitopsUpdateDeployment", "--credentials", "--branch", "main"],
        workspace,
        environ,
    )
    found = rows(ending)
    assert {step for step, _ in found} == {DEPLOY}
    assert found[DEPLOY, "https://vault.example"]["by"] == "a trusted layer (PIPER_vaultServerUrl)"
    assert "secrets at kv/ours/gitHttpsCredential in Vault" in ending.out
    assert "the password of user 'ann' (PIPER_password)" in ending.out
    assert SECRET not in ending.out + ending.err


@pytest.mark.parametrize(
    ("words", "refused"),
    [(["--branch", "main"], ""), (["--branch", "x"], "Vault is not asked for the role ci/team")],
)
def test_a_role_in_vault_that_the_project_chooses_has_a_line_of_its_own(
    workspace: Path, words: list[str], refused: str
) -> None:
    environ = {
        "PIPER_vaultJwt": "a.b.c",
        "PIPER_vaultServerUrl": "https://vault.example",
        "PIPER_vaultPath": "kv/ours",
    }
    configure(workspace, f"{SAMPLE}\ngeneral: {{vaultAuthRole: team, vaultAuthMount: ci}}\n")
    ending = Ending(["explain", PUSH, "--credentials", *words], workspace, environ)
    found = rows(ending)
    assert (
        found[PUSH, "https://vault.example"]["credential"] == "the login for Vault (PIPER_vaultJwt)"
    )
    row = found[PUSH, "the role ci/team in Vault"]
    assert (
        row["refused"].startswith(refused)
        if refused
        else row["by"].startswith("the project (.pipeline/config.yml:")
    )
    assert ("  vaultAuthRoles:\n    - 'ci/team'\n" in ending.out) == bool(refused)


def test_a_secret_that_stands_in_another_place_is_masked_and_no_line_is_forged(
    workspace: Path,
) -> None:
    configure(
        workspace,
        yaml.safe_dump(
            {
                "steps": {
                    DEPLOY: {
                        "serverUrl": "https://git.example/x",
                        "gitHttpsCredentialsId": f"{SECRET}\x1b[31m\n::error::x",
                    }
                }
            }
        ),
    )
    ending = Ending(["explain", DEPLOY, "--credentials"], workspace, {"PIPER_password": SECRET})
    assert SECRET not in ending.out + str(ending.result)
    assert "\x1b" not in ending.out
    assert not any(line.startswith("::") for line in ending.out.splitlines())


@pytest.mark.parametrize(
    ("more", "environ", "goals"),
    [
        (
            {"serverUrl": "git@git.example:a/b.git"},
            {},
            {"ssh://git.example": "its own record (known_hosts of the agent)"},
        ),
        (
            {"serverUrl": "git@git.example:a/b.git"},
            {"PIPER_gitSshPrivateKey": SECRET},
            {"ssh://git.example": ""},
        ),
        (
            {"authenticationMode": "githubApp", "serverUrl": "https://github.com/a/b"},
            {},
            {"https://github.com": "", "https://api.github.com": ""},
        ),
        (
            {"authenticationMode": "githubApp", "serverUrl": "https://github.com/a/b"},
            {"PIPER_serverUrl": "https://github.com/x/y"},
            {
                "https://github.com": "a trusted layer (PIPER_serverUrl)",
                "https://api.github.com": "a trusted layer (PIPER_serverUrl)",
            },
        ),
        (
            {
                "targets": [
                    {"filePath": "a"},
                    {"filePath": "b", "serverUrl": "https://other.example/x"},
                ]
            },
            {},
            {"https://other.example": ""},
        ),
        ({"serverUrl": "no url"}, {}, {}),
    ],
)
def test_each_way_to_a_repository_is_told(
    workspace: Path, more: dict[str, object], environ: dict[str, str], goals: dict[str, str]
) -> None:
    configure(workspace, yaml.safe_dump({"steps": {DEPLOY: more}}))
    found = rows(Ending(["explain", DEPLOY, "--credentials"], workspace, environ))
    assert {goal: found[DEPLOY, goal]["by"] for goal in goals} == goals
    assert all(bool(found[DEPLOY, goal]["refused"]) == (not by) for goal, by in goals.items())


def test_settings_with_faults_are_explained_as_well(workspace: Path) -> None:
    push = "{targetRegistryUrl: 'https://r.example', tagLatest: 7}"
    configure(
        workspace,
        "general: {vaultServerUrl: 'https://v.example?x', vaultPath: a}\nsteps:"
        f" {{imagePushToRegistry: {push}}}",
    )
    found = rows(Ending(["explain", PUSH, "--credentials", "--branch", "main"], workspace))
    assert found[PUSH, "https://r.example"]["by"].startswith("the project")
    assert "is not a server's URL" in found[PUSH, "Vault"]["refused"]


def test_in_a_build_of_jenkins_the_result_holds_it(workspace: Path) -> None:
    ending = Ending(
        ["explain", "--credentials", *request(workspace, build={"branch": "main"})], workspace
    )
    assert ending.out == ""
    assert rows(ending)[PUSH, REGISTRY]["refused"] == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["explain"], "no step is named"),
        (["explain", "--credentials", "kanikoExecute"], "is not a step that Towline runs"),
        (
            ["explain", "--credentials", PUSH, "targetRegistryUrl"],
            "--credentials explains no parameter",
        ),
        (["explain", "--credentials", "--set"], "--credentials explains no parameter"),
    ],
)
def test_what_cannot_be_explained_is_a_fault_of_usage(
    workspace: Path, words: list[str], said: str
) -> None:
    ending = Ending(words, workspace)
    assert (ending.code, said in ending.message) == (2, True)
