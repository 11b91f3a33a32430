"""`towline plan`: which stages and steps are active, and why; pure, no network, no secrets."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from towline import dispatch
from towline.commands.call import Call
from towline.commands.project import documents
from towline.errors import ConfigError
from towline.pipeline import stages
from towline.pipeline.stages import StagePlan
from towline.suggest import nearest
from towline.wire import SUCCESS, Outcome


def configure(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    """Nothing beyond the common flags."""


def execute(arguments: argparse.Namespace, call: Call) -> Outcome:
    """The plan as outputs for the library, and as text on standard output for a person."""
    known = documents(call, arguments.config)
    planned = stages.plan(known, change_request=bool(call.request.build.change_request))
    names = [stage.name for stage in planned]
    if arguments.stage and arguments.stage not in names:
        raise ConfigError(f"there is no stage {arguments.stage!r}", hint=nearest(arguments.stage, names))
    planned = tuple(stage for stage in planned if arguments.stage in ("", stage.name))
    if not call.requested and not arguments.json:
        call.out.write("".join(f"{line}\n" for stage in planned for line in _lines(stage)))
    active = [stage.name for stage in planned if stage.active != "no"]
    return Outcome(status=SUCCESS, summary=f"active: {', '.join(active) or 'no stage'}", outputs={"stages": [_record(stage) for stage in planned]})


def _lines(stage: StagePlan) -> list[str]:
    return [f"{stage.name}: {stage.active} ({stage.why})", *(f"  {step.name}: {step.active} ({step.why})" for step in stage.steps)]


def _record(stage: StagePlan) -> dict[str, object]:
    steps = [{"name": step.name, "active": step.active, "why": step.why, "engine": step.name in dispatch.STEPS} for step in stage.steps]
    return {"name": stage.name, "active": stage.active, "why": stage.why, "steps": steps}
