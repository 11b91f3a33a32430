"""Network classes of IP addresses, and the policy which addresses a host may be connected to.

A host name is resolved for each connection, every address is checked, and the connection goes to a
checked address.

A configured host may be in a private network (companies run internal registries), but it does not
move there later: a name whose owner rebinds it stays in the networks of its first addresses. A host
that another host names is not more internal than that other host (facts of the registries, section
4).
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Collection, Iterator
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from towline.errors import TransportError
from towline.host_patterns import USUAL_PORTS

Address = IPv4Address | IPv6Address
PUBLIC, PRIVATE, LOOPBACK, LINK_LOCAL, NOWHERE = (
    "public",
    "private",
    "loopback",
    "link-local",
    "nowhere",
)
METADATA = "of a metadata service"
# never connected to, whoever names it: these services give away the machine's own identity
FORBIDDEN_NETWORKS = frozenset({LINK_LOCAL, METADATA})

_NUMBER = re.compile(r"0[xX][0-9a-fA-F]{0,16}|0[0-7]{0,22}|[1-9][0-9]{0,19}")
_CARRYING = (  # the last 32 bits are an IPv4 address
    IPv6Network("64:ff9b::/96"),  # NAT64, RFC 6052
    IPv6Network("::/96"),  # IPv4-compatible, RFC 4291 2.5.5.1
    IPv6Network("::ffff:0:0:0/96"),  # IPv4-translated, RFC 2765
)
# RFC 8215; each network chooses the length of its prefixes
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
    """The IP address that a host name spells out, or None for a name.

    Accepted are the usual forms and the decimal, octal, hexadecimal and short forms of inet_aton.
    """
    try:
        return ip_address(name)
    except ValueError:
        return _short(name.split("."))


def network_of(name: str) -> str:
    """The network class of an address or of `localhost`; empty for any other name.

    An IPv6 address that carries an IPv4 address has the class of the IPv4 address.
    """
    bare = name.lower().rstrip(".")
    if bare == "localhost" or bare.endswith(".localhost"):
        return LOOPBACK
    address = parse_address(bare)
    return "" if address is None else _class_of(_inner(address))


def may_reach(network: str, own: Collection[str]) -> bool:
    """Whether a host in the networks `own` may refer us to a host in `network`.

    The public network is always allowed, and so is the host's own network. A host on this machine
    may also refer us to the private network. Nobody may refer us to a metadata service or a
    link-local address.
    """
    own_network = network in own or (network == PRIVATE and LOOPBACK in own)
    return network == PUBLIC or (own_network and network not in FORBIDDEN_NETWORKS)


def _class_of(address: Address) -> str:
    """The network class of an address that carries no other."""
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
    """Whether the address is a cloud's metadata service outside the link-local network."""
    if isinstance(address, IPv4Address):
        return address in _SERVICES
    if address in _LOCAL_NAT64:
        candidates = map(IPv4Address, _embedded(address))
        return any(found in _SERVICES or found.is_link_local for found in candidates)
    return address in _AWS or IPv6Address(int(address)) in _SERVICES


def _embedded(address: IPv6Address) -> Iterator[bytes]:
    """The four bytes that follow a prefix of 48, 56, 64 or 96 bits (RFC 6052 2.2)."""
    packed = address.packed
    for start in (6, 7, 8, 12):
        following = [index for index in range(start, len(packed)) if index != _SPLIT]
        yield bytes(packed[index] for index in following[:4])


def _inner(address: Address) -> Address:
    """The IPv4 address inside an IPv6 one (mapped, compatible, translated, 6to4, Teredo)."""
    if isinstance(address, IPv4Address):
        return address
    carried = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
    number = int(address)
    if carried is None and number > 1 and any(address in network for network in _CARRYING):
        carried = IPv4Address(number & 0xFFFFFFFF)
    return carried or address


def _c_number(text: str) -> int:
    """The value of a decimal, octal or hexadecimal number in C's notation; `0x` alone is 0."""
    if text[:2] in ("0x", "0X"):
        return int(text[2:] or "0", 16)
    return int(text, 8 if text[0] == "0" else 10)


def _short(parts: list[str]) -> Address | None:
    """The address of one to four numbers in C's notation; the last one fills the bytes left."""
    if len(parts) > 4 or not all(_NUMBER.fullmatch(part) for part in parts):
        return None
    *high, last = map(_c_number, parts)
    room = _V4 - 8 * len(high)
    if any(number > 0xFF for number in high) or last >= 1 << room:
        return None
    value = 0
    for number in high:
        value = value << 8 | number
    return IPv4Address(value << room | last)


# seconds to resolve a name that the proxy resolves anyway: behind a proxy, public names often do
# not resolve here
_PATIENCE = 3.0


class PermanentTransportError(TransportError):
    """A transport error that a retry does not change."""


class AddressPolicy:
    """The addresses that the hosts of one piece of work may have. Shared by threads.

    With `outside`, a pull request can change every host name, so only public addresses are allowed.
    """

    def __init__(self, *, outside: bool = False) -> None:
        self._outside = outside
        self._first: dict[str, frozenset[str]] = {}
        self._met: dict[str, set[str]] = {}
        self._behind: dict[str, list[str]] = {}

    def addresses(self, where: str, named_by: str = "") -> list[str]:
        """The allowed addresses of the origin `where`; `named_by`: another host that named it.

        Raises PermanentTransportError, and OSError for an unknown name.
        """
        try:
            return self._allowed(where, named_by, _resolved(*_place(where)))
        except socket.gaierror as fault:
            if self._outside and fault.errno != socket.EAI_AGAIN:
                raise _unknown(where) from fault
            raise

    def met(self, where: str, address: str) -> None:
        """Record the address that a connection to `where` reached: its network is the host's."""
        self._met.setdefault(_place(where)[0], set()).add(network_of(address))

    def check_before_proxy(self, where: str, named_by: str = "") -> None:
        """Check a host that a proxy connects to, as far as its name resolves here.

        Raises PermanentTransportError.
        """
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
        """The networks of the host that named this one; None at a configured host's first use.

        A host that was reached in the public network, or may have been, counts as public: the owner
        of a name may add an internal address to it that does not belong to that owner.
        """
        if self._outside:
            return {PUBLIC}
        if not named_by:
            return self._first.get(host)
        namer = _place(named_by)[0]
        met = frozenset(self._met.get(namer, ()))  # a copy: other threads add to the set
        own = (
            met or self._first.get(namer) or {network_of(one) for one in self._known_here(named_by)}
        )
        return own if own and PUBLIC not in own else {PUBLIC}

    def _known_here(self, where: str) -> list[str]:
        """The addresses of a host as far as its name resolves here; asked once, for _PATIENCE."""
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
        found = " and ".join(sorted(set(networks)))
        if self._outside:
            return _unknown(where)
        if named_by:
            return PermanentTransportError(
                f"{named_by} names it, and its address is {found}: not asked", where=where
            )
        if own:
            was = " and ".join(sorted(own))
            return PermanentTransportError(
                f"its address is {found} now and was {was} before: not asked", where=where
            )
        return PermanentTransportError(
            f"its address is {found}, which Towline never connects to", where=where
        )


def _may(network: str, own: Collection[str] | None) -> bool:
    return network not in FORBIDDEN_NETWORKS if own is None else may_reach(network, own)


def _unknown(where: str) -> PermanentTransportError:
    """The same error for an unknown name and for an internal one.

    Whoever may not ask internal hosts does not learn which of them exist.
    """
    return PermanentTransportError("no public host of this name is known", where=where)


def _place(where: str) -> tuple[str, int]:
    """Host and port of an origin."""
    parts = urlsplit(where)
    return parts.hostname or "", parts.port or USUAL_PORTS.get(parts.scheme, 0)


def _resolved(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(info[4][0]) for info in found))


def _ask(host: str, port: int, found: list[str]) -> None:
    try:
        found += _resolved(host, port)
    except (OSError, UnicodeError):
        return
