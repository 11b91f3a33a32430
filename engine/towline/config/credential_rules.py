"""The rules on where a step's credentials may go (credential_hosts.py), from its settings.

That is: the rules of trusted layers, the description of each credential, and the source of each
host; also where a new secret id is stored in Jenkins, and whether the project may choose that. One
id may stand for a credential in every folder and domain of a Jenkins: another store of the same
host belongs to another team.
"""

from __future__ import annotations

from collections.abc import Callable

from towline import host_patterns
from towline.config.merge import CHANGED, PIPELINE_ENVIRONMENT
from towline.config.settings import Settings
from towline.credential_hosts import (
    CREDENTIALS_KEY,
    ENFORCEMENT,
    HOSTS_KEY,
    IDS_KEY,
    STRICT_KEY,
    WARN,
    BuildTrust,
    Credential,
    CredentialRules,
    HostAddress,
    HostSource,
    Permission,
    named_only_by,
    project_permission,
    warn_or_raise,
    why_project_ignored,
)
from towline.errors import Refusal, TowlineError
from towline.image import parse_registry

Parse = Callable[[str], HostAddress]


def rules_of(settings: Settings, standing: Callable[[], BuildTrust]) -> CredentialRules:
    """The rules of trusted layers on credentials and their hosts."""
    return CredentialRules(
        hosts=settings.texts(HOSTS_KEY),
        each={name: tuple(hosts) for name, hosts in settings.listed(CREDENTIALS_KEY).items()},
        ids=settings.texts(IDS_KEY) if settings.has(IDS_KEY) else (),
        strict=settings.flag(STRICT_KEY),
        warn=settings.text(ENFORCEMENT) == WARN,
        where=settings.origin(HOSTS_KEY),
        each_where=settings.origin(CREDENTIALS_KEY),
        standing=standing,
    )


def password_of(settings: Settings, user: str, password: str) -> Credential:
    """The login in the parameters `user` and `password`, described without the secret."""
    login = f"the password of user {settings.text(user)!r} ({settings.origin(password)})"
    return Credential(
        label=login,
        names=_names(settings, password, user),
        record=settings.record(password),
    )


def secret_of(settings: Settings, name: str, label: str) -> Credential:
    """The secret in the parameter `name`, described as `label`."""
    return Credential(
        label=f"{label} ({settings.origin(name)})",
        names=_names(settings, name),
        record=settings.record(name),
    )


def _names(settings: Settings, *parameters: str) -> tuple[str, ...]:
    """The names that `credentials` may use for a credential.

    These are the ids of the Jenkins credentials that the credential comes from, or will come from,
    and the names of its parameters.
    """
    # if a value is given, the credential that the configuration names is not bound: it may be
    # another one
    if settings.given(parameters[0]):
        ids = [settings.bound(name) for name in parameters]
    else:
        ids = [
            credential_id for name in parameters for credential_id in settings.credential_ids(name)
        ]
    return tuple(
        dict.fromkeys([*filter(None, ids), *(settings.called(name) for name in parameters)])
    )


def host_source(settings: Settings, name: str, parse: Parse, *, password: str = "") -> HostSource:
    """The source of the host in the URL of the parameter `name`.

    If the parameter `password` comes from the pipeline environment, the URL beside it there is its
    record.
    """
    is_left = bool(password) and settings.layer(password) == PIPELINE_ENVIRONMENT
    return HostSource(
        origin=settings.origin(name),
        trusted=_addresses(settings.trusted_texts(name), parse),
        record=(
            _addresses(settings.given_in(PIPELINE_ENVIRONMENT, name), parse)
            if is_left
            else frozenset()
        ),
        changed=settings.stands_in(CHANGED, name),
        call=(
            f"--{settings.called(name)} in the call, or PIPER_{settings.called(name)}"
            if settings.flags
            else ""
        ),
    )


def registry_place(url: str) -> HostAddress:
    """The address of the registry in a URL; raises ConfigError."""
    registry, _ = parse_registry(url)
    return HostAddress(scheme=registry.scheme, host=registry.host)


def host_entries(entries: list[str]) -> tuple[str, ...]:
    """The hosts that the entries of a record name, directly or in a URL; others are left out."""
    return tuple(entry for entry in map(_host, entries) if entry and _valid(entry))


def _host(entry: str) -> str:
    text = entry.strip()
    if "://" not in text:
        return text
    scheme, _, rest = text.partition("://")
    return HostAddress(scheme=scheme.lower(), host=rest.partition("/")[0]).entry


def _valid(entry: str) -> bool:
    try:
        host_patterns.parse(entry)
    except ValueError:
        return False
    return True


def _addresses(texts: tuple[str, ...], parse: Parse) -> frozenset[tuple[str, str]]:
    found = set()
    for text in texts:
        try:
            found.add(parse(text).plain)
        except TowlineError:
            continue  # an invalid URL names no host
    return frozenset(found)


URL, DOMAIN = "jenkinsUrl", "jenkinsCredentialDomain"


def store_permission(rules: CredentialRules, settings: Settings) -> Permission | None:
    """The permission by which the project chooses folder or domain of the Jenkins credential.

    None if the project does not choose them. Raises CredentialError.
    """
    chosen = next(
        (
            name
            for name in (URL, DOMAIN)
            if _without_slash(settings.text(name))
            not in map(_without_slash, settings.trusted_texts(name))
        ),
        "",
    )
    if not chosen:
        return None
    origin, place = settings.origin(chosen), f"{chosen} {settings.text(chosen)}"
    if permission := project_permission(
        rules, origin, f"the new secret id is for the credential at {place}"
    ):
        return permission
    return warn_or_raise(
        rules,
        Refusal(
            f"no secret id is written over the credential at {place}, since"
            f" {named_only_by('this place', origin)}: {why_project_ignored(rules)}",
            where=origin,
            hint=(
                f"let the platform team set it: `steps: {{vaultRotateSecretId: {{{chosen}:"
                f" '{settings.text(chosen)}'}}}}` in its default documents (TOWLINE_DEFAULTS)"
            ),
        ),
    )


def _without_slash(text: str) -> str:
    return text.strip().rstrip("/")
