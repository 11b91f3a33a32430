"""Stages: which of them and which of their steps are active, and why.

`plan_stages` plans all of them before anything runs; `decide_step` decides on one step when its
turn comes. Steps are decided by flags and conditions (step_decisions.py), stages by their steps and
by the rules of facts 3.4.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from towline.config import metadata
from towline.config.conditions import ONLY_BY_FLAG, Decision, parse_flag
from towline.config.documents import ConfigDocuments, former_stage_names, stage_name
from towline.config.layers import unfiltered_layers
from towline.config.merge import fold_settings
from towline.config.near_names import slip, stage_slip
from towline.config.schema import as_text
from towline.errors import ConfigError, UsageError
from towline.file_patterns import match_files
from towline.pipeline.branches import located_at
from towline.pipeline.build import BuildContext, PipelineView
from towline.pipeline.definition import (
    Pipeline,
    StageDefinition,
    StepDefinition,
    definition,
    pipeline_of,
)
from towline.pipeline.extensions import find_extensions
from towline.pipeline.parts import nest_parts
from towline.pipeline.planned import StagePlan, StepPlan, plan_step
from towline.pipeline.step_decisions import (
    decide_alone,
    decide_steps,
    find_step,
    own_name,
    refusal,
    refusals,
    runs_here,
    spellings,
    step_config,
)
from towline.record import replace
from towline.suggest import nearest

DEPLOYMENT = (
    "the commit is a deployment that Towline made of an image that is built already: a build of it"
    " would deploy again, without end"
)
_STAGE = "$(stage)"
_VOTING = "customVotingBranch"
_REFERENCE = re.compile(r"\$\((\w+)(?:, (\w+=\w+))?\)")


def plan_stages(
    documents: ConfigDocuments, build: BuildContext, *, pipeline: Pipeline | None = None
) -> tuple[StagePlan, ...]:
    """The plan of every stage of `pipeline`, by default the one that the documents define.

    Raises ConfigError.
    """
    return plan_view(view_of(documents, build, pipeline))


def plan_view(view: PipelineView) -> tuple[StagePlan, ...]:
    """The plan of every stage of the view; raises ConfigError."""
    planned, confirmed = [], False
    for stage in all_stages(view):
        plan = _plan_stage(view, stage)
        planned.append(replace(plan, after_confirm=confirmed and not stage.post))
        confirmed = confirmed or stage.confirms
    return tuple(planned)


def view_of(
    documents: ConfigDocuments, build: BuildContext, pipeline: Pipeline | None = None
) -> PipelineView:
    """The view for a plan of `pipeline`, else of the one that the documents define."""
    pipeline = pipeline or pipeline_of(documents.defaults)
    return PipelineView(documents=documents, build=build, pipeline=pipeline, planning=True)


def all_stages(view: PipelineView) -> tuple[StageDefinition, ...]:
    """The stages of the pipeline with those of the project's own, which come before Post."""
    known = view.pipeline.stages
    own = [_own_stage(view, name) for name in _own_stage_names(view)]
    return (
        *(stage for stage in known if not stage.post),
        *own,
        *(stage for stage in known if stage.post),
    )


def unproductive_source(documents: ConfigDocuments, build: BuildContext) -> str:
    """The branch or tag that is built, for people, if it is not productive; else empty."""
    if build.change_request or build.unknown:
        return ""
    view = view_of(documents, build, Pipeline(stages=(), spellings={}))
    return "" if view.verdict().productive else view.source()


def decide_step(
    documents: ConfigDocuments,
    build: BuildContext,
    *,
    stage: str,
    step: str,
    pipeline: Pipeline | None = None,
) -> Decision:
    """Whether `step` is active in `stage`, now that the pipeline environment is known.

    Raises UsageError without a stage, ConfigError.
    """
    if not stage:
        raise UsageError(
            "no stage is named, and a stage decides which steps are active",
            hint="name it with --stage, or call the step directly",
        )
    view = replace(view_of(documents, build, pipeline), planning=False)
    found = _find_stage(view, stage, step)
    known = [*(each.name for each in view.pipeline.stages), *_own_stage_names(view)]
    if found.name not in known:  # a misspelt stage would deploy nothing and succeed
        raise ConfigError(f"there is no stage {stage!r}", hint=nearest(stage, known))
    defined = find_step(view, found, step)
    if defined is None:
        return _no_step(found, step)
    return (
        refusal(view, found, defined)
        or _excluded(view, found)
        or decide_alone(view, found, defined)
    )


def is_publishing(step: str) -> bool:
    """Whether the step, by its own name, pushes or deploys."""
    steps = (step for stage in definition().stages for step in stage.steps)
    return any(defined.publishes for defined in steps if defined.name == step)


def evaluate_flags(
    documents: ConfigDocuments, build: BuildContext, *, pipeline: Pipeline
) -> Mapping[str, Mapping[str, bool]]:
    """By stage and step whether it is active by flags and conditions alone; raises ConfigError.

    Piper's checkIfStepActive writes that (facts 3.3).
    """
    view = _bare_view(documents, build, pipeline)
    return {
        stage.name: {
            name: decision.active == "yes" for name, decision in decide_steps(view, stage).items()
        }
        for stage in pipeline.stages
    }


def check_flags(
    documents: ConfigDocuments,
    build: BuildContext,
    *,
    stage: str,
    step: str,
    pipeline: Pipeline,
) -> Decision:
    """Whether `step` is active in `stage` by flags and conditions alone.

    Piper's checkIfStepActive answers that (facts 3.3). Raises ConfigError, also for a misspelt step
    or stage: "not active" would hide the slip.
    """
    view = _bare_view(documents, build, pipeline)
    found = _find_stage(view, stage, step)
    defined = find_step(view, found, step)
    if defined is None:
        _check_spelling(view, found.name, step)
        return _no_step(found, step)
    return decide_alone(view, found, defined)


def _check_spelling(view: PipelineView, stage: str, step: str) -> None:
    """Pass unless `stage` or `step` is a misspelt name; raises ConfigError with the near name."""
    stages = frozenset(each.name for each in view.pipeline.stages)
    is_known = stage in stages or stage in _own_stage_names(view)
    if near := "" if is_known else stage_slip(stage, stages):
        raise ConfigError(f"there is no stage {stage!r}", hint=f"did you mean {near!r}?")
    spelled = (name for names in view.pipeline.spellings.values() for name in names)
    steps = frozenset((*spelled, *metadata.step_names(), *metadata.other_steps()))
    if near := "" if step in steps else slip(step, steps):
        raise ConfigError(f"there is no step {step!r}", hint=f"did you mean {near!r}?")


def _no_step(stage: StageDefinition, step: str) -> Decision:
    return Decision(active="no", why=f"stage {stage.name} has no step {step}")


def _bare_view(documents: ConfigDocuments, build: BuildContext, pipeline: Pipeline) -> PipelineView:
    """A view without the rules for kinds of builds."""
    any_build = replace(build, change_request=False, deployment=False)
    return PipelineView(
        documents=documents, build=any_build, pipeline=pipeline, planning=False, bare=True
    )


# ---- one stage


def _plan_stage(view: PipelineView, stage: StageDefinition) -> StagePlan:
    excluded = _excluded(view, stage)
    running = {step.name: step for step in stage.steps if runs_here(view, step)}
    refused = refusals(view, stage)
    decisions = (
        {name: refused.get(name) or excluded for name in running}
        if excluded
        else decide_steps(view, stage, refused)
    )
    steps = nest_parts(
        view,
        stage,
        [
            plan_step(running[name], decision, _parameters(view, stage, running[name]))
            for name, decision in decisions.items()
        ],
    )
    extensions = () if excluded else find_extensions(view, stage)
    decision = excluded or _decide_stage(view, stage, steps, extensions)
    notes = _note_on_former_name(view, stage)
    return StagePlan(
        name=stage.name,
        active=decision.active,
        why=decision.why + notes,
        steps=steps,
        extensions=extensions,
    )


def _parameters(
    view: PipelineView, stage: StageDefinition, step: StepDefinition
) -> Mapping[str, object]:
    """The parameters that the stage passes to the step, without those that nothing sets."""
    found: dict[str, object] = {}
    for name, value in step.parameters.items():
        key = _REFERENCE.fullmatch(value) if isinstance(value, str) else None
        if value == _STAGE:
            found[name] = stage.name
        elif key is None:
            found[name] = value
        elif setting := step_config(view, stage, step).get(key[1]):
            renamed = dict([key[2].split("=")]) if key[2] else {}
            found[name] = renamed.get(str(setting.value), setting.value)
    return found


def _decide_stage(
    view: PipelineView,
    stage: StageDefinition,
    steps: tuple[StepPlan, ...],
    extensions: tuple[str, ...],
) -> Decision:
    """The decision on a stage: by its steps, by a section of the project, by an extension.

    Source: facts 3.4.
    """
    if stage.confirms:
        return Decision(active="no", why="it asks whether the stages behind it may run")
    project = view.documents.project
    where = project.where("stages", stage.name)
    if running := [step.name for step in steps if step.active == "yes"]:
        are = "is" if len(running) == 1 else "are"
        return Decision(active="yes", why=f"{', '.join(running)} {are} active")
    if stage in view.pipeline.stages and project.section("stages", stage.name):
        return Decision(active="yes", why=f"the project configures stage {stage.name} ({where})")
    if extensions:
        why = f"the project extends stage {stage.name} ({', '.join(extensions)})"
        return Decision(active="yes", why=why)
    if waiting := [step for step in steps if step.active == "undecided"]:
        return Decision(active="undecided", why=waiting[0].why)
    if steps:
        return Decision(active="no", why="none of its steps is active")
    if project.section("stages", stage.name):
        return Decision(active="no", why=f"none of its known steps is enabled ({where})")
    return Decision(active="no", why="it has no steps, and the project does not configure it")


def _note_on_former_name(view: PipelineView, stage: StageDefinition) -> str:
    """A note on sections of the stage's former name beside one of today's: they are not read."""
    notes = []
    for name in former_stage_names(stage.name):
        former, today = ("stages", name), ("stages", stage.name)
        notes += [
            f"; stages.{name} is not read beside it ({document.where(*former)})"
            for document in view.all_documents
            if former in document.marks and document.marks[former] != document.marks.get(today)
        ]
    return "".join(notes)


def _excluded(view: PipelineView, stage: StageDefinition) -> Decision | None:
    """Why this kind of build does not run the stage whatever its flags say; None if it does."""
    build, name = view.build, stage.name
    if build.deployment:
        return Decision(active="no", why=DEPLOYMENT)
    setting = view.run_in_all_branches(name)
    if build.change_request and not stage.change_requests:
        return Decision(active="no", why=f"a change-request build does not run stage {name}")
    only = stage.change_requests == "only"
    if only and not build.change_request and not _is_voting_branch(view, name):
        return Decision(active="no", why=f"only a change-request build runs stage {name}")
    everywhere = stage.change_requests != "" if setting is None else setting.value
    if everywhere is not False or (verdict := view.verdict()).productive:
        return None
    rule = (
        f"`runInAllBranches: false` ({setting.origin})"
        if setting
        else "the productive branch alone (`productiveBranch`) runs it"
    )
    more = f"; {verdict.ignored}" if verdict.ignored else ""
    why = f"stage {name} does not run for {view.source()}: {rule}{more}"
    return Decision(active="no", why=why)


def _is_voting_branch(view: PipelineView, stage: str) -> bool:
    """Whether `customVotingBranch` lets the branch run the stage of change requests."""
    found = fold_settings(unfiltered_layers(view.documents, ("",), stage)).get(_VOTING)
    if found is None or not view.build.branch:
        return False
    with located_at(found):
        return bool(match_files(as_text(found.value), [view.build.branch]))


# ---- stages that the pipeline does not have


def _own_stage_names(view: PipelineView) -> list[str]:
    """Stages that the documents name and the pipeline does not have, in their order."""
    known = {stage.name for stage in view.pipeline.stages}
    names = (name for document in view.all_documents for name in document.section("stages"))
    return list(dict.fromkeys(name for name in names if name not in known))


def _own_stage(view: PipelineView, name: str, step: str = "") -> StageDefinition:
    """A stage that the pipeline does not have: its steps are those with a flag in its section.

    Only these flags decide.
    """
    pairs = [
        pair for document in view.all_documents for pair in document.section("stages", name).items()
    ]
    keys = {key for key, _ in pairs}
    flags = {key for key, value in pairs if parse_flag(value) is not None}
    known = {
        other: StepDefinition(name=other) for other in metadata.other_steps() if other in flags
    }
    known |= {defined.name: defined for stage in view.pipeline.stages for defined in stage.steps}
    if step and own_name(view, step) not in known:
        known[step] = StepDefinition(name=step)
    steps = [
        StepDefinition(
            name=each,
            publishes=defined.publishes,
            publishes_by=defined.publishes_by,
            conditions=(ONLY_BY_FLAG,),
            parameters=_parameters_of_every_stage(defined),
        )
        for each, defined in known.items()
        if keys & set(spellings(view, each))
    ]
    return StageDefinition(name=name, change_requests="also", steps=tuple(steps))


def _parameters_of_every_stage(step: StepDefinition) -> Mapping[str, object]:
    """The step's parameters that are made of the stage's name: others are one stage's own."""
    return {key: value for key, value in step.parameters.items() if value == _STAGE}


def _find_stage(view: PipelineView, name: str, step: str) -> StageDefinition:
    name = stage_name(name)
    for stage in view.pipeline.stages:
        if stage.name == name:
            return stage
    return _own_stage(view, name, step)
