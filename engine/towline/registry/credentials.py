"""Who may log in where: the rules for sending a login, and the docker configuration that may hold one."""

from __future__ import annotations

import base64
import binascii
import json

from towline.errors import ConfigError, CredentialError
from towline.image import Registry, is_loopback
from towline.secret import Login, admit

_HUB = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})


def basic(login: Login) -> str:
    """The value of an Authorization header (RFC 7617, in UTF-8)."""
    return "Basic " + base64.b64encode(f"{login.username}:{login.password}".encode()).decode()


def check_sending(login: Login, scheme: str, host: str, *, allow_plain_http: bool) -> None:
    """Raises CredentialError where `login` must not go to `host[:port]`: over `http://` away from this machine, or to none of the hosts it is for."""
    admit(host, login.hosts)
    if scheme != "https" and not is_loopback(host) and not allow_plain_http:
        raise CredentialError(
            f"the password of user {login.username!r} (from {login.origin}) would go over plain http to {host}",
            where=f"{scheme}://{host}", hint="use https, or set allowPlainHttp where the platform team trusts that network",
        )


def is_docker_hub(host: str) -> bool:
    """Whether `host` is one of Docker Hub's names."""
    return host.lower() in _HUB


def read_docker_config(text: str, registry: Registry, *, origin: str) -> Login | None:
    """The login for `registry` in a docker configuration's JSON text, or None; raises ConfigError (never showing the text)."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise ConfigError("the docker configuration is not JSON", where=origin, hint="expected the format of docker's config.json") from None
    auths = data.get("auths", {}) if isinstance(data, dict) else None
    if not isinstance(auths, dict):
        raise ConfigError("the docker configuration has no map 'auths'", where=origin, hint="expected the format of docker's config.json")
    wanted = _known_as(registry.host)
    for key, entry in auths.items():
        if _known_as(key) == wanted and isinstance(entry, dict) and (login := _login(entry, f"{origin}, auths/{key}")):
            return login
    return None


def _known_as(key: str) -> str:
    """The host of a key such as `host`, `https://host/v2/` or `https://index.docker.io/v1/`; a key for a path below a host is no match."""
    rest = key.partition("://")[2] or key
    host, _, path = rest.partition("/")
    if path.strip("/") not in ("", "v1", "v2"):
        return ""
    return "docker.io" if is_docker_hub(host) else host.lower()


def _login(entry: dict[str, object], origin: str) -> Login | None:
    username, password, auth = entry.get("username"), entry.get("password"), entry.get("auth")
    if isinstance(auth, str) and auth:
        try:
            username, _, password = base64.b64decode(auth, validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            raise ConfigError("the docker configuration has an 'auth' that is not base64", where=origin, hint="log in again, or write the entry anew") from None
    if isinstance(username, str) and isinstance(password, str) and username and password:
        return Login(username=username, password=password.rstrip("\0"), origin=origin)
    return None
