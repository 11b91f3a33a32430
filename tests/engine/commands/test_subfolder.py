"""A project in a subfolder of its repository.

Branch, history and origin are those of the checkout around it, with a request of Jenkins and
without.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.calls import Ending, configure, request
from towline.gitops.commit_message import compose_message
from towline.gitops.provenance import Provenance

HOME = "https://git.example/shop.git"
PROJECT = (
    f"steps: {{gitOpsUpdateDeployment: {{serverUrl: '{HOME}', tool: kubectl, containerName:"
    " c}}\nstages: {Acceptance: {filePath: a.yaml}}\n"
)
PATH = {"PATH": os.environ["PATH"]}


def git(folder: Path, *words: str) -> str:
    environ = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, **PATH}
    identity = ("-c", "user.name=a", "-c", "user.email=a@b")
    return subprocess.run(
        ["git", *identity, *words],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


def commit(folder: Path, message: str) -> str:
    git(folder, "commit", "--quiet", "--allow-empty", "-m", message)
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    git(tmp_path, "remote", "add", "origin", HOME)
    folder = tmp_path / "apps" / "shop"
    folder.mkdir(parents=True)
    configure(folder, PROJECT)
    monkeypatch.chdir(folder)
    return folder


def why(project: Path, *words: str) -> str:
    (stage,) = Ending(["plan", "--stage", "Acceptance", *words], project, PATH).result["outputs"][
        "stages"
    ]
    return f"{stage['active']}: {stage['why']}"


def test_the_branch_is_that_of_the_checkout(project: Path) -> None:
    commit(project, "Sell")
    assert why(project).startswith("yes")
    git(project, "checkout", "--quiet", "-b", "feature/x")
    assert "does not run for branch feature/x" in why(project)


def test_a_request_s_branch_is_held_against_the_commit_of_the_checkout(project: Path) -> None:
    old = commit(project, "Sell")
    new = commit(project, "Sell more")
    named = {"branch": "main", "sourceCommit": new}
    assert why(project, *request(project, build=named)).startswith("yes")
    git(project, "checkout", "--quiet", "--detach", old)
    assert f"but HEAD is {old[:12]}, and the CI system builds commit {new[:12]}" in why(
        project, *request(project, build=named)
    )


@pytest.mark.parametrize("requested", [True, False])
def test_a_deployment_s_commit_is_known_by_the_checkout_s_history(
    project: Path, requested: bool
) -> None:
    built = commit(project, "Sell")
    commit(
        project, compose_message("Updated shop", Provenance(deployment="shop", source_commit=built))
    )
    words = request(project, build={"branch": "main"}) if requested else []
    assert why(project, *words).startswith("no: the commit is a deployment that Towline made")


@pytest.mark.parametrize("requested", [True, False])
def test_the_origin_is_that_of_the_checkout(project: Path, requested: bool) -> None:
    words = request(project, build={"branch": "main"}) if requested else []
    found = Ending(["lint", *words], project, PATH).result["outputs"]["findings"]
    assert [each["rule"] for each in found] == ["build-loop"]
