"""A forward proxy on loopback: tunnels (CONNECT) and absolute-form requests.

It alone knows the addresses of the hosts.
"""

from __future__ import annotations

import base64
import re
import select
import socket
import socketserver
import threading
from collections.abc import Mapping
from typing import Self
from urllib.parse import urlsplit


class ProxyServer:
    """Knows `hosts` (`name:port` to `127.0.0.1:port`), and may require `login`.

    `login` is `user:password`. `lines` are the request lines that it read, `heads` the whole heads.
    """

    def __init__(self, hosts: Mapping[str, str], *, login: str = "", status: int = 0) -> None:
        self.hosts, self.login, self.status = hosts, login, status
        self.lines: list[str] = []
        self.heads: list[str] = []
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.owner = self
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}
        )

    @property
    def host(self) -> str:
        """`127.0.0.1:PORT`."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def refusal(self, head: str, target: str) -> int:
        """The status that a request is refused with, 0 if it may pass."""
        wanted = "Basic " + base64.b64encode(self.login.encode()).decode()
        if self.login and f"\r\nproxy-authorization: {wanted}\r\n".lower() not in head.lower():
            return 407
        return self.status or (0 if target in self.hosts else 502)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    owner: ProxyServer


class _Handler(socketserver.BaseRequestHandler):
    server: _Server
    request: socket.socket

    def handle(self) -> None:
        """Handle a request: refuse it, tunnel it, or send it on without the proxy's headers."""
        head, rest = _head(self.request)
        if not head:
            return
        method, url, _ = head.partition("\r\n")[0].split(" ")
        self.server.owner.lines.append(f"{method} {url}")
        self.server.owner.heads.append(head)
        target = url if method == "CONNECT" else _place(url)
        status = self.server.owner.refusal(head, target)
        if status:
            self.request.sendall(
                f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
            )
            return
        name, _, port = self.server.owner.hosts[target].partition(":")
        with socket.create_connection((name, int(port)), 10) as upstream:
            if method == "CONNECT":
                self.request.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                upstream.sendall(
                    re.sub(r"(?i)\r\nproxy-authorization:[^\r]*", "", head)
                    .replace("\r\n", "\r\nConnection: close\r\n", 1)
                    .encode()
                )
            upstream.sendall(rest)
            _splice(self.request, upstream)


def _place(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or 80}"


def _head(connection: socket.socket) -> tuple[str, bytes]:
    taken = b""
    while b"\r\n\r\n" not in taken and (piece := connection.recv(65536)):
        taken += piece
    head, separator, rest = taken.partition(b"\r\n\r\n")
    return (head + separator).decode("latin-1"), rest


def _splice(one: socket.socket, other: socket.socket) -> None:
    """Pass bytes in both directions until either side closes."""
    while True:
        for ready in select.select([one, other], [], [])[0]:
            try:
                piece = ready.recv(65536)
                if not piece:
                    return
                (other if ready is one else one).sendall(piece)
            except OSError:
                return
