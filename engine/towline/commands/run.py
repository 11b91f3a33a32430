"""`towline run <step>`: from the call to the outcome; the step's own story stands in `steps/`."""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache

from towline import dispatch
from towline.commands import build, context, secret_handles
from towline.commands.bindings import may_log_in, wanted_bindings
from towline.commands.build import stage_of
from towline.commands.build_context import build_context, build_trust_lookup
from towline.commands.call import Call
from towline.commands.context import (
    documents,
    given,
    has_team_documents,
    hide_secrets,
    hide_settings,
    known_stages,
    no_stage,
    pipeline_environment,
    tell_of_files,
    unknown_stage,
)
from towline.commands.flags import add_flag, given_flags, offer_values, secrets_of
from towline.commands.vault_binding import to_bind
from towline.config.conditions import Decision
from towline.config.credential_rules import rules_of
from towline.config.documents import ConfigDocuments
from towline.config.layers import Inputs, agent_layer, mentions_any
from towline.config.merge import Layer
from towline.config.metadata import (
    PIPELINE,
    load_schema,
    step_names,
    vault_keys,
)
from towline.config.resolve import resolve
from towline.config.schema import StepSchema
from towline.config.settings import Settings
from towline.contract import BIND, SKIPPED, Binding, Outcome
from towline.credential_hosts import BuildTrust, CredentialGate
from towline.errors import (
    ConfigError,
    CredentialError,
    MachineError,
    TowlineError,
    UsageError,
)
from towline.pipeline import stages
from towline.pipeline.build import BuildContext, allows_change_request
from towline.pipeline.ci import ALLOW, names_change
from towline.pipeline.step_decisions import CHANGE_REQUEST_PUBLISHES_NOTHING
from towline.printable import tame_lines
from towline.private_folder import sweep
from towline.record import replace
from towline.steps.task import Task
from towline.suggest import CUTOFF_KEY, close
from towline.vault.logins import VARIABLES

REPORTS = True  # a CI system gets a summary and outputs
_HELP, _NO_STEP = ("-h", "--help"), "-"
_HOW_TO_ALLOW = (
    f"it may if the platform team says so, by `general: {{{ALLOW}: true}}` in its default"
    f" documents (TOWLINE_DEFAULTS) or PIPER_{ALLOW}=true on the agent"
)
STAGE = stage_of  # where a call in a shell names none, as for Piper's steps


def configure(parser: argparse.ArgumentParser, words: Sequence[str]) -> str:
    """Add the command's flags and one per parameter of the step, and return the step's own name.

    Raises UsageError.
    """
    parser.add_argument("step", metavar="STEP", help="the step, by any of its names")
    _add_own(parser)
    asked = [word for word in words if word in _HELP]
    known, _ = parser.parse_known_args(
        [*(word for word in words if word not in _HELP), *([_NO_STEP] if asked else [])]
    )
    if asked and known.step == _NO_STEP:
        parser.formatter_class, parser.epilog = argparse.RawDescriptionHelpFormatter, _steps()
        return ""
    schema = load_schema(known.step)
    dispatch.check_step(schema.name)
    parser.set_defaults(schema=schema)
    parser.usage = (
        f"towline run {schema.name} [--stage NAME] [--if-active] [--dry-run] [--PARAMETER VALUE"
        " ...]"
    )
    parser.description = schema.description.replace("%", "%%")
    _add_parameters(parser, schema)
    return schema.name


def configure_whole(
    parser: argparse.ArgumentParser, words: Sequence[str]
) -> list[argparse.ArgumentParser]:
    """Add every step as a command of its own, for completion, and return their parsers."""
    del words
    steps = parser.add_subparsers(dest="step", metavar="STEP")
    made = []
    for name in dispatch.STEPS:
        schema = load_schema(name)
        step_parser = steps.add_parser(name, help=schema.description)
        _add_own(step_parser)
        _add_parameters(step_parser, schema)
        offer_values(step_parser, schema)
        made.append(step_parser)
    return made


def _add_own(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--if-active",
        action="store_true",
        help="obey the stage's flags and conditions; end as skipped if they say no",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="print what would be done and do nothing"
    )
    build.configure(parser)


def _add_parameters(parser: argparse.ArgumentParser, schema: StepSchema) -> None:
    group = parser.add_argument_group(f"parameters of {schema.name}", secrets_of(schema))
    for parameter in schema.parameters:
        add_flag(group, parameter)


def _steps() -> str:
    """Return the list of all steps with their descriptions, those that Towline runs first."""
    schemas = {name: load_schema(name).description for name in step_names()}
    runs = [f"  {name}\n      {schemas[name]}" for name in dispatch.STEPS]
    others = ", ".join(name for name in schemas if name not in dispatch.STEPS)
    return "\n".join(
        [
            "steps that Towline runs ('towline help run STEP' lists the parameters):",
            *runs,
            "",
            f"steps of other libraries, which 'towline explain' and 'towline lint' know: {others}",
        ]
    )


def execute(arguments: argparse.Namespace, call: Call) -> Outcome:
    """Resolve the settings, decide whether the step is active, run it, and keep its values."""
    schema: StepSchema = replace(arguments.schema, flags=not call.requested)
    if call.request.step and call.request.step not in schema.names:
        raise UsageError(
            f"the request is for {call.request.step}, the command line for {schema.name}",
            hint="name the same step in both",
        )
    call_parameters = secret_handles.opened(call, given(call))
    known = documents(call, arguments.config)
    tell_of_files(call, known)
    flags = given_flags(arguments, schema)
    _check_stage(call, known, has_parameters=bool(flags or call_parameters))
    values = secret_handles.opened_environment(call, pipeline_environment(call))
    sign = build.change_request(call, arguments.change_request)
    accepted_sign = build.change_request(
        call, arguments.change_request, deniable=_allows(schema, call, known)
    )
    context = cache(
        lambda: build_context(
            call, values, branch=arguments.branch, sign=accepted_sign, config=arguments.config
        )
    )
    decision = _decision(arguments, call, known, context)
    if decision.active != "yes":
        return _skipped(call, schema, decision.why)
    inputs = Inputs(
        stage=call.request.stage,
        documents=known,
        pipeline_environment=values,
        environ=call.environ,
        parameters=call_parameters,
        flags=flags,
        trusted_call=not sign,
        bound=call.request.bound_ids,
    )
    standing = build_trust_lookup(known, context, sign)
    state_key = secret_handles.to_bind(call, known, schema.name)
    if wanted := (*to_bind(schema, inputs, call, standing), *state_key):
        return _bind(wanted)
    secret_handles.note_lost(call)
    lost = _lost(call, known) if may_log_in(schema, inputs) else None  # before anything is sent
    with _hints(call, known, schema, inputs), _vault(schema, inputs, call, standing) as layer:
        settings = resolve(
            schema, replace(inputs, parameters=_own(schema, inputs.parameters), vault=layer)
        )
        hide_settings(call, settings)
        trust = CredentialGate(
            rules_of(settings, standing), say=call.console.say_audit, warn=call.console.warn_audit
        )
        task = _task(call, settings, values, dry_run=arguments.dry_run, addressees=trust)
        if bindings := wanted_bindings(schema, settings, trust, requested=call.requested):
            return _bind(bindings)
        # not before: binding runs the engine once more
        settings.warnings = (*settings.warnings, *(_lost(call, known) if lost is None else lost))
        return _perform(arguments, call, task, why=decision.why)


def _skipped(call: Call, schema: StepSchema, why: str) -> Outcome:
    where = f" in stage {call.request.stage}" if call.request.stage else ""
    call.console.say(f"{schema.name}: skipped{where}: {why}")
    return Outcome(status=SKIPPED, summary=f"skipped: {why}", outputs={"why": why})


def _bind(bindings: tuple[Binding, ...]) -> Outcome:
    return Outcome(status=BIND, summary="a Jenkins credential is to be bound", bindings=bindings)


def _lost(call: Call, known: ConfigDocuments) -> tuple[str, ...]:
    """Return a line on each slip in the platform team's documents.

    Raises ConfigError for a rule that would be ignored.
    """
    lines: tuple[str, ...] = dispatch.part("team").check(known) if has_team_documents(call) else ()
    return lines


def _allows(schema: StepSchema, call: Call, known: ConfigDocuments) -> bool:
    """Return whether a trusted layer lets builds of change requests publish by the step."""
    return allows_change_request(known, agent_layer(PIPELINE, call.environ), schema.names)


def _decision(
    arguments: argparse.Namespace,
    call: Call,
    known: ConfigDocuments,
    given: Callable[[], BuildContext],
) -> Decision:
    """Return whether the step is to run.

    The stage's flags and conditions count if the call obeys them. A change request runs no step
    that changes anything.
    """
    name: str = arguments.schema.name
    if arguments.if_active:
        return stages.decide_step(known, given(), stage=call.request.stage, step=name)
    sign = "" if arguments.dry_run else build.change_request(call, arguments.change_request)
    if sign and stages.is_publishing(name) and not _allows(arguments.schema, call, known):
        named = arguments.change_request
        denied = (
            f", and --change-request {named} is ignored"
            if named and not names_change(named)
            else ""
        )
        return Decision(
            active="no",
            why=(
                f"{CHANGE_REQUEST_PUBLISHES_NOTHING}, and {sign} says that this is one{denied};"
                f" {_HOW_TO_ALLOW}"
            ),
        )
    return Decision(active="yes", why="called directly")


def _check_stage(call: Call, known: ConfigDocuments, *, has_parameters: bool) -> None:
    """Warn that the stage is unknown, unless the call has parameters of its own.

    Raises UsageError in a shell if the name is nearly that of a known stage.
    """
    stage = call.request.stage
    if not (hint := unknown_stage(stage, known)):
        return
    if not call.requested and close(stage, known_stages(known), cutoff=CUTOFF_KEY):
        raise UsageError(f"there is no stage {stage!r}", where="--stage", hint=hint)
    if not has_parameters:
        call.console.warn(f"nothing is configured for stage {stage!r}: {hint}")


@contextlib.contextmanager
def _hints(
    call: Call, known: ConfigDocuments, schema: StepSchema, inputs: Inputs
) -> Iterator[None]:
    """Add hints to an error on missing values.

    If no stage is named, the value may be in a stage's section. If a login is missing, it may be in
    a Vault that was not asked.
    """
    try:
        yield
    except ConfigError as fault:
        fault.hint = "; ".join(part for part in (fault.hint, no_stage(call, known)) if part)
        raise
    except CredentialError as fault:
        if mentions_any(schema, inputs, ["vaultServerUrl"]) and not may_log_in(schema, inputs):
            unasked = f"Vault was not asked: there is no login for it ({', '.join(VARIABLES)})"
            fault.hint = "; ".join(part for part in (fault.hint, unasked) if part)
        raise


def _vault(
    schema: StepSchema, inputs: Inputs, call: Call, standing: Callable[[], BuildTrust]
) -> contextlib.AbstractContextManager[Layer | None]:
    """Yield Vault's values for the step; without a login, the client for Vault is not loaded."""
    if not may_log_in(schema, inputs):
        return contextlib.nullcontext()
    layer: contextlib.AbstractContextManager[Layer | None] = dispatch.part("vault").from_vault(
        schema, inputs, call, standing
    )
    return layer


def _own(schema: StepSchema, parameters: Mapping[str, object]) -> Mapping[str, object]:
    """Return the call's parameters without its keys for Vault, which belong to no step."""
    keys = vault_keys(schema)
    return {key: value for key, value in parameters.items() if key not in keys}


def _perform(arguments: argparse.Namespace, call: Call, task: Task, *, why: str) -> Outcome:
    """Log warnings and notes on the configuration, and run the step."""
    schema, settings = arguments.schema, task.settings
    for warning in settings.warnings:
        call.console.warn(warning)
    for note in settings.notes:
        call.console.note(note)
    sweep(call.environ)
    secret_handles.sweep(call)
    doing = "dry run" if arguments.dry_run else "runs"
    call.console.say(
        f"{schema.name}: {doing}{f' in stage {call.request.stage}' if call.request.stage else ''}:"
        f" {why}"
    )
    started, step = time.monotonic(), dispatch.step(schema.name)
    leaves = not call.requested and not arguments.dry_run  # in Jenkins the library does so
    if leaves and step.leaves(task):
        context.check(call)  # before anything is published
    try:
        outcome: Outcome = step.run(task)
    except TowlineError as fault:
        _show(call, arguments, fault.outputs)
        fault.pipeline_environment, lost = _left(call, arguments, fault.pipeline_environment)
        if lost:
            call.console.warn(f"{lost.where}: {lost.message}; {lost.hint}")
        raise
    _show(call, arguments, outcome.outputs)
    left, lost = _left(call, arguments, outcome.pipeline_environment)
    status = "dry run" if arguments.dry_run else outcome.status
    call.console.say(
        f"{schema.name}: {status}: {outcome.summary} ({time.monotonic() - started:.2f} s)"
    )
    outputs = {**outcome.outputs, "why": why}
    if lost:
        lost.message = f"the step has published everything, but {lost.message}"
        lost.hint += "; then run the step again: it changes nothing that is already published"
        lost.outputs, lost.pipeline_environment = outputs, left
        raise lost
    return replace(outcome, outputs=outputs, pipeline_environment=left)


def _left(
    call: Call, arguments: argparse.Namespace, values: Mapping[str, object]
) -> tuple[Mapping[str, object], TowlineError | None]:
    """Leave the step's values for later steps: in a shell on disk, in Jenkins in the result.

    Returns the values for the result, and the error if not all can be left.
    """
    try:
        hide_secrets(call, values, "the pipeline environment", trusted=True)
        if call.requested:
            return secret_handles.hidden(call, values), None
        if not arguments.dry_run:
            context.write(call, values)
    except (ConfigError, MachineError) as fault:
        fault.message = (
            f"not all values for later steps are written ({', '.join(values)}): {fault.message}"
        )
        return (secret_handles.without_secrets(values) if call.requested else values), fault
    return values, None


def _show(call: Call, arguments: argparse.Namespace, outputs: Mapping[str, object]) -> None:
    """Print the diff of a dry run alone to standard output, so that a program can read it."""
    if not arguments.json and outputs.get("diff"):
        call.out.write(tame_lines(call.console.mask(str(outputs["diff"]))))


def _task(
    call: Call,
    settings: Settings,
    values: Mapping[str, object],
    *,
    dry_run: bool,
    addressees: CredentialGate,
) -> Task:
    request = call.request
    return Task(
        settings=settings,
        pipeline_environment=values,
        stage=request.stage,
        build=build.build_of(call),
        folder=call.folder,
        environ=call.environ,
        console=call.console,
        dry_run=dry_run,
        addressees=addressees,
    )
