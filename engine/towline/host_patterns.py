"""Pure.

Host patterns of the platform team's lists: `host`, `host:port`, and `*.example.com` for every name
below that domain.

A pattern without a port means the usual port of the scheme in use (443 for https, 80 for http, 22
for ssh); any other port counts only if the pattern names it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv6Address
from typing import NamedTuple

USUAL_PORTS = {"https": 443, "http": 80, "ssh": 22}
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = rf"{_LABEL}(?:\.{_LABEL})*\.?"
_ENTRY = re.compile(
    rf"(?P<below>\*\.)?(?:(?P<name>{_NAME})|\[(?P<address>[0-9A-Fa-f:.]+)\])"
    r"(?::(?P<port>[0-9]{1,5}))?"
)
_HINTS = {
    "://": "write the host alone, without scheme and path",
    "/": "write the host alone, without scheme and path",
    "@": "write the host alone, without a user",
    "*": "a `*` may stand only for the names below a domain: *.example.com",
}
_USE = "write host, host:port or *.example.com"
_LARGEST_PORT = 65535


class HostPattern(NamedTuple):
    """One pattern: the name in lower case, whether only names below it match, and its port or 0."""

    name: str
    below: bool
    port: int


def parse(text: str) -> HostPattern:
    """The pattern of a text; raises ValueError with a hint for a text that no host can match."""
    found = _ENTRY.fullmatch(text)
    port = int(found["port"] or 0) if found else 0
    if (
        found is None
        or (found["port"] and not 0 < port <= _LARGEST_PORT)
        or (found["below"] and found["address"])
    ):
        raise ValueError(next((hint for sign, hint in _HINTS.items() if sign in text), _USE))
    if found["below"] and re.fullmatch(r"[0-9.]+", found["name"]):
        raise ValueError("an address has nothing below it: " + _USE)
    try:
        name = (
            str(IPv6Address(found["address"]))
            if found["address"]
            else found["name"].lower().removesuffix(".")
        )
    except ValueError:
        raise ValueError(_USE) from None
    return HostPattern(name=name, below=bool(found["below"]), port=port)


def matches_any(entries: Iterable[str], host: str, scheme: str) -> bool:
    """Whether one of `entries` matches `host[:port]` of this scheme; raises as `parse` does."""
    try:
        asked = parse(host)
    except ValueError:
        return False
    usual = USUAL_PORTS.get(scheme, 0)
    port = asked.port or usual
    return not asked.below and any(
        _fits(entry, asked.name) and port == (entry.port or usual) for entry in map(parse, entries)
    )


def _fits(entry: HostPattern, name: str) -> bool:
    return name.endswith(f".{entry.name}") if entry.below else name == entry.name
