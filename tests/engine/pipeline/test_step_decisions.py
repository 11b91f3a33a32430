from __future__ import annotations

from pathlib import Path
from typing import Any

from towline.config.documents import ConfigDocuments, parse_document
from towline.pipeline.build import BuildContext, PipelineView
from towline.pipeline.definition import definition, parse_pipeline
from towline.pipeline.step_decisions import (
    CHANGE_REQUEST_PUBLISHES_NOTHING,
    decide_alone,
    decide_steps,
    find_step,
    own_name,
    refusals,
    runs_here,
    spellings,
)
from towline.pipeline.workspace import WorkspaceFiles

PIPELINE = parse_pipeline(
    """
spec:
  stages:
    - displayName: Build
      steps:
        - name: scan
        - name: azure
          orchestrators: [AzureDevOps]
        - name: fallback
          notActiveConditions: [{onlyActiveStepInStage: true}]
""",
    "f",
)


def view(project: str = "", **known: Any) -> PipelineView:
    documents = ConfigDocuments(
        defaults=(), project=parse_document(project, "config.yml", trusted=False)
    )
    build = BuildContext(workspace=WorkspaceFiles(Path()), **known)
    return PipelineView(documents=documents, build=build, pipeline=PIPELINE, planning=True)


def test_conditions_that_switch_off_see_the_decisions_on_the_other_steps() -> None:
    (stage,) = PIPELINE.stages
    both = {name: made.active for name, made in decide_steps(view(), stage).items()}
    assert both == {"scan": "yes", "fallback": "yes"}
    off = view("general: {scan: false}")
    assert decide_steps(off, stage)["fallback"].active == "no"
    fallback = find_step(off, stage, "fallback")
    assert fallback is not None
    assert decide_alone(off, stage, fallback) == decide_steps(off, stage)["fallback"]


def test_a_step_of_another_orchestrator_is_not_decided_on() -> None:
    (stage,) = PIPELINE.stages
    azure = find_step(view(), stage, "azure")
    assert azure is not None
    assert not runs_here(view(), azure)
    assert decide_alone(view(), stage, azure).why == (
        "azure runs on AzureDevOps only, and this is Jenkins"
    )
    assert runs_here(view(orchestrator="AzureDevOps"), azure)


def test_a_change_request_refuses_the_steps_that_publish_alone() -> None:
    stage = next(stage for stage in definition().stages if stage.name == "Build")
    refused = refusals(view(change_request=True), stage)
    assert set(refused) == {step.name for step in stage.steps if step.publishes}
    assert {made.why for made in refused.values()} == {CHANGE_REQUEST_PUBLISHES_NOTHING}
    assert refusals(view(branch="main"), stage) == {}


def test_a_step_is_known_by_each_of_its_spellings() -> None:
    known = PipelineView(
        documents=view().documents, build=view().build, pipeline=definition(), planning=True
    )
    assert own_name(known, "gitopsUpdateDeployment") == "gitOpsUpdateDeployment"
    assert "gitopsUpdateDeployment" in spellings(known, "gitOpsUpdateDeployment")
    assert (own_name(known, "mine"), spellings(known, "mine")) == ("mine", ("mine",))
