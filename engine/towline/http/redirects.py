"""Pure.

Redirect policy: which statuses redirect, how often, and which other hosts a server may send us to
(token services, storage, upload locations; facts of the client CVEs).
"""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

from towline.http.addresses import PUBLIC, may_reach, network_of
from towline.image import Registry, is_loopback

MAX_REGISTRY_REDIRECTS, MAX_DOWNLOAD_REDIRECTS = 10, 5
# any redirect of a question; a write keeps its method and its body by 307 and 308 alone
# (RFC 9110 15.4)
_SAME_METHOD = frozenset({307, 308})
_AS_GET = frozenset({301, 302, 303})


def is_redirect(status: int, method: str) -> bool:
    """Whether a status redirects a request of this method without losing its body."""
    return status in _SAME_METHOD or (status in _AS_GET and method in ("GET", "HEAD"))


def may_follow(url: str, registry: Registry) -> bool:
    """Whether a URL that `registry` named may be requested.

    Refused are a change from https to http, and the way from a public host into a private network
    or to this machine. Only addresses that are written out are checked here; the addresses of a
    name are checked when it is connected to (`HttpRequest.named_by`).
    """
    try:
        parts = urlsplit(url)
        name = parts.hostname or ""
    except ValueError:
        return False
    own = _name(registry)
    if (
        parts.scheme not in ("http", "https")
        or not name
        or (parts.scheme == "http" and registry.scheme == "https")
    ):
        return False
    return name == own or may_reach(network_of(name) or PUBLIC, {network_of(own) or PUBLIC})


def may_log_in(realm: str, registry: Registry) -> bool:
    """Whether a password may go to the token service that `registry` named.

    The service must speak https, or be on the registry's own host, which gets the password over
    http anyway.
    """
    parts = urlsplit(realm)
    if parts.scheme == "https":
        return True
    return parts.hostname == _name(registry) or (
        registry.loopback and is_loopback(parts.netloc.rpartition("@")[2])
    )


def absolute_url(location: str, base: str, registry: Registry) -> str:
    """The absolute URL of a Location header, resolved against `base`; empty if it is not a URL.

    A proxy in front may have lost the registry's scheme and port (distribution#970): for the
    registry's own name these are put back.
    """
    try:
        url = urljoin(base, location).partition("#")[0]
        parts = urlsplit(url)
    except ValueError:
        return ""
    if registry.scheme == "https" and parts.scheme == "http" and parts.hostname == _name(registry):
        return parts._replace(scheme=registry.scheme, netloc=registry.host).geturl()
    return url


def _name(registry: Registry) -> str:
    return urlsplit(str(registry)).hostname or ""
