"""The access to a repository by a step's settings; tests/scenarios tests its use."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.calls import Ending, configure, team_file

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


def deploy(folder: Path, project: str, **variables: str) -> Ending:
    configure(folder, f"steps: {{gitOpsUpdateDeployment: {{{project}}}}}\n")
    return Ending(["run", "gitOpsUpdateDeployment", *IMAGE], folder, variables)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_project_may_not_name_a_key_on_the_agent(workspace: Path) -> None:
    (workspace / "key").write_text("anything")
    ending = deploy(
        workspace,
        f"serverUrl: 'ssh://git@git.example.com/ops.git', gitSshPrivateKey: {workspace / 'key'}",
    )
    assert (ending.code, "may not name a key on the agent" in ending.message) == (4, True)
    assert ending.where.startswith(".pipeline/config.yml:1")


def test_a_key_that_is_none_says_so_and_does_not_show_itself(workspace: Path) -> None:
    (workspace / "key").write_text("not-a-key-at-all")
    ending = deploy(
        workspace,
        "serverUrl: 'ssh://git@git.example.com/ops.git'",
        PIPER_gitSshPrivateKey=str(workspace / "key"),
    )
    assert ending.code == 4
    assert "not-a-key-at-all" not in ending.err
    missing = deploy(
        workspace,
        "serverUrl: 'ssh://git@git.example.com/ops.git'",
        PIPER_gitSshPrivateKey="/nowhere/key",
    )
    assert (missing.code, "cannot be read" in missing.message) == (4, True)


@pytest.mark.parametrize(
    "url", ["no url", "ftp://git.example.com/ops.git", "https://user:word@git.example.com/ops.git"]
)
def test_a_url_that_is_none_is_told_before_any_login_is_looked_at(
    workspace: Path, url: str
) -> None:
    ending = deploy(workspace, f"serverUrl: '{url}'")
    assert ending.code == 3
    assert ending.where.startswith(".pipeline/config.yml:1")
    assert "user:word" not in ending.err


def test_an_ssh_host_that_the_platform_team_does_not_allow_is_not_asked(workspace: Path) -> None:
    team = team_file(workspace, "general: {credentialHosts: [git.example.org]}\n")
    ending = deploy(
        workspace, "serverUrl: 'git@git.example.com:ops.git'", TOWLINE_DEFAULTS=str(team)
    )
    assert (ending.code, "no credential may be sent to git.example.com" in ending.message) == (
        4,
        True,
    )
