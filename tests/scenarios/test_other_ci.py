"""The examples of docs/other-ci.md, run against real servers with the variables of each system."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.jenkins.servers import NAME, World, tagged

PAGE = Path(__file__).resolve().parents[2] / "docs" / "other-ci.md"
SYSTEMS = {
    "GitHub Actions": {
        "GITHUB_ACTIONS": "true",
        "GITHUB_EVENT_NAME": "push",
        "GITHUB_REF": "refs/heads/main",
        "GITHUB_REPOSITORY": "team/shop",
        "GITHUB_SERVER_URL": "https://github.invalid",
        "GITHUB_RUN_ID": "7",
    },
    "GitLab CI": {
        "GITLAB_CI": "true",
        "CI_PIPELINE_SOURCE": "push",
        "CI_COMMIT_BRANCH": "main",
        "CI_DEFAULT_BRANCH": "main",
    },
    "Azure Pipelines": {
        "TF_BUILD": "True",
        "BUILD_REASON": "IndividualCI",
        "BUILD_SOURCEBRANCH": "refs/heads/main",
    },
}
COMMIT = {
    "GitHub Actions": "GITHUB_SHA",
    "GitLab CI": "CI_COMMIT_SHA",
    "Azure Pipelines": "BUILD_SOURCEVERSION",
}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with ExitStack() as stack:
        yield World.start(stack, tmp_path)


def example(system: str) -> Any:
    """The pipeline that the page shows for a system."""
    found = re.search(
        rf"^## {system}\n\n```yaml\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE
    )
    assert found
    return yaml.safe_load(found[1])


def steps(system: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Each script with a call of the engine, and the variables that the example gives it."""
    whole = example(system)
    if system == "GitHub Actions":
        parts = whole["jobs"]["deploy"]["steps"]
        scripts = [(part.get("run", ""), part.get("env", {})) for part in parts]
    elif system == "GitLab CI":
        jobs = [whole[name] for name in whole["stages"]]
        scripts = [(line, job["variables"]) for job in jobs for line in job["script"]]
    else:
        scripts = [(part["script"], part.get("env", {})) for part in whole["steps"]]
    for script, environ in scripts:
        if script.startswith("towline "):
            yield script, environ


def filled(text: str, secrets: Mapping[str, str]) -> str:
    """A value of the example, with the CI system's secrets in place of their names."""
    name = re.sub(r"\$\{\{ secrets\.(\w+) \}\}|\$\((\w+)\)|\$(\w+)", r"\1\2\3", text)
    return secrets.get(name, text)


def checked_out(world: World, folder: Path) -> str:
    """Make the project a git repository at `folder`, as a checkout does; return its commit."""
    shutil.copytree(world.project, folder)
    for words in (
        ["init", "-q", "-b", "main"],
        ["add", "-A"],
        ["-c", "user.name=a", "-c", "user.email=a@b.invalid", "commit", "-qm", "first"],
    ):
        subprocess.run(["git", *words], cwd=folder, check=True)
    return subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=folder, text=True).strip()


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_example_of_the_page_brings_the_image_to_acceptance(
    world: World, tmp_path: Path, system: str
) -> None:
    workspace, home = tmp_path / "workspace", tmp_path / "home"
    home.mkdir()
    commit = checked_out(world, workspace)
    secrets = {
        "STAGING_USER": world.staging.username,
        "STAGING_PASSWORD": world.staging.password,
        "REGISTRY_USER": world.target.username,
        "REGISTRY_PASSWORD": world.target.password,
        "GITOPS_USER": "git-user",
        "GITOPS_TOKEN": world.git_password,
    }
    machine = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(home),
        "STAGING_URL": world.staging.url,
        **SYSTEMS[system],
        COMMIT[system]: commit,
    }
    if system == "GitHub Actions":
        machine |= {"GITHUB_OUTPUT": str(home / "out"), "GITHUB_STEP_SUMMARY": str(home / "sum")}
    log = ""
    for script, environ in steps(system):
        given = {name: filled(text, secrets) for name, text in environ.items()}
        ran = subprocess.run(
            ["sh", "-ec", script],
            cwd=workspace,
            env=machine | given,
            capture_output=True,
            text=True,
            check=False,
        )
        log += ran.stdout + ran.stderr
        assert ran.returncode == 0, log
    assert tagged(world.target) == world.image.digest
    assert f"{world.target.host}/{NAME}:1.0.0" in world.show("manifest-acceptance-stage.yaml")
    for secret in (world.staging.password, world.target.password, world.git_password):
        assert secret not in log
    told(system, home, workspace, log, world)


def told(system: str, home: Path, workspace: Path, log: str, world: World) -> None:
    """Compare the outputs that the system got with the images that were pushed."""
    head = world.git.git("rev-parse", "HEAD", repository=world.repository).strip()
    if system == "GitHub Actions":
        assert head in (home / "out").read_text()
        assert world.image.digest in (home / "sum").read_text()
    elif system == "GitLab CI":
        assert "status=success\n" in (workspace / "towline.env").read_text()
    else:
        assert f"##vso[task.setvariable variable=commit;isOutput=true]{head}" in log
