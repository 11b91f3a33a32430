"""HTTP transport of the registry, Vault and code-host clients: pool, timeouts, retries.

Retry policy: `Transport.request` sends a request that may be repeated up to ATTEMPTS times after
network errors and RETRIED_STATUSES (HTTP 429, 408 and 5xx), and honours Retry-After. Uploads of
blobs are sent once and retried by registry/copy/transfer.py; an answer whose body was cut is asked
for again by `read_with_retries`.
"""

from __future__ import annotations

import contextlib
import http.client
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import TypeVar
from urllib.parse import urlsplit

from towline.console import detail, silent
from towline.errors import TransportError
from towline.host_patterns import USUAL_PORTS
from towline.http.addresses import PermanentTransportError
from towline.http.connection import Connection, Network, Route, refused_by
from towline.http.messages import (
    NETWORK_FAULTS,
    SPEAKS_TLS,
    BodySender,
    Closing,
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
from towline.retry import ATTEMPTS, Clock, backoff, retry_after

_T = TypeVar("_T")
RETRIED_STATUSES = frozenset({408, 429, 500, 502, 503, 504})
_IDLE = 16
# bytes per second: a host stores a body before it answers, and at least at this rate
_STORED = 8 * 1024 * 1024
_CREDENTIALS = frozenset({"authorization", "x-vault-token"})


@mutable
class RequestCounts:
    """Numbers of requests sent, and of retries among them."""

    requests: int = 0
    retries: int = 0


class Transport(Closing):
    """Pooled connections by route, the last used first; shared by threads.

    `read` limits each socket read in seconds, and also the total time to receive the response
    headers. After `limit` seconds (0: never) the transport closes itself, whatever is under way.
    `hide` is called with every credential before it is sent, those of proxies too, since a host may
    repeat a credential in its answer.
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
        # set: no request begins and no thread waits any more; requests under way go on until
        # `close`
        self.ending = threading.Event()
        self._throttled_until: dict[str, float] = {}
        self.throttled = 0  # how often a host has asked to wait (Retry-After)
        self._counts: dict[int, RequestCounts] = {}
        self.why = "closed: nothing more is sent"  # the error's text once `ending` is set
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
        """Send the request and return the answer with any status; retried if that is safe.

        Retries follow network errors and RETRIED_STATUSES, ATTEMPTS attempts in all. If the
        transport has a time limit, an attempt that the host answered with Retry-After does not
        count. Raises TransportError.
        """
        self._hide_credentials(request.headers)
        where = origin(request.url)
        failed = 0
        while request.may_repeat and failed < ATTEMPTS - 1:
            self._wait_if_throttled(where)
            wait = None
            try:
                response = self._logged(request, self._once(request, where))
                if response.status not in RETRIED_STATUSES:
                    return response
                wait = self.note_retry_after(where, response)
                response.close()
            except PermanentTransportError:
                raise
            except TransportError:
                if self._closed.is_set():
                    raise
            if wait is None:
                sleep_unless(self.ending, backoff(failed, self.clock), self.clock)
            failed += not self.is_uncounted(wait)
            self.thread_counts.retries += 1
        self._wait_if_throttled(where)
        try:
            return self._logged(request, self._once(request, where))
        except TransportError as fault:
            if self._is_tls(fault, request, where):
                raise TransportError(SPEAKS_TLS, where=where) from fault
            raise

    def begin(self, request: HttpRequest, size: int | None) -> BodySender:
        """Send the head of a request whose body of `size` bytes (None: chunked) follows, once.

        Raises TransportError.
        """
        where = origin(request.url)
        self._hide_credentials(request.headers)
        self._wait_if_throttled(where)
        route = self._network.route(where, request.named_by)
        connection = self._idle_connection(route) or self._dial(route)
        with self._dropped(connection, where):
            send_head(connection, request, size)

        def answer(whole: bool) -> Response:  # noqa: FBT001 - a callback with one answer
            return self._logged(
                request, self._answer(connection, where, whole=whole, more=(size or 0) / _STORED)
            )

        return BodySender(
            connection, size, where, drop=lambda: self._drop(connection), answer=answer
        )

    def note_retry_after(self, url: str, response: Response) -> float | None:
        """Seconds that an answer asks to wait (Retry-After), or None.

        Until they have passed, no request is sent to that host.
        """
        wait = retry_after(response.headers.get("Retry-After"), self.clock)
        if wait is not None:
            with self._lock:
                where, now = origin(url), self.clock.now()
                self.throttled += self._throttled_until.get(where, 0.0) <= now
                self._throttled_until[where] = max(
                    self._throttled_until.get(where, 0.0), now + wait
                )
        return wait

    def is_uncounted(self, wait: float | None) -> bool:
        """Whether an answer that asks to wait `wait` seconds is not counted as a failed attempt.

        It is not if the transport has a time limit and the wait is at least a second.
        """
        return bool(self.limit) and wait is not None and wait >= 1.0

    def is_throttled(self, url: str) -> bool:
        """Whether the host of `url` has asked for a wait that is not over."""
        return self._throttled_until.get(origin(url), 0.0) > self.clock.now()

    def wait(self, seconds: float) -> None:
        """Sleep `seconds`, or until the transport is closed: then the next request says why."""
        sleep_unless(self.ending, seconds, self.clock)

    @property
    def thread_counts(self) -> RequestCounts:
        """Counts of the calling thread."""
        with self._lock:
            return self._counts.setdefault(threading.get_ident(), RequestCounts())

    @property
    def total(self) -> RequestCounts:
        """Counts of all threads."""
        with self._lock:
            counts = list(self._counts.values())
        return RequestCounts(
            requests=sum(count.requests for count in counts),
            retries=sum(count.retries for count in counts),
        )

    def short_lived(self, seconds: float) -> Transport:
        """A new transport to the same network for a few last requests.

        It waits for no step longer than `seconds`, and closes itself after that time.
        """
        return Transport(
            clock=self.clock,
            read=seconds,
            limit=seconds,
            network=replace(self._network, connect=seconds),
            hide=self._hide,
        )

    def close(self) -> None:
        """Close idle connections and break those in use.

        A thread that waits for a host or for its next attempt gets a TransportError, and so does
        any later request.
        """
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
                # below TLS: SSLSocket.shutdown would let a waiting sender go on in clear text
                socket.socket.shutdown(entry, socket.SHUT_RDWR)

    @property
    def overdue(self) -> float:
        """Seconds since the time limit closed the transport; 0 before that."""
        return self._expired and self.clock.now() - self._expired

    def _expire(self) -> None:
        self.why = f"the time limit of {self.limit:.0f} seconds is exceeded"
        self._expired = self.clock.now()
        self.close()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._timer:
            self._timer.cancel()
        super().__exit__(kind, fault, trace)

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
        connection = self._idle_connection(route)
        if connection is not None:
            try:
                return self._send_request(connection, request, where)
            except TransportError:  # an idle connection may have died: try a new one
                if not request.may_repeat:
                    raise
        return self._send_request(self._dial(route), request, where)

    def _send_request(self, connection: Connection, request: HttpRequest, where: str) -> Response:
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
        """The host's answer to a request.

        A request whose body was not read to its end (`whole` is false) can only be refused or
        redirected.
        """
        with self._dropped(connection, where):
            raw = connection.answer(self._read + more)

        def finish(reusable: bool) -> None:  # noqa: FBT001 - a callback with one answer
            self._release(connection) if reusable and whole else self._drop(connection)

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
        """Whether a host that ends every exchange over plain http expects TLS.

        Servers that do close the connection, or answer in TLS.
        """
        ends = (
            isinstance(fault.__cause__, http.client.BadStatusLine | ConnectionResetError)
            and not self._closed.is_set()
        )
        route = self._network.route(where, request.named_by)
        if not ends or not where.startswith("http:") or route.proxy or route.named_by:
            return False
        parts = urlsplit(where)
        try:
            place = (
                self._network.address_policy.addresses(where)[0],
                parts.port or USUAL_PORTS["http"],
            )
        except (OSError, TransportError):
            return False
        return speaks_tls(place, name=parts.hostname or "", seconds=self._network.connect)

    def _logged(self, request: HttpRequest, response: Response) -> Response:
        detail(lambda: f"{request.method} {request.url.partition('?')[0]} -> {response.status}")
        return response

    def _wait_if_throttled(self, where: str) -> None:
        """Wait until the host's Retry-After has passed, then count the request."""
        self._raise_if_ending(where)
        while (left := self._throttled_until.get(where, 0.0) - self.clock.now()) > 0:
            sleep_unless(self.ending, left, self.clock)
            self._raise_if_ending(where)
        self.thread_counts.requests += 1

    def _idle_connection(self, route: Route) -> Connection | None:
        while True:
            with self._lock:
                entries = self._idle.get(route)
                connection = entries.pop() if entries else None
            if connection is None or not _stale(connection):
                return connection
            self._drop(connection)

    def _release(self, connection: Connection) -> None:
        with self._lock:
            entries = self._idle.setdefault(connection.route, [])
            if len(entries) < _IDLE and connection.sock is not None and not self._closed.is_set():
                connection.sock.settimeout(self._read)
                entries.append(connection)
                return
        self._drop(connection)

    @contextlib.contextmanager
    def _dropped(self, connection: Connection, where: str) -> Iterator[None]:
        """Drop a connection if the block fails or is interrupted.

        A late answer on it must not be taken for the answer to another request. Raises
        TransportError.
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
        self._raise_if_ending(route.where)
        connection = Connection(route, self._network, read=self._read, clock=self.clock)
        with self._lock:
            self._dialled.add(connection)
        try:
            connection.connect()
        except NETWORK_FAULTS as fault:
            self._raise_if_ending(route.where)
            raise as_transport_error(fault, route.where) from fault
        finally:
            with self._lock:
                self._dialled.remove(connection)
        with self._lock:
            self._open[connection] = connection.sock
            late = self._closed.is_set()  # close() has not seen this connection
        if late:
            self._drop(connection)
            self._raise_if_ending(route.where)
        return connection

    def _raise_if_ending(self, where: str) -> None:
        if self.ending.is_set():
            raise TransportError(self.why, where=where)


def read_with_retries(
    ask: Callable[[], Response], take: Callable[[Response], _T], transport: Transport
) -> _T:
    """Result of `take` on the answer to `ask`; asked ATTEMPTS times in all if the body is cut.

    Raises the errors of both.
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
    """Sleep `seconds`, or until `stop` is set; a clock of a test sleeps in its own way."""
    if clock.sleep is time.sleep:
        stop.wait(seconds)
    elif not stop.is_set():
        clock.sleep(seconds)


def _stale(connection: Connection) -> bool:
    """Whether an idle connection has something to read: its end, or unsolicited bytes."""
    poller = select.poll()
    poller.register(connection.sock, select.POLLIN)
    return bool(poller.poll(0))
