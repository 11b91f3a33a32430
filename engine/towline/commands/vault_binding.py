"""The login for Vault as Jenkins credentials: those to bind before Vault can be asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from towline import dispatch
from towline.commands.call import Call
from towline.config.credential_rules import rules_of
from towline.config.layers import Inputs, mentions_any
from towline.config.metadata import AUTH_METHOD, VAULT_CREDENTIALS, VAULT_LOGIN
from towline.config.schema import StepSchema
from towline.config.settings import Settings
from towline.contract import Binding
from towline.credential_hosts import BuildTrust, CredentialGate
from towline.vault.logins import APP_ROLE, TOKEN, available_sources

_TOKEN, *_ROLE = VAULT_LOGIN
_NAMES = frozenset(VAULT_CREDENTIALS[name] for name in _ROLE)


def to_bind(
    schema: StepSchema, inputs: Inputs, call: Call, standing: Callable[[], BuildTrust]
) -> tuple[Binding, ...]:
    """Return the Jenkins credentials that hold the login for Vault.

    There are none in a shell, if the login is there already, or if Vault has nothing for the step.
    Raises CredentialError for a credential that the project may not name, and the errors of
    `plan_lookup`.
    """
    if not call.requested or not mentions_any(schema, inputs, tuple(VAULT_CREDENTIALS.values())):
        return ()
    vault = dispatch.part("vault")
    lookup = vault.plan_of(schema, inputs)
    if lookup is None or not vault.is_bindable(lookup.settings, available_sources(call.environ)):
        return ()
    settings: Settings = lookup.settings
    wanted = _wanted(settings, call)
    trust = CredentialGate(
        rules_of(settings, standing), say=call.console.say_audit, warn=call.console.warn_audit
    )
    for name in (VAULT_CREDENTIALS[variable] for variable in wanted):
        trust.admit_id(
            settings.text(name), settings.origin(name), trusted=settings.trusted_texts(name)
        )
    return tuple(
        Binding(
            credentials_id=settings.text(VAULT_CREDENTIALS[variable]),
            kind="string",
            variables={"text": variable},
        )
        for variable in wanted
    )


def _wanted(settings: Settings, call: Call) -> Sequence[str]:
    """Return the variables to bind: a token, else the missing parts of an AppRole.

    There are none, but a note, if half of an AppRole is named.
    """
    method = settings.text(AUTH_METHOD)
    if settings.given(VAULT_CREDENTIALS[_TOKEN]) and method != APP_ROLE:
        return [_TOKEN]
    if method == TOKEN:
        return []
    lacking = [name for name in _ROLE if not call.environ.get(name, "").strip()]
    if unnamed := [
        VAULT_CREDENTIALS[name] for name in lacking if not settings.given(VAULT_CREDENTIALS[name])
    ]:
        # if the variables hold half of an AppRole, the note is made when Vault is asked
        if len(lacking) == len(_ROLE) > len(unnamed):
            call.console.note(
                f"Vault is not asked: {' and '.join(_NAMES - {*unnamed})} is set and {unnamed[0]}"
                " is not"
            )
        return []
    return lacking
