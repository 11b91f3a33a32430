"""Refusals before any host gets an App's JWT.

The login itself is tested in tests/scenarios/test_gitops_github_app.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.calls import Ending, configure, team_file
from tests.fakes.rsa_keys import rsa_key

IMAGE = [
    "--containerImageNameTag",
    "app:1",
    "--containerRegistryUrl",
    "https://registry.example.com",
    "--filePath",
    "a.yaml",
    "--containerName",
    "app",
]
OPS = "https://git.example.com/team/ops.git"


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def deploy(
    folder: Path, project: str = "", *, url: str = OPS, team: str = "general: {}", **variables: str
) -> Ending:
    configure(
        folder,
        f"steps: {{gitOpsUpdateDeployment: {{serverUrl: '{url}', authenticationMode:"
        f" githubApp{project}}}}}\n",
    )
    agent = {
        "PIPER_githubAppId": "4711",
        "PIPER_githubAppPrivateKey": rsa_key().private,
        "TOWLINE_DEFAULTS": str(team_file(folder, team)),
    }
    return Ending(
        ["run", "gitOpsUpdateDeployment", *IMAGE],
        folder,
        {name: value for name, value in {**agent, **variables}.items() if value},
    )


@pytest.mark.parametrize("lacking", ["githubAppId", "githubAppPrivateKey"])
def test_half_an_app_is_a_fault_that_says_how_to_set_the_other_half(
    workspace: Path, lacking: str
) -> None:
    ending = deploy(workspace, **{f"PIPER_{lacking}": ""})
    assert ending.code in (3, 4)
    assert f"{lacking} is not set" in ending.message
    assert f"PIPER_{lacking}" in ending.err


def test_a_project_does_not_send_the_apps_word_to_another_host(workspace: Path) -> None:
    ending = deploy(workspace, ", githubAppApiUrl: 'https://api.example.com'")
    assert (
        ending.code,
        "may not send the GitHub App's login to api.example.com" in ending.message,
    ) == (4, True), ending.err
    assert ending.where.startswith(".pipeline/config.yml:1")
    assert "https://git.example.com/api/v3" in ending.hint


@pytest.mark.parametrize(
    ("url", "code", "said"),
    [
        ("http://api.example.com", 4, "plain HTTP"),
        ("https://me@api.example.com", 3, "not the URL"),
        ("https://api.example.com?a=b", 3, "not the URL"),
        ("api.example.com", 3, "not the URL"),
        ("https://api.example.com", 4, "no credential may be sent to api.example.com"),
    ],
)
def test_an_address_that_no_credential_may_go_to_is_refused(
    workspace: Path, url: str, code: int, said: str
) -> None:
    team = (
        "general: {credentialHosts: [git.example.com]}"
        if said.startswith("no credential")
        else "general: {}"
    )
    ending = deploy(workspace, team=team, PIPER_githubAppApiUrl=url)
    assert (ending.code, said in ending.message) == (code, True), ending.err


@pytest.mark.parametrize(
    ("url", "code", "said"),
    [
        ("git@github.com:team/ops.git", 3, "over https only"),
        ("https://git.example.com/a/b/c.git", 3, "does not name"),
        ("http://git.example.com/team/ops.git", 4, "plain HTTP"),
        ("https://other.example.com/team/ops.git", 4, "sent to other.example.com"),
    ],
)
def test_a_repository_that_no_app_can_open_is_refused(
    workspace: Path, url: str, code: int, said: str
) -> None:
    ending = deploy(workspace, url=url, team="general: {credentialHosts: [git.example.com]}")
    assert (ending.code, said in ending.message) == (code, True), ending.err


def test_a_key_that_is_none_says_so_and_does_not_show_itself(workspace: Path) -> None:
    ending = deploy(
        workspace,
        team="general: {credentialHosts: [git.example.com]}",
        PIPER_githubAppPrivateKey="not-a-key-at-all",
    )
    assert (ending.code, "private key of the GitHub App" in ending.message) == (4, True)
    assert "not-a-key-at-all" not in ending.err
