from __future__ import annotations

import io
import os
import subprocess
from pathlib import Path

import pytest

from towline.commands.build import change_request
from towline.commands.build_context import build_context
from towline.commands.call import Call
from towline.console import Console, Output
from towline.contract import Build, Request
from towline.gitops.commit_message import compose_message
from towline.gitops.provenance import Provenance
from towline.record import replace


def call(folder: Path, environ: dict[str, str], *, requested: bool) -> Call:
    request = Request(build=Build(branch="feature/x", change_request="7"))
    return Call(
        request=request,
        requested=requested,
        environ=environ,
        folder=folder,
        console=Console(io.StringIO()),
        out=Output(io.StringIO()),
    )


def test_a_build_is_known_by_its_request(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("")
    found = build_context(
        call(tmp_path, {"GITHUB_ACTIONS": "true"}, requested=True),
        {"custom/x": 1},
        sign="CHANGE_ID",
    )
    assert (found.branch, found.change_request, found.orchestrator, found.extensions) == (
        "",
        True,
        "Jenkins",
        True,
    )
    assert found.pipeline_environment == {"custom/x": 1}
    assert found.workspace.find("*.txt") == "a.txt"
    found = build_context(call(tmp_path, {}, requested=True), {})
    assert (found.branch, found.change_request) == ("feature/x", False)


def test_a_build_without_request_is_known_by_its_variables(tmp_path: Path) -> None:
    """A change request must not deploy, whichever system builds it."""
    environ = {"JENKINS_URL": "j", "BRANCH_NAME": "PR-7", "CHANGE_ID": "7"}
    bare = replace(call(tmp_path, environ, requested=False), request=Request())
    for asked in (bare, replace(bare, requested=True)):
        found = build_context(asked, {}, sign=change_request(asked))
        assert (found.branch, found.change_request, found.orchestrator) == ("", True, "Jenkins")
    tagged = build_context(replace(bare, environ={"GITLAB_CI": "true", "CI_COMMIT_TAG": "v1"}), {})
    assert (tagged.branch, tagged.tag, tagged.change_request, tagged.orchestrator) == (
        "",
        "v1",
        False,
        "Unknown",
    )
    assert build_context(replace(bare, environ={}), {}).unknown
    assert build_context(replace(bare, environ={}), {}, branch="main").branch == "main"


@pytest.mark.parametrize(("value", "allowed"), [("true", False), ("false", True), ("", True)])
def test_the_agent_may_forbid_extensions(tmp_path: Path, value: str, allowed: bool) -> None:
    found = build_context(call(tmp_path, {"PIPER_DISABLE_EXTENSIONS": value}, requested=False), {})
    assert (found.extensions, found.orchestrator) == (allowed, "Unknown")


def test_a_checkout_of_a_deployment_is_known_by_its_trailers(tmp_path: Path) -> None:
    def commit(message: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(
            ["git", *identity, "commit", "--allow-empty", "--quiet", "-m", message],
            cwd=tmp_path,
            check=True,
        )
        return subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=tmp_path, capture_output=True, text=True, check=True
        ).stdout.strip()

    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    built = commit("a change")
    asked = call(tmp_path, {"PATH": os.environ["PATH"]}, requested=True)
    assert not build_context(asked, {}).deployment
    commit(compose_message("Updated app", Provenance(deployment="app", source_commit=built)))
    assert build_context(asked, {}).deployment
