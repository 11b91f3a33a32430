"""The Jenkins credentials that a step asks for: one rule for a run and for the plan before it."""

from __future__ import annotations

import io
from collections.abc import Callable

from towline.commands.call import Call
from towline.commands.vault_binding import to_bind
from towline.config.credential_rules import rules_of
from towline.config.layers import Inputs, fold_layers, mentions_any, step_layers
from towline.config.metadata import AUTH_METHOD, AUTH_ROLE
from towline.config.rules import check_settings
from towline.config.schema import StepSchema
from towline.config.settings import Settings
from towline.console import Console, silent
from towline.contract import Binding
from towline.credential_hosts import BuildTrust, CredentialGate
from towline.errors import ConfigError, CredentialError, TowlineError
from towline.record import replace
from towline.vault.logins import VARIABLES

_LOGIN_KEYS = (AUTH_METHOD, AUTH_ROLE)  # by which a login that stands in no variable is wanted


def may_log_in(schema: StepSchema, inputs: Inputs) -> bool:
    """Return whether variables or settings name a login for Vault, or a part of one."""
    return any(inputs.environ.get(name) for name in VARIABLES) or mentions_any(
        schema, inputs, _LOGIN_KEYS
    )


def wanted_bindings(
    schema: StepSchema, settings: Settings, gate: CredentialGate, *, requested: bool
) -> tuple[Binding, ...]:
    """Return the Jenkins credentials that the configuration names and that are not bound yet.

    Raises CredentialError outside of Jenkins (not `requested`), and for one that the project may
    not name; ConfigError for two that would fill one parameter.
    """
    wanted: list[Binding] = []
    for credential in schema.credentials:
        if not settings.given(credential.name) or all(
            settings.given(name) for name in credential.parameters.values()
        ):
            continue
        variables = {part: f"PIPER_{name}" for part, name in credential.parameters.items()}
        if others := [
            one for one in wanted if set(one.variables.values()) & set(variables.values())
        ]:
            raise ConfigError(
                f"{credential.name} names a Jenkins credential for a parameter that"
                f" {others[0].credentials_id!r} is named for already",
                where=settings.origin(credential.name),
                hint="name one of them",
            )
        if not requested:
            raise CredentialError(
                f"{credential.name} names a Jenkins credential, and this is not a Jenkins build",
                where=settings.origin(credential.name),
                hint=f"set {' and '.join(variables.values())}",
            )
        gate.admit_id(
            settings.text(credential.name),
            settings.origin(credential.name),
            trusted=settings.trusted_texts(credential.name),
        )
        wanted.append(
            Binding(
                credentials_id=settings.text(credential.name),
                kind=credential.kind,
                variables=variables,
            )
        )
    return tuple(wanted)


def planned_bindings(
    schema: StepSchema, inputs: Inputs, call: Call, standing: Callable[[], BuildTrust]
) -> tuple[Binding, ...]:
    """Return the credentials that the step will ask for, as far as they are known before it runs.

    If Vault will be asked, only its login is known. A step whose settings have faults asks for
    none here: the step itself says what is wrong.
    """
    quiet = replace(call, console=Console(io.StringIO()))
    try:
        if login := to_bind(schema, inputs, quiet, standing):
            return login
        if may_log_in(schema, inputs):
            return ()
        layers = step_layers(schema, inputs)
        found, _ = check_settings(schema, layers, fold_layers(schema, layers))
        settings = Settings(schema, found, layers)
        gate = CredentialGate(rules_of(settings, standing), say=silent, warn=silent)
        return wanted_bindings(schema, settings, gate, requested=call.requested)
    except TowlineError:
        return ()


def read_keys(schema: StepSchema) -> tuple[str, ...]:
    """Return the keys of the pipeline environment that the step's parameters may come from."""
    keys = (
        source.pipeline_environment
        for parameter in schema.parameters
        for source in parameter.sources
    )
    return tuple(sorted({*keys}))
