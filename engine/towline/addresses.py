"""Pure.

What network an address is of, however it is written, and into which of them a host may send us.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address
PUBLIC, PRIVATE, LOOPBACK, LINK_LOCAL, NOWHERE = (
    "public",
    "private",
    "loopback",
    "link-local",
    "nowhere",
)
METADATA = "of a metadata service"
# whoever names it: what answers there gives away the machine's own identity
NEVER = frozenset({LINK_LOCAL, METADATA})

_NUMBER = re.compile(r"0[xX][0-9a-fA-F]{0,16}|0[0-7]{0,22}|[1-9][0-9]{0,19}")
_CARRYING = (  # the last 32 bits are an IPv4 address
    IPv6Network("64:ff9b::/96"),  # NAT64, RFC 6052
    IPv6Network("::/96"),  # IPv4-compatible, RFC 4291 2.5.5.1
    IPv6Network("::ffff:0:0:0/96"),  # IPv4-translated, RFC 2765
)
# RFC 8215; how long its prefixes are, each network decides for itself
_LOCAL_NAT64 = IPv6Network("64:ff9b:1::/48")
_SPLIT = 8  # the byte that RFC 6052 2.2 leaves out of every embedded address
_SERVICES = frozenset(
    {
        IPv4Address("168.63.129.16"),  # Azure
        IPv4Address("100.100.100.200"),  # Alibaba Cloud
        IPv4Address("192.0.0.192"),  # Oracle Cloud
        IPv6Address("fd20:ce::254"),  # Google Cloud
    }
)
_AWS = IPv6Network("fd00:ec2::/32")
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

    A host on this machine may send us into the private network too; nobody sends us to a metadata
    service or anything link-local.
    """
    like = there in own or (there == PRIVATE and LOOPBACK in own)
    return there == PUBLIC or (like and there not in NEVER)


def _kind(address: Address) -> str:
    if _is_service(address):
        return METADATA
    if address.is_loopback:
        return LOOPBACK
    if address.is_link_local:
        return LINK_LOCAL
    if (
        address.is_multicast
        or address.is_unspecified
        or (address.is_reserved and not address.is_global)
    ):
        return NOWHERE
    return PUBLIC if address.is_global and address not in _LOCAL_NAT64 else PRIVATE


def _is_service(address: Address) -> bool:
    """Whether it is one of a cloud's services that tell a machine who it is, outside of the link-local network."""
    if isinstance(address, IPv4Address):
        return address in _SERVICES
    if address in _LOCAL_NAT64:
        inner = map(IPv4Address, _embedded(address))
        return any(one in _SERVICES or one.is_link_local for one in inner)
    return address in _AWS or IPv6Address(int(address)) in _SERVICES


def _embedded(address: IPv6Address) -> Iterator[bytes]:
    """The four bytes that follow a prefix of 48, 56, 64 or 96 bits (RFC 6052 2.2)."""
    whole = address.packed
    for start in (6, 7, 8, 12):
        after = [number for number in range(start, len(whole)) if number != _SPLIT]
        yield bytes(whole[number] for number in after[:4])


def _inner(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for: mapped, compatible, translated, 6to4 or Teredo."""
    if isinstance(address, IPv4Address):
        return address
    carried = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
    number = int(address)
    if carried is None and number > 1 and any(address in network for network in _CARRYING):
        carried = IPv4Address(number & 0xFFFFFFFF)
    return carried or address


def _short(parts: list[str]) -> Address | None:
    """One to four numbers of C's notation; the last one fills the bytes that are left."""
    if len(parts) > 4 or not all(_NUMBER.fullmatch(part) for part in parts):
        return None
    *high, last = (
        (
            int(part, 16 if part[:2] in ("0x", "0X") else 8 if part[0] == "0" else 10)
            if part.lower() != "0x"
            else 0
        )
        for part in parts
    )
    room = _V4 - 8 * len(high)
    if any(number > 0xFF for number in high) or last >= 1 << room:
        return None
    value = 0
    for number in high:
        value = value << 8 | number
    return IPv4Address(value << room | last)
