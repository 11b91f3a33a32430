from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from towline.config.documents import ConfigDocuments
from towline.config.layers import agent_layer
from towline.config.lint.build_loop import SourceRepository, build_loops
from towline.config.lint.findings import Finding
from towline.config.lint.shape import shape_document
from towline.config.metadata import PIPELINE, load_schema
from towline.pipeline.branches import BranchRules
from towline.yaml.marks import load_located

STEP = load_schema("gitOpsUpdateDeployment")
HOME = "https://git.example/team/app.git"
VARS = Path(__file__).resolve().parents[4] / "vars"


def loops(
    *texts: str, url: str = HOME, jenkinsfile: str = "", environ: Mapping[str, str] | None = None
) -> list[Finding]:
    documents = [
        shape_document(f"{number}.yml", load_located(text))[0] for number, text in enumerate(texts)
    ]
    rules = BranchRules(
        documents=ConfigDocuments(defaults=tuple(documents[1:]), project=documents[0]),
        agent=agent_layer(PIPELINE, environ or {}),
        own=True,
    )
    return list(
        build_loops(
            documents, STEP, SourceRepository(url=url, rules=rules, jenkinsfile=jenkinsfile)
        )
    )


def step(more: str = "", url: str = HOME) -> str:
    return f"steps: {{gitOpsUpdateDeployment: {{serverUrl: '{url}'{more}}}}}\n"


SAME = [
    HOME,
    "https://git.example/team/app",
    "https://git.example/team/app/",
    "http://GIT.example/Team/App.git",
    "https://robot@git.example/team/app.git",
    "git@git.example:team/app.git",
    "git.example:team/app",
    "ssh://git@git.example:22/team/app.git",
    "https://git.example/team%2Fapp",
]
NONE = [
    "",
    "/srv/git/app.git",
    "https://git.example",
    "https://[broken",
    "file:///team/app.git",
    "app",
]
OTHER = [
    "https://git.example/team/app-ops.git",
    "https://other.example/team/app.git",
    "git@git.example:ops/app.git",
    *NONE,
]


@pytest.mark.parametrize("url", SAME)
def test_one_repository_is_known_in_every_spelling(url: str) -> None:
    assert [each.rule for each in loops(step(url=url))] == ["build-loop"]
    assert [each.rule for each in loops(step(), url=url)] == ["build-loop"]


@pytest.mark.parametrize("url", OTHER)
def test_another_repository_makes_no_loop(url: str) -> None:
    assert loops(step(url=url)) == []
    assert loops(step(), url=url) == []


@pytest.mark.parametrize("url", NONE)
def test_a_url_without_a_repository_is_not_compared(url: str) -> None:
    assert loops(step(url=url), url=url) == []


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (f"general:\n  serverUrl: {HOME}", "0.yml:2:3"),
        (f"steps:\n  gitopsUpdateDeployment:\n    serverUrl: {HOME}", "0.yml:3:5"),
        (f"steps:\n  gitOpsUpdateDeployment:\n    githubServerUrl: {HOME}", "0.yml:3:5"),
        (f"stages:\n  Release:\n    serverUrl: {HOME}", "0.yml:3:5"),
    ],
)
def test_it_is_found_in_every_section(text: str, place: str) -> None:
    assert [each.where for each in loops(text)] == [place]


def test_the_address_of_the_code_host_in_general_is_not_a_repository() -> None:
    assert loops(f"general: {{githubServerUrl: '{HOME}'}}") == []
    assert loops(f"steps: {{theirs: {{serverUrl: '{HOME}'}}}}") == []


def test_default_documents_are_looked_at_too() -> None:
    assert [each.file for each in loops("", step())] == ["1.yml"]


@pytest.mark.parametrize(
    "text",
    [
        step(", commitMessage: 'Deploy [skip ci]'"),
        step(", commitMessage: '[CI skip] Deploy'"),
        step(", branchName: deployments"),
        "general: {productiveBranch: trunk}\n" + step(", branchName: main"),
        "general: {productiveBranch: 'release/*'}\n" + step(", branchName: deploy/x"),
        (
            f"general: {{serverUrl: '{HOME}'}}\nsteps: {{gitOpsUpdateDeployment: {{branchName:"
            " deployments}}"
        ),
    ],
)
def test_what_guards_against_a_loop_is_seen(text: str) -> None:
    assert loops(text) == []


@pytest.mark.parametrize(
    "text",
    [
        step(", commitMessage: Deploy"),
        step(", branchName: main"),
        step(", branchName: ''"),
        "general: {productiveBranch: trunk}\n" + step(", branchName: trunk"),
        "general: {productiveBranch: 'release/*'}\n" + step(", branchName: release/1"),
        "stages: {Release: {runInAllBranches: true}}\n" + step(", branchName: deployments"),
        "general: {productiveBranch: [odd]}\n" + step(", branchName: [odd]"),
    ],
)
def test_a_condition_that_guards_nothing_is_not_a_guard(text: str) -> None:
    assert [each.rule for each in loops(text)] == ["build-loop"]


def test_the_branch_that_deploys_is_the_one_that_a_build_goes_by() -> None:
    project = "general: {productiveBranch: main}\n" + step(", branchName: main")
    assert loops(project, environ={"PIPER_productiveBranch": "trunk"}) == []
    assert (
        loops("general: {productiveBranch: 'release/*'}\n" + step(", branchName: release/1/0"))
        == []
    )
    assert (
        len(
            loops(
                "stages: {Init: {productiveBranch: trunk}}\n" + step(", branchName: trunk"),
                "general: {productiveBranch: main}",
            )
        )
        == 1
    )


def test_a_jenkinsfile_that_looks_for_the_trailers_guards_all() -> None:
    assert (
        loops(step(), jenkinsfile="when { not { changelog '.*^Towline-Deployment: .+$' } }") == []
    )
    assert loops(step(), jenkinsfile="node { echo 'towline' }") != []


@pytest.mark.parametrize("name", ["towlinePipeline", "towlineStage"])
def test_a_pipeline_that_plans_its_stages_guards_all(name: str) -> None:
    assert loops(step(), jenkinsfile=f"{name} script: this") == []
    assert (VARS / f"{name}.groovy").exists()
