"""What network an address is of, however it is written, and into which of them a host may send us.

At which addresses a host is connected to: its name is resolved for the connection, every address is checked, and what was checked is connected to.

The host that is configured may be inside (companies run internal registries), but it does not move
inside later: a name whose owner binds it anew stays in the networks that it was in at first. What
another host names is no more internal than that one (facts of the registries, section 4).
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Collection, Iterator
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from towline.errors import TransportError

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
FORBIDDEN_NETWORKS = frozenset({LINK_LOCAL, METADATA})

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


def parse_address(name: str) -> Address | None:
    """The address that a host name spells out, None where it is a name: as usual, or in the decimal, octal, hexadecimal or short forms of inet_aton."""
    try:
        return ip_address(name)
    except ValueError:
        return _short(name.split("."))


def network_of(name: str) -> str:
    """The network of a literal address, of the address inside it where it carries one, or of `localhost`; empty for any other name."""
    bare = name.lower().rstrip(".")
    if bare == "localhost" or bare.endswith(".localhost"):
        return LOOPBACK
    address = parse_address(bare)
    return "" if address is None else _kind(_inner(address))


def may_reach(there: str, own: Collection[str]) -> bool:
    """Whether a host whose addresses are of the networks `own` may send us into the network `there`: to the public one, or to its like.

    A host on this machine may send us into the private network too; nobody sends us to a metadata
    service or anything link-local.
    """
    like = there in own or (there == PRIVATE and LOOPBACK in own)
    return there == PUBLIC or (like and there not in FORBIDDEN_NETWORKS)


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


PORTS = {"http": 80, "https": 443}
# seconds for a name that a proxy resolves anyway: behind one, names of outside are often not known
# here
_PATIENCE = 3.0


class PermanentTransportError(TransportError):
    """A fault that another try does not change."""


class AddressPolicy:
    """Where the hosts of one piece of work may be; with `outside`, all are named by what a pull request can change, and are public.

    Shared by threads.
    """

    def __init__(self, *, outside: bool = False) -> None:
        self._outside = outside
        self._first: dict[str, frozenset[str]] = {}
        self._met: dict[str, set[str]] = {}
        self._behind: dict[str, list[str]] = {}

    def addresses(self, where: str, named_by: str = "") -> list[str]:
        """The addresses at which the origin `where`, that the other host `named_by` named, may be connected to.

        Raises PermanentTransportError, and OSError for an unknown name.
        """
        try:
            return self._allowed(where, named_by, _resolved(*_place(where)))
        except socket.gaierror as fault:
            if self._outside and fault.errno != socket.EAI_AGAIN:
                raise _unknown(where) from fault
            raise

    def met(self, where: str, address: str) -> None:
        """The origin was met at this address: of several networks that its name has, this is its own."""
        self._met.setdefault(_place(where)[0], set()).add(network_of(address))

    def check_before_proxy(self, where: str, named_by: str = "") -> None:
        """The same for a host that a proxy connects to, as far as its name is known here; raises PermanentTransportError."""
        if found := self._known_here(where):
            self._allowed(where, named_by, found)

    def _allowed(self, where: str, named_by: str, found: list[str]) -> list[str]:
        host, networks = _place(where)[0], {address: network_of(address) for address in found}
        own = self._own(host, named_by)
        allowed = [address for address, network in networks.items() if _may(network, own)]
        if not allowed:
            raise self._refused(where, named_by, networks.values(), own)
        if not named_by:
            self._first.setdefault(host, frozenset(networks[address] for address in allowed))
        return allowed

    def _own(self, host: str, named_by: str) -> Collection[str] | None:
        """The networks of who names the host; None for whoever configured it.

        Who was met outside, or may have been, is outside: whoever holds a name may give it an
        address inside as well, which is none of his.
        """
        if self._outside:
            return {PUBLIC}
        if not named_by:
            return self._first.get(host)
        namer = _place(named_by)[0]
        met = frozenset(self._met.get(namer, ()))  # other threads add to it
        own = (
            met or self._first.get(namer) or {network_of(one) for one in self._known_here(named_by)}
        )
        return own if own and PUBLIC not in own else {PUBLIC}

    def _known_here(self, where: str) -> list[str]:
        """The addresses of a host as far as they are known here, asked for once and not for long."""
        host, port = _place(where)
        if host not in self._behind:
            found: list[str] = []
            asking = threading.Thread(target=_ask, args=(host, port, found), daemon=True)
            asking.start()
            asking.join(_PATIENCE)
            self._behind[host] = list(found)
        return self._behind[host]

    def _refused(
        self, where: str, named_by: str, networks: Collection[str], own: Collection[str] | None
    ) -> PermanentTransportError:
        there = " and ".join(sorted(set(networks)))
        if self._outside:
            return _unknown(where)
        if named_by:
            return PermanentTransportError(
                f"{named_by} names it, and its address is {there}: not asked", where=where
            )
        if own:
            was = " and ".join(sorted(own))
            return PermanentTransportError(
                f"its address is {there} now and was {was} before: not asked", where=where
            )
        return PermanentTransportError(
            f"its address is {there}, where nothing is ever asked", where=where
        )


def _may(network: str, own: Collection[str] | None) -> bool:
    return network not in FORBIDDEN_NETWORKS if own is None else may_reach(network, own)


def _unknown(where: str) -> PermanentTransportError:
    """One answer for a name that is not known and for one that is inside: who may not ask there does not learn what is there."""
    return PermanentTransportError("no public host of this name is known", where=where)


def _place(where: str) -> tuple[str, int]:
    """Host and port of an origin."""
    parts = urlsplit(where)
    return parts.hostname or "", parts.port or PORTS.get(parts.scheme, 0)


def _resolved(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(info[4][0]) for info in found))


def _ask(host: str, port: int, found: list[str]) -> None:
    try:
        found += _resolved(host, port)
    except (OSError, UnicodeError):
        return
