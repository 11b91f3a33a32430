"""The login for Vault that the settings choose, from the agent's variables and what the machine has: never from what a pull request can change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from towline.commands.call import Call
from towline.config.vault import Plan
from towline.config.vault_login import AUDIENCE, login_of
from towline.vault import here
from towline.vault.logins import (
    ID_TOKEN_URL,
    JWT_FILE,
    JWT_VARIABLE,
    ROLE_ID,
    SECRET_ID,
    SERVICE_ACCOUNT,
    TOKEN_VARIABLE,
    VaultLogin,
)
from towline.vault.tokens import checked, from_file, from_github


def login(asked: Plan, call: Call) -> VaultLogin | None:
    """The login with what proves it, None where there is none; raises ConfigError, and from its `proof` CredentialError."""
    found = login_of(asked.settings, here.there(call.environ))
    if found is None:
        return None
    audience = asked.settings.text(AUDIENCE) or asked.server.url
    proofs: Mapping[str, Callable[[], str]] = {
        TOKEN_VARIABLE: partial(_variable, call, TOKEN_VARIABLE),
        ROLE_ID: partial(_variable, call, SECRET_ID),
        JWT_VARIABLE: lambda: checked(_variable(call, JWT_VARIABLE), JWT_VARIABLE),
        JWT_FILE: lambda: from_file(
            Path(_variable(call, JWT_FILE)), where=JWT_FILE, folder=call.folder
        ),
        SERVICE_ACCOUNT: lambda: from_file(
            here.service_account, where=SERVICE_ACCOUNT, folder=call.folder
        ),
        ID_TOKEN_URL: lambda: from_github(call.environ, audience, call.console.hide),
    }
    role = _variable(call, ROLE_ID) if ROLE_ID in found.source else found.role
    return replace(found, role=role, proof=proofs[found.source[0]])


def _variable(call: Call, name: str) -> str:
    return call.environ[name].strip()
