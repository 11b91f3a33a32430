"""`towline explain --credentials`: which credential goes where, and who allows it.

It asks no network and shows no secret.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import cache, partial

from towline import dispatch
from towline.commands import build
from towline.commands.build_context import build_context, build_trust_lookup
from towline.commands.call import Call
from towline.commands.context import documents, given, hide_settings, pipeline_environment
from towline.config import program_credentials
from towline.config.credential_rules import (
    URL,
    host_source,
    password_of,
    registry_place,
    rules_of,
    store_permission,
)
from towline.config.layers import Inputs, fold_layers, step_layers
from towline.config.metadata import VAULT_CREDENTIALS, VAULT_LOGIN, load_schema, vault_schema
from towline.config.rules import check_settings
from towline.config.schema import StepSchema
from towline.config.settings import Settings
from towline.config.vault_login import (
    choose_login,
    credential_of,
    is_bindable,
    namespace_permission,
    role_of,
    role_permission,
)
from towline.config.vault_lookup import (
    Ask,
    VaultLookup,
    path_permission,
    plan_lookup,
    server_address,
    server_source,
    vault_server,
)
from towline.console import Console
from towline.contract import SUCCESS, Outcome
from towline.credential_hosts import (
    BuildTrust,
    Credential,
    CredentialRefused,
    CredentialRules,
    HostAddress,
    HostSource,
    Permission,
    permit,
    permit_id,
    yaml_scalar,
)
from towline.errors import Refusal, TowlineError, UsageError
from towline.hosting.jenkins import jenkins_place
from towline.printable import tame_lines
from towline.record import frozen, replace
from towline.steps.deployment import app_login
from towline.steps.deployment.repository import git_address, key_admission
from towline.vault.logins import (
    APP_ROLE,
    ROLE_ID,
    SECRET_ID,
    TOKEN,
    TOKEN_VARIABLE,
    VaultLogin,
    available_sources,
)

_REGISTRIES = {
    "imagePushToRegistry": (
        ("sourceRegistryUser", "sourceRegistryPassword", "sourceRegistryUrl"),
        ("targetRegistryUser", "targetRegistryPassword", "targetRegistryUrl"),
    ),
    "containerPushToRegistry": (
        ("sourceRegistryUser", "sourceRegistryPassword", "sourceRegistryUrl"),
        ("dockerRegistryUser", "dockerRegistryPassword", "dockerRegistryUrl"),
    ),
    "gitOpsUpdateDeployment": (
        ("targetRegistryUser", "targetRegistryPassword", "containerRegistryUrl"),
    ),
}
_TOKEN = VaultLogin(method=TOKEN, source=(TOKEN_VARIABLE,), origin=TOKEN_VARIABLE)
_APP_ROLE = VaultLogin(
    method=APP_ROLE, source=(ROLE_ID, SECRET_ID), origin=f"{ROLE_ID} and {SECRET_ID}"
)
# the program that `towline exec` runs, outside of any step
_PROGRAM = StepSchema(name="exec", description="", parameters=())
_Use = tuple[Credential, HostAddress, HostSource]


@frozen
class _Row:
    """One credential of a step, its host, and who allows it, or the error that keeps it back."""

    step: str
    credential: str
    to: str
    by: str = ""
    fault: TowlineError | None = None
    warning: str = ""
    allow: tuple[str, str, str] | None = None

    def record(self) -> dict[str, str]:
        """Return the row as data."""
        return {
            "step": self.step,
            "credential": self.credential,
            "to": self.to,
            "by": self.by,
            "warning": self.warning,
            "refused": self.fault.message if self.fault else "",
            "hint": self.fault.hint if self.fault else "",
        }

    def lines(self) -> Iterator[str]:
        """Return the row for people."""
        yield f"  {self.credential} -> {self.to or 'nowhere yet'}"
        yield f"      refused: {_why(self.fault)}" if self.fault else f"      by {self.by}"
        if self.warning:
            yield f"      warning: {self.warning}"


def _why(fault: TowlineError) -> str:
    """Return why the credential is refused, without the context above the reason."""
    if isinstance(fault, CredentialRefused) and fault.why:
        return f"it is named only by {fault.where}: {fault.why}"
    return f"{fault.message} ({fault.where or fault.hint})"


def explain(arguments: argparse.Namespace, call: Call) -> Outcome:
    """Return every credential of the steps as outputs, and print them.

    Raises UsageError for a step that Towline does not run.
    """
    if arguments.key or arguments.set:
        raise UsageError(
            "--credentials explains no parameter", hint="leave out the parameter and --set"
        )
    if arguments.step:
        dispatch.check_step(load_schema(arguments.step).name)
    names = [load_schema(arguments.step).name] if arguments.step else list(dispatch.STEPS)
    sign = build.change_request(call, arguments.change_request)
    known, values = documents(call, arguments.config), pipeline_environment(call)
    context = cache(
        lambda: build_context(
            call, values, branch=arguments.branch, sign=sign, config=arguments.config
        )
    )
    standing = build_trust_lookup(known, context, sign)
    inputs = Inputs(
        stage=call.request.stage,
        documents=known,
        pipeline_environment=values,
        environ=call.environ,
        parameters=given(call),
        flags={},
        trusted_call=not sign,
    )
    rows = [row for name in names for row in _rows(load_schema(name), inputs, standing)]
    for name in names:
        hide_settings(call, _settings(load_schema(name), inputs))
    if not arguments.step and (
        programs := [
            *_vault(
                program_credentials.with_credential_keys(_PROGRAM),
                inputs,
                standing,
                ask=program_credentials.wanted_credentials,
            )
        ]
    ):
        rows, names = [*rows, *programs], [*names, _PROGRAM.name]
    for row in rows:
        _mask_fault(row.fault, call.console)
    mask = call.console.audit
    if not call.requested and not arguments.json:
        call.out.write(
            tame_lines(mask("".join(f"{line}\n" for line in _text(names, rows, standing()))))
        )
    refused = sum(row.fault is not None for row in rows)
    records = [{key: mask(text) for key, text in row.record().items()} for row in rows]
    return Outcome(
        status=SUCCESS,
        summary=f"{len(rows)} uses of credentials, {refused} refused",
        outputs={"credentials": records},
    )


def _mask_fault(fault: TowlineError | None, console: Console) -> None:
    """Mask in an error that refuses no credential also what only the project calls a secret."""
    if fault and not isinstance(fault, Refusal):
        fault.message, fault.where, fault.hint = map(
            console.mask, (fault.message, fault.where, fault.hint)
        )


def _text(names: list[str], rows: list[_Row], standing: BuildTrust) -> Iterator[str]:
    yield f"what is built: {standing.build}" + (
        ", where the project's configuration may name hosts" if standing.project else ""
    )
    for name in names:
        yield name
        own = [line for row in rows if row.step == name for line in row.lines()]
        yield from own or ["  no credential"]
    wanted = [
        row.fault.allow if isinstance(row.fault, CredentialRefused) else row.allow for row in rows
    ]
    if lines := [*_allowing([entry for entry in wanted if entry])]:
        only_warned = any(row.allow for row in rows)
        yield from (
            "",
            "the platform team allows what is refused"
            + ", or would be without `enforcement: warn`," * only_warned
            + " by adding this to its default documents (TOWLINE_DEFAULTS):",
            "general:",
            *lines,
        )


def _allowing(wanted: Sequence[tuple[str, str, str]]) -> Iterator[str]:
    """Return the lines below `general` that allow every (rule, entry, host) of `wanted`."""
    for rule in dict.fromkeys(rule for rule, _, _ in wanted):
        yield f"  {rule}:"
        hosts_by_entry: dict[str, list[str]] = {}
        for wanted_rule, entry, host in wanted:
            if wanted_rule == rule:
                hosts_by_entry.setdefault(entry, []).append(host)
        for entry, hosts in hosts_by_entry.items():
            named = ", ".join(yaml_scalar(host) for host in dict.fromkeys(hosts) if host)
            yield f"    {yaml_scalar(entry)}: [{named}]" if named else f"    - {yaml_scalar(entry)}"


def _rows(schema: StepSchema, inputs: Inputs, standing: Callable[[], BuildTrust]) -> Iterator[_Row]:
    """Return the step's credentials, each once, also if the settings have faults."""
    found = {
        (row.credential, row.to): row for row in reversed([*_all_rows(schema, inputs, standing)])
    }
    yield from reversed(found.values())


def _all_rows(
    schema: StepSchema, inputs: Inputs, standing: Callable[[], BuildTrust]
) -> Iterator[_Row]:
    settings = _settings(schema, inputs)
    rules = rules_of(settings, standing)
    yield from _vault(schema, inputs, standing)
    yield from _bound(schema, settings, rules)
    for target_settings in _each(settings):
        for credential, host, source in _uses(schema.name, target_settings):
            to = f"{host.scheme}://{host.host}"
            yield _row(
                schema.name, credential.label, to, partial(permit, rules, credential, host, source)
            )
    if settings.has(URL) and settings.given(URL):
        yield from _choice(
            schema.name, "the new secret id in Jenkins", lambda: store_permission(rules, settings)
        )
    if settings.has("dockerConfigJSON"):
        by = (
            "the key of each in that configuration, its own record"
            + f", within credentialHosts ({rules.where})" * bool(rules.hosts)
        )
        yield _Row(
            step=schema.name,
            credential="logins of dockerConfigJSON, else of the agent's Docker configuration",
            to="their registries",
            by=by,
        )


def _settings(schema: StepSchema, inputs: Inputs) -> Settings:
    """Return the step's settings as far as they have no faults."""
    layers = step_layers(schema, inputs)
    found, _ = check_settings(schema, layers, fold_layers(schema, layers))
    return Settings(schema, found, layers)


def _row(step: str, credential: str, to: str, ask: Callable[[], Permission]) -> _Row:
    try:
        permission = ask()
    except TowlineError as fault:
        return _Row(step=step, credential=credential, to=to, fault=fault)
    return _Row(
        step=step,
        credential=credential,
        to=to,
        by=permission.by,
        warning=permission.warning,
        allow=permission.allow,
    )


def _each(settings: Settings) -> tuple[Settings, ...]:
    """Return the settings of each target as far as they have no faults."""
    try:
        return settings.each("targets", unchecked=True) if settings.has("targets") else (settings,)
    except TowlineError:
        return (settings,)


def _bound(schema: StepSchema, settings: Settings, rules: CredentialRules) -> Iterator[_Row]:
    """Return the named Jenkins credentials, each of which the build would bind."""
    for entry in schema.credentials:
        if settings.given(entry.name):
            yield _id_row(schema.name, settings, entry.name, rules)


def _id_row(step: str, settings: Settings, entry: str, rules: CredentialRules) -> _Row:
    name, origin = settings.text(entry), settings.origin(entry)
    return _row(
        step,
        f"Jenkins credential {name!r} ({origin})",
        "this build",
        partial(permit_id, rules, name, origin, trusted=settings.trusted_texts(entry)),
    )


def _vault(
    schema: StepSchema, inputs: Inputs, standing: Callable[[], BuildTrust], ask: Ask | None = None
) -> Iterator[_Row]:
    """Return the login for Vault, and the paths that the project chooses there."""
    try:
        asked = plan_lookup(schema, vault_schema(), inputs, ask)
    except TowlineError as fault:
        yield _Row(step=schema.name, credential="the login for Vault", to="Vault", fault=fault)
        return
    if asked is None:
        return
    rules = rules_of(asked.settings, standing)
    yield from _login(schema.name, asked, inputs, rules)
    for path, origin in asked.chosen.items():
        allowed = partial(
            path_permission, rules, path, origin, settings=asked.settings, bounds=asked.bounds
        )
        yield _row(schema.name, f"secrets at {path} in Vault ({origin})", "this build", allowed)


def _login(step: str, asked: VaultLookup, inputs: Inputs, rules: CredentialRules) -> Iterator[_Row]:
    """Return the login for Vault, and the role that the project chooses for it.

    If nothing says which login, it is one by a token.
    """
    settings, here = asked.settings, available_sources(inputs.environ)
    try:
        login = choose_login(settings, here) or _TOKEN
    except TowlineError as fault:
        yield _Row(step=step, credential="the login for Vault", to=asked.server.url, fault=fault)
        return
    given = (
        {
            name: settings.text(entry)
            for name, entry in VAULT_CREDENTIALS.items()
            if settings.given(entry)
        }
        if is_bindable(settings, here)
        else {}
    )
    # a token goes before an AppRole
    ids = {name: given[name] for name in VAULT_LOGIN[:1] if name in given} or given
    for name in ids:
        yield _id_row(step, settings, VAULT_CREDENTIALS[name], rules)
    login = replace(_TOKEN, source=tuple(ids), origin=" and ".join(ids)) if ids else login
    credential = credential_of(login, ids)
    yield _row(
        step,
        credential.label,
        asked.server.url,
        partial(permit, rules, credential, server_address(asked.server), asked.named),
    )
    yield from _choice(
        step, f"the role {role_of(login)} in Vault", lambda: role_permission(rules, settings, login)
    )
    yield from _choice(
        step,
        f"the namespace {login.namespace or 'of the root'} in Vault",
        lambda: namespace_permission(rules, settings, login, asked.paths),
    )


def _choice(step: str, choice: str, ask: Callable[[], Permission | None]) -> Iterator[_Row]:
    """Return the row of what the project chooses, such as a path in Vault; no row if nothing."""
    try:
        permission = ask()
    except TowlineError as fault:
        yield _Row(step=step, credential=choice, to="this build", fault=fault)
        return
    if permission:
        yield _Row(
            step=step,
            credential=choice,
            to="this build",
            by=permission.by,
            warning=permission.warning,
            allow=permission.allow,
        )


def _uses(step: str, settings: Settings) -> Iterator[_Use]:
    """Return the logins for registries, then that for the repository, if their hosts are known."""
    for user, password, url in _REGISTRIES.get(step, ()):
        if settings.given(url) and (
            settings.has(f"{password[:6]}RegistryUrl") or settings.given(password)
        ):
            with suppress(TowlineError):
                address = registry_place(settings.text(url))
                yield (
                    _known(settings, password, password_of(settings, user, password)),
                    address,
                    host_source(settings, url, registry_place, password=password),
                )
    if settings.has("serverUrl") and settings.given("serverUrl"):
        with suppress(TowlineError):
            yield from _git(settings)
    if settings.has(URL):
        with suppress(TowlineError):
            yield from _rotation(settings)


def _rotation(settings: Settings) -> Iterator[_Use]:
    """Return what renews a secret id: the AppRole's login for Vault, and the user of Jenkins.

    Raises ConfigError for a wrong URL.
    """
    if settings.given("vaultServerUrl"):
        ids = {
            name: settings.text(entry)
            for name, entry in VAULT_CREDENTIALS.items()
            if name in _APP_ROLE.source and settings.given(entry)
        }
        yield (
            credential_of(_APP_ROLE, ids),
            server_address(vault_server(settings)),
            server_source(settings),
        )
    if settings.given(URL):
        login = _known(
            settings, "jenkinsToken", password_of(settings, "jenkinsUsername", "jenkinsToken")
        )
        yield login, jenkins_place(settings.text(URL)), host_source(settings, URL, jenkins_place)


def _git(settings: Settings) -> Iterator[_Use]:
    """Return the login for the repository; raises ConfigError for a wrong URL."""
    address, source = (
        git_address(settings.text("serverUrl")),
        host_source(settings, "serverUrl", git_address),
    )
    if settings.text("authenticationMode") == "githubApp":
        for credential, host, names in app_login.admissions(settings):
            yield _known(settings, "githubAppPrivateKey", credential), host, names
    elif address.scheme == "ssh":
        yield key_admission(settings, address, source)
    else:
        yield (
            _known(settings, "password", password_of(settings, "username", "password")),
            address,
            source,
        )


def _known(settings: Settings, name: str, credential: Credential) -> Credential:
    """Return the credential by its name before it is bound or read from Vault."""
    if settings.given(name):
        return credential
    ids = settings.credential_ids(name)
    where = f"Jenkins credential {ids[0]!r}" if ids else "not set here"
    return replace(credential, label=f"{settings.called(name)} ({where})")
