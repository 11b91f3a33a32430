"""Pure.

Docker's configuration (config.json of docker, auth.json of podman): logins for a registry, and the
credential helpers that may know one.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Mapping

from towline.errors import ConfigError
from towline.image import Registry
from towline.literals import json_object
from towline.record import frozen
from towline.registry.auth.policy import is_docker_hub
from towline.secret import BEARER, IDENTITY, PASSWORD, Login

IDENTITY_USER, BEARER_USER = "<token>", "<registry token>"
_HUB_KEY = "https://index.docker.io/v1/"
_HELPER = re.compile(r"[a-z0-9._-]+")
_VERSIONS = ("v1", "v2")
_FORMAT = "expected the format of docker's config.json"


@frozen
class CredentialHelper:
    """A program `docker-credential-<name>` to ask for `server`; `origin` is where it is named."""

    name: str
    server: str
    origin: str


def find_logins(
    text: str, registry: Registry, *, path: str = "", origin: str
) -> tuple[Login | CredentialHelper, ...]:
    """Logins and helpers for images below `path` of `registry`, in order of precedence.

    The order is: the registry's own helper, the store, the registry's own login. Of several keys
    for the registry, the one with the longest path that contains `path` comes first. Raises
    ConfigError, never showing the text.
    """
    data = _parsed(text, origin)
    auths, helpers = _map(data, "auths", origin), _map(data, "credHelpers", origin)
    store, below = data.get("credsStore") or None, _path(registry, path)
    found: list[Login | CredentialHelper] = [
        _helper(helpers[key], key, f"{origin}, credHelpers/{key}")
        for key in _fitting(helpers, registry, below)
    ]
    if store:
        found.append(_helper(store, registry.host, f"{origin}, credsStore"))
    for key in _fitting(auths, registry, below):
        found.extend(_login(auths[key], f"{origin}, auths/{key}"))
    return tuple(found)


def keys_for(text: str, registry: Registry, *, origin: str) -> tuple[str, ...]:
    """The keys for the registry or for a path of it; raises ConfigError as `find_logins` does."""
    data = _parsed(text, origin)
    keys = [*_map(data, "auths", origin), *_map(data, "credHelpers", origin)]
    return tuple(
        dict.fromkeys(
            key
            for key in keys
            if _host(key.rpartition("://")[2].partition("/")[0]) == _host(registry.host)
        )
    )


def _parsed(text: str, origin: str) -> Mapping[str, object]:
    data = json_object(text)
    if data is None:
        raise ConfigError(
            "the docker configuration is not a JSON object", where=origin, hint=_FORMAT
        ) from None
    return data


def _map(data: Mapping[str, object], key: str, origin: str) -> Mapping[str, object]:
    found = data.get(key) or {}
    if not isinstance(found, dict):
        raise ConfigError(
            f"the docker configuration has no map {key!r}", where=origin, hint=_FORMAT
        )
    return found


def _path(registry: Registry, path: str) -> str:
    """The path of an image as Docker Hub's keys have it."""
    return f"library/{path}" if path and "/" not in path and is_docker_hub(registry.host) else path


def _fitting(keys: Iterable[str], registry: Registry, path: str) -> list[str]:
    """The keys that name the registry and contain `path`, the longest paths first."""
    depths = {key: depth for key in keys if (depth := _depth(key, registry, path)) is not None}
    return sorted(depths, key=lambda key: -depths[key])


def _depth(key: str, registry: Registry, path: str) -> int | None:
    """Number of parts of `path` that the key names, or None if it is for something else.

    Keys are `host`, `host/path`, `https://host/v2/` or `https://index.docker.io/v1/`; a key with a
    scheme has no other paths than these.
    """
    _, scheme, rest = key.rpartition("://")
    host, _, below = rest.partition("/")
    below = below.strip("/")
    if _host(host) != _host(registry.host):
        return None
    if below in ("", *_VERSIONS):
        return 0
    fits = not scheme and f"{path}/".startswith(f"{below}/")
    return below.count("/") + 1 if fits else None


def _host(text: str) -> str:
    return "docker.io" if is_docker_hub(text) else text.lower().removesuffix(":443")


def _helper(name: object, key: str, origin: str) -> CredentialHelper:
    if not isinstance(name, str) or not _HELPER.fullmatch(name):
        raise ConfigError(
            "the docker configuration names an invalid credential helper",
            where=origin,
            hint=(
                "expected the part of its name behind docker-credential-, in lower-case letters,"
                " digits, dots, hyphens and underscores"
            ),
        )
    return CredentialHelper(name=name, server=_server(key), origin=origin)


def _server(key: str) -> str:
    """The server name to ask a helper for: host and path of the key; Docker Hub's is fixed."""
    rest = key.rpartition("://")[2]
    host, _, below = rest.partition("/")
    if is_docker_hub(host):
        return _HUB_KEY
    return host if below.strip("/") in ("", *_VERSIONS) else rest


def _login(entry: object, origin: str) -> Iterator[Login]:
    """The login of an entry; none if it is empty, as an entry beside a store is."""
    if not isinstance(entry, dict):
        return
    username, password = _pair(entry, origin)
    if _text(entry, "registrytoken"):
        yield Login(
            username=BEARER_USER, password=_text(entry, "registrytoken"), origin=origin, kind=BEARER
        )
    elif _text(entry, "identitytoken"):
        yield Login(
            username=username or IDENTITY_USER,
            password=_text(entry, "identitytoken"),
            origin=origin,
            kind=IDENTITY,
        )
    elif username and password:
        yield as_login(username, password, origin)


def as_login(username: str, password: str, origin: str) -> Login:
    """The login of a user and a password in docker's files.

    The user `<token>` means that the password is an identity token.
    """
    return Login(
        username=username,
        password=password,
        origin=origin,
        kind=IDENTITY if username == IDENTITY_USER else PASSWORD,
    )


def _pair(entry: Mapping[str, object], origin: str) -> tuple[str, str]:
    """User and password of an entry; `auth` has precedence over `username` and `password`."""
    if not _text(entry, "auth"):
        return _text(entry, "username"), _text(entry, "password")
    try:
        username, _, password = (
            base64.b64decode(_text(entry, "auth"), validate=True).decode().partition(":")
        )
    except (binascii.Error, ValueError):
        raise ConfigError(
            "the docker configuration has an 'auth' that is not base64",
            where=origin,
            hint="log in again, or write the entry anew",
        ) from None
    return username, password.rstrip("\0")


def _text(entry: Mapping[str, object], key: str) -> str:
    value = entry.get(key)
    return value if isinstance(value, str) else ""
