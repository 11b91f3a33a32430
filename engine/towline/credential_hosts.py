"""Pure.

Rules for credentials: which host may be sent which credential, and who allows it (docs/trust.md).

A configuration that a pull request can change cannot name a host that gets a credential. A host is
named by the credential's own record or by a trusted layer of the configuration; and for a build of
the productive branch, unless `strictCredentials` is set, by the project's configuration there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from towline import host_patterns
from towline.errors import CredentialError, Refusal
from towline.record import field, frozen, replace

HOSTS_KEY, CREDENTIALS_KEY, STRICT_KEY, IDS_KEY = (
    "credentialHosts",
    "credentials",
    "strictCredentials",
    "allowedCredentialIds",
)
ENFORCEMENT, WARN = "enforcement", "warn"
_PLAIN = re.compile(
    r"(?!(?:true|false|yes|no|on|off|null|[yn])\Z)[a-z][a-z0-9._-]*(?::[0-9]+)?"
    r"|[0-9]+(?:\.[0-9]+){3}(?::[0-9]+)?",
    re.IGNORECASE,
)
_WARNED = "without `enforcement: warn` this will be refused"


@frozen
class BuildTrust:
    """The build that runs: whether the project may name hosts in it, and its text for messages.

    `request`: it is the build of a change request.
    """

    project: bool
    build: str
    request: bool = False


@frozen
class CredentialRules:
    """The rules of trusted layers: hosts for all credentials, hosts by credential, strictness.

    `ids`: globs of the Jenkins credentials that a project may name. `where` is the place of
    `credentialHosts`, `each_where` that of `credentials`. `standing` is called only if needed.
    """

    hosts: tuple[str, ...] = ()
    each: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ids: tuple[str, ...] = ()
    strict: bool = False
    warn: bool = False
    where: str = HOSTS_KEY
    each_where: str = CREDENTIALS_KEY
    standing: Callable[[], BuildTrust]


@frozen
class Credential:
    """A credential without its secret: its text for messages, and its names in `credentials`.

    `record` are the hosts that its own record names. `reserved` is the reason why the project may
    not name hosts for it; empty if it may.
    """

    label: str
    names: tuple[str, ...]
    record: tuple[str, ...] = ()
    reserved: str = ""


@frozen
class HostAddress:
    """The address that a credential is to go to: `host[:port]`, spoken to by `scheme`."""

    scheme: str
    host: str

    @property
    def plain(self) -> tuple[str, str]:
        """Scheme and host in a comparable form: lower case, without the scheme's usual port."""
        usual = host_patterns.USUAL_PORTS.get(self.scheme, 0)
        return self.scheme, self.host.lower().removesuffix(f":{usual}").removesuffix(".")

    @property
    def entry(self) -> str:
        """The host as an entry of a list of hosts."""
        return self.plain[1]


@frozen
class HostSource:
    """Who names an address: `origin` for people, trusted addresses, and those of the record.

    `alone`: a trusted layer names an address, and the project may not name another one. `call`: how
    a call can name it, if it can. `changed`: a step of this build wrote another address there, so
    the value has been tampered with since.
    """

    origin: str
    trusted: frozenset[tuple[str, str]] = frozenset()
    record: frozenset[tuple[str, str]] = frozenset()
    alone: bool = False
    changed: bool = False
    call: str = ""


class CredentialRefused(Refusal):
    """A credential may not go to an address: `why`, and the rule entry that would allow it."""

    def __init__(
        self, message: str, *, where: str, hint: str, why: str, allow: tuple[str, str, str]
    ) -> None:
        super().__init__(f"{message}: {why}" if why else message, where=where, hint=hint)
        self.why, self.allow = why, allow


class AddressTampered(CredentialRefused):
    """The address of a credential was changed in the pipeline environment.

    No rule of a build permits that.
    """


@frozen
class Permission:
    """Who allows a credential to go to an address.

    `line` is the line for an auditor, `warning` a text that will be an error one day unless `allow`
    is configured.
    """

    by: str
    line: str = ""
    warning: str = ""
    allow: tuple[str, str, str] | None = None


def permit(
    rules: CredentialRules, credential: Credential, address: HostAddress, source: HostSource
) -> Permission:
    """The permission for the credential to go to `address`; raises CredentialError without one."""
    if name := next(
        (name for name in credential.names if lists_host(rules.each.get(name, ()), address)), ""
    ):
        return Permission(by=f"{CREDENTIALS_KEY} of a trusted layer has it for {name}")
    if (
        rules.hosts
        and not lists_host(rules.hosts, address)
        and not (source.alone and address.plain in source.trusted)
    ):
        raise _not_listed(rules, credential, address)
    if lists_host(rules.hosts, address):
        return Permission(by=f"{HOSTS_KEY} ({rules.where})")
    is_on_record = lists_host(credential.record, address)
    if address.plain in source.record:
        return Permission(by=f"its own record ({source.origin})")
    if is_on_record:
        return Permission(by="its own record")
    if address.plain in source.trusted:
        return Permission(by=f"a trusted layer ({source.origin})")
    return _project_decides(
        rules, credential, address, source, others=_other_hosts(rules, credential, source)
    )


def _other_hosts(rules: CredentialRules, credential: Credential, source: HostSource) -> str:
    """Why the project may not name a host for the credential, if so: others name its hosts."""
    if source.alone:
        return "a trusted layer names another server"
    if hosts_by_name(rules, credential):
        return "trusted layers have other hosts for it"
    if credential.record:
        return "its own record has other hosts"
    return credential.reserved


def hosts_by_name(rules: CredentialRules, credential: Credential) -> tuple[str, ...]:
    """The hosts that trusted layers list for the credential by its name."""
    return tuple(host for name in credential.names for host in rules.each.get(name, ()))


def allowed_hosts(rules: CredentialRules, credential: Credential) -> tuple[str, ...]:
    """The only hosts that a server may pass the credential on to, as to a token service.

    Empty if trusted layers list none.
    """
    own = hosts_by_name(rules, credential)
    return (*rules.hosts, *own) if rules.hosts or own else ()


def lists_host(entries: Iterable[str], address: HostAddress) -> bool:
    """Whether `entries` include the address; raises CredentialError for an invalid entry."""
    listed = tuple(entries)
    try:
        return host_patterns.matches_any(listed, address.host, address.scheme)
    except ValueError as fault:
        raise CredentialError(
            f"one of these is not a valid host pattern: {', '.join(listed)}",
            where=HOSTS_KEY,
            hint=str(fault),
        ) from fault


def check_host_allowed(hosts: tuple[str, ...], address: HostAddress) -> None:
    """Raise CredentialError if `hosts` is not empty and does not include the address.

    A login goes to no other host, whatever a server asks for.
    """
    if hosts and not lists_host(hosts, address):
        raise Refusal(
            f"no credential may be sent to {address.host}",
            where=HOSTS_KEY,
            hint=f"the platform team allows: {', '.join(hosts)}",
        )


def allow_line(key: str, entry: str, *, beside: Sequence[str]) -> str:
    """The configuration line that allows `entry` under `key`.

    It repeats the entries `beside` it, since a list replaces other lists.
    """
    entries = list(dict.fromkeys([*beside, entry]))
    variable = (
        ",".join(entries) if not any("," in item for item in entries) else json.dumps(entries)
    )
    return _line(key, _listed(entries), variable)


def _host_line(rules: CredentialRules, entry: str, host: str) -> str:
    """The configuration line that allows a host for one credential.

    A variable keeps the hosts of other credentials; default documents of the platform team are
    merged.
    """
    hosts = list(dict.fromkeys([*rules.each.get(entry, ()), host]))
    others = (
        {name: list(known) for name, known in rules.each.items()}
        if rules.each_where == f"PIPER_{CREDENTIALS_KEY}"
        else {}
    )
    return _line(
        CREDENTIALS_KEY,
        f"{{{yaml_scalar(entry)}: {_listed(hosts)}}}",
        json.dumps({**others, entry: hosts}),
    )


def _listed(entries: Iterable[str]) -> str:
    return f"[{', '.join(map(yaml_scalar, entries))}]"


def _line(key: str, value: str, variable: str) -> str:
    return (
        f"`general: {{{key}: {value}}}` in the platform team's default documents"
        f" (TOWLINE_DEFAULTS), or on the agent PIPER_{key}='{variable}'"
    )


def _project_decides(
    rules: CredentialRules,
    credential: Credential,
    address: HostAddress,
    source: HostSource,
    *,
    others: str,
) -> Permission:
    """The project's permission, if the project may give it and there are no `others`.

    Otherwise a warning or CredentialError.
    """
    standing = rules.standing()
    source = replace(source, call="") if standing.request else source
    if source.changed:
        raise AddressTampered(
            f"{credential.label} is not sent to {address.host}: this host comes from"
            f" {source.origin}",
            where=source.origin,
            why="",
            hint=(
                "find out who has changed it since, a program of this build perhaps, and build"
                " again; or, if the change is intended, allow it by"
                f" {_host_line(rules, credential.names[0], address.entry)}"
            ),
            allow=(CREDENTIALS_KEY, credential.names[0], address.entry),
        )
    if others:
        raise _refused(rules, credential, address, source, others)
    if allowed := project_permission(
        rules, source.origin, f"{credential.label} goes to {address.host}"
    ):
        return allowed
    return warn_or_raise(
        rules, _refused(rules, credential, address, source, why_project_ignored(rules))
    )


def project_permission(rules: CredentialRules, origin: str, use: str = "") -> Permission | None:
    """The permission by the project's configuration at `origin`, or None if it is ignored.

    `use` (what goes where) begins the line for an auditor.
    """
    standing = rules.standing()
    if not standing.project or rules.strict:
        return None
    line = f"{use}: named by {origin}, for {standing.build}" if use else ""
    return Permission(by=f"the project ({origin}), for {standing.build}", line=line)


def named_only_by(noun: str, origin: str) -> str:
    """The first half of a refusal's reason: `noun` is named at the untrusted `origin` alone."""
    return f"{noun} is named only by {origin}, and a pull request can change that"


def why_project_ignored(rules: CredentialRules) -> str:
    """Why the project's configuration is ignored."""
    standing = rules.standing()
    return f"{STRICT_KEY} is set" if standing.project else standing.build


def permit_id(
    rules: CredentialRules, name: str, origin: str, *, trusted: Collection[str]
) -> Permission:
    """The permission to bind the Jenkins credential of this id; raises CredentialError without one.

    On the productive branch the project's choice is limited by the folders of Jenkins, unless
    trusted layers have patterns of ids.
    """
    if name in trusted:
        return Permission(by=f"a trusted layer ({origin})")
    if name in rules.each or any(fnmatchcase(name, pattern) for pattern in rules.ids):
        return Permission(
            by=f"{CREDENTIALS_KEY if name in rules.each else IDS_KEY} of a trusted layer"
        )
    if not rules.ids and (allowed := project_permission(rules, origin)):
        return allowed
    why = f"{IDS_KEY} has {', '.join(rules.ids)}" if rules.ids else why_project_ignored(rules)
    return warn_or_raise(
        rules,
        CredentialRefused(
            f"the Jenkins credential {name!r} is not bound, since {named_only_by('it', origin)}",
            where=origin,
            why=why,
            hint=f"allow it by {allow_line(IDS_KEY, name, beside=rules.ids)}",
            allow=(IDS_KEY, name, ""),
        ),
    )


def warn_or_raise(rules: CredentialRules, fault: CredentialError) -> Permission:
    """The fault as a warning, or raised.

    It is a warning if a trusted layer sets `enforcement: warn` and no change request is built.
    """
    if rules.warn and not rules.standing().request:
        where = f" ({fault.where})" if fault.where not in fault.message else ""
        return Permission(
            by=f"{ENFORCEMENT}: {WARN}",
            warning=f"{_WARNED}: {fault.message}{where}; {fault.hint}",
            allow=fault.allow if isinstance(fault, CredentialRefused) else None,
        )
    raise fault


def _refused(
    rules: CredentialRules,
    credential: Credential,
    address: HostAddress,
    source: HostSource,
    why: str,
) -> CredentialRefused:
    alternative = f"; or name it by {source.call}" if source.call else ""
    return CredentialRefused(
        f"{credential.label} is not sent to {address.host}, since"
        f" {named_only_by('this host', source.origin)}",
        where=source.origin,
        why=why,
        hint=f"allow it by {_host_line(rules, credential.names[0], address.entry)}{alternative}",
        allow=(CREDENTIALS_KEY, credential.names[0], address.entry),
    )


def _not_listed(
    rules: CredentialRules, credential: Credential, address: HostAddress
) -> CredentialRefused:
    return CredentialRefused(
        f"no credential may be sent to {address.host}",
        where=rules.where,
        why="",
        allow=(CREDENTIALS_KEY, credential.names[0], address.entry),
        hint=(
            f"the platform team allows: {', '.join(rules.hosts)}; add the host there, or for"
            f" {credential.names[0]} alone {_host_line(rules, credential.names[0], address.entry)}"
        ),
    )


def yaml_scalar(text: str) -> str:
    """A text as a scalar of YAML's flow style."""
    return text if _PLAIN.fullmatch(text) else "'{}'".format(text.replace("'", "''"))


class CredentialGate:
    """Asked before each use of a credential.

    `say` gets each audit line once, `warn` each use that will be an error.
    """

    def __init__(
        self, rules: CredentialRules, *, say: Callable[[str], None], warn: Callable[[str], None]
    ) -> None:
        self.rules = rules
        self._say, self._warn = say, warn
        self._printed: set[str] = set()

    def admit(
        self, credential: Credential, address: HostAddress, source: HostSource
    ) -> tuple[str, ...]:
        """The hosts that may get the credential, `address` among them; empty without a list.

        Raises CredentialError if the credential may not go to `address` at all.
        """
        self.tell(permit(self.rules, credential, address, source))
        hosts = allowed_hosts(self.rules, credential)
        return tuple(dict.fromkeys((*hosts, address.entry))) if hosts else ()

    def admit_id(self, name: str, origin: str, *, trusted: Collection[str]) -> None:
        """Check that the Jenkins credential of this id may be bound; raises CredentialError.

        `trusted` are the ids of trusted layers.
        """
        self.tell(permit_id(self.rules, name, origin, trusted=trusted))

    def tell(self, found: Permission) -> None:
        """Print the audit line or warning of a permission, once."""
        for text, tell in ((found.line, self._say), (found.warning, self._warn)):
            if text and text not in self._printed:
                self._printed.add(text)
                tell(text)
