"""HTTP/1.1 below the registries: a pool of connections, timeouts and bounded retries; no redirects, no cookies, no decoding.

Built on http.client: at equal buffers it is the fastest way from GET to PUT that Python has, and it adds nothing to a request by itself.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import urlsplit

from towline.errors import TransportError
from towline.retry import Clock, Deadline, pause, retry_after

_T = TypeVar("_T")
ATTEMPTS = 5
RETRIED = frozenset({408, 429, 500, 502, 503, 504})
_IDLE = 16
_DRAIN = 64 * 1024
_TRICKLE = 60.0
_FAULTS = (OSError, http.client.HTTPException, ValueError)
_URL = re.compile(r"[\x21-\x7e]+")
_IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE"})
_CREDENTIALS = frozenset({"authorization", "x-vault-token"})
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, kw_only=True)
class Upload:
    """A body that can be sent once only: its size in bytes, and its pieces."""

    size: int
    pieces: Iterable[bytes | memoryview]


@dataclass(frozen=True, kw_only=True)
class HttpRequest:
    """What is sent to an absolute URL; `repeatable` says of a POST that sending it twice does no harm."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Upload = b""
    repeatable: bool = False

    @property
    def again(self) -> bool:
        """Whether it may be sent more than once."""
        return not isinstance(self.body, Upload) and (self.repeatable or self.method in _IDEMPOTENT)


class UntrustedCertificate(TransportError):
    """A host whose certificate does not verify; trying again does not help."""


class Response:
    """Status, headers and a body that is read once; closing it gives the connection back."""

    def __init__(self, raw: http.client.HTTPResponse, where: str, clock: Clock, finish: Callable[[bool], None]) -> None:
        self.status = raw.status
        self.headers = raw.headers
        self.where = where
        self._raw = raw
        self._clock = clock
        self._finish: Callable[[bool], None] | None = finish
        self._whole = raw.length == 0

    def readinto(self, buffer: memoryview) -> int:
        """Fill `buffer` as far as the body goes; 0 at its end. Raises TransportError for a body that is cut, or only trickles.

        A buffer must be full within the time of one wait: a host that sends a byte now and then would hold the step for ever.
        """
        deadline, filled = Deadline.after(_TRICKLE, self._clock), 0
        while filled < len(buffer) and (piece := self._piece(len(buffer) - filled)):
            buffer[filled : filled + len(piece)] = piece
            filled += len(piece)
            if not deadline.left and filled < len(buffer):
                raise TransportError(f"the host sent {filled} bytes in {_TRICKLE:.0f} seconds", where=self.where)
        return filled

    def read_capped(self, limit: int, *, seconds: float = 60.0) -> bytes:
        """The whole body; raises TransportError where it is longer than `limit` bytes, or takes longer than `seconds`."""
        deadline, body = Deadline.after(seconds, self._clock), bytearray()
        while piece := self._piece(_DRAIN):
            body += piece
            if len(body) > limit:
                raise TransportError(f"the answer is longer than {limit} bytes", where=self.where)
            if not deadline.left:
                raise TransportError(f"the answer takes longer than {seconds:.0f} seconds", where=self.where)
        return bytes(body)

    def _piece(self, size: int) -> bytes:
        """What one read brings, at most `size` bytes; empty at the body's end."""
        piece = b"" if self._whole else self._guard(lambda: self._raw.read1(size))
        self._taken(size, len(piece))
        return piece

    def _taken(self, wanted: int, got: int) -> int:
        length = self._raw.length
        if wanted and not got and length:
            raise TransportError("the connection was closed in the middle of the answer", where=self.where)
        self._whole = self._whole or length == 0 or (wanted > 0 and not got)
        return got

    def _guard(self, read: Callable[[], _T]) -> _T:
        try:
            return read()
        except _FAULTS as fault:
            raise _translated(fault, self.where) from fault

    def close(self) -> None:
        """Done with it; what is left of a short body is read, so that the connection can serve again."""
        if self._finish is None:
            return
        finish, self._finish = self._finish, None
        if not self._whole and (self._raw.length or 0) <= _DRAIN:
            with contextlib.suppress(TransportError):
                self.read_capped(_DRAIN, seconds=1.0)
        reusable = self._whole and not self._raw.will_close
        self._raw.close()
        finish(reusable)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class Transport:
    """Connections by origin, last used first; shared by threads. Connecting takes at most `connect` seconds, each wait for bytes `read` seconds.

    `hide` is told every credential before it is sent, since a host may repeat it in what it says.
    """

    def __init__(self, *, clock: Clock | None = None, connect: float = 10.0, read: float = 60.0, hide: Callable[[str], None] | None = None) -> None:
        self.clock = clock or Clock()
        self._hide = hide or _ignore
        self._hidden: set[str] = set()
        self._connect = connect
        self._read = read
        self._lock = threading.Lock()
        self._idle: dict[str, list[http.client.HTTPConnection]] = {}
        self._open: dict[http.client.HTTPConnection, socket.socket] = {}
        self._closed = threading.Event()
        self._tls: ssl.SSLContext | None = None

    def request(self, request: HttpRequest) -> Response:
        """Send it and return the answer, whatever its status; tried again after network faults, 429 and 5xx where that is safe. Raises TransportError."""
        self._hide_credentials(request.headers)
        attempts = ATTEMPTS if request.again else 1
        for attempt in range(attempts - 1):
            wait = None
            try:
                response = self._once(request)
                if response.status not in RETRIED:
                    return response
                wait = retry_after(response.headers.get("Retry-After"), self.clock)
                response.close()
            except UntrustedCertificate:
                raise
            except TransportError:
                if self._closed.is_set():
                    raise
            sleep_unless(self._closed, pause(attempt, self.clock) if wait is None else wait, self.clock)
        return self._once(request)

    def close(self) -> None:
        """Close the idle connections and break those in use; who waits, for a host or for the next try, gets a TransportError, as does any later request."""
        with self._lock:
            self._closed.set()
            idle, self._idle = [entry for entries in self._idle.values() for entry in entries], {}
            used = [entry for connection, entry in self._open.items() if connection not in idle]
        for connection in idle:
            self._drop(connection)
        for entry in used:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(entry, socket.SHUT_RDWR)  # below TLS: SSLSocket's own would let a waiting sender go on in clear

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _hide_credentials(self, headers: Mapping[str, str]) -> None:
        sent = {value.rpartition(" ")[2] for name, value in headers.items() if name.lower() in _CREDENTIALS}
        for credential in sent - self._hidden:
            self._hide(credential)
            self._hidden.add(credential)

    def _once(self, request: HttpRequest) -> Response:
        where = origin(request.url)
        self._go_on(where)
        connection = self._take(where)
        if connection is not None:
            try:
                return self._exchange(connection, request, where)
            except TransportError:  # it may have died while it was idle: a new one tells
                if not request.again:
                    raise
        return self._exchange(self._dial(where), request, where)

    def _exchange(self, connection: http.client.HTTPConnection, request: HttpRequest, where: str) -> Response:
        try:
            whole = _send(connection, request)
            raw = connection.getresponse()
        except _FAULTS as fault:
            self._drop(connection)
            raise _translated(fault, where) from fault
        except BaseException:  # the upload's own source failed: what was sent must not stand for a whole body
            self._drop(connection)
            raise

        def finish(reusable: bool) -> None:  # noqa: FBT001 - a callback with one answer
            self._give(where, connection) if reusable and whole else self._drop(connection)

        response = Response(raw, where, self.clock, finish)
        if not whole and raw.status < 400:
            response.close()
            raise TransportError("the connection was closed in the middle of the request", where=where)
        return response

    def _take(self, where: str) -> http.client.HTTPConnection | None:
        while True:
            with self._lock:
                entries = self._idle.get(where)
                connection = entries.pop() if entries else None
            if connection is None or not _stale(connection):
                return connection
            self._drop(connection)

    def _give(self, where: str, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            entries = self._idle.setdefault(where, [])
            if len(entries) < _IDLE and connection.sock is not None and not self._closed.is_set():
                entries.append(connection)
                return
        self._drop(connection)

    def _drop(self, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            self._open.pop(connection, None)
        connection.close()

    def _dial(self, where: str) -> http.client.HTTPConnection:
        """A new connection to the host itself: the one place where a proxy will be chosen."""
        self._go_on(where)
        connection = self._to(where)
        try:
            connection.connect()
            connection.sock.settimeout(self._read)
        except _FAULTS as fault:
            connection.close()
            raise _translated(fault, where) from fault
        with self._lock:
            self._open[connection] = connection.sock
            late = self._closed.is_set()  # close() does not know it yet
        if late:
            self._drop(connection)
            self._go_on(where)
        return connection

    def _go_on(self, where: str) -> None:
        if self._closed.is_set():
            raise TransportError("closed: nothing more is sent", where=where)

    def _to(self, where: str) -> http.client.HTTPConnection:
        parts = urlsplit(where)
        if parts.scheme == "https":
            return http.client.HTTPSConnection(parts.hostname or "", parts.port, timeout=self._connect, context=self._context())
        return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=self._connect)

    def _context(self) -> ssl.SSLContext:
        with self._lock:
            if self._tls is None:
                self._tls = ssl.create_default_context()
            return self._tls


def _ignore(_: str) -> None:
    """For callers that log nothing."""


def sleep_unless(stop: threading.Event, seconds: float, clock: Clock) -> None:
    """Sleep, but only until `stop` is set; a clock that is not the real one sleeps in its own way."""
    if clock.sleep is time.sleep:
        stop.wait(seconds)
    elif not stop.is_set():
        clock.sleep(seconds)


def origin(url: str) -> str:
    """`scheme://host[:port]` of an absolute URL, in lower case and without the scheme's own port; raises TransportError (never naming more than the host)."""
    try:
        parts = urlsplit(url if _URL.fullmatch(url) else "")
        scheme, host, port = parts.scheme, parts.hostname or "", parts.port
    except ValueError:
        raise TransportError("a URL that cannot be read", where="") from None
    if scheme not in _PORTS or not host or port == 0:
        raise TransportError("a URL that is neither http nor https", where="")
    if parts.username is not None or parts.password is not None:
        raise TransportError("a URL with a user or a password in it", where=f"{scheme}://{host}")
    bracketed = f"[{host}]" if ":" in host else host
    return f"{scheme}://{bracketed}" + ("" if port in (None, _PORTS[scheme]) else f":{port}")


def _send(connection: http.client.HTTPConnection, request: HttpRequest) -> bool:
    """Send head and body; False where the host stopped listening, and has perhaps said why."""
    parts = urlsplit(request.url)
    connection.putrequest(request.method, (parts.path or "/") + (f"?{parts.query}" if parts.query else ""))
    for name, value in request.headers.items():
        connection.putheader(name, value)
    try:
        if isinstance(request.body, Upload):
            connection.putheader("Content-Length", str(request.body.size))
            connection.endheaders()
        else:
            if request.body or request.method in ("POST", "PUT"):
                connection.putheader("Content-Length", str(len(request.body)))
            connection.endheaders(request.body or None)
    except (BrokenPipeError, ConnectionResetError):
        return False
    return not isinstance(request.body, Upload) or _stream(connection, request.body)


def _stream(connection: http.client.HTTPConnection, body: Upload) -> bool:
    sent = 0
    for piece in body.pieces:
        sent += len(piece)
        if sent > body.size:
            break
        try:
            connection.send(piece)
        except (BrokenPipeError, ConnectionResetError):
            return False
    if sent != body.size:
        raise http.client.HTTPException(f"the body does not have the {body.size} bytes that were announced")
    return True


def _stale(connection: http.client.HTTPConnection) -> bool:
    """Whether an idle connection has something to read: its end, or bytes that nobody asked for."""
    poller = select.poll()
    poller.register(connection.sock, select.POLLIN)
    return bool(poller.poll(0))


def _translated(fault: Exception, where: str) -> TransportError:
    """A fault of the standard library in words that hold no URL and nothing that the host said."""
    if isinstance(fault, ssl.SSLCertVerificationError):
        return UntrustedCertificate(f"its certificate is not trusted: {fault.verify_message}", where=where)
    if isinstance(fault, socket.gaierror):
        return TransportError("its name cannot be resolved", where=where)
    if isinstance(fault, TimeoutError):
        return TransportError("no answer in time", where=where)
    if isinstance(fault, http.client.RemoteDisconnected | http.client.IncompleteRead | ConnectionResetError | BrokenPipeError):
        return TransportError("the connection was closed early", where=where)
    if isinstance(fault, OSError):
        return TransportError((fault.strerror or type(fault).__name__).lower(), where=where)
    return TransportError(f"what was exchanged is not HTTP ({type(fault).__name__})", where=where)
