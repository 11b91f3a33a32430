from __future__ import annotations

from typing import Any

import pytest

from towline.commands.build_context import build_trust_lookup
from towline.config.documents import ConfigDocuments, parse_document
from towline.credential_hosts import BuildTrust
from towline.pipeline.branches import DefaultBranch
from towline.pipeline.build import BuildContext
from towline.pipeline.workspace import WorkspaceFiles


def standing(
    folder: Any, project: str = "", team: str = "", sign: str = "", **known: Any
) -> BuildTrust:
    documents = ConfigDocuments(
        defaults=(parse_document(team, "team.yml", trusted=True),),
        project=parse_document(project, "config.yml", trusted=False),
    )
    given = {"default": lambda: DefaultBranch(name="main", by="origin/HEAD"), **known}
    return build_trust_lookup(
        documents, lambda: BuildContext(workspace=WorkspaceFiles(folder), **given), sign
    )()


@pytest.mark.parametrize(
    ("known", "build"),
    [
        ({"branch": "main"}, "the productive branch main"),
        ({}, "a job whose branch its owner has set"),
        ({"tag": "v1", "team": "general: {productiveTags: [v*]}"}, "the productive tag v1"),
        ({"branch": "x", "team": "general: {productiveBranch: x}"}, "the productive branch x"),
    ],
)
def test_the_project_names_hosts_where_what_is_built_is_productive(
    tmp_path: Any, known: dict[str, Any], build: str
) -> None:
    assert standing(tmp_path, **known) == BuildTrust(project=True, build=build)


@pytest.mark.parametrize(
    ("known", "said"),
    [
        (
            {"branch": "x"},
            (
                "branch x is built, which is not productive (the default branch is main, as"
                " origin/HEAD says)"
            ),
        ),
        (
            {"branch": "x", "project": "general: {productiveBranch: x}"},
            "only the branch's own configuration calls x productive (config.yml:1)",
        ),
        (
            {"tag": "v1", "project": "general: {productiveTags: [v1]}"},
            "tag v1 is built, which is not productive",
        ),
        (
            {"unknown": "no variable names it"},
            "the branch of this build is unknown: no variable names it",
        ),
    ],
)
def test_elsewhere_it_does_not_and_it_is_said_why(
    tmp_path: Any, known: dict[str, Any], said: str
) -> None:
    found = standing(tmp_path, **known)
    assert (found.project, found.request, said in found.build) == (False, False, True)


def test_the_sign_of_a_change_request_stands_over_all(tmp_path: Any) -> None:
    found = standing(tmp_path, sign="CHANGE_ID", branch="main")
    assert (
        found.project,
        found.request,
        found.build.startswith("CHANGE_ID says that a change request is built"),
    ) == (False, True, True)


def test_what_will_not_be_productive_one_day_is_warned_of(tmp_path: Any) -> None:
    warned: list[str] = []
    found = standing(
        tmp_path,
        "general: {productiveBranch: x}",
        "general: {enforcement: warn}",
        branch="x",
        warn=warned.append,
    )
    assert (found.project, len(warned), "enforcement: warn" in warned[0]) == (True, 1, True)
