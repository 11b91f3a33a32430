"""Pure.

Which other hosts a registry may send us to: token services, storage behind redirects, upload
locations (facts of the client CVEs).
"""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

from towline.http.addresses import PUBLIC, may_reach, network_of
from towline.image import Registry, is_loopback


def may_follow(url: str, registry: Registry) -> bool:
    """Whether a URL that `registry` named may be asked at all: never down from https, never from outside into a private network or this machine.

    Addresses count as far as they are written out; a name's are checked when it is connected to
    (`HttpRequest.named_by`).
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
    """Whether a user's password may go to the token service that `registry` named: https, or the host that is trusted with it over http anyway."""
    parts = urlsplit(realm)
    if parts.scheme == "https":
        return True
    return parts.hostname == _name(registry) or (
        registry.loopback and is_loopback(parts.netloc.rpartition("@")[2])
    )


def absolute_url(location: str, base: str, registry: Registry) -> str:
    """The absolute URL of a Location header, resolved against `base`; empty where it is none.

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
