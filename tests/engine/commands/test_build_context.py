from __future__ import annotations

import io
import json
import os
import subprocess
from pathlib import Path

import pytest

from towline.commands.build_context import default_branch_lookup
from towline.commands.call import Call
from towline.console import Console, Output
from towline.contract import Build, Request
from towline.pipeline.branches import DefaultBranch


def call(folder: Path, environ: dict[str, str], build: Build | None = None) -> Call:
    return Call(
        request=Request(build=build or Build()),
        requested=build is not None,
        environ={"PATH": os.environ["PATH"], **environ},
        folder=folder,
        console=Console(io.StringIO()),
        out=Output(io.StringIO()),
    )


def named(folder: Path, environ: dict[str, str], build: Build | None = None) -> tuple[str, str]:
    found = default_branch_lookup(call(folder, environ, build))()
    return found.name, found.by


def git(folder: Path, *words: str) -> None:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b")
    subprocess.run(
        ["git", *identity, *words],
        cwd=folder,
        check=True,
        capture_output=True,
        env={"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": "/dev/null"},
    )


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone on another branch than the default one, `trunk`, whose configuration calls
    `release` productive.
    """
    there = tmp_path / "there"
    (there / ".pipeline").mkdir(parents=True)
    (there / ".pipeline/config.yml").write_text("general: {productiveBranch: release}\n")
    git(there, "init", "--quiet", "--initial-branch=trunk")
    git(there, "add", "--all")
    git(there, "commit", "--quiet", "-m", "Begin")
    git(tmp_path, "clone", "--quiet", str(there), "here")
    git(tmp_path / "here", "checkout", "--quiet", "-b", "x")
    (tmp_path / "here/.pipeline/config.yml").write_text("general: {productiveBranch: x}\n")
    return tmp_path / "here"


@pytest.mark.parametrize(
    ("payload", "name"),
    [
        (json.dumps({"repository": {"default_branch": "trunk"}}), "trunk"),
        (json.dumps({"repository": {}}), ""),
        ("[]", ""),
        ("{", ""),
        ("", ""),
        (json.dumps({"repository": {"default_branch": 7}}), ""),
    ],
)
def test_the_payload_of_an_event_names_it(tmp_path: Path, payload: str, name: str) -> None:
    (tmp_path / "event.json").write_text(payload)
    environ = {"GITHUB_ACTIONS": "true", "GITHUB_EVENT_PATH": str(tmp_path / "event.json")}
    assert named(tmp_path, environ)[0] == name
    # a variable with another meaning
    assert named(tmp_path, {"GITHUB_EVENT_PATH": environ["GITHUB_EVENT_PATH"]}) == ("", "")
    assert named(tmp_path, {**environ, "GITHUB_EVENT_PATH": str(tmp_path)}) == ("", "")


def test_a_request_s_branch_is_the_default_one_where_jenkins_says_so(tmp_path: Path) -> None:
    assert named(tmp_path, {"BRANCH_IS_PRIMARY": "true"}, Build(branch="develop")) == (
        "develop",
        "BRANCH_IS_PRIMARY",
    )
    assert named(tmp_path, {}, Build(branch="develop")) == ("", "")


def test_else_the_clone_does_and_has_the_configuration_of_its_tip(clone: Path) -> None:
    found = default_branch_lookup(call(clone, {}))()
    assert (found.name, found.by) == ("trunk", "origin/HEAD")
    tip = found.tip()
    assert tip is not None
    assert (tip.section("general"), tip.trusted, tip.where("general", "productiveBranch")) == (
        {"productiveBranch": "release"},
        False,
        ".pipeline/config.yml on trunk:1",
    )
    elsewhere = default_branch_lookup(call(clone, {}), "ci.yml")().tip()
    assert elsewhere is not None
    assert elsewhere.content == {}
    other = default_branch_lookup(
        call(clone, {"GITLAB_CI": "true", "CI_DEFAULT_BRANCH": "not-fetched"})
    )()
    assert (other.name, other.tip()) == ("not-fetched", None)


def test_a_tip_whose_configuration_cannot_be_read_says_nothing(clone: Path) -> None:
    git(clone, "update-ref", "refs/remotes/origin/broken", "HEAD")
    (clone / ".pipeline/config.yml").write_text("general: [")
    git(clone, "commit", "--quiet", "-am", "Break")
    git(clone, "update-ref", "refs/remotes/origin/broken", "HEAD")
    assert (
        default_branch_lookup(
            call(clone, {"GITLAB_CI": "true", "CI_DEFAULT_BRANCH": "broken"})
        )().tip()
        is None
    )


def test_it_is_looked_for_once_and_nobody_may_know_it(tmp_path: Path) -> None:
    asked = default_branch_lookup(call(tmp_path, {}))
    assert asked() is asked()
    assert asked() == DefaultBranch()
