"""Pure.

The proxy before a host, by the environment variables that curl reads: a lower-case name has
precedence, and an empty value counts as not set.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from ipaddress import ip_network
from urllib.parse import unquote, urlsplit

from towline.errors import ConfigError
from towline.host_patterns import USUAL_PORTS
from towline.http.addresses import LOOPBACK, network_of, parse_address
from towline.record import field, frozen

_DEFAULT_PORT = 1080  # curl's, for a proxy without one
_PRINTABLE = re.compile(r"[\x21-\x7e]+")


@frozen
class Proxy:
    """A proxy that is spoken to over http; `variable` is the environment variable that names it.

    `authorization` is the value of Proxy-Authorization, which goes to the proxy alone.
    """

    host: str
    port: int
    variable: str
    authorization: str = field(default="", repr=False)

    def __str__(self) -> str:
        return (
            f"the proxy {f'[{self.host}]' if ':' in self.host else self.host}:{self.port} (from"
            f" {self.variable})"
        )


class Proxies:
    """The proxies of an environment; without one, every host is reached directly."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._variables = {
            scheme: _chosen(environ or {}, f"{scheme}_proxy", "all_proxy")
            for scheme in ("http", "https")
        }
        self._direct = _chosen(environ or {}, "no_proxy")[1]

    def secrets(self) -> Iterator[str]:
        """Every part of the proxies' URLs that must not be shown."""
        for _, url in self._variables.values():
            _, separator, password = url.rpartition("@")[0].partition("://")[2].partition(":")
            if separator:
                yield password
                yield unquote(password)

    def find(self, where: str) -> Proxy | None:
        """The proxy for the origin `scheme://host[:port]`, or None if it is reached directly.

        Raises ConfigError for a proxy that cannot be used.
        """
        parts = urlsplit(where)
        variable, url = self._variables[parts.scheme]
        host, port = parts.hostname or "", parts.port or USUAL_PORTS[parts.scheme]
        if not url or network_of(host) == LOOPBACK or bypasses_proxy(host, port, self._direct):
            return None
        return _proxy(url, variable)


def bypasses_proxy(host: str, port: int, no_proxy: str) -> bool:
    """Whether NO_PROXY names `host`.

    Entries are `*`, a name with all names below it, an address, or a network in CIDR notation; each
    but `*` and networks may have a port.
    """
    return any(
        _names(entry.lower(), host.lower().rstrip("."), port)
        for entry in re.split(r"[,\s]+", no_proxy)
        if entry
    )


def _names(entry: str, host: str, port: int) -> bool:
    if entry == "*":
        return True
    if "/" in entry:
        return _within(host, entry)
    name, wanted = _split(entry)
    if wanted not in ("", str(port)):
        return False
    address = parse_address(host)
    if address is not None:
        return address == parse_address(name)
    name = name.removeprefix("*").strip(".")
    return bool(name) and (host == name or host.endswith(f".{name}"))


def _split(entry: str) -> tuple[str, str]:
    """Name and port of `name[:port]` or `[address][:port]`.

    An IPv6 address may stand without brackets, but then without a port.
    """
    name, colon, port = entry.rpartition(":")
    if colon and port.isdecimal() and (name.endswith("]") or ":" not in name):
        return name.strip("[]"), port
    return entry.strip("[]"), ""


def _within(host: str, network: str) -> bool:
    address = parse_address(host)
    try:
        return address is not None and address in ip_network(network, strict=False)
    except ValueError:
        return False


def _chosen(environ: Mapping[str, str], *names: str) -> tuple[str, str]:
    """Name and value of the first variable that is set, lower case before upper; or two ''."""
    spellings = (spelling for name in names for spelling in (name, name.upper()))
    return next(
        ((name, environ[name].strip()) for name in spellings if environ.get(name, "").strip()),
        ("", ""),
    )


def _proxy(url: str, variable: str) -> Proxy:
    """The proxy of a URL; a URL without a scheme is taken as http.

    Raises ConfigError that does not show the URL, which may hold a password.
    """
    try:
        parts = urlsplit(
            (url if "://" in url else f"http://{url}") if _PRINTABLE.fullmatch(url) else ""
        )
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme != "http" or not parts.hostname or port == 0:
        raise ConfigError(
            f"the proxy in {variable} cannot be used",
            where=variable,
            hint="expected http://[user:password@]host:port, and no other scheme",
        )
    login = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    header = (
        "Basic " + base64.b64encode(login.encode()).decode() if parts.username is not None else ""
    )
    return Proxy(
        host=parts.hostname, port=port or _DEFAULT_PORT, variable=variable, authorization=header
    )
