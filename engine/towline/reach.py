"""At which addresses a host is connected to: its name is resolved for the connection, every address is checked, and what was checked is connected to.

The host that is configured may be inside (companies run internal registries), but it does not move
inside later: a name whose owner binds it anew stays in the networks that it was in at first. What
another host names is no more internal than that one (facts of the registries, section 4).
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Collection
from urllib.parse import urlsplit

from towline.addresses import NEVER, PUBLIC, kind, may_reach
from towline.errors import TransportError

PORTS = {"http": 80, "https": 443}
# seconds for a name that a proxy resolves anyway: behind one, names of outside are often not known
# here
_PATIENCE = 3.0


class Lasting(TransportError):
    """A fault that another try does not change."""


class Reach:
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

        Raises Lasting, and OSError for an unknown name.
        """
        try:
            return self._allowed(where, named_by, _resolved(*_place(where)))
        except socket.gaierror as fault:
            if self._outside and fault.errno != socket.EAI_AGAIN:
                raise _unknown(where) from fault
            raise

    def met(self, where: str, address: str) -> None:
        """The origin was met at this address: of several networks that its name has, this is its own."""
        self._met.setdefault(_place(where)[0], set()).add(kind(address))

    def check_before_proxy(self, where: str, named_by: str = "") -> None:
        """The same for a host that a proxy connects to, as far as its name is known here; raises Lasting."""
        if found := self._known_here(where):
            self._allowed(where, named_by, found)

    def _allowed(self, where: str, named_by: str, found: list[str]) -> list[str]:
        host, networks = _place(where)[0], {address: kind(address) for address in found}
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
        own = met or self._first.get(namer) or {kind(one) for one in self._known_here(named_by)}
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
    ) -> Lasting:
        there = " and ".join(sorted(set(networks)))
        if self._outside:
            return _unknown(where)
        if named_by:
            return Lasting(
                f"{named_by} names it, and its address is {there}: not asked", where=where
            )
        if own:
            was = " and ".join(sorted(own))
            return Lasting(
                f"its address is {there} now and was {was} before: not asked", where=where
            )
        return Lasting(f"its address is {there}, where nothing is ever asked", where=where)


def _may(network: str, own: Collection[str] | None) -> bool:
    return network not in NEVER if own is None else may_reach(network, own)


def _unknown(where: str) -> Lasting:
    """One answer for a name that is not known and for one that is inside: who may not ask there does not learn what is there."""
    return Lasting("no public host of this name is known", where=where)


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
