"""Keys of a deployment by path and by text; their use is tested elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.calls import Ending, configure
from tests.fakes.ssh_server import make_key

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


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    configure(
        tmp_path,
        "steps: {gitOpsUpdateDeployment: {serverUrl: 'http://127.0.0.1:9/ops.git', pushDeadline:"
        " 1}}\n",
    )
    return tmp_path


def deploy(folder: Path, **variables: str) -> Ending:
    return Ending(
        ["run", "gitOpsUpdateDeployment", *IMAGE],
        folder,
        {"PATH": "/usr/local/bin:/usr/bin:/bin", **variables},
    )


def test_a_project_may_not_name_a_signing_key_on_the_agent(workspace: Path) -> None:
    configure(
        workspace,
        "steps: {gitOpsUpdateDeployment: {serverUrl: 'http://127.0.0.1:9/ops.git',"
        f" signingPrivateKey: {workspace / 'key'}}}}}\n",
    )
    ending = deploy(workspace)
    assert (
        ending.code,
        "may not name a key on the agent" in ending.message,
        "PIPER_signingPrivateKey" in ending.hint,
    ) == (4, True, True), ending.err


@pytest.mark.parametrize("given", ["path", "text"])
def test_a_key_is_taken_by_path_and_as_text_and_not_shown(workspace: Path, given: str) -> None:
    text = make_key(workspace / "key")
    ending = deploy(
        workspace, PIPER_signingPrivateKey=str(workspace / "key") if given == "path" else text
    )
    assert ending.code == 6, ending.err  # no server is at that port: the key was accepted
    assert text.splitlines()[1] not in ending.err


def test_a_file_that_cannot_be_read_says_which_parameter_names_it(workspace: Path) -> None:
    ending = deploy(workspace, PIPER_signingPrivateKey="/nowhere/key")
    assert (ending.code, "the file of signingPrivateKey cannot be read" in ending.message) == (
        4,
        True,
    )
