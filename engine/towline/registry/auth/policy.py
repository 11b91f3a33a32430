"""Pure. Rules for sending a registry login to a host."""

from __future__ import annotations

import base64

from towline.credential_hosts import HostAddress, check_host_allowed
from towline.errors import CredentialError
from towline.image import is_loopback
from towline.secret import Login

_HUB = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})


def basic_authorization(login: Login) -> str:
    """The value of a basic Authorization header (RFC 7617, in UTF-8)."""
    return "Basic " + base64.b64encode(f"{login.username}:{login.password}".encode()).decode()


def check_sending(login: Login, scheme: str, host: str, *, allow_plain_http: bool) -> None:
    """Raise CredentialError if `login` must not go to `host[:port]`.

    It must not over `http://` away from this machine, or to a host that is not among its hosts.
    """
    check_host_allowed(login.hosts, HostAddress(scheme=scheme, host=host))
    if scheme != "https" and not is_loopback(host) and not allow_plain_http:
        raise CredentialError(
            f"the password of user {login.username!r} (from {login.origin}) would go over plain"
            f" http to {host}",
            where=f"{scheme}://{host}",
            hint="use https, or set allowPlainHttp if the platform team trusts that network",
        )


def is_docker_hub(host: str) -> bool:
    """Whether `host` is one of Docker Hub's names."""
    return host.lower() in _HUB
