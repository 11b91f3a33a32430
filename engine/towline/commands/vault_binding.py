"""The login for Vault as Jenkins credentials: which are to be bound before anything can be asked there."""

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
    """The Jenkins credentials that hold the login; none in a shell, where the login is there, or where Vault has nothing for the step.

    Raises CredentialError for one that the project may not name, and what `plan_lookup` does.
    """
    if not call.requested or not mentions_any(schema, inputs, tuple(VAULT_CREDENTIALS.values())):
        return ()
    vault = dispatch.part("vault")
    asked = vault.plan_of(schema, inputs)
    if asked is None or not vault.is_bindable(asked.settings, available_sources(call.environ)):
        return ()
    settings: Settings = asked.settings
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
    """The variables to bind: for a token, else for what the environment lacks of an AppRole; none where half of one is named, with a note."""
    method = settings.text(AUTH_METHOD)
    if settings.given(VAULT_CREDENTIALS[_TOKEN]) and method != APP_ROLE:
        return [_TOKEN]
    if method == TOKEN:
        return []
    lacking = [name for name in _ROLE if not call.environ.get(name, "").strip()]
    if unnamed := [
        VAULT_CREDENTIALS[name] for name in lacking if not settings.given(VAULT_CREDENTIALS[name])
    ]:
        # of what the environment holds half, the note comes from where Vault is asked
        if len(lacking) == len(_ROLE) > len(unnamed):
            call.console.note(
                f"Vault is not asked: {' and '.join(_NAMES - {*unnamed})} is set and {unnamed[0]}"
                " is not"
            )
        return []
    return lacking
