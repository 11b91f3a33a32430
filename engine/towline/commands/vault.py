"""What Vault holds for a step, as one layer of its settings: the command enters `from_vault`, and everything of Vault's is gone when it leaves."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from towline import dispatch
from towline.addressees import Addressees, Standing
from towline.commands.call import Call
from towline.commands.vault_login import login
from towline.config.catalog import vault_schema
from towline.config.layers import Inputs
from towline.config.merge import Layer
from towline.config.schema import StepSchema
from towline.config.trust import rules_of
from towline.config.vault import Answer, Plan, admit, answers, plan
from towline.config.vault_login import bindable, lacking
from towline.connections import Network
from towline.errors import CredentialError
from towline.proxies import Proxies
from towline.steps.authorities import certificates
from towline.tls import Tls
from towline.vault.files import secret_files
from towline.vault.here import there
from towline.vault.logins import APP_ROLE, JWT, SECRETS, TOKEN, VaultLogin, ways

__all__ = ["bindable", "entered", "from_vault", "plan_of"]


@contextlib.contextmanager
def from_vault(
    schema: StepSchema, inputs: Inputs, call: Call, standing: Callable[[], Standing]
) -> Iterator[Layer | None]:
    """The layer of what Vault holds for the step, None where it is off; secrets that are files exist until the block ends.

    `standing` says what is built, for what the project may name. Raises ConfigError,
    CredentialError (VaultUnreachable too) and MachineError.
    """
    asked = plan_of(schema, inputs)
    entry = _login(asked, call) if asked else None
    if asked is None or entry is None:
        if asked and (said := lacking(asked.settings, there(call.environ))):
            call.console.note(said)
        yield None
        return
    with _opened(asked, entry, call, standing) as vault:
        found = tuple(answers(asked.questions, vault.read))
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


def plan_of(schema: StepSchema, inputs: Inputs) -> Plan | None:
    """What Vault is to be asked for the step, also before there is a login for it; raises as `plan` does."""
    return plan(schema, vault_schema(), inputs)


@contextlib.contextmanager
def entered(asked: Plan, call: Call, standing: Callable[[], Standing]) -> Iterator[Any]:
    """The server between log-in and log-out, for what is `asked` there; raises as `from_vault` does, and CredentialError without a login."""
    entry = _login(asked, call)
    if entry is None:
        why = lacking(asked.settings, there(call.environ))
        raise CredentialError(
            f"there is no login for Vault{f': {why}' if why else ''}",
            where=asked.server.origin,
            hint=(
                f"set {ways(TOKEN)}, or {ways(APP_ROLE)}, or {ways(JWT)} (with vaultAuthRole); or"
                " skipVault: true"
            ),
        )
    with _opened(asked, entry, call, standing) as vault:
        yield vault


def _login(asked: Plan, call: Call) -> VaultLogin | None:
    """The login, which is masked from here on; None without one."""
    for name in SECRETS:
        call.console.hide(call.environ.get(name, "").strip())
    return login(asked, call)


@contextlib.contextmanager
def _opened(
    asked: Plan, entry: VaultLogin, call: Call, standing: Callable[[], Standing]
) -> Iterator[Any]:
    """The server, which may have the login; it is over when the block ends."""
    admit(
        asked,
        Addressees(
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


def _layer(found: Sequence[Answer], paths: Mapping[str, str]) -> Layer:
    """The answers as a layer, with the hosts that each secret is for.

    A pull request changes none of them, nor does it choose the path of a file.
    """
    values = {answer.parameter: paths.get(answer.parameter, answer.value) for answer in found}
    records = {answer.parameter: answer.hosts for answer in found if answer.hosts}
    return Layer(
        name="Vault",
        trusted=True,
        values=values,
        origins={answer.parameter: answer.origin for answer in found},
        records=records,
    )
