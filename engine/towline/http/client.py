"""HTTP below the registries: a pool of connections, timeouts, bounded retries, and the rest that a host asks for."""

from __future__ import annotations

import contextlib
import http.client
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import urlsplit

from towline.console import detail, silent
from towline.errors import TransportError
from towline.http.addresses import PORTS, PermanentTransportError
from towline.http.connection import Connection, Network, Route, refused_by
from towline.http.messages import (
    NETWORK_FAULTS,
    BodySender,
    HttpRequest,
    Response,
    TruncatedBody,
    as_transport_error,
    origin,
    send,
    send_head,
)
from towline.http.tls import speaks_tls
from towline.record import mutable, replace
from towline.retry import Clock, backoff, retry_after

_T = TypeVar("_T")
ATTEMPTS = 5
RETRIED_STATUSES = frozenset({408, 429, 500, 502, 503, 504})
_IDLE = 16
# bytes per second, at which a host has stored a body at the latest: only then it answers
_STORED = 8 * 1024 * 1024
_CREDENTIALS = frozenset({"authorization", "x-vault-token"})


@mutable
class RequestCounts:
    """How many requests were sent, and how many of them because an earlier one had failed."""

    requests: int = 0
    retries: int = 0


class Transport:
    """Connections by route, last used first; shared by threads.

    A wait for bytes takes at most `read` seconds, and none for a head begins after them.

    After `limit` seconds (0: never) it closes itself, whatever is under way. `hide` is told every
    credential before it is sent, since a host may repeat it in what it says; those of proxies too.
    """

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        read: float = 60.0,
        limit: float = 0.0,
        network: Network | None = None,
        hide: Callable[[str], None] | None = None,
    ) -> None:
        self.clock = clock or Clock()
        self._hide = hide or silent
        self._hidden: set[str] = set()
        self._network = network or Network()
        self._read = read
        self._lock = threading.Lock()
        self._idle: dict[Route, list[Connection]] = {}
        self._open: dict[Connection, socket.socket] = {}
        self._dialled: set[Connection] = set()  # not open yet
        self._closed = threading.Event()
        # set: nothing begins any more, and nobody rests; what is under way goes on until it is
        # closed
        self.ending = threading.Event()
        self._resting: dict[str, float] = {}
        self.pressure = 0  # how often a host has asked for a rest
        self._tallies: dict[int, RequestCounts] = {}
        self.why = "closed: nothing more is sent"  # once `ending` is set
        self.limit = limit
        self._expired = 0.0
        self._timer = (
            threading.Timer(min(limit, threading.TIMEOUT_MAX), self._expire) if limit else None
        )
        if self._timer:
            self._timer.daemon = True
            self._timer.start()
        for secret in self._network.proxies.secrets():
            self._hide(secret)

    def request(self, request: HttpRequest) -> Response:
        """Send it and return the answer, whatever its status; tried again after network faults, 429 and 5xx where that is safe.

        Raises TransportError.

        That is ATTEMPTS times in all, but that a host which says how long to wait is asked as long
        as there is time.
        """
        self._hide_credentials(request.headers)
        where = origin(request.url)
        failed = 0
        while request.again and failed < ATTEMPTS - 1:
            self._rest(where)
            wait = None
            try:
                response = self._told(request, self._once(request, where))
                if response.status not in RETRIED_STATUSES:
                    return response
                wait = self.heed(where, response)
                response.close()
            except PermanentTransportError:
                raise
            except TransportError:
                if self._closed.is_set():
                    raise
            if wait is None:
                sleep_unless(self.ending, backoff(failed, self.clock), self.clock)
            failed += not self.bears(wait)
            self.tally.retries += 1
        self._rest(where)
        try:
            return self._told(request, self._once(request, where))
        except TransportError as fault:
            if self._is_tls(fault, request, where):
                raise TransportError(
                    "what answers there speaks TLS: is its URL to begin with https://?", where=where
                ) from fault
            raise

    def begin(self, request: HttpRequest, size: int | None) -> BodySender:
        """Send the head of a request whose body of `size` bytes (None: chunked) follows piece by piece, once.

        Raises TransportError.
        """
        where = origin(request.url)
        self._hide_credentials(request.headers)
        self._rest(where)
        route = self._network.route(where, request.named_by)
        connection = self._take(route) or self._dial(route)
        with self._dropped(connection, where):
            send_head(connection, request, size)

        def answer(whole: bool) -> Response:  # noqa: FBT001 - a callback with one answer
            return self._told(
                request, self._answer(connection, where, whole=whole, more=(size or 0) / _STORED)
            )

        return BodySender(
            connection, size, where, drop=lambda: self._drop(connection), answer=answer
        )

    def heed(self, url: str, response: Response) -> float | None:
        """The seconds that an answer asks to wait (Retry-After), during which nobody sends anything to that host; None where it asks for none."""
        wait = retry_after(response.headers.get("Retry-After"), self.clock)
        if wait is not None:
            with self._lock:
                where, now = origin(url), self.clock.now()
                self.pressure += self._resting.get(where, 0.0) <= now
                self._resting[where] = max(self._resting.get(where, 0.0), now + wait)
        return wait

    def bears(self, wait: float | None) -> bool:
        """Whether an answer that asks to wait so long is no failed attempt: where all that is sent has a limit of time, and it is a second at least."""
        return bool(self.limit) and wait is not None and wait >= 1.0

    def rests(self, url: str) -> bool:
        """Whether the host of `url` has asked for a rest that is not over."""
        return self._resting.get(origin(url), 0.0) > self.clock.now()

    def wait(self, seconds: float) -> None:
        """Sleep so long, or until it is closed: then the next request says why."""
        sleep_unless(self.ending, seconds, self.clock)

    @property
    def tally(self) -> RequestCounts:
        """What the calling thread has sent so far."""
        with self._lock:
            return self._tallies.setdefault(threading.get_ident(), RequestCounts())

    @property
    def total(self) -> RequestCounts:
        """What all threads have sent so far."""
        with self._lock:
            tallies = list(self._tallies.values())
        return RequestCounts(
            requests=sum(tally.requests for tally in tallies),
            retries=sum(tally.retries for tally in tallies),
        )

    def afresh(self, seconds: float) -> Transport:
        """Another one to the same network for a few last requests: it waits for nothing longer than `seconds`, and closes itself after them."""
        return Transport(
            clock=self.clock,
            read=seconds,
            limit=seconds,
            network=replace(self._network, connect=seconds),
            hide=self._hide,
        )

    def close(self) -> None:
        """Close the idle connections and break those in use; who waits, for a host or for the next try, gets a TransportError, as does any later request."""
        self.ending.set()
        with self._lock:
            self._closed.set()
            idle, self._idle = [entry for entries in self._idle.values() for entry in entries], {}
            used = [entry for connection, entry in self._open.items() if connection not in idle]
            used += [connection.sock for connection in self._dialled if connection.sock]
        for connection in idle:
            self._drop(connection)
        for entry in used:
            with contextlib.suppress(OSError):
                # below TLS: SSLSocket's own would let a waiting sender go on in clear
                socket.socket.shutdown(entry, socket.SHUT_RDWR)

    @property
    def overdue(self) -> float:
        """The seconds since it closed itself; 0 while there is time."""
        return self._expired and self.clock.now() - self._expired

    def _expire(self) -> None:
        self.why = f"all of it has not been done within {self.limit:.0f} seconds"
        self._expired = self.clock.now()
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._timer:
            self._timer.cancel()
        self.close()

    def _hide_credentials(self, headers: Mapping[str, str]) -> None:
        sent = {
            value.rpartition(" ")[2]
            for name, value in headers.items()
            if name.lower() in _CREDENTIALS
        }
        for credential in sent - self._hidden:
            self._hide(credential)
            self._hidden.add(credential)

    def _once(self, request: HttpRequest, where: str) -> Response:
        route = self._network.route(where, request.named_by)
        connection = self._take(route)
        if connection is not None:
            try:
                return self._exchange(connection, request, where)
            except TransportError:  # it may have died while it was idle: a new one tells
                if not request.again:
                    raise
        return self._exchange(self._dial(route), request, where)

    def _exchange(self, connection: Connection, request: HttpRequest, where: str) -> Response:
        with self._dropped(connection, where):
            whole = send(connection, request)
        return self._answer(
            connection,
            where,
            whole=whole,
            more=min(request.seconds - self._read, 0.0) if request.seconds else 0.0,
        )

    def _answer(
        self, connection: Connection, where: str, *, whole: bool, more: float = 0.0
    ) -> Response:
        """What the host says to a request; one that it did not hear to its end can only be refused, or sent elsewhere."""
        with self._dropped(connection, where):
            raw = connection.answer(self._read + more)

        def finish(reusable: bool) -> None:  # noqa: FBT001 - a callback with one answer
            self._give(connection) if reusable and whole else self._drop(connection)

        response = Response(raw, where, connection.limit, finish)
        if raw.status == http.client.PROXY_AUTHENTICATION_REQUIRED and connection.to_proxy:
            response.close()
            raise refused_by(connection.to_proxy, raw.status, where)
        if not whole and raw.status < 300:
            response.close()
            raise TransportError(
                "the connection was closed in the middle of the request", where=where
            )
        return response

    def _is_tls(self, fault: TransportError, request: HttpRequest, where: str) -> bool:
        """Whether a host that ends every exchange over plain http waits for TLS; servers close so, or answer in TLS."""
        ends = (
            isinstance(fault.__cause__, http.client.BadStatusLine | ConnectionResetError)
            and not self._closed.is_set()
        )
        route = self._network.route(where, request.named_by)
        if not ends or not where.startswith("http:") or route.proxy or route.named_by:
            return False
        parts = urlsplit(where)
        try:
            place = self._network.reach.addresses(where)[0], parts.port or PORTS["http"]
        except (OSError, TransportError):
            return False
        return speaks_tls(place, name=parts.hostname or "", seconds=self._network.connect)

    def _told(self, request: HttpRequest, response: Response) -> Response:
        detail(lambda: f"{request.method} {request.url.partition('?')[0]} -> {response.status}")
        return response

    def _rest(self, where: str) -> None:
        """Wait as long as the host has asked for; then the next request may go out."""
        self._go_on(where)
        while (left := self._resting.get(where, 0.0) - self.clock.now()) > 0:
            sleep_unless(self.ending, left, self.clock)
            self._go_on(where)
        self.tally.requests += 1

    def _take(self, route: Route) -> Connection | None:
        while True:
            with self._lock:
                entries = self._idle.get(route)
                connection = entries.pop() if entries else None
            if connection is None or not _stale(connection):
                return connection
            self._drop(connection)

    def _give(self, connection: Connection) -> None:
        with self._lock:
            entries = self._idle.setdefault(connection.route, [])
            if len(entries) < _IDLE and connection.sock is not None and not self._closed.is_set():
                connection.sock.settimeout(self._read)
                entries.append(connection)
                return
        self._drop(connection)

    @contextlib.contextmanager
    def _dropped(self, connection: Connection, where: str) -> Iterator[None]:
        """Drop a connection on which something fails or is interrupted: what comes back later is no answer to another request.

        Raises TransportError.
        """
        try:
            yield
        except NETWORK_FAULTS as fault:
            self._drop(connection)
            raise as_transport_error(fault, where) from fault
        except BaseException:
            self._drop(connection)
            raise

    def _drop(self, connection: Connection) -> None:
        with self._lock:
            self._open.pop(connection, None)
        connection.close()

    def _dial(self, route: Route) -> Connection:
        """A new connection along the route."""
        self._go_on(route.where)
        connection = Connection(route, self._network, read=self._read, clock=self.clock)
        with self._lock:
            self._dialled.add(connection)
        try:
            connection.connect()
        except NETWORK_FAULTS as fault:
            self._go_on(route.where)
            raise as_transport_error(fault, route.where) from fault
        finally:
            with self._lock:
                self._dialled.remove(connection)
        with self._lock:
            self._open[connection] = connection.sock
            late = self._closed.is_set()  # close() does not know it yet
        if late:
            self._drop(connection)
            self._go_on(route.where)
        return connection

    def _go_on(self, where: str) -> None:
        if self.ending.is_set():
            raise TransportError(self.why, where=where)


def read_with_retries(
    ask: Callable[[], Response], take: Callable[[Response], _T], transport: Transport
) -> _T:
    """What `take` reads from the answer to `ask`; asked again, ATTEMPTS times in all, where its body is cut.

    Raises what both raise.
    """
    for attempt in range(ATTEMPTS - 1):
        try:
            with ask() as response:
                return take(response)
        except TruncatedBody:
            transport.wait(backoff(attempt, transport.clock))
    with ask() as response:
        return take(response)


def sleep_unless(stop: threading.Event, seconds: float, clock: Clock) -> None:
    """Sleep, but only until `stop` is set; a clock that is not the real one sleeps in its own way."""
    if clock.sleep is time.sleep:
        stop.wait(seconds)
    elif not stop.is_set():
        clock.sleep(seconds)


def _stale(connection: Connection) -> bool:
    """Whether an idle connection has something to read: its end, or bytes that nobody asked for."""
    poller = select.poll()
    poller.register(connection.sock, select.POLLIN)
    return bool(poller.poll(0))
