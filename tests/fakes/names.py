"""Host names that only the tests know, with one server on loopback behind all of them."""

from __future__ import annotations

import socket
from collections.abc import Mapping

import pytest

OUTSIDE = "93.184.216.34"


class Names:
    """Inside its `with` block, each name of `known` resolves to its addresses.

    Addresses are separated by blanks; an empty text means that the name does not exist. `asked` are
    the names that were resolved, `dialled` the connections that were made.
    """

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, known: Mapping[str, str], *, port: int = 0
    ) -> None:
        self.asked: list[str] = []
        self.dialled: list[str] = []
        self._known = {name: addresses.split() for name, addresses in known.items()}
        self._port = port
        self._resolve, self._connect = socket.getaddrinfo, socket.create_connection
        monkeypatch.setattr(socket, "getaddrinfo", self.resolve)
        monkeypatch.setattr(socket, "create_connection", self.connect)

    def know(self, name: str, addresses: str) -> None:
        """From now on, `name` resolves to these addresses."""
        self._known[name] = addresses.split()

    def resolve(self, host: str, port: int, *arguments: int, **more: int) -> object:
        """The addresses of a known name, each as for a stream."""
        if host not in self._known:
            return self._resolve(host, port, *arguments, **more)
        self.asked.append(host)
        if not self._known[host]:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in self._known[host]
        ]

    def connect(self, address: tuple[str, int], timeout: float) -> socket.socket:
        """Connect to the server for a known name and for its addresses."""
        host = address[0]
        if host not in self._known and not any(
            host in addresses for addresses in self._known.values()
        ):
            return self._connect(address, timeout)
        self.dialled.append(host)
        return self._connect(("127.0.0.1", self._port), timeout)
