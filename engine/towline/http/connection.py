"""Connections of HTTP/1.1: directly or through a proxy, to an address that was checked, over TLS; every wait on one is bounded, and all of them together."""

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
from towline.http.addresses import PORTS, AddressPolicy, PermanentTransportError
from towline.http.proxy import Proxies, Proxy
from towline.http.tls import Tls, lost_sockets_closed
from towline.record import field, frozen
from towline.retry import Clock, Deadline

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_REFUSALS = range(400, 500)
_RECORDS = 128 * 1024  # what TLS is given at once: it returns only when all of that has left


@frozen
class Network:
    """How hosts are reached: at which addresses, by which proxies, TLS, and the seconds that each step of connecting may take."""

    proxies: Proxies = field(default_factory=Proxies)
    tls: Tls = field(default_factory=Tls)
    connect: float = 10.0
    reach: AddressPolicy = field(default_factory=AddressPolicy)

    def route(self, where: str, named_by: str = "") -> Route:
        """The way to the origin `where`; raises ConfigError for a proxy that cannot be used."""
        same = urlsplit(where).hostname == urlsplit(named_by).hostname
        return Route(where=where, named_by="" if same else named_by, proxy=self.proxies.find(where))


@frozen
class Route:
    """The way to an origin: the proxy before it, and the origin of the other host that named it, for which its addresses are checked."""

    where: str
    named_by: str = ""
    proxy: Proxy | None = None


class ReadDeadline:
    """What bounds all waits for an answer together: none begins after the deadline.

    How long one takes is the socket's timeout.

    While what was sent is still leaving by `sock`, no answer can come, and time does not count.
    """

    def __init__(self, seconds: float, clock: Clock) -> None:
        self.sock: socket.socket | None = None
        self._clock = clock
        self._queued = 0
        self._seconds = seconds
        self._deadline = Deadline.after(seconds, clock)

    def begin(self, seconds: float) -> Deadline:
        """From now on no wait begins after `seconds`."""
        self._seconds, self._queued = seconds, _unsent(self.sock)
        self._deadline = Deadline.after(seconds, self._clock)
        return self._deadline

    def shorten(self, seconds: float) -> None:
        """From now on each wait for this answer takes at most `seconds`."""
        if self.sock:
            with contextlib.suppress(OSError):  # it is closed
                self.sock.settimeout(seconds)

    def check(self) -> None:
        """Pass while another wait may begin; raises TimeoutError."""
        if not self._deadline.left and not self.moved():
            raise TimeoutError

    def moved(self) -> bool:
        """Whether anything has left since the last look: then time begins anew."""
        before, self._queued = self._queued, _unsent(self.sock)
        if self._queued < before:
            self._deadline = Deadline.after(self._seconds, self._clock)
        return self._queued < before


class Connection(http.client.HTTPConnection):
    """A connection along `route`, not made yet; once it is, each wait on it takes at most `read` seconds."""

    def __init__(self, route: Route, network: Network, *, read: float, clock: Clock) -> None:
        parts = urlsplit(route.where)
        self.default_port = PORTS[parts.scheme]
        super().__init__(
            parts.hostname or "", parts.port or self.default_port, timeout=network.connect
        )
        self.route = route
        self.limit = ReadDeadline(read, clock)
        self.response_class = partial(_Answer, limit=self.limit)  # type: ignore[assignment]  # made like the class
        self._network = network
        self._read, self._clock = read, clock
        self._given = 0
        self._at_once = _RECORDS if parts.scheme == "https" else sys.maxsize

    def connect(self) -> None:
        """Reach the host, through its proxy's tunnel where it speaks TLS.

        Raises OSError, PermanentTransportError, TransportError.
        """
        self.sock = raw = self._reach()  # from here on it can be broken off, by who sees it there
        try:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if urlsplit(self.route.where).scheme == "https":
                self._secure(raw)
        except BaseException:
            self.close()
            raise
        self.sock.settimeout(self._read)
        self.limit.sock = self.sock

    def send(self, data: bytes | memoryview) -> None:  # type: ignore[override]  # what this engine sends
        """Send all of it; raises TimeoutError where nothing leaves for `read` seconds. socket.sendall would have its time for all of the data."""
        view = memoryview(data)
        while view:
            self._wait_for_room()
            sent = self.sock.send(view[: self._at_once])
            view, self._given = view[sent:], self._given + sent

    def answer(self, seconds: float) -> http.client.HTTPResponse:
        """The head of the answer, which may take so long from when all has left.

        Raises OSError, HTTPException.
        """
        self.limit.begin(seconds)
        self.sock.settimeout(seconds)
        return self.getresponse()

    @property
    def come(self) -> int:
        """The bytes that were ever sent and have come to the other side, as far as the system says so."""
        return -_unsent(self.limit.sock) + self._given

    def _wait_for_room(self) -> None:
        """A socket has room again when a third of its buffer has left, which takes its time on a slow line."""
        poller = select.poll()
        poller.register(self.sock, select.POLLOUT)
        queued = _unsent(self.sock)
        while not poller.poll(self._read * 1000):
            before, queued = queued, _unsent(self.sock)
            if queued >= before:
                raise TimeoutError

    def target(self, url: str) -> str:
        """What a request for `url` names in its first line: path and query, or all of it where a proxy reads them (RFC 9112 3.2)."""
        parts = urlsplit(url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return f"{self.route.where}{path}" if self.to_proxy else path

    @property
    def to_proxy(self) -> Proxy | None:
        """The proxy that reads the requests themselves; one that only tunnels does not."""
        return self.route.proxy if self.route.where.startswith("http:") else None

    def _reach(self) -> socket.socket:
        route, reach, fault = self.route, self._network.reach, OSError("no address")
        if route.proxy:
            reach.check_before_proxy(route.where, route.named_by)
            return socket.create_connection(
                (route.proxy.host, route.proxy.port), self._network.connect
            )
        for address in reach.addresses(route.where, route.named_by):
            try:
                sock = socket.create_connection((address, self.port), self._network.connect)
            except OSError as unreachable:
                fault = unreachable
            else:
                reach.met(route.where, address)
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


class _Answer(http.client.HTTPResponse):
    """An answer every part of which is waited for under a limit: 1xx answers, head, chunk heads and body."""

    def __init__(
        self,
        sock: socket.socket,
        debuglevel: int = 0,
        method: str | None = None,
        *,
        limit: ReadDeadline,
    ) -> None:
        super().__init__(_Bounded(sock, limit), debuglevel, method)  # type: ignore[arg-type]  # only its makefile is used


class _Bounded(io.RawIOBase):
    """Reads of a socket, each with what the limit leaves of its time."""

    def __init__(self, sock: socket.socket, limit: ReadDeadline) -> None:
        self._limit = limit
        self._receive = sock.recv_into
        # keeps the socket open for a body that outlives its connection
        self._file = sock.makefile("rb", buffering=0)

    def makefile(self, _mode: str) -> io.BufferedReader:
        """What http.client asks a socket for."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """One read; raises TimeoutError where the time is over, or it takes longer than the socket lets it."""
        while True:
            self._limit.check()
            try:
                return self._receive(buffer)
            except TimeoutError:
                if not self._limit.moved():
                    raise

    def close(self) -> None:
        """Give the socket's file back."""
        self._file.close()
        super().close()


def _unsent(sock: socket.socket | None) -> int:
    """The bytes that the host has not confirmed, as far as the system says so."""
    try:
        return (
            int.from_bytes(fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
            if sock
            else 0
        )
    except (OSError, ValueError):  # not a socket that counts them, or one that is closed
        return 0


def _tunnel(raw: socket.socket, proxy: Proxy, target: str, limit: ReadDeadline) -> None:
    """Have the proxy connect to `target` (RFC 9110 9.3.6); raises PermanentTransportError where it refuses, TransportError where it cannot."""
    login = f"Proxy-Authorization: {proxy.authorization}\r\n" if proxy.authorization else ""
    raw.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{login}\r\n".encode("ascii"))
    answer = _Answer(raw, method="CONNECT", limit=limit)
    try:
        answer.begin()
    finally:
        answer.close()
    if answer.status in _REFUSALS:
        raise refused_by(proxy, answer.status, target)
    if answer.status // 100 != 2:
        raise TransportError(f"{proxy} answers {answer.status}", where=f"https://{target}")


def refused_by(proxy: Proxy, status: int, target: str) -> PermanentTransportError:
    """The fault for a proxy that does not let us through."""
    why = (
        "it wants another user or password"
        if status == http.client.PROXY_AUTHENTICATION_REQUIRED
        else f"if {target} needs no proxy, name it in NO_PROXY"
    )
    return PermanentTransportError(f"{proxy} answers {status}; {why}", where=target)
