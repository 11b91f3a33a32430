"""`towline run <step>`: from the call to the step's outcome; the step tells its own story in `steps/`."""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from towline import dispatch
from towline.commands.call import Call
from towline.commands.circumstances import circumstances
from towline.commands.flags import add_flag, given_flags
from towline.commands.orchestrator import stage_of
from towline.commands.project import documents, given, pipeline_environment
from towline.config.catalog import VAULT_LOGIN, vault_keys
from towline.config.layers import Inputs, load_schema
from towline.config.merge import Layer
from towline.config.resolve import resolve
from towline.config.schema import StepSchema
from towline.config.settings import Settings
from towline.errors import ConfigError, CredentialError, UsageError
from towline.pipeline import environment, stages
from towline.steps.task import Task
from towline.wire import BIND, SKIPPED, Binding, Outcome

STAGE = stage_of  # where a call in a shell names none, as for Piper's steps


def configure(parser: argparse.ArgumentParser, words: Sequence[str]) -> str:
    """The command's own flags, and one for every parameter of the step that `words` name, whose own name is given back; raises UsageError."""
    parser.add_argument("step", help="imagePushToRegistry, gitOpsUpdateDeployment, or another name of theirs")
    parser.add_argument("--if-active", action="store_true", help="obey the stage's flags and conditions; end as skipped where they say no")
    parser.add_argument("--dry-run", action="store_true", help="print the plan and change nothing")
    known, _ = parser.parse_known_args([word for word in words if word not in ("-h", "--help")])
    schema = load_schema(known.step)
    dispatch.check_step(schema.name)
    parser.set_defaults(schema=schema)
    group = parser.add_argument_group(f"parameters of {schema.name}")
    for parameter in schema.parameters:
        add_flag(group, parameter)
    return schema.name


def execute(arguments: argparse.Namespace, call: Call) -> Outcome:
    """Resolve, decide whether the step is active, let it run, and keep what it says about the pipeline."""
    schema: StepSchema = arguments.schema
    if call.request.step and call.request.step not in schema.names:
        raise UsageError(f"the request is for {call.request.step}, the command line for {schema.name}", hint="name the same step in both")
    given_here = given(call)
    known = documents(call, arguments.config)
    values = pipeline_environment(call)
    why = "called directly"
    if arguments.if_active:
        decision = stages.decide(known, circumstances(call, values), stage=call.request.stage, step=schema.name)
        if decision.active != "yes":
            call.console.say(f"{schema.name}: skipped in stage {call.request.stage}: {decision.why}")
            return Outcome(status=SKIPPED, summary=f"skipped: {decision.why}", outputs={"why": decision.why})
        why = decision.why
    inputs = Inputs(stage=call.request.stage, documents=known, pipeline_environment=values, environ=call.environ,
                    parameters=given_here, flags=given_flags(arguments, schema))
    with _vault(schema, inputs, call) as layer:
        settings = resolve(schema, replace(inputs, parameters=_own(schema, inputs.parameters), vault=layer))
        return _perform(arguments, call, settings=settings, values=values, why=why)


def _vault(schema: StepSchema, inputs: Inputs, call: Call) -> contextlib.AbstractContextManager[Layer | None]:
    """What Vault holds for the step; without a login for it nothing of Vault is loaded."""
    if not any(call.environ.get(name) for name in VAULT_LOGIN):
        return contextlib.nullcontext()
    held: contextlib.AbstractContextManager[Layer | None] = dispatch.part("vault").from_vault(schema, inputs, call)
    return held


def _own(schema: StepSchema, parameters: Mapping[str, object]) -> Mapping[str, object]:
    """The call's parameters without its keys for Vault, which are no parameters of the step."""
    keys = vault_keys(schema)
    return {key: value for key, value in parameters.items() if key not in keys}


def _perform(arguments: argparse.Namespace, call: Call, *, settings: Settings, values: Mapping[str, object], why: str) -> Outcome:
    """Bind what is to be bound, else let the step run."""
    schema: StepSchema = arguments.schema
    for secret in settings.secrets():
        call.console.hide(secret)
    bindings = _bindings(schema, settings, call)
    if bindings:
        return Outcome(status=BIND, summary="a Jenkins credential is to be bound", bindings=bindings)
    for warning in settings.warnings:  # not before: binding runs the engine once more
        call.console.warn(warning)
    call.console.say(f"{schema.name}: runs{f' in stage {call.request.stage}' if call.request.stage else ''}: {why}")
    started = time.monotonic()
    outcome: Outcome = dispatch.step(schema.name).run(_task(call, settings, values, dry_run=arguments.dry_run))
    call.console.say(f"{schema.name}: {outcome.status}: {outcome.summary} ({time.monotonic() - started:.2f} s)")
    if not call.requested and not arguments.dry_run:
        environment.write(call.folder, outcome.pipeline_environment)
    return replace(outcome, outputs={**outcome.outputs, "why": why})


def _task(call: Call, settings: Settings, values: Mapping[str, object], *, dry_run: bool) -> Task:
    request = call.request
    return Task(settings=settings, pipeline_environment=values, stage=request.stage, build=request.build, folder=call.folder,
                environ=call.environ, console=call.console, dry_run=dry_run)


def _bindings(schema: StepSchema, settings: Settings, call: Call) -> tuple[Binding, ...]:
    """Jenkins credentials that the configuration names and that nobody has bound yet; raises CredentialError outside of Jenkins.

    Raises ConfigError for two that would fill one parameter.
    """
    wanted: list[Binding] = []
    for credential in schema.credentials:
        if not settings.given(credential.name) or all(settings.given(name) for name in credential.parameters.values()):
            continue
        variables = {part: f"PIPER_{name}" for part, name in credential.parameters.items()}
        if others := [one for one in wanted if set(one.variables.values()) & set(variables.values())]:
            raise ConfigError(f"{credential.name} names a credential for what {others[0].credentials_id!r} is named for already",
                              where=settings.origin(credential.name), hint="name one of them")
        if not call.requested:
            raise CredentialError(f"{credential.name} names a Jenkins credential, and this is no Jenkins build", where=settings.origin(credential.name),
                                  hint=f"set {' and '.join(variables.values())}")
        wanted.append(Binding(credentials_id=settings.text(credential.name), kind=credential.kind, variables=variables))
    return tuple(wanted)
