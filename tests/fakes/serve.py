"""An HTTP/1.1 server on loopback for tests and the demo.

It records every request, breaks requests on demand, and leaves nothing behind.
"""

from __future__ import annotations

import re
import socket
import socketserver
import ssl
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from towline.http.tls import lost_sockets_closed

_PIECE, _PATIENCE = 64 * 1024, 30.0


@dataclass(frozen=True, kw_only=True)
class Record:
    """One request as the server saw it: `number` counts arrivals from 0, `authorization` is the
    scheme only, `status` 0 means never answered.
    """

    number: int
    method: str
    path: str
    query: str
    authorization: str
    headers: Mapping[str, str]
    status: int = 0
    bytes_in: int = 0
    bytes_out: int = 0


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request to be answered: header names in lower case, repeated headers joined with a
    comma.
    """

    number: int
    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes = b""

    def asks(self, name: str) -> str:
        """The first value of `name` in the query; empty if it has none."""
        return self.query.get(name, [""])[0]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An answer; Content-Length is added, and the body is left out for HEAD."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, kw_only=True)
class Status:
    """Fault: answer with this status instead of handling the request.

    `early` answers and closes without reading the body.
    """

    code: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    early: bool = False


@dataclass(frozen=True, kw_only=True)
class CutAnswer:
    """Fault: the request is handled, and its answer ends after this number of bytes of the body.

    None sends not even the head.
    """

    after: int | None


@dataclass(frozen=True, kw_only=True)
class CutRequest:
    """Fault: the connection ends after this number of bytes of the request's body.

    The request is not handled.
    """

    after: int


@dataclass(frozen=True, kw_only=True)
class Corrupt:
    """Fault: one byte of the answer's body is flipped, counted from its start (negative: from
    its end).
    """

    at: int = 0


Fault = Status | CutAnswer | CutRequest | Corrupt
Chooser = Callable[[Record], Fault | None]


def at(number: int, fault: Fault) -> Chooser:
    """A chooser that breaks the request that arrives as `number`, counted from 0."""
    return lambda record: fault if record.number == number else None


def on(method: str, pattern: str, fault: Fault, *, times: int = 1) -> Chooser:
    """A chooser that breaks the first `times` requests of `method` whose path matches `pattern`."""
    left = iter(range(times))
    guard = threading.Lock()

    def choose(record: Record) -> Fault | None:
        if record.method != method or not re.search(pattern, record.path):
            return None
        with guard:
            return fault if next(left, None) is not None else None

    return choose


class LoopbackServer:
    """Serves `answer` on 127.0.0.1 from start() to stop(); a second start() takes the same port
    again.
    """

    def __init__(self) -> None:
        self.fault: Chooser | None = None
        self.tls: ssl.SSLContext | None = None  # to be set before start()
        self.port = 0
        self._guard = threading.Lock()
        self._records: list[Record] = []
        self._crash: BaseException | None = None
        self._listener: _Listener | None = None
        self._thread: threading.Thread | None = None

    @property
    def host(self) -> str:
        """`127.0.0.1:PORT`."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`, or with https if it has `tls`."""
        return f"{'https' if self.tls else 'http'}://{self.host}"

    @property
    def requests(self) -> tuple[Record, ...]:
        """The requests received so far, in order of arrival."""
        with self._guard:
            return tuple(self._records)

    def seen(self, method: str, pattern: str = "") -> tuple[Record, ...]:
        """The requests of `method` whose path matches `pattern`."""
        return tuple(
            record
            for record in self.requests
            if record.method == method and re.search(pattern, record.path)
        )

    def count(self, method: str, pattern: str = "") -> int:
        """How many requests of `method` have a path that matches `pattern`."""
        return len(self.seen(method, pattern))

    def forget(self) -> None:
        """Forget the requests so far; numbers start at 0 again."""
        with self._guard:
            self._records.clear()

    def settle(self) -> None:
        """End every live connection and wait until nothing more is being handled; the port stays
        open.
        """
        if self._listener:
            self._listener.settle()

    def start(self) -> Self:
        """Listen, and answer from threads."""
        self._listener = _Listener(("127.0.0.1", self.port), self)
        self.port = self._listener.server_address[1]
        self._thread = threading.Thread(
            target=self._listener.serve_forever,
            kwargs={"poll_interval": 0.02},
            name=type(self).__name__,
        )
        self._thread.start()
        return self

    def stop(self) -> None:
        """Close the port and every live connection and wait for the threads; raises RuntimeError
        when a handler had crashed.
        """
        listener, thread, self._listener, self._thread = self._listener, self._thread, None, None
        if listener and thread:
            listener.shutdown()
            thread.join()
            listener.hang_up()
            listener.server_close()
        crash, self._crash = self._crash, None
        if crash:
            raise RuntimeError(
                f"{type(self).__name__} crashed while it handled a request"
            ) from crash

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def answer(self, request: Request) -> Answer:
        """The answer to `request`; called from several threads."""
        raise NotImplementedError

    def broken(self, request: Request) -> None:
        """Called with the part of a request's body that came before it ended early."""

    def arrived(self, handler: _Handler) -> tuple[Request, Record]:
        """Note the request in the records as it is known before its body."""
        parts = urlsplit(handler.path)
        headers = {
            name.lower(): ", ".join(handler.headers.get_all(name, [])) for name in handler.headers
        }
        scheme = headers.get("authorization", "").partition(" ")[0]
        shown = {name: value for name, value in headers.items() if name != "authorization"}
        with self._guard:
            record = Record(
                number=len(self._records),
                method=handler.command,
                path=unquote(parts.path),
                query=parts.query,
                authorization=scheme,
                headers=shown,
            )
            self._records.append(record)
        query = parse_qs(parts.query, keep_blank_values=True)
        return (
            Request(
                number=record.number,
                method=record.method,
                path=record.path,
                query=query,
                headers=headers,
            ),
            record,
        )

    def note(self, record: Record) -> None:
        """Replace the record of the same number; done before the answer leaves, so that whoever
        has the answer can see the record.
        """
        with self._guard:
            if record.number < len(self._records):
                self._records[record.number] = record

    def crashed(self, crash: BaseException) -> None:
        """Keep the first crash for stop()."""
        self._crash = self._crash or crash

    def answer_or_crash(self, request: Request) -> Answer:
        """`answer`, or 500 with the trace; the crash comes up again in stop()."""
        try:
            return self.answer(request)
        except Exception as crash:  # noqa: BLE001 - it must not be lost in a thread
            self.crashed(crash)
            return Answer(
                status=500,
                headers={"Content-Type": "text/plain"},
                body=traceback.format_exc().encode(),
            )


class _Listener(ThreadingHTTPServer):
    daemon_threads = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], owner: LoopbackServer) -> None:
        self.owner = owner
        self._live: set[socket.socket] = set()
        self._live_guard = threading.Condition()
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Bind without the name look-up of HTTPServer, which can take seconds."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def get_request(self) -> tuple[Any, Any]:
        """A connection; over TLS its thread shakes hands, at its first read."""
        connection, address = super().get_request()
        return secured(connection, self.owner.tls), address

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._live_guard:
            self._live.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._live_guard:
            self._live.discard(request)
            super().shutdown_request(request)
            self._live_guard.notify_all()

    def hang_up(self) -> None:
        """End every live connection, so that its thread ends."""
        with self._live_guard:
            for connection in self._live:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue

    def settle(self) -> None:
        """End every live connection, and wait until its thread has done with it."""
        self.hang_up()
        with self._live_guard:
            self._live_guard.wait_for(lambda: not self._live, _PATIENCE)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore peers that disconnect; any other error is a bug of the fake, or of the function
        that chooses its faults.
        """
        crash = sys.exception()
        if crash is not None and not isinstance(crash, OSError):
            self.owner.crashed(crash)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Listener

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Tests read the records instead."""

    def _serve(self) -> None:
        owner = self.server.owner
        request, record = owner.arrived(self)
        fault = owner.fault(record) if owner.fault else None
        early = isinstance(fault, Status) and fault.early
        body = bytearray()
        whole = early or self._read(body, fault.after if isinstance(fault, CutRequest) else None)
        request, record = replace(request, body=bytes(body)), replace(record, bytes_in=len(body))
        owner.note(record)
        if not whole:
            self.close_connection = True
            owner.broken(request)
            return
        answer = (
            Answer(status=fault.code, headers=fault.headers, body=fault.body)
            if isinstance(fault, Status)
            else owner.answer_or_crash(request)
        )
        self._send(answer, fault, record)

    # The base class looks for these names.
    do_HEAD = do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815

    def _send(self, answer: Answer, fault: Fault | None, record: Record) -> None:
        """Head and body in one write, as far as the fault lets them."""
        body = bytearray(b"" if self.command == "HEAD" else answer.body)
        if isinstance(fault, Corrupt) and -len(body) <= fault.at < len(body):
            body[fault.at] ^= 0xFF
        self.close_connection |= isinstance(fault, CutAnswer) or (
            isinstance(fault, Status) and fault.early
        )
        headers = {"Content-Length": str(len(answer.body)), **answer.headers}
        if self.close_connection and not isinstance(fault, CutAnswer):
            headers["Connection"] = "close"
        if answer.status == HTTPStatus.NO_CONTENT:
            headers.pop("Content-Length")
        head = (
            f"HTTP/1.1 {answer.status} {_reason(answer.status)}\r\n"
            + "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            + "\r\n"
        )
        if isinstance(fault, CutAnswer):
            head, body = (
                (head, body[: fault.after]) if fault.after is not None else ("", bytearray())
            )
        self.server.owner.note(
            replace(record, status=answer.status if head else 0, bytes_out=len(body))
        )
        self.wfile.write(head.encode("latin-1") + body)

    def _read(self, body: bytearray, cut: int | None) -> bool:
        """Read the request's body into `body`, at most `cut` bytes; whether all of it came and
        no cut was asked for.
        """
        try:
            for piece in () if cut == 0 else self._pieces():
                body += piece
                if cut is not None and len(body) >= cut:
                    del body[cut:]
                    break
        except (OSError, ValueError):
            return False
        return cut is None

    def _pieces(self) -> Iterator[bytes]:
        if "chunked" not in self.headers.get("Transfer-Encoding", "").lower():
            yield from self._exactly(int(self.headers.get("Content-Length", "0")))
            return
        while size := int(self.rfile.readline(_PIECE).partition(b";")[0], 16):
            yield from self._exactly(size)
            self.rfile.readline(_PIECE)
        while self.rfile.readline(_PIECE).strip():
            continue

    def _exactly(self, size: int) -> Iterator[bytes]:
        while size:
            piece = self.rfile.read1(min(size, _PIECE))
            if not piece:
                raise ConnectionResetError("the client went away")
            size -= len(piece)
            yield piece


def secured(connection: socket.socket, tls: ssl.SSLContext | None) -> socket.socket:
    """The server's side of a connection, over TLS if a context is given.

    The handshake happens at the first read.
    """
    with lost_sockets_closed():
        return (
            tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
            if tls
            else connection
        )


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
