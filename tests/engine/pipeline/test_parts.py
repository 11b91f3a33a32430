from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.plans import planned, stage_of


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def build(workspace: Path, **fields: Any) -> dict[str, list[str]]:
    """The active steps of Build, each with its parts."""
    plan = planned(workspace, {"general": fields.pop("general", {}), **fields})
    return {
        step["name"]: [part["name"] for part in step["parts"]]
        for step in stage_of(plan, "Build")["steps"]
        if step["active"] == "yes"
    }


@pytest.mark.parametrize(
    ("general", "parts"),
    [
        ({"buildTool": "maven"}, ["mavenBuild"]),
        ({"buildTool": "mta"}, ["mtaBuild"]),
        ({"buildTool": "npm"}, ["npmExecuteScripts"]),
        ({"buildTool": "docker"}, ["kanikoExecute"]),
        ({"buildTool": "docker", "cnbBuild": True}, ["cnbBuild"]),
        ({"buildTool": "maven", "helmExecute": True}, ["mavenBuild", "helmExecute"]),
    ],
)
def test_the_build_tool_says_which_steps_build_execute_runs(
    workspace: Path, general: dict[str, Any], parts: list[str]
) -> None:
    found = build(workspace, general=general)
    assert found["buildExecute"] == parts
    assert not set(parts) & (found.keys() - {"buildExecute"})


@pytest.mark.parametrize("tool", ["golang", "gradle", "pip"])
def test_tools_that_build_execute_does_not_know_have_a_step_of_their_own(
    workspace: Path, tool: str
) -> None:
    step = {"golang": "golangBuild", "gradle": "gradleExecuteBuild", "pip": "pythonBuild"}[tool]
    found = build(workspace, general={"buildTool": tool})
    assert step in found
    assert "buildExecute" not in found


def test_without_a_build_tool_the_flags_alone_decide(workspace: Path) -> None:
    assert build(workspace, stages={"Build": {"kanikoExecute": True}}) == {"kanikoExecute": []}
