"""Pure. What network an address is of, however it is written, and into which of them a host may send us."""

from __future__ import annotations

import re
from collections.abc import Collection
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address
PUBLIC, PRIVATE, LOOPBACK, LINK_LOCAL, NOWHERE = "public", "private", "loopback", "link-local", "nowhere"

_NUMBER = re.compile(r"0[xX][0-9a-fA-F]{0,16}|0[0-7]{0,22}|[1-9][0-9]{0,19}")
_TRANSLATED = IPv6Network("64:ff9b::/96")  # NAT64, RFC 6052
_V4 = 32


def literal(name: str) -> Address | None:
    """The address that a host name spells out, None where it is a name: as usual, or in the decimal, octal, hexadecimal or short forms of inet_aton."""
    try:
        return ip_address(name)
    except ValueError:
        return _short(name.split("."))


def kind(name: str) -> str:
    """The network of a literal address, of the address inside it where it carries one, or of `localhost`; empty for any other name."""
    bare = name.lower().rstrip(".")
    if bare == "localhost" or bare.endswith(".localhost"):
        return LOOPBACK
    address = literal(bare)
    return "" if address is None else _kind(_inner(address))


def may_reach(there: str, own: Collection[str]) -> bool:
    """Whether a host whose addresses are of the networks `own` may send us into the network `there`: to the public one, or to its like.

    A host on this machine may send us into the private network too; nobody sends us nowhere (multicast, unspecified, reserved).
    """
    return there == PUBLIC or (there != NOWHERE and (there in own or (there == PRIVATE and LOOPBACK in own)))


def _kind(address: Address) -> str:
    if address.is_loopback:
        return LOOPBACK
    if address.is_link_local:
        return LINK_LOCAL
    if address.is_multicast or address.is_unspecified or (address.is_reserved and not address.is_global):
        return NOWHERE
    return PUBLIC if address.is_global else PRIVATE


def _inner(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for: mapped, translated, 6to4 or Teredo."""
    if isinstance(address, IPv4Address):
        return address
    carried = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
    if carried is None and address in _TRANSLATED:
        carried = IPv4Address(int(address) & 0xFFFFFFFF)
    return carried or address


def _short(parts: list[str]) -> Address | None:
    """One to four numbers of C's notation; the last one fills the bytes that are left."""
    if len(parts) > 4 or not all(_NUMBER.fullmatch(part) for part in parts):
        return None
    *high, last = (int(part, 16 if part[:2] in ("0x", "0X") else 8 if part[0] == "0" else 10) if part.lower() != "0x" else 0 for part in parts)
    room = _V4 - 8 * len(high)
    if any(number > 0xFF for number in high) or last >= 1 << room:
        return None
    value = 0
    for number in high:
        value = value << 8 | number
    return IPv4Address(value << room | last)
