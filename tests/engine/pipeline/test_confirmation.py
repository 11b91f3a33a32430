from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.calls import Ending, configure, request, team_file
from tests.plans import planned

RELEASE = {"stages": {"Release": {"healthExecuteCheck": True}}}


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def confirm(workspace: Path, **general: Any) -> dict[str, Any]:
    found = planned(workspace, {**RELEASE, "general": general})["confirm"]
    assert isinstance(found, dict)
    return found


def test_a_person_is_asked_before_release_by_default(workspace: Path) -> None:
    found = confirm(workspace)
    assert (found["asks"], found["asksIfUnstable"], found["timeoutHours"]) == (True, True, 720)
    assert "Release" in found["message"]
    assert found["submitters"] == ""


def test_nobody_is_asked_if_no_later_stage_runs(workspace: Path) -> None:
    plan = planned(workspace, {"stages": {"Build": {"mavenExecuteStaticCodeChecks": True}}})
    assert plan["confirm"]["asks"] is False
    assert plan["split"] is False


def test_nobody_is_asked_on_another_branch(workspace: Path) -> None:
    assert planned(workspace, RELEASE, build={"branch": "x"})["confirm"]["asks"] is False


def test_the_project_decides_on_the_productive_branch(workspace: Path) -> None:
    found = confirm(
        workspace,
        manualConfirmation=False,
        manualConfirmationMessage="Go?",
        manualConfirmationTimeout=2,
        manualConfirmationSubmitters=["ann", "ops"],
    )
    assert (found["asks"], found["asksIfUnstable"]) == (False, True)
    assert (found["message"], found["timeoutHours"], found["submitters"]) == ("Go?", 2, "ann,ops")


@pytest.mark.parametrize("section", ["stages", "steps"])
def test_the_stage_and_piper_s_step_may_say_it_too(workspace: Path, section: str) -> None:
    name = {"stages": "Confirm", "steps": "piperInitRunStageConfiguration"}[section]
    configuration: dict[str, Any] = {**RELEASE}
    configuration[section] = {**configuration.get(section, {}), name: {"manualConfirmation": False}}
    assert planned(workspace, configuration)["confirm"]["asks"] is False


def test_the_platform_team_s_submitters_win(workspace: Path) -> None:
    team = team_file(workspace, "general: {manualConfirmationSubmitters: [ops]}\n")
    plan = planned(
        workspace,
        {**RELEASE, "general": {"manualConfirmationSubmitters": ["me"]}},
        environ={"TOWLINE_DEFAULTS": str(team)},
    )
    assert plan["confirm"]["submitters"] == "ops"


def test_a_branch_that_only_calls_itself_productive_cannot_let_itself_pass(
    workspace: Path,
) -> None:
    lenient = team_file(workspace, "general: {enforcement: warn}\n")
    configuration = {
        **RELEASE,
        "general": {
            "productiveBranch": "x",
            "manualConfirmation": False,
            "manualConfirmationSubmitters": ["me"],
        },
    }
    environ = {"TOWLINE_DEFAULTS": str(lenient), "PIPER_productiveBranch": ""}
    found = planned(workspace, configuration, build={"branch": "x"}, environ=environ)["confirm"]
    assert (found["asks"], found["submitters"]) == (True, "")
    team = team_file(workspace, "general: {enforcement: warn, manualConfirmation: false}\n")
    environ["TOWLINE_DEFAULTS"] = str(team)
    found = planned(workspace, configuration, build={"branch": "x"}, environ=environ)["confirm"]
    assert found["asks"] is False


def test_the_agent_wins_over_the_project(workspace: Path) -> None:
    plan = planned(
        workspace,
        {**RELEASE, "general": {"manualConfirmation": False}},
        environ={"PIPER_manualConfirmation": "true"},
    )
    assert plan["confirm"]["asks"] is True


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("manualConfirmation", "perhaps", "manualConfirmation is 'perhaps'"),
        ("manualConfirmationTimeout", 0, "manualConfirmationTimeout is 0"),
        ("manualConfirmationSubmitters", [], "names nobody"),
        ("manualConfirmationSubmitters", [1], "manualConfirmationSubmitters is [1]"),
    ],
)
def test_a_wrong_value_is_an_error_with_its_line(
    workspace: Path, key: str, value: object, says: str
) -> None:
    configure(workspace, json.dumps({**RELEASE, "general": {key: value}}))
    words = ["plan", *request(workspace, build={"branch": "main"})]
    ending = Ending(words, workspace, {"PIPER_productiveBranch": "main"})
    assert ending.code == 3
    assert says in ending.message
    assert ending.where.startswith(".pipeline/config.yml:")
