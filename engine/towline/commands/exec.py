"""`towline exec -- PROGRAM`: run the caller's program with secrets of Vault in its variables.

They are Vault's general and test credentials. The program's output is masked by whole lines: a
secret that arrives in two pieces would not be recognised.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from towline import deadline
from towline.commands import build
from towline.commands.build import stage_of
from towline.commands.build_context import build_context, build_trust_lookup
from towline.commands.call import Call
from towline.commands.context import documents, pipeline_environment, tell_of_files, unknown_stage
from towline.commands.vault_secrets import entered
from towline.config.layers import Inputs, effective_settings
from towline.config.metadata import load_schema, other_steps, step_names, vault_schema
from towline.config.program_credentials import (
    check_credentials,
    credential_variables,
    read_credentials,
    wanted_credentials,
    with_credential_keys,
)
from towline.config.schema import StepSchema
from towline.config.vault_lookup import plan_lookup
from towline.contract import SUCCESS, Outcome
from towline.errors import ConfigError, MachineError, TowlineError, UsageError
from towline.pipeline.definition import definition
from towline.process import Overrun, attend, find
from towline.vault.logins import VARIABLES

_LONGEST_LINE = 1024 * 1024
_LEFT_OUT = b"[a line of more than 1 MiB is left out]"


class Lines:
    """Turns pieces of a stream into whole lines.

    A carriage return ends a line too, as progress bars have it.
    """

    def __init__(self, hand_on: Callable[[str], None]) -> None:
        self._hand_on = hand_on
        self._rest = b""
        self._dropping = False

    def take(self, piece: bytes) -> None:
        """Hand on the lines that are complete."""
        data = self._rest + piece
        end = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
        whole, self._rest = data[:end], data[end:]
        if self._dropping and whole:
            first = min(at for at in (whole.find(b"\n"), whole.find(b"\r")) if at >= 0)
            whole, self._dropping = whole[first:], False
        if self._dropping:
            self._rest = b""
        elif len(self._rest) > _LONGEST_LINE:
            whole, self._rest, self._dropping = whole + _LEFT_OUT, b"", True
        if whole:
            self._hand_on(whole.decode("utf-8", "replace"))

    def close(self) -> None:
        """Hand on the rest."""
        if self._rest:
            self._hand_on(self._rest.decode("utf-8", "replace"))
            self._rest = b""


SHARED = ("result", "stage", "config")
STAGE = stage_of  # as for a run in the same place
_HOURS = 6
_MOST_SECONDS = 30 * 24 * 3600


class ProgramFailed(TowlineError):
    """Raised if the program failed.

    `exit_code` is its own, or 128 plus the number of the signal that ended it.
    """

    category = "custom"
    usual_hint = "see the program's output above"

    def __init__(self, name: str, code: int) -> None:
        super().__init__(
            f"{name} was killed by signal {-code}"
            if code < 0
            else f"{name} ended with exit code {code}"
        )
        self.exit_code = 128 - code if code < 0 else code


def configure(parser: argparse.ArgumentParser, _words: Sequence[str]) -> None:
    """Add the flags: step and stage, what is built, and how long the program may run."""
    parser.usage = (
        "towline exec [--step STEP] [--stage NAME] [--deadline SECONDS] -- PROGRAM [ARGUMENT ...]"
    )
    parser.add_argument(
        "--step",
        metavar="STEP",
        default="",
        help="a step, of another library too, whose own section counts",
    )
    parser.add_argument(
        "--deadline",
        metavar="SECONDS",
        type=int,
        default=_HOURS * 3600,
        help=f"how long the program may take ({_HOURS} hours)",
    )
    build.configure(parser)


def execute(arguments: argparse.Namespace, call: Call) -> Outcome:
    """Ask Vault, then run the program; raises ProgramFailed with its exit code."""
    if not call.program:
        raise UsageError(
            "no program is named", hint="write it behind --: towline exec -- PROGRAM [ARGUMENT ...]"
        )
    if not 1 <= arguments.deadline <= _MOST_SECONDS:
        raise UsageError(f"--deadline takes a number of seconds from 1 to {_MOST_SECONDS}")
    program = _program(call)
    secrets = _secret_variables(arguments, call)
    deadline.begin(arguments.deadline + 60, _late)  # the limit of the child process ends first
    # the program does not get the login for Vault itself
    environment = {name: value for name, value in call.environ.items() if name not in VARIABLES}
    code = _run(program, call, {**environment, **secrets}, arguments.deadline)
    if code:
        raise ProgramFailed(Path(program).name, code)
    return Outcome(
        status=SUCCESS,
        summary=f"{Path(program).name} ended with exit code 0",
        outputs={"variables": list(secrets)},
    )


def _late() -> TowlineError:
    return MachineError("the program did not end when it was to", hint="end it by hand")


def _program(call: Call) -> str:
    """Return the program to run: a path as given, or a name from PATH outside the workspace.

    Raises MachineError.
    """
    name = call.program[0]
    found = name if "/" in name else find(name, call.environ)
    if not found:
        raise MachineError(
            f"there is no program {name} on PATH",
            hint="write its path (./NAME for a program in the workspace), or install it",
        )
    if not Path(found).exists():  # before the login for Vault
        raise MachineError(
            f"there is no file {name}",
            hint="correct the path; it is absolute, or relative to the working folder",
        )
    return found


def _secret_variables(arguments: argparse.Namespace, call: Call) -> Mapping[str, str]:
    """Return the variables that Vault's secrets make; each is masked.

    Raises ConfigError and CredentialError (VaultUnreachable too).
    """
    schema = with_credential_keys(_schema(arguments.step))
    known, values = documents(call, arguments.config), pipeline_environment(call)
    tell_of_files(call, known)
    if hint := unknown_stage(call.request.stage, known):
        call.console.warn(f"nothing is configured for stage {call.request.stage!r}: {hint}")
    sign = build.change_request(call, arguments.change_request)
    standing = build_trust_lookup(
        known,
        cache(
            lambda: build_context(
                call, values, branch=arguments.branch, sign=sign, config=arguments.config
            )
        ),
        sign,
    )
    inputs = Inputs(
        stage=call.request.stage,
        documents=known,
        pipeline_environment=values,
        environ=call.environ,
        parameters={},
        flags={},
        trusted_call=not sign,
    )
    if not check_credentials(effective_settings(schema, inputs)):
        raise ConfigError(
            "no credentials of Vault are named for a program",
            where=known.project.name,
            hint=(
                "set vaultCredentialPath and vaultCredentialKeys, or vaultTestCredentialPath and"
                " vaultTestCredentialKeys"
            ),
        )
    wanted = plan_lookup(schema, vault_schema(), inputs, ask=wanted_credentials)
    if wanted is None:
        call.console.note("Vault is not asked: vaultServerUrl is not set, or skipVault is")
        return {}
    with entered(wanted, call, standing) as vault:
        found = tuple(read_credentials(wanted.questions, vault.read))
        vault.confirm()
    made = credential_variables(found, call.environ, call.console.warn)
    for value in made.values():
        call.console.hide(value)
    call.console.say(f"Vault at {vault.host}: {', '.join(made)}")
    return made


def _schema(name: str) -> StepSchema:
    """Return the step whose sections are read, also one of another library; else no step's.

    Raises UsageError.
    """
    if name in (
        "",
        *other_steps(),
        *(
            step.name
            for stage in definition().stages
            for step in stage.steps
            if step.name not in step_names()
        ),
    ):
        return StepSchema(name=name, description="", parameters=())
    return load_schema(name)


def _run(program: str, call: Call, environment: Mapping[str, str], seconds: int) -> int:
    """Run the program and return its exit code; its output is passed on, masked.

    Raises MachineError and ConfigError.
    """
    streams = {
        1: Lines(lambda text: call.out.relay(call.console.mask(text))),
        2: Lines(call.console.relay),
    }
    try:
        return attend(
            [program, *call.program[1:]],
            environment=environment,
            seconds=seconds,
            take=lambda number, piece: streams[number].take(piece),
        )
    except Overrun as fault:
        raise MachineError(
            f"{Path(program).name} did not end within {seconds} seconds",
            hint="give it longer by --deadline",
        ) from fault
    finally:
        for stream in streams.values():
            with suppress(BrokenPipeError):  # who has seen enough of it
                stream.close()
