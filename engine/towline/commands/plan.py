"""`towline plan`: which stages and steps are active, and why; no network, no secrets."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence

from towline.commands import build
from towline.commands.build_context import build_context
from towline.commands.call import Call
from towline.commands.context import documents, pipeline_environment, tell_of_files
from towline.commands.plan_outputs import Planning, plan_outputs
from towline.config.documents import stage_name
from towline.config.layers import agent_layer
from towline.config.metadata import PIPELINE
from towline.contract import SUCCESS, Outcome
from towline.errors import UsageError
from towline.files import is_folder
from towline.pipeline import stages
from towline.pipeline.build import PipelineView, allows_change_request
from towline.pipeline.extensions import extension_folders, find_extensions
from towline.pipeline.notes import extension_note, idle_notes, optional_note
from towline.pipeline.planned import StagePlan, StepPlan
from towline.printable import tame_lines
from towline.suggest import nearest


def configure(parser: argparse.ArgumentParser, _words: Sequence[str]) -> None:
    """Add the flags: what is built, and how much is shown."""
    build.configure(parser)
    parser.add_argument("--all", action="store_true", help="also show what is not active, and why")


def execute(arguments: argparse.Namespace, call: Call) -> Outcome:
    """Return the plan as outputs for the library, and print it."""
    known = documents(call, arguments.config)
    tell_of_files(call, known)
    # only for a stage that begins now: without a stage, the values on disk are an older run's
    written = pipeline_environment(call) if call.request.stage else {}
    sign = build.change_request(
        call,
        arguments.change_request,
        deniable=allows_change_request(known, agent_layer(PIPELINE, call.environ)),
    )
    context = build_context(
        call, written, branch=arguments.branch, sign=sign, config=arguments.config
    )
    if context.unknown:
        call.console.say(
            f"the branch of this build is unknown ({context.unknown}), so steps of the productive"
            " branch are not active; name the branch with --branch"
        )
    if sign:
        call.console.say(
            f"{sign} says that a change request is built, which pushes and deploys nothing; stages"
            " of the productive branch are not active"
        )
    elif source := stages.unproductive_source(known, context):
        call.console.say(
            f"this build is not productive: {source}; stages of the productive branch"
            " (`productiveBranch`) are not active"
        )
    view = stages.view_of(known, context)
    whole = stages.plan_view(view)
    asked = stage_name(arguments.stage)
    names = [stage.name for stage in whole]
    if asked and asked not in names:
        raise UsageError(
            f"there is no stage {asked!r}", where="--stage", hint=nearest(asked, names)
        )
    shown = [stage for stage in whole if asked in ("", stage.name)]
    idle = () if asked else (*idle_notes(view, whole), *_idle_extensions(call, view))
    for note in idle:
        call.console.warn(note)
    optional = optional_note(shown)
    if optional:
        call.console.say(optional)
    notes = (*idle, optional) if optional else idle
    planning = Planning(call=call, view=view, whole=whole, sign=sign, notes=notes)
    outputs = plan_outputs(planning, shown)
    if not call.requested and not arguments.json:
        _print(call, shown, whole=arguments.all or bool(asked))
    active = [stage.name for stage in shown if stage.active != "no"]
    return Outcome(
        status=SUCCESS,
        summary=f"active: {', '.join(active) or 'no stage'}",
        outputs=outputs,
    )


def _idle_extensions(call: Call, view: PipelineView) -> Iterator[str]:
    """Return a note on each file in the extensions folders that no stage loads."""
    defined = stages.all_stages(view)
    loaded = {path for stage in defined for path in find_extensions(view, stage)}
    for folder in extension_folders(view) if view.build.extensions else ():
        known = is_folder(call.folder, folder)
        names = sorted(os.listdir(call.folder / folder)) if known else []  # noqa: PTH208
        for path in (f"{folder}/{name}" for name in names if name.endswith(".groovy")):
            if path not in loaded:
                yield extension_note(path, defined)


def _print(call: Call, planned: Sequence[StagePlan], *, whole: bool) -> None:
    lines = [line for stage in planned for line in _lines(stage, whole=whole)]
    lines += [] if whole else _left_out(planned)
    call.out.write(tame_lines("".join(f"{line}\n" for line in lines)))


def _lines(stage: StagePlan, *, whole: bool) -> list[str]:
    """Return the lines of a stage and its steps; inactive ones only in the whole plan."""
    if stage.active == "no" and not whole:
        return []
    lines = [f"{stage.name}: {stage.active} ({stage.why})"]
    for step in stage.steps:
        if whole or step.active != "no":
            lines.append(f"  {_step(step, stage)}")
            lines += [f"    {_step(part, stage)}" for part in step.parts]
    return lines


def _step(step: StepPlan, stage: StagePlan) -> str:
    """Return the line of a step; its reason is left out if it is the stage's."""
    return f"{step.name}: {step.active}" + (f" ({step.why})" if step.why != stage.why else "")


def _left_out(planned: Sequence[StagePlan]) -> list[str]:
    names = [stage.name for stage in planned if stage.active == "no"]
    return [f"not active: {', '.join(names)} (--all says why)"] if names else []
