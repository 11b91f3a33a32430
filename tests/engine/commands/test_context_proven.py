from __future__ import annotations

import io
import os
import subprocess
from pathlib import Path

import pytest

from towline.commands import context
from towline.commands.call import Call
from towline.console import Console, Output
from towline.contract import Request
from towline.pipeline import environment

VALUES: dict[str, object] = {"container/targetImageNameTag": "app:1"}
GITLAB = {"GITLAB_CI": "true", "CI_PROJECT_PATH": "team/app", "CI_PIPELINE_ID": "7"}


class Shell:
    """Calls in a shell, in one workspace with one home."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.log = folder / "workspace", io.StringIO()
        self.folder.mkdir()
        self.environ = {"HOME": str(folder)}

    def call(self, **environ: str) -> Call:
        return Call(
            request=Request(),
            requested=False,
            environ={**self.environ, **environ},
            folder=self.folder,
            console=Console(self.log),
            out=Output(io.StringIO()),
        )


def git(folder: Path, *words: str) -> None:
    people = {
        f"GIT_{who}_{what}": "x@example.com"
        for who in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    }
    subprocess.run(
        ["git", "-C", str(folder), *words],
        check=True,
        env={**os.environ, **people, "GIT_CONFIG_GLOBAL": os.devnull},
    )


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def test_what_a_step_leaves_is_in_the_workspace_and_a_fact(shell: Shell) -> None:
    context.write(shell.call(), VALUES)
    assert environment.read_environment(shell.folder) == context.facts(shell.call()) == VALUES
    assert shell.log.getvalue() == ""


def test_each_build_of_a_ci_system_has_facts_of_its_own(shell: Shell) -> None:
    context.write(shell.call(**GITLAB), VALUES)
    assert context.facts(shell.call(**GITLAB)) == VALUES
    for other in (
        {**GITLAB, "CI_PIPELINE_ID": "8"},
        {**GITLAB, "CI_PROJECT_PATH": "team/other"},
        {},
    ):
        assert context.facts(shell.call(**other)) == {}


@pytest.mark.parametrize(
    "environ", [{}, {"CIRCLECI": "true"}, {"TEAMCITY_VERSION": "2026.1", "BUILD_NUMBER": "7"}]
)
def test_where_nobody_says_which_build_it_is_the_commit_that_is_built_does(
    shell: Shell, environ: dict[str, str]
) -> None:
    """Otherwise a branch would leave facts to the next build of another branch in the workspace."""
    given = {**environ, "PATH": os.environ["PATH"]}
    git(shell.folder, "init", "-q")
    git(shell.folder, "commit", "-q", "--allow-empty", "-m", "main")
    git(shell.folder, "checkout", "-q", "-b", "branch")
    git(shell.folder, "commit", "-q", "--allow-empty", "-m", "branch")
    context.write(shell.call(**given), VALUES)
    assert context.facts(shell.call(**given)) == VALUES
    git(shell.folder, "checkout", "-q", "-")
    assert context.facts(shell.call(**given)) == {}


def test_where_nothing_can_be_proven_that_is_said_once_and_the_step_goes_on(shell: Shell) -> None:
    shell.environ = {}
    call = shell.call()
    for _ in range(2):
        context.write(call, VALUES)
    assert (environment.read_environment(shell.folder), context.facts(call)) == (VALUES, {})
    assert (
        shell.log.getvalue().count(
            "note: the values of this step are not recorded as facts for later steps"
        )
        == 1
    )
    assert "set XDG_STATE_HOME on the agent" in shell.log.getvalue()


def test_a_step_that_leaves_nothing_makes_nothing(shell: Shell, tmp_path: Path) -> None:
    context.write(shell.call(), {})
    assert [path.name for path in tmp_path.iterdir()] == ["workspace"]
    assert list(shell.folder.iterdir()) == []
