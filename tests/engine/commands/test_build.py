from __future__ import annotations

import io
import os
import subprocess
from pathlib import Path

import pytest

from towline.commands.build import build_of, change_request, revision_of
from towline.commands.call import Call
from towline.console import Console, Output
from towline.contract import Build, Request
from towline.pipeline.ci import Revision

PATH = {"PATH": os.environ["PATH"]}
HEAD = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, **PATH}


def call(folder: Path, environ: dict[str, str], *, build: Build | None = None) -> Call:
    return Call(
        request=Request(build=build or Build()),
        requested=build is not None,
        environ={**PATH, **environ},
        folder=folder,
        console=Console(io.StringIO()),
        out=Output(io.StringIO()),
    )


def git(folder: Path, *words: str) -> str:
    return subprocess.run(
        ["git", *words], cwd=folder, env=HEAD, capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet", "--initial-branch=trunk")
    git(
        tmp_path,
        "-c",
        "user.name=a",
        "-c",
        "user.email=a@b",
        "commit",
        "--quiet",
        "--allow-empty",
        "-m",
        "Begin",
    )
    return tmp_path


def test_the_library_says_what_jenkins_knows_and_jenkins_variables_the_rest(tmp_path: Path) -> None:
    given = Build(
        number="7",
        url="https://ci.example.com/job/a/7/",
        branch="feature/x",
        source_commit="c0ffee",
        source_time="2026-01-02T03:04:05Z",
        started_by="ann",
    )
    environ = {
        "BUILD_NUMBER": "8",
        "JOB_NAME": "a",
        "GIT_URL": "https://git.example.com/a.git",
        "GITHUB_ACTIONS": "true",
        "GITHUB_REF": "refs/heads/main",
    }
    assert build_of(call(tmp_path, environ, build=given)) == Build(
        number="7",
        url="https://ci.example.com/job/a/7/",
        job="a",
        branch="feature/x",
        source_repository="https://git.example.com/a.git",
        source_commit="c0ffee",
        source_time="2026-01-02T03:04:05Z",
        started_by="ann",
    )


def test_a_call_in_a_shell_is_known_by_its_ci_system(tmp_path: Path) -> None:
    environ = {
        "GITLAB_CI": "true",
        "CI_COMMIT_TAG": "v1",
        "CI_PIPELINE_ID": "12",
        "CI_COMMIT_SHA": "1" * 40,
        "CI_PROJECT_URL": "https://gitlab.com/t/a",
        "CI_COMMIT_TIMESTAMP": "2026-01-02T03:04:05+00:00",
    }
    assert build_of(call(tmp_path, environ)) == Build(
        number="12",
        tag="v1",
        source_commit="1" * 40,
        source_repository="https://gitlab.com/t/a",
        source_time="2026-01-02T03:04:05+00:00",
    )
    assert build_of(call(tmp_path, {})) == Build()


@pytest.mark.parametrize(
    ("environ", "build", "named", "sign"),
    [
        ({}, Build(), "", ""),
        ({}, Build(change_request="7"), "", "CHANGE_ID"),
        ({"ghprbPullId": "7"}, Build(), "", "ghprbPullId"),
        ({"CHANGE_ID": "7"}, None, "", "CHANGE_ID"),
        # the author of the change can change the call
        ({"CHANGE_ID": "7"}, Build(change_request="7"), "none", "CHANGE_ID"),
        ({}, None, "7", "--change-request 7"),
        ({"CHANGE_ID": "7"}, None, "false", "CHANGE_ID"),
        ({}, None, "none", ""),
        ({}, Build(change_request="none"), "", ""),
        # the request overrides Jenkins' variables
        ({"CHANGE_ID": "7"}, Build(change_request="false"), "", ""),
        ({"ghprbPullId": "7"}, Build(change_request="none"), "", "ghprbPullId"),
    ],
)
def test_a_change_request_is_known_by_the_flag_the_request_or_a_variable(
    tmp_path: Path,
    environ: dict[str, str],
    build: Build | None,
    named: str,
    sign: str,
) -> None:
    assert change_request(call(tmp_path, environ, build=build), named) == sign


def test_the_flag_takes_the_sign_back_where_a_trusted_layer_lets_it(tmp_path: Path) -> None:
    asked = call(tmp_path, {"CHANGE_ID": "7"})
    assert [change_request(asked, named, deniable=True) for named in ("none", "", "8")] == [
        "",
        "CHANGE_ID",
        "--change-request 8",
    ]


def test_what_is_built_is_held_against_what_is_checked_out(checkout: Path) -> None:
    head = git(checkout, "rev-parse", "HEAD")
    actions = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_REF": "refs/heads/main",
        "GITHUB_EVENT_NAME": "workflow_run",
    }
    assert revision_of(call(checkout, {**actions, "GITHUB_SHA": head}))[0] == Revision(
        branch="main"
    )
    built, commits = revision_of(call(checkout, {**actions, "GITHUB_SHA": "1" * 40}))
    assert built.unknown.startswith("GITHUB_REF names branch main, but HEAD is")
    assert commits == ((head, "Begin"),)
    assert revision_of(call(checkout, {**actions, "GITHUB_SHA": "1" * 40}), branch="main")[
        0
    ] == Revision(branch="main")
    assert revision_of(call(checkout, {}))[0] == Revision(branch="trunk")
    assert revision_of(call(checkout, {}, build=Build()))[0] == Revision(), (
        "a job of Jenkins without a branch"
    )
    git(checkout, "checkout", "--quiet", "--detach")
    assert (
        revision_of(call(checkout, {}))[0].unknown
        == "no variable of a CI system names it, and HEAD is detached"
    )
