"""One HTTP/1.1 connection, direct or through a proxy, over TLS, to a checked address.

Each read and write has a time limit, and so has the whole answer.
"""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import io
import select
import socket
import sys
import termios
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from towline.errors import TransportError
from towline.host_patterns import USUAL_PORTS
from towline.http.addresses import AddressPolicy, PermanentTransportError
from towline.http.proxy import Proxies, Proxy
from towline.http.tls import Tls, lost_sockets_closed
from towline.record import field, frozen
from towline.retry import Clock, Deadline

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_REFUSALS = range(400, 500)
# bytes that TLS is given at once: its send returns only when all of them have left
_RECORDS = 128 * 1024


@frozen
class Network:
    """How to reach hosts: addresses, proxies, TLS, and the seconds for each step of connecting."""

    proxies: Proxies = field(default_factory=Proxies)
    tls: Tls = field(default_factory=Tls)
    connect: float = 10.0
    address_policy: AddressPolicy = field(default_factory=AddressPolicy)

    def route(self, where: str, named_by: str = "") -> Route:
        """The route to the origin `where`; raises ConfigError for a proxy that cannot be used."""
        same = urlsplit(where).hostname == urlsplit(named_by).hostname
        return Route(where=where, named_by="" if same else named_by, proxy=self.proxies.find(where))


@frozen
class Route:
    """The way to an origin: its proxy, and the origin of the host that named it, if another did.

    `named_by` decides which addresses are allowed.
    """

    where: str
    named_by: str = ""
    proxy: Proxy | None = None


class ReadDeadline:
    """Overall deadline for reading one response: no read starts after it.

    A single read is limited by the socket timeout. While the request is still leaving by `sock`, no
    answer can come, and that time does not count.
    """

    def __init__(self, seconds: float, clock: Clock) -> None:
        self.sock: socket.socket | None = None
        self._clock = clock
        self._queued = 0
        self._seconds = seconds
        self._deadline = Deadline.after(seconds, clock)

    def begin(self, seconds: float) -> Deadline:
        """Restart the deadline: no read starts later than `seconds` from now."""
        self._seconds, self._queued = seconds, _unsent(self.sock)
        self._deadline = Deadline.after(seconds, self._clock)
        return self._deadline

    def shorten(self, seconds: float) -> None:
        """Limit each further read of this answer to `seconds`."""
        if self.sock:
            with contextlib.suppress(OSError):  # it is closed
                self.sock.settimeout(seconds)

    def check(self) -> None:
        """Return if another read may start; raises TimeoutError."""
        if not self._deadline.left and not self.moved():
            raise TimeoutError

    def moved(self) -> bool:
        """Whether request bytes have left since the last call; the deadline then starts again."""
        before, self._queued = self._queued, _unsent(self.sock)
        if self._queued < before:
            self._deadline = Deadline.after(self._seconds, self._clock)
        return self._queued < before


class Connection(http.client.HTTPConnection):
    """A connection along `route`, made by `connect`; each wait takes at most `read` seconds."""

    def __init__(self, route: Route, network: Network, *, read: float, clock: Clock) -> None:
        parts = urlsplit(route.where)
        self.default_port = USUAL_PORTS[parts.scheme]
        super().__init__(
            parts.hostname or "", parts.port or self.default_port, timeout=network.connect
        )
        self.route = route
        self.limit = ReadDeadline(read, clock)
        # made like the class
        response_class = partial(_BoundedResponse, limit=self.limit)
        self.response_class = response_class  # type: ignore[assignment]
        self._network = network
        self._read, self._clock = read, clock
        self._given = 0
        self._at_once = _RECORDS if parts.scheme == "https" else sys.maxsize

    def connect(self) -> None:
        """Connect to the host, through the proxy's tunnel if the host speaks TLS.

        Raises OSError, PermanentTransportError, TransportError.
        """
        self.sock = raw = self._reach()  # from here on Transport.close can break it
        try:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if urlsplit(self.route.where).scheme == "https":
                self._secure(raw)
        except BaseException:
            self.close()
            raise
        self.sock.settimeout(self._read)
        self.limit.sock = self.sock

    # what this engine sends
    def send(self, data: bytes | memoryview) -> None:  # type: ignore[override]
        """Send all of `data`; raises TimeoutError if no byte leaves for `read` seconds.

        socket.sendall would apply its timeout to the data as a whole.
        """
        view = memoryview(data)
        while view:
            self._wait_for_room()
            sent = self.sock.send(view[: self._at_once])
            view, self._given = view[sent:], self._given + sent

    def answer(self, seconds: float) -> http.client.HTTPResponse:
        """The response's head, within `seconds` from when the request has left.

        Raises OSError, HTTPException.
        """
        self.limit.begin(seconds)
        self.sock.settimeout(seconds)
        return self.getresponse()

    @property
    def delivered(self) -> int:
        """Bytes of all requests that the other side has confirmed, as far as the system knows."""
        return -_unsent(self.limit.sock) + self._given

    def _wait_for_room(self) -> None:
        """Wait until the socket takes more bytes.

        A socket has room again when a third of its buffer has left, which takes time on a slow
        line.
        """
        poller = select.poll()
        poller.register(self.sock, select.POLLOUT)
        queued = _unsent(self.sock)
        while not poller.poll(self._read * 1000):
            before, queued = queued, _unsent(self.sock)
            if queued >= before:
                raise TimeoutError

    def target(self, url: str) -> str:
        """The request target for `url`: path and query, or all of it for a proxy (RFC 9112 3.2)."""
        parts = urlsplit(url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return f"{self.route.where}{path}" if self.to_proxy else path

    @property
    def to_proxy(self) -> Proxy | None:
        """The proxy that reads the requests themselves; None without one, and for a tunnel."""
        return self.route.proxy if self.route.where.startswith("http:") else None

    def _reach(self) -> socket.socket:
        route, policy, fault = self.route, self._network.address_policy, OSError("no address")
        if route.proxy:
            policy.check_before_proxy(route.where, route.named_by)
            return socket.create_connection(
                (route.proxy.host, route.proxy.port), self._network.connect
            )
        for address in policy.addresses(route.where, route.named_by):
            try:
                sock = socket.create_connection((address, self.port), self._network.connect)
            except OSError as unreachable:
                fault = unreachable
            else:
                policy.met(route.where, address)
                return sock
        raise fault

    def _secure(self, raw: socket.socket) -> None:
        if self.route.proxy:
            _tunnel(
                raw,
                self.route.proxy,
                f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}",
                ReadDeadline(self._network.connect, self._clock),
            )
        context = self._network.tls.context(self.route.where.partition("://")[2])
        with lost_sockets_closed():
            self.sock = secured = context.wrap_socket(
                raw, server_hostname=self.host, do_handshake_on_connect=False
            )
        secured.do_handshake()


class _BoundedResponse(http.client.HTTPResponse):
    """An HTTP response of which every part is read under a deadline: 1xx, head, chunks, body."""

    def __init__(
        self,
        sock: socket.socket,
        debuglevel: int = 0,
        method: str | None = None,
        *,
        limit: ReadDeadline,
    ) -> None:
        # only its makefile is used
        super().__init__(_BoundedReader(sock, limit), debuglevel, method)  # type: ignore[arg-type]


class _BoundedReader(io.RawIOBase):
    """Reads of a socket under a deadline."""

    def __init__(self, sock: socket.socket, limit: ReadDeadline) -> None:
        self._limit = limit
        self._receive = sock.recv_into
        # keeps the socket open for a body that outlives its connection
        self._file = sock.makefile("rb", buffering=0)

    def makefile(self, _mode: str) -> io.BufferedReader:
        """The file that http.client asks a socket for."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        """True, as io.RawIOBase asks for it."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """One read; raises TimeoutError after the deadline or the socket's timeout."""
        while True:
            self._limit.check()
            try:
                return self._receive(buffer)
            except TimeoutError:
                if not self._limit.moved():
                    raise

    def close(self) -> None:
        """Close the socket's file."""
        self._file.close()
        super().close()


def _unsent(sock: socket.socket | None) -> int:
    """Bytes that the host has not confirmed, as far as the system knows."""
    try:
        return (
            int.from_bytes(fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
            if sock
            else 0
        )
    except (OSError, ValueError):  # the socket does not count them, or is closed
        return 0


def _tunnel(raw: socket.socket, proxy: Proxy, target: str, limit: ReadDeadline) -> None:
    """Ask the proxy to connect to `target` (RFC 9110 9.3.6).

    Raises PermanentTransportError if the proxy refuses, TransportError if it fails.
    """
    login = f"Proxy-Authorization: {proxy.authorization}\r\n" if proxy.authorization else ""
    raw.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{login}\r\n".encode("ascii"))
    answer = _BoundedResponse(raw, method="CONNECT", limit=limit)
    try:
        answer.begin()
    finally:
        answer.close()
    if answer.status in _REFUSALS:
        raise refused_by(proxy, answer.status, target)
    if answer.status // 100 != 2:
        raise TransportError(f"{proxy} answers {answer.status}", where=f"https://{target}")


def refused_by(proxy: Proxy, status: int, target: str) -> PermanentTransportError:
    """The error for a proxy that refuses a request."""
    why = (
        "it requires another user or password"
        if status == http.client.PROXY_AUTHENTICATION_REQUIRED
        else f"if {target} needs no proxy, name it in NO_PROXY"
    )
    return PermanentTransportError(f"{proxy} answers {status}; {why}", where=target)
