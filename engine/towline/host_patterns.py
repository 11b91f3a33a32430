"""Pure.

Which hosts a list of the platform team names: `host`, `host:port`, and `*.example.com` for every
name below that domain.

Without a port an entry means the usual one of the scheme that is spoken (443 for https, 80 for
http, 22 for ssh); any other port counts only if it is named.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv6Address
from typing import NamedTuple

_USUAL = {"https": 443, "http": 80, "ssh": 22}
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_ENTRY = re.compile(
    rf"(?P<below>\*\.)?(?:(?P<name>{_LABEL}(?:\.{_LABEL})*\.?)|\[(?P<address>[0-9A-Fa-f:.]+)\])(?::(?P<port>[0-9]{{1,5}}))?"
)
_HINTS = {
    "://": "write the host alone, without scheme and path",
    "/": "write the host alone, without scheme and path",
    "@": "write the host alone, without a user",
    "*": "a `*` stands for everything below a domain only: *.example.com",
}
_USE = "write host, host:port or *.example.com"
_LARGEST = 65535


class HostPattern(NamedTuple):
    """One entry: the name in lower case, whether what is below it is meant instead of itself, its port, 0 where it names none."""

    name: str
    below: bool
    port: int


def parse(text: str) -> HostPattern:
    """An entry of the list; raises ValueError with a hint for one that no host can match."""
    found = _ENTRY.fullmatch(text)
    port = int(found["port"] or 0) if found else 0
    if (
        found is None
        or (found["port"] and not 0 < port <= _LARGEST)
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
    """Whether an entry names `host[:port]`, spoken to by `scheme`; raises ValueError for an entry that no host can match."""
    try:
        there = parse(host)
    except ValueError:
        return False
    usual = _USUAL.get(scheme, 0)
    port = there.port or usual
    return not there.below and any(
        _fits(entry, there.name) and port == (entry.port or usual) for entry in map(parse, entries)
    )


def _fits(entry: HostPattern, name: str) -> bool:
    return name.endswith(f".{entry.name}") if entry.below else name == entry.name
