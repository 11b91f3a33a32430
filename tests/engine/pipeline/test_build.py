from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from towline.config.documents import ConfigDocuments, parse_document
from towline.config.layers import EMPTY_LAYER
from towline.errors import ConfigError
from towline.pipeline.build import BuildContext, PipelineView, allows_change_request, judge_build
from towline.pipeline.definition import definition
from towline.pipeline.workspace import WorkspaceFiles


def documents(project: str = "", team: str = "") -> ConfigDocuments:
    return ConfigDocuments(
        defaults=(parse_document(team, "team.yml", trusted=True),),
        project=parse_document(project, "config.yml", trusted=False),
    )


def view(project: str = "", team: str = "", **known: Any) -> PipelineView:
    build = BuildContext(workspace=WorkspaceFiles(Path()), **known)
    return PipelineView(
        documents=documents(project, team), build=build, pipeline=definition(), planning=True
    )


@pytest.mark.parametrize(
    ("known", "source", "productive"),
    [
        ({"change_request": True, "branch": "main"}, "a change request", False),
        ({"branch": "main"}, "branch main", True),
        ({"branch": "side"}, "branch side", False),
        ({"unknown": "why"}, "an unknown branch (why; name it with `--branch`)", False),
        ({"tag": "v1"}, "tag v1, which no trusted `productiveTags` matches", False),
    ],
)
def test_a_build_has_a_source_and_a_verdict(
    known: dict[str, Any], source: str, productive: bool
) -> None:
    given = view(**known)
    assert (given.source(), given.verdict().productive) == (source, productive)
    assert judge_build(given.documents, given.build).productive is productive


def test_the_strongest_section_of_a_stage_says_whether_it_runs_in_all_branches() -> None:
    project, team = (
        "stages: {A: {runInAllBranches: 'False'}}",
        "stages: {A: {runInAllBranches: true}}",
    )
    own = view(project, team).run_in_all_branches("A")
    assert own is not None
    assert (own.value, own.origin, own.trusted) == (False, "config.yml:1", False)
    teams = view("", team).run_in_all_branches("A")
    assert teams is not None
    assert (teams.value, teams.trusted) == (True, True)
    assert view(project).run_in_all_branches("B") is None
    with pytest.raises(ConfigError, match="neither true nor false"):
        view("stages: {A: {runInAllBranches: 2}}").run_in_all_branches("A")


def test_only_a_trusted_layer_lets_change_requests_publish() -> None:
    allowed = "general: {allowChangeRequest: true}"
    assert allows_change_request(documents(team=allowed), EMPTY_LAYER) is True
    assert allows_change_request(documents(allowed), EMPTY_LAYER) is False
    step = "steps: {push: {allowChangeRequest: true}}"
    assert allows_change_request(documents(team=step), EMPTY_LAYER, ("push",)) is True
    assert allows_change_request(documents(team=step), EMPTY_LAYER) is False
