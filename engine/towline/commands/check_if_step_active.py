"""`towline checkIfStepActive`: the drop-in for Piper's command, with its flags and exit codes.

It answers by flags and conditions alone (facts 3.3). The rules for stages, branches and change
requests belong to `towline plan` and `--if-active`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence

from towline import dispatch
from towline.commands import piper_flags
from towline.commands.build import change_request
from towline.commands.build_context import build_context
from towline.commands.call import Call
from towline.commands.context import for_hosts
from towline.config.documents import text_in
from towline.contract import SUCCESS, Outcome
from towline.errors import ConfigError, Negative, UsageError
from towline.files import is_inside, leads_out, misfit, write_named
from towline.pipeline import definition, stages
from towline.pipeline.definition import Pipeline

FAILURE = 1
_USUAL = ".resources/piper-stage-config.yml"
_LARGEST = 8 * 1024 * 1024


# every command is set up alike
def configure(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:  # noqa: ARG001
    """Add the flags of Piper's command."""
    parser.add_argument("--step", metavar="NAME", required=True, help="the step that is asked for")
    parser.add_argument(
        "--stageConfig",
        metavar="FILE",
        default="",
        help=f"the stage definition, a file or a URL ({_USUAL}, else Towline's own)",
    )
    parser.add_argument(
        "--stageOutputFile",
        metavar="FILE",
        default="",
        help="write which stages are active, as JSON, and ask for nothing",
    )
    parser.add_argument(
        "--stepOutputFile",
        metavar="FILE",
        default="",
        help="write which steps are active, as JSON, and ask for nothing",
    )
    parser.add_argument(
        "--useV1",
        metavar="BOOL",
        nargs="?",
        const="true",
        help="without effect: there is no other format",
    )
    piper_flags.configure(parser, parameters="only their stageName counts here")


def execute(arguments: argparse.Namespace, call: Call) -> Outcome:
    """Exit with 0 if the step is active, or if a file was asked for; else with 1.

    Raises UsageError, ConfigError and MachineError.
    """
    pipeline = _pipeline(arguments.stageConfig, call)
    known = piper_flags.documents(arguments, call)
    given = build_context(
        call, piper_flags.pipeline_environment(arguments, call), sign=change_request(call)
    )
    if arguments.stageOutputFile or arguments.stepOutputFile:
        active = stages.evaluate_flags(known, given, pipeline=pipeline)
        _write(call, arguments.stepOutputFile, active)
        _write(
            call,
            arguments.stageOutputFile,
            {stage: any(steps.values()) for stage, steps in active.items()},
        )
        names = [stage for stage, steps in active.items() if any(steps.values())]
        return Outcome(status=SUCCESS, summary=f"active: {', '.join(names) or 'no stage'}")
    stage = piper_flags.stage(arguments, call)
    if not stage:
        raise UsageError(
            "no stage is named, and a stage decides which steps are active",
            hint="name it with --stage",
        )
    decision = stages.check_flags(known, given, stage=stage, step=arguments.step, pipeline=pipeline)
    if decision.active != "yes":
        raise Negative(
            f"{arguments.step} is not active in stage {stage}: {decision.why}",
            hint=(
                "this is an answer, not an error; `towline plan` says what every stage and step"
                " depends on"
            ),
        )
    call.console.say(f"{arguments.step} is active in stage {stage}: {decision.why}")
    return Outcome(status=SUCCESS, summary=f"active: {decision.why}", outputs={"why": decision.why})


def _pipeline(name: str, call: Call) -> Pipeline:
    """Return the stage definition `name`, else that of the workspace, else Towline's own.

    Raises ConfigError.
    """
    if not name:
        # a path that leads out of the workspace is refused by text_in, not ignored
        exists = is_inside(call.folder, _USUAL) or leads_out(call.folder, _USUAL)
        return (
            definition.parse_pipeline(text_in(call.folder, _USUAL), _USUAL)
            if exists
            else definition.definition()
        )
    if name.partition("://")[0].lower() in ("http", "https"):
        remote = dispatch.source("http")
        return definition.parse_pipeline(
            remote.fetch(name, for_hosts(call), where="--stageConfig"), remote.display_url(name)
        )
    path = call.folder / name
    try:
        if why := misfit(path, _LARGEST):
            raise ConfigError(
                f"the stage definition {why}", where=name, hint="correct --stageConfig"
            )
        return definition.parse_pipeline(path.read_text(encoding="utf-8"), name)
    except (OSError, UnicodeDecodeError) as fault:
        raise ConfigError(
            "the stage definition cannot be read",
            where=name,
            hint="correct the file or its permissions",
        ) from fault


def _write(call: Call, name: str, value: Mapping[str, object]) -> None:
    if name:
        write_named(
            call.folder,
            name,
            json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode(),
        )
