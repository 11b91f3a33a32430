"""From a step's settings to what decides where its credentials go (addressees.py): rules, the credential in words, and who names a host."""

from __future__ import annotations

from collections.abc import Callable

from towline import allowed_hosts
from towline.addressees import (
    EACH,
    ENFORCEMENT,
    HOSTS,
    IDS,
    STRICT,
    WARN,
    Credential,
    Named,
    Place,
    Rules,
    Standing,
)
from towline.config.merge import CHANGED, PIPELINE_ENVIRONMENT
from towline.config.settings import Settings
from towline.errors import TowlineError
from towline.image import parse_registry

Parse = Callable[[str], Place]


def rules_of(settings: Settings, standing: Callable[[], Standing]) -> Rules:
    """What trusted layers say of credentials and their hosts."""
    return Rules(
        hosts=settings.texts(HOSTS),
        each={name: tuple(hosts) for name, hosts in settings.listed(EACH).items()},
        ids=settings.texts(IDS) if settings.has(IDS) else (),
        strict=settings.flag(STRICT),
        warn=settings.text(ENFORCEMENT) == WARN,
        where=settings.origin(HOSTS),
        each_where=settings.origin(EACH),
        standing=standing,
    )


def password_of(settings: Settings, user: str, password: str) -> Credential:
    """The login in the parameters `user` and `password` in words: never with the secret."""
    what = f"the password of user {settings.text(user)!r} ({settings.origin(password)})"
    return Credential(
        what=what, names=_names(settings, password, user), record=settings.record(password)
    )


def secret_of(settings: Settings, name: str, what: str) -> Credential:
    """The secret in the parameter `name`, which is called `what`."""
    return Credential(
        what=f"{what} ({settings.origin(name)})",
        names=_names(settings, name),
        record=settings.record(name),
    )


def _names(settings: Settings, *parameters: str) -> tuple[str, ...]:
    """What `credentials` may call it: the ids of the Jenkins credentials that it comes from, or is to come from, and its parameters."""
    # what the configuration names may be another one: the agent's own value keeps it from being
    # bound
    if settings.given(parameters[0]):
        ids = [settings.bound(name) for name in parameters]
    else:
        ids = [one for name in parameters for one in settings.credential_ids(name)]
    return tuple(
        dict.fromkeys([*filter(None, ids), *(settings.called(name) for name in parameters)])
    )


def named_by(settings: Settings, name: str, parse: Parse, *, password: str = "") -> Named:
    """Who names the host in the URL of the parameter `name`; for a `password` of the pipeline environment its own URL there is its record."""
    inside = bool(password) and settings.layer(password) == PIPELINE_ENVIRONMENT
    return Named(
        origin=settings.origin(name),
        trusted=_places(settings.trusted_texts(name), parse),
        record=(
            _places(settings.given_in(PIPELINE_ENVIRONMENT, name), parse) if inside else frozenset()
        ),
        changed=settings.stands_in(CHANGED, name),
        call=(
            f"--{settings.called(name)} in the call, or PIPER_{settings.called(name)}"
            if settings.flags
            else ""
        ),
    )


def registry_place(url: str) -> Place:
    """Where the registry of a URL is; raises ConfigError."""
    registry, _ = parse_registry(url)
    return Place(scheme=registry.scheme, host=registry.host)


def usable(entries: list[str]) -> tuple[str, ...]:
    """The entries of a record that name a host, its URL's where one is a URL; others name nothing."""
    return tuple(entry for entry in map(_host, entries) if entry and _valid(entry))


def _host(entry: str) -> str:
    text = entry.strip()
    if "://" not in text:
        return text
    scheme, _, rest = text.partition("://")
    return Place(scheme=scheme.lower(), host=rest.partition("/")[0]).entry


def _valid(entry: str) -> bool:
    try:
        allowed_hosts.parse(entry)
    except ValueError:
        return False
    return True


def _places(texts: tuple[str, ...], parse: Parse) -> frozenset[tuple[str, str]]:
    found = set()
    for text in texts:
        try:
            found.add(parse(text).plain)
        except TowlineError:
            continue  # a URL that is none names no host
    return frozenset(found)
