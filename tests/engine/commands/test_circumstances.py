from __future__ import annotations

import io
from pathlib import Path

import pytest

from towline.commands.call import Call
from towline.commands.circumstances import circumstances, orchestrator, stage_of
from towline.console import Console, Output
from towline.wire import Build, Request


@pytest.mark.parametrize(
    ("environ", "name", "stage"),
    [
        ({}, "Unknown", ""),
        ({"STAGE_NAME": "Build"}, "Unknown", ""),
        ({"JENKINS_URL": "http://j.example.com", "STAGE_NAME": "Build", "GITHUB_JOB": "b"}, "Jenkins", "Build"),
        ({"JENKINS_HOME": "/var"}, "Jenkins", ""),
        ({"JENKINS_URL": "false", "STAGE_NAME": "Build"}, "Unknown", ""),
        ({"JENKINS_URL": ""}, "Unknown", ""),
        ({"GITHUB_ACTIONS": "true", "JENKINS_HOME": "/var", "GITHUB_JOB": "Release"}, "GitHubActions", "Release"),
        ({"TF_BUILD": "True", "GITHUB_ACTION": "x", "SYSTEM_STAGEDISPLAYNAME": "Promote"}, "AzureDevOps", "Promote"),
        ({"AZURE_HTTP_USER_AGENT": "x"}, "AzureDevOps", ""),
    ],
)
def test_an_orchestrator_is_known_by_its_variables(environ: dict[str, str], name: str, stage: str) -> None:
    assert (orchestrator(environ), stage_of(environ)) == (name, stage)


def call(folder: Path, environ: dict[str, str], *, requested: bool) -> Call:
    request = Request(build=Build(branch="feature/x", change_request="7"))
    return Call(request=request, requested=requested, environ=environ, folder=folder, console=Console(io.StringIO()), out=Output(io.StringIO()))


def test_a_build_is_known_by_its_request(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("")
    found = circumstances(call(tmp_path, {"GITHUB_ACTIONS": "true"}, requested=True), {"custom/x": 1})
    assert (found.branch, found.change_request, found.orchestrator, found.extensions) == ("feature/x", True, "Jenkins", True)
    assert found.pipeline_environment == {"custom/x": 1}
    assert found.workspace.find("*.txt") == "a.txt"


@pytest.mark.parametrize(("value", "allowed"), [("true", False), ("false", True), ("", True)])
def test_the_agent_may_forbid_extensions(tmp_path: Path, value: str, allowed: bool) -> None:  # noqa: FBT001 - a column of the table
    found = circumstances(call(tmp_path, {"PIPER_DISABLE_EXTENSIONS": value}, requested=False), {})
    assert (found.extensions, found.orchestrator) == (allowed, "Unknown")
