"""Vault's values for a step as one layer of its settings.

The command enters `from_vault`; the token, the files and the layer's secrets are gone when it
leaves. The settings choose the login, from the agent's variables and the machine alone: a pull
request cannot change them. Secrets that are files lie in memory if the machine allows it, for their
owner alone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from towline import dispatch
from towline.commands.call import Call
from towline.config.credential_rules import rules_of
from towline.config.layers import Inputs
from towline.config.merge import Layer, Setting
from towline.config.metadata import vault_schema
from towline.config.schema import StepSchema
from towline.config.vault_login import AUDIENCE, choose_login, is_bindable, missing_login
from towline.config.vault_lookup import (
    VaultAnswer,
    VaultLookup,
    admit_lookup,
    plan_lookup,
    read_answers,
)
from towline.credential_hosts import BuildTrust, CredentialGate
from towline.errors import CredentialError
from towline.files import write_whole
from towline.http.connection import Network
from towline.http.proxy import Proxies
from towline.http.tls import Tls
from towline.private_folder import PrivateFolder
from towline.record import replace
from towline.steps.host_access import certificates
from towline.vault import logins
from towline.vault.logins import (
    APP_ROLE,
    ID_TOKEN_URL,
    JWT,
    JWT_FILE,
    JWT_VARIABLE,
    ROLE_ID,
    SECRET_ID,
    SECRETS,
    SERVICE_ACCOUNT,
    TOKEN,
    TOKEN_VARIABLE,
    VaultLogin,
    available_sources,
    describe_sources,
)
from towline.vault.tokens import checked_jwt, from_file, from_github

# the names that users of the dispatch table take from this module; `is_bindable` is among them, so
# that it is loaded with Vault only
__all__ = ["entered", "from_vault", "is_bindable", "login", "plan_of", "secret_files"]


def login(asked: VaultLookup, call: Call) -> VaultLogin | None:
    """Return the login with its proof, or None if there is no login.

    Raises ConfigError; its `proof` raises CredentialError.
    """
    found = choose_login(asked.settings, logins.available_sources(call.environ))
    if found is None:
        return None
    audience = asked.settings.text(AUDIENCE) or asked.server.url
    proofs: Mapping[str, Callable[[], str]] = {
        TOKEN_VARIABLE: partial(_variable, call, TOKEN_VARIABLE),
        ROLE_ID: partial(_variable, call, SECRET_ID),
        JWT_VARIABLE: lambda: checked_jwt(_variable(call, JWT_VARIABLE), JWT_VARIABLE),
        JWT_FILE: lambda: from_file(
            Path(_variable(call, JWT_FILE)), where=JWT_FILE, folder=call.folder
        ),
        SERVICE_ACCOUNT: lambda: from_file(
            logins.service_account, where=SERVICE_ACCOUNT, folder=call.folder
        ),
        ID_TOKEN_URL: lambda: from_github(call.environ, audience, call.console.hide),
    }
    role = _variable(call, ROLE_ID) if ROLE_ID in found.source else found.role
    return replace(found, role=role, proof=proofs[found.source[0]])


def _variable(call: Call, name: str) -> str:
    return call.environ[name].strip()


@contextlib.contextmanager
def secret_files(
    contents: Mapping[str, str], environ: Mapping[str, str]
) -> Iterator[Mapping[str, str]]:
    """Yield the path of a private file for each text, by the same name; raises MachineError.

    The files are gone when the block ends.
    """
    with contextlib.closing(PrivateFolder(environ, secret=True)) as folder:
        paths = {parameter: folder.path / parameter for parameter in contents}
        for parameter, path in paths.items():
            write_whole(path, contents[parameter].encode(), mode=0o600)
        yield {parameter: str(path) for parameter, path in paths.items()}


@contextlib.contextmanager
def from_vault(
    schema: StepSchema, inputs: Inputs, call: Call, standing: Callable[[], BuildTrust]
) -> Iterator[Layer | None]:
    """Yield the layer of Vault's values for the step, or None if Vault is off.

    Its files exist until the block ends. `standing` says what is built, for what the project may
    name. Raises ConfigError, CredentialError (VaultUnreachable too) and MachineError.
    """
    asked = plan_of(schema, inputs)
    entry = _login(asked, call) if asked else None
    if asked is None or entry is None:
        if asked and (note := missing_login(asked.settings, available_sources(call.environ))):
            call.console.note(note)
        yield None
        return
    with _opened(asked, entry, call, standing) as vault:
        found = tuple(read_answers(asked.questions, vault.read))
        vault.confirm()
    call.console.say(
        f"Vault at {vault.host}:"
        f" {', '.join(answer.parameter for answer in found) or 'nothing for this step'}"
    )
    for answer in found:
        call.console.hide(answer.value)
    if not any(answer.file for answer in found):
        yield _layer(found, {})
        return
    with secret_files(
        {answer.parameter: answer.value for answer in found if answer.file}, call.environ
    ) as paths:
        yield _layer(found, paths)


def plan_of(schema: StepSchema, inputs: Inputs) -> VaultLookup | None:
    """Return the questions to Vault for the step, also before there is a login.

    Raises the errors of `plan_lookup`.
    """
    return plan_lookup(schema, vault_schema(), inputs)


@contextlib.contextmanager
def entered(asked: VaultLookup, call: Call, standing: Callable[[], BuildTrust]) -> Iterator[Any]:
    """Yield the server, logged in; raises as `from_vault`, and CredentialError without a login."""
    entry = _login(asked, call)
    if entry is None:
        why = missing_login(asked.settings, available_sources(call.environ))
        raise CredentialError(
            f"there is no login for Vault{f': {why}' if why else ''}",
            where=asked.server.origin,
            hint=(
                f"set {describe_sources(TOKEN)}, or {describe_sources(APP_ROLE)}, or"
                f" {describe_sources(JWT)} (with vaultAuthRole); or skipVault: true"
            ),
        )
    with _opened(asked, entry, call, standing) as vault:
        yield vault


def _login(asked: VaultLookup, call: Call) -> VaultLogin | None:
    """Return the login, masked, or None if there is no login."""
    for name in SECRETS:
        call.console.hide(call.environ.get(name, "").strip())
    return login(asked, call)


@contextlib.contextmanager
def _opened(
    asked: VaultLookup, entry: VaultLogin, call: Call, standing: Callable[[], BuildTrust]
) -> Iterator[Any]:
    """Yield the server, if it may get the login, until the block ends."""
    admit_lookup(
        asked,
        CredentialGate(
            rules_of(asked.settings, standing),
            say=call.console.say_audit,
            warn=call.console.warn_audit,
        ),
        entry,
        call.request.bound_ids,
    )
    trusted = certificates(asked.settings, call.console, folder=call.folder, environ=call.environ)
    network = Network(proxies=Proxies(call.environ), tls=Tls(trusted))
    with dispatch.part("vault_client").Vault(
        asked.server.url, entry, console=call.console, network=network
    ) as vault:
        yield vault


def _layer(found: Sequence[VaultAnswer], paths: Mapping[str, str]) -> Layer:
    """Return the answers as a layer, with the hosts that each secret is for.

    A pull request cannot change them, nor choose the path of a file.
    """
    settings = {
        answer.parameter: Setting(
            value=paths.get(answer.parameter, answer.value),
            origin=answer.origin,
            layer="Vault",
            trusted=True,
            record=answer.hosts,
        )
        for answer in found
    }
    return Layer(name="Vault", trusted=True, settings=settings)
