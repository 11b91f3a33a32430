from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.calls import Ending, configure, request, team_file
from tests.leaving_step import LOGIN, PASSWORD
from tests.missing import lack
from towline import dispatch

PUSH = "steps:\n  imagePushToRegistry:\n    targetRegistryUrl: https://registry.example.com\n"
BUILD = {"number": "7", "url": "https://jenkins.example/job/app/7/", "job": "app"}
KEY = "k" * 32
STAGING = "custom/stagingPassword"
Agent = Callable[..., Ending]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(dispatch.STEPS, "imagePushToRegistry", "tests.leaving_step")
    monkeypatch.setattr("towline.pipeline.build_secrets.memory_folders", lambda _: [])
    folder = tmp_path / "workspace"
    folder.mkdir()
    monkeypatch.chdir(folder)
    configure(folder, PUSH)
    return folder


@pytest.fixture
def agent(workspace: Path) -> Agent:
    """Run the step on the agent of that name."""

    def run(name: str = "one", environ: dict[str, str] | None = None, **fields: Any) -> Ending:
        home = workspace.with_name(f"home-{name}")
        home.mkdir(exist_ok=True)
        given = {"build": BUILD, "step": "imagePushToRegistry", **fields}
        return Ending(
            ["run", "imagePushToRegistry", *request(workspace, **given)],
            workspace,
            {"HOME": str(home), "SEEN": str(seen_file(workspace)), **(environ or {})},
        )

    return run


def seen_file(workspace: Path) -> Path:
    return workspace.with_name("seen.json")


def seen(workspace: Path) -> dict[str, object]:
    """The pipeline environment that the step was given."""
    found: dict[str, object] = json.loads(seen_file(workspace).read_text())["environment"]
    return found


def assert_no_secret(*endings: Ending) -> None:
    for ending in endings:
        text = json.dumps(ending.result) + ending.out + ending.err
        assert not re.search(r"staging-|pa55|t0ken", text)


def team(workspace: Path, text: str = "general: {stateKeyCredentialsId: state-key}") -> str:
    return str(team_file(workspace, text))


def test_jenkins_gets_handles_and_a_later_step_of_the_build_the_secrets(
    workspace: Path, agent: Agent
) -> None:
    first = agent()
    left = first.result["pipelineEnvironment"]
    assert left["custom/user"] == "bob"
    assert re.fullmatch(r"towline-secret:[0-9a-f]{32}", left[STAGING])
    assert re.fullmatch(r"towline-secret:[0-9a-f]{32}", left["custom/login"])
    second = agent(pipelineEnvironment=left)
    assert seen(workspace) == {
        "custom/user": "bob",
        STAGING: PASSWORD,
        "custom/login": LOGIN,
    }
    assert_no_secret(first, second)


def test_a_step_that_fails_leaves_handles_too(workspace: Path, agent: Agent) -> None:
    first = agent(environ={"FAILS": "yes"})
    assert (first.code, first.message) == (3, "it fails afterwards")
    agent(pipelineEnvironment=first.result["pipelineEnvironment"])
    assert seen(workspace)[STAGING] == PASSWORD
    assert_no_secret(first)


def test_a_parameter_of_the_call_may_be_a_handle(workspace: Path, agent: Agent) -> None:
    handle = agent().result["pipelineEnvironment"][STAGING]
    ending = agent(parameters={"tagLatest": handle})
    assert (ending.code, "tagLatest is" in ending.message) == (3, True)
    assert_no_secret(ending)


def test_handles_are_found_at_any_depth(workspace: Path, agent: Agent) -> None:
    handle = agent().result["pipelineEnvironment"][STAGING]
    value = {"custom/a": [{"b": [handle, 1.5]}, "x"], "custom/c": {}, "custom/d": f"{handle}x"}
    agent(pipelineEnvironment=value)
    assert seen(workspace) == {**value, "custom/a": [{"b": [PASSWORD, 1.5]}, "x"]}
    ending = agent("two", pipelineEnvironment=value)
    assert seen(workspace) == {"custom/c": {}, "custom/d": f"{handle}x"}
    assert "note: the secret custom/a is on another agent" in ending.err


def test_only_a_run_opens_a_handle(workspace: Path, agent: Agent) -> None:
    left = agent().result["pipelineEnvironment"]
    fields = {
        "build": BUILD,
        "pipelineEnvironment": {**left, "container/registryUrl": left[STAGING]},
    }
    for words in (["plan"], ["explain", "imagePushToRegistry"]):
        environ = {"HOME": str(workspace.with_name("home-one"))}
        assert_no_secret(Ending([*words, *request(workspace, **fields)], workspace, environ))


def test_another_build_gets_nothing_for_a_handle(workspace: Path, agent: Agent) -> None:
    left = agent().result["pipelineEnvironment"]
    agent(pipelineEnvironment=left, build={**BUILD, "number": "8"})
    assert seen(workspace) == {"custom/user": "bob"}


def test_a_handle_that_no_step_has_set_is_ignored(workspace: Path, agent: Agent) -> None:
    left = agent().result["pipelineEnvironment"]
    ending = agent(pipelineEnvironment=left, unproven=[STAGING])
    assert seen(workspace).keys() == {"custom/user", "custom/login"}
    assert f"warning: {STAGING} in the pipeline environment has the handle" in ending.err
    assert_no_secret(ending)


def test_on_another_agent_it_counts_as_no_value_and_a_note_says_so(
    workspace: Path, agent: Agent
) -> None:
    left = agent().result["pipelineEnvironment"]
    ending = agent("two", pipelineEnvironment=left)
    assert seen(workspace) == {"custom/user": "bob"}
    assert f"note: the secret {STAGING} is on another agent" in ending.err
    assert "stateKeyCredentialsId" in ending.err


@pytest.mark.parametrize("by", ["library", "openssl"])
def test_with_a_key_secrets_follow_the_build_to_another_agent(
    workspace: Path, agent: Agent, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    if by == "openssl":
        lack(monkeypatch, "cryptography", "towline.pipeline.cipher_library")
    named = {"TOWLINE_DEFAULTS": team(workspace), "PATH": "/usr/bin:/bin"}
    asking = agent(environ=named)
    assert asking.result["status"] == "bind"
    assert asking.result["bindings"] == [
        {
            "credentialsId": "state-key",
            "kind": "string",
            "variables": {"text": "PIPER_stateSecretKey"},
        }
    ]
    bound = {**named, "PIPER_stateSecretKey": KEY}
    first = agent(environ=bound)
    left = first.result["pipelineEnvironment"]
    second = agent("two", bound, pipelineEnvironment=left)
    assert second.code == 0
    assert seen(workspace)[STAGING] == PASSWORD
    assert seen(workspace)["custom/login"] == LOGIN
    assert_no_secret(first, second)
    assert KEY not in json.dumps(first.result) + first.err


def test_a_login_whose_password_is_on_another_agent_is_looked_for_elsewhere(
    agent: Agent,
) -> None:
    left = agent().result["pipelineEnvironment"]
    values = {
        "container/repositoryUsername": "bob",
        "container/repositoryPassword": left[STAGING],
    }
    ending = agent("two", pipelineEnvironment=values)
    assert (ending.code, "sourceRegistryPassword" in ending.message) == (4, True)
    assert "container/repositoryPassword is on another agent" in ending.err
    again = {"PIPER_sourceRegistryPassword": "from-the-agent"}
    assert agent("two", again, pipelineEnvironment=values).code == 0


def test_a_sealed_secret_of_another_build_or_key_does_not_open(
    workspace: Path, agent: Agent
) -> None:
    bound = {"PIPER_stateSecretKey": KEY}
    left = agent(environ=bound).result["pipelineEnvironment"]
    for environ, build in (
        ({"PIPER_stateSecretKey": "x" * 32}, BUILD),
        (bound, {**BUILD, "number": "8"}),
    ):
        ending = agent("two", environ, build=build, pipelineEnvironment=left)
        assert (ending.code, ending.where) == (4, "stateKeyCredentialsId")
        assert "cannot be opened" in ending.message


def test_the_project_cannot_name_the_key(workspace: Path, agent: Agent) -> None:
    configure(workspace, f"general: {{stateKeyCredentialsId: of-the-project}}\n{PUSH}")
    assert agent().result["status"] == "success"


def test_the_agent_s_variable_names_the_key(workspace: Path, agent: Agent) -> None:
    ending = agent(
        environ={
            "TOWLINE_DEFAULTS": team(workspace),
            "PIPER_stateKeyCredentialsId": "of-the-agent",
        }
    )
    assert [one["credentialsId"] for one in ending.result["bindings"]] == ["of-the-agent"]


def test_a_secret_that_can_be_kept_nowhere_is_an_error_and_not_in_the_result(
    workspace: Path, agent: Agent
) -> None:
    ending = agent(environ={"HOME": str(workspace)})
    assert ending.code == 9
    assert "the step has published everything, but" in ending.message
    assert ending.result["pipelineEnvironment"] == {"custom/user": "bob"}
    assert_no_secret(ending)


def test_a_secret_that_can_be_kept_nowhere_is_sealed_if_there_is_a_key(
    workspace: Path, agent: Agent
) -> None:
    bound = {"PIPER_stateSecretKey": KEY}
    first = agent(environ={**bound, "HOME": str(workspace)})
    assert first.code == 0
    agent("two", bound, pipelineEnvironment=first.result["pipelineEnvironment"])
    assert seen(workspace)[STAGING] == PASSWORD


def test_builds_without_a_number_are_told_apart_by_their_workspace(
    workspace: Path, agent: Agent
) -> None:
    left = agent(build={}).result["pipelineEnvironment"]
    agent(build={}, pipelineEnvironment=left)
    assert seen(workspace)[STAGING] == PASSWORD
