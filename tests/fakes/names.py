"""Names that only the tests know: what they resolve to, and the one server on loopback that
stands behind all of them.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping

import pytest

OUTSIDE = "93.184.216.34"


class Names:
    """While it holds, each of `known` is there: name to addresses, parted by blanks, none for a
    name that nobody knows.

    `asked` are the names resolved, `dialled` what was connected to.
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
        """From now on `name` stands for these addresses."""
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
        """To the server for a known name and for what it resolves to."""
        host = address[0]
        if host not in self._known and not any(
            host in addresses for addresses in self._known.values()
        ):
            return self._connect(address, timeout)
        self.dialled.append(host)
        return self._connect(("127.0.0.1", self._port), timeout)
