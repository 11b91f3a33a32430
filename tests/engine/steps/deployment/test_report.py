from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from tests.trust import addressees
from towline.config.documents import ConfigDocuments, parse_document
from towline.config.layers import Inputs
from towline.config.metadata import load_schema
from towline.config.resolve import resolve
from towline.console import Console
from towline.contract import SUCCESS, UNCHANGED, Build
from towline.errors import GitError
from towline.gitops.change import Together
from towline.gitops.deployment_history import NewerDeployment
from towline.gitops.notes import Notes
from towline.gitops.provenance import Provenance
from towline.gitops.update import Update
from towline.image import parse_reference
from towline.pipeline.environment import read_environment, write_environment
from towline.steps.deployment.images import DeployedImage
from towline.steps.deployment.preflight import Checks, TargetChange
from towline.steps.deployment.report import (
    Deployment,
    Target,
    commits,
    deployment_facts,
    outcome,
    outputs_of,
    superseded,
    tell_diff,
    tell_pushed,
)
from towline.steps.deployment.tools import TargetPlan
from towline.steps.task import Task

DIGEST = f"sha256:{'5' * 64}"
OURS, BASE, THEIRS = "a" * 40, "b" * 40, "c" * 40
MADE = Update(commit=OURS, branch="main", base=BASE, files=("app.yaml",), attempts=1, diff="+new\n")
NONE = Update(commit="", branch="main", base=BASE, files=(), attempts=0, diff="")
NEWER = NewerDeployment(
    deployment="shop",
    commit=THEIRS,
    provenance=Provenance(
        images=(f"reg.example.com/app:3@{DIGEST}", "reg.example.com/other:1"), build_number="9"
    ),
)


def deployment(
    update: Update, url: str = "https://git.example.com/ops", **images: str
) -> Deployment:
    parameters: dict[str, Any] = {
        "serverUrl": url,
        "filePath": "app.yaml",
        "tool": "kubectl",
        "containerName": "app",
    }
    documents = ConfigDocuments(
        defaults=(), project=parse_document("", ".pipeline/config.yml", trusted=False)
    )
    settings = resolve(
        load_schema("gitOpsUpdateDeployment"),
        Inputs(
            stage="",
            documents=documents,
            pipeline_environment={},
            environ={},
            parameters=parameters,
            flags={},
        ),
    )
    deployed = {
        name: DeployedImage(reference=parse_reference(text), digest="")
        for name, text in (images or {"app": "reg.example.com/app:2"}).items()
    }
    plan, notes = TargetPlan(change=Together(changes=()), images=deployed), Notes()
    console = Console(io.StringIO())
    task = Task(
        settings=settings,
        pipeline_environment={},
        stage="",
        build=Build(),
        folder=Path(),
        environ={},
        console=console,
        dry_run=False,
        addressees=addressees(settings),
    )
    change = TargetChange(plan.change, Checks(hosts=frozenset(), warn=print), notes, console)
    return Deployment(
        targets=(Target(task=task, plan=plan, change=change, notes=notes),),
        update=update,
    )


def test_the_commit_is_the_one_that_holds_what_is_deployed() -> None:
    newer = Update(commit="", branch="main", base=BASE, files=(), attempts=0, diff="", newer=NEWER)
    assert [deployment(update).commit for update in (MADE, NONE, newer)] == [OURS, BASE, THEIRS]


def test_the_images_of_a_newer_deployment_have_our_names_where_they_are_of_one_repository() -> None:
    newer = Update(commit="", branch="main", base=BASE, files=(), attempts=0, diff="", newer=NEWER)
    one = deployment(
        newer,
        web="reg.example.com/app:2",
        job="reg.example.com/app:2",
        side="reg.example.com/app-side:2",
    )
    full = f"reg.example.com/app:3@{DIGEST}"
    assert list(one.images()) == [
        {"name": "web", "image": full},
        {"name": "job", "image": full},
        {"name": "shop", "image": "reg.example.com/other:1"},
    ]
    assert one.record()["newer"] == THEIRS


@pytest.mark.parametrize(
    ("update", "status", "summary"),
    [
        (MADE, SUCCESS, "app.yaml: reg.example.com/app:2, commit aaaaaaaaaaaa on main"),
        (NONE, UNCHANGED, "app.yaml on main holds reg.example.com/app:2 already"),
    ],
)
def test_the_outcome_says_what_came_of_it(update: Update, status: str, summary: str) -> None:
    found = outcome([deployment(update)], stage="Central/Build", dry_run=False, seconds=1.23456)
    assert (found.status, found.summary, found.outputs["seconds"]) == (status, summary, 1.235)
    assert found.pipeline_environment["deployment/Central-Build/commit"] == (
        update.commit or update.base
    )


def test_a_commit_that_only_brings_in_the_base_is_told() -> None:
    update = Update(commit=OURS, branch="stage", base=BASE, files=(), attempts=1, diff="")
    found = outcome([deployment(update)], stage="", dry_run=False, seconds=0)
    assert found.status == SUCCESS
    assert found.summary.startswith("stage: ")
    assert found.summary.endswith(f", commit {OURS[:12]} on stage")


def test_where_the_change_had_nothing_to_do_that_is_said_beside_what_came_from_the_base() -> None:
    idle = Update(
        commit=THEIRS,
        branch="stage",
        base=BASE,
        files=("app.yaml",),
        attempts=1,
        diff="",
        idle=True,
    )
    found = outcome([deployment(idle)], stage="", dry_run=False, seconds=0)
    told = "branch stage was brought up to date with its base, commit cccccccccccc on stage"
    assert (found.status, found.summary) == (
        SUCCESS,
        f"app.yaml on stage holds reg.example.com/app:2 already; {told}",
    )
    found = outcome([deployment(MADE), deployment(idle)], stage="", dry_run=False, seconds=0)
    assert found.summary == f"app.yaml: reg.example.com/app:2, commit aaaaaaaaaaaa on main; {told}"
    found = outcome([deployment(idle)], stage="", dry_run=True, seconds=0)
    assert (
        found.summary
        == "would change nothing on stage; branch stage would be brought up to date with its base"
    )


@pytest.mark.parametrize(
    ("done", "rest", "message"),
    [
        (
            [MADE],
            [NONE, NONE],
            (
                "no; pushed before the fault, and they stay: https://git.example.com/ops: commit"
                " aaaaaaaaaaaa on main; not known to be pushed: https://git.example.com/ops,"
                " https://git.example.com/ops"
            ),
        ),
        ([NONE], [NONE], "no; nothing was pushed to any of the 2 branches"),
        ([], [NONE], "no"),
    ],
)
def test_a_fault_says_what_was_pushed_before_it_and_what_is_left(
    done: list[Update], rest: list[Update], message: str
) -> None:
    fault = GitError("no", hint="ask")
    tell_pushed(
        fault,
        [*map(deployment, done)],
        [deployment(one).targets for one in rest],
        pushing=True,
        seconds=0,
    )
    assert (fault.message, fault.hint) == (
        message,
        "ask; the step run again does the rest" if MADE in done else "ask",
    )
    assert bool(fault.outputs) == (MADE in done)
    dry = GitError("no")
    tell_diff(dry, [*map(deployment, done)])
    assert (dry.message, dry.outputs) == ("no", {"diff": "".join(one.diff for one in done)})


def test_a_dry_run_shows_what_would_change_and_leaves_no_facts() -> None:
    found = outcome([deployment(MADE), deployment(NONE)], stage="Release", dry_run=True, seconds=0)
    assert (found.summary, found.outputs["diff"], found.pipeline_environment) == (
        "would change app.yaml on main",
        "+new\n",
        {},
    )
    assert (
        outcome([deployment(NONE)], stage="Release", dry_run=True, seconds=0).summary
        == "would change nothing on main"
    )


def test_outside_of_a_stage_there_are_no_facts() -> None:
    assert deployment_facts([deployment(MADE)], "") == {}


def test_a_superseded_end_says_by_what_and_names_all_repositories() -> None:
    newer = Update(commit="", branch="main", base=BASE, files=(), attempts=0, diff="", newer=NEWER)
    done = [
        deployment(MADE, "https://git.example.com/one"),
        deployment(newer, "https://git.example.com/two"),
    ]
    fault = superseded(done, stage="Release", dry_run=False, seconds=0)
    assert (fault.message, fault.where) == (
        "a newer deployment of shop is in place: build 9, commit cccccccccccc",
        "https://git.example.com/two",
    )
    assert "allowOlder" in fault.hint
    assert fault.outputs == outputs_of(done, seconds=0)
    assert fault.pipeline_environment["deployment/Release/commit"] == OURS
    assert superseded(done, stage="Release", dry_run=True, seconds=0).pipeline_environment == {}


def test_commits_are_named_for_people() -> None:
    assert (
        commits([deployment(MADE), deployment(MADE)])
        == "commit aaaaaaaaaaaa on main, commit aaaaaaaaaaaa on main"
    )


@pytest.mark.parametrize(
    ("stage", "name"),
    [
        ("Central/Build", "Central-Build"),
        ("..", "-."),
        (".hidden", "-hidden"),
        ("a\\b", "a-b"),
        ("ä" * 300, "ä" * 100),
        ("x" * 300, "x" * 200),
    ],
)
def test_no_name_of_a_stage_lets_a_step_fail_that_has_deployed(
    tmp_path: Path, stage: str, name: str
) -> None:
    facts = deployment_facts([deployment(MADE)], stage)
    assert facts[f"deployment/{name}/branch"] == "main"
    write_environment(tmp_path, facts)
    assert read_environment(tmp_path)[f"deployment/{name}/branch"] == "main"
