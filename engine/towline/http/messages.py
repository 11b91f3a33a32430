"""One HTTP/1.1 exchange: request, request body, response; no redirects, cookies or decoding.

Built on http.client: at equal buffers it is the fastest way from GET to PUT that Python has, and it
adds nothing to a request by itself.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import ssl
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import urlsplit

from towline.errors import TransportError
from towline.host_patterns import USUAL_PORTS
from towline.http.addresses import PermanentTransportError
from towline.http.connection import Connection, ReadDeadline
from towline.record import field, frozen

_T = TypeVar("_T")
NETWORK_FAULTS = (OSError, http.client.HTTPException, ValueError)
# the host stopped listening; it may have answered before
PEER_CLOSED = (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError, ssl.SSLZeroReturnError)
_DRAIN = 64 * 1024
_REST = 1.0  # seconds to read the rest of an unread body
_TRICKLE = 60.0
_SLOWEST = 1024  # bytes a second
_HANDED = 1.0  # seconds after which received bytes are handed on, however few
_URL = re.compile(r"[\x21-\x7e]+")
# the names that versions of OpenSSL have for an answer that is not TLS
_NO_TLS = frozenset(
    {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE"}
)
_IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE"})


@frozen
class HttpRequest:
    """A request to an absolute URL; `repeatable` marks a POST that does no harm if sent twice.

    `named_by` is the origin of the server that named the URL, if a server did: it decides which
    addresses the host may have. With `seconds` the answer is waited for no longer and the request
    is sent once, since the caller can get the result in another way.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    repeatable: bool = False
    named_by: str = ""
    seconds: float = 0.0

    @property
    def may_repeat(self) -> bool:
        """Whether the request may be sent more than once."""
        return not self.seconds and (self.repeatable or self.method in _IDEMPOTENT)


OWN_AUTHORITY_HINT = (
    "if a private authority has signed it, name that authority in customTlsCertificateLinks: in the"
    " platform team's defaults, as PIPER_customTlsCertificateLinks on the agent, or in the call of"
    " the step"
)


SPEAKS_TLS = "the server speaks TLS; did you mean https://?"
SPEAKS_NO_TLS = "the server does not speak TLS; did you mean http://?"


class UntrustedCertificate(PermanentTransportError):
    """The host's certificate does not verify."""


class TruncatedBody(TransportError):
    """The response's head came, but not all of its body; asking again may bring it."""


class Closing:
    """Something that a `with` block closes at its end."""

    def close(self) -> None:
        """Close it; a second call does nothing."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Response(Closing):
    """Status, headers and a body that is read once; `close` gives the connection back.

    `url` is set by callers that follow redirects.
    """

    def __init__(
        self,
        raw: http.client.HTTPResponse,
        where: str,
        limit: ReadDeadline,
        finish: Callable[[bool], None],
    ) -> None:
        self.status = raw.status
        self.headers = raw.headers
        self.where = where
        self.url = ""
        self._raw = raw
        self._limit = limit
        self._finish: Callable[[bool], None] | None = finish
        self._whole = raw.length == 0

    def readinto(self, buffer: memoryview) -> int:
        """Fill `buffer`, or return what a slow host sends in a second; 0 at the body's end.

        Raises TransportError if the body is cut.
        """
        deadline, filled = self._limit.begin(_TRICKLE), 0
        while True:
            try:
                got = self._into(buffer[filled:])
            except TransportError:
                if not filled:
                    raise
                # return the bytes received; the next call meets the fault again
                return filled
            filled += got
            if not got or filled == len(buffer) or deadline.left <= _TRICKLE - _HANDED:
                return filled

    def read_capped(self, limit: int, *, seconds: float = 60.0) -> bytes:
        """The whole body, at most `limit` bytes.

        Raises TransportError for a longer body, and for one that takes longer than `seconds` plus
        one second for each KiB received.
        """
        deadline, body = self._limit.begin(seconds), bytearray()
        while piece := self._piece(_DRAIN):
            body += piece
            if len(body) > limit:
                raise TransportError(f"the answer is longer than {limit} bytes", where=self.where)
            if not deadline.left:
                raise TransportError(
                    f"the answer takes longer than {seconds:.0f} seconds, and brings less than a"
                    " KiB in each",
                    where=self.where,
                )
            deadline = self._limit.begin(deadline.left + len(piece) / _SLOWEST)
        return bytes(body)

    def _piece(self, size: int) -> bytes:
        """The bytes of one read, at most `size`; empty at the body's end."""
        piece = b"" if self._whole else self._guard(lambda: self._raw.read1(size))
        self._taken(len(piece))
        return piece

    def _into(self, buffer: memoryview) -> int:
        """Read into `buffer`; a body with a length goes there directly, which saves a copy."""
        raw = self._raw
        if self._whole or raw.length is None or raw.chunked:
            piece = self._piece(len(buffer))
            buffer[: len(piece)] = piece
            return len(piece)
        got: int = self._guard(lambda: raw.fp.readinto1(buffer[: raw.length]))
        raw.length -= got
        return self._taken(got)

    def _taken(self, got: int) -> int:
        if not got and self._raw.length:
            raise TruncatedBody(
                "the connection was closed in the middle of the answer", where=self.where
            )
        self._whole = self._whole or self._raw.length == 0 or not got
        return got

    def _guard(self, read: Callable[[], _T]) -> _T:
        try:
            return read()
        except NETWORK_FAULTS as fault:
            raise TruncatedBody(
                str(as_transport_error(fault, self.where)), where=self.where
            ) from fault

    def close(self) -> None:
        """End the response; a short unread body is read, so that the connection can serve again."""
        if self._finish is None:
            return
        finish, self._finish = self._finish, None
        if not self._whole and (self._raw.length or 0) <= _DRAIN:
            self._limit.shorten(_REST)
            with contextlib.suppress(TransportError):
                self.read_capped(_DRAIN, seconds=_REST)
        reusable = self._whole and not self._raw.will_close
        self._raw.close()
        finish(reusable)


class BodySender(Closing):
    """Sends a request body in pieces; leaving it without `finish` breaks the request off.

    Half a body must never stand for the whole. Without a `size` it is sent in chunks (RFC 9112
    7.1), and `finish` marks their end.
    """

    def __init__(
        self,
        connection: Connection,
        size: int | None,
        where: str,
        *,
        answer: Callable[[bool], Response],
        drop: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._left = size
        self._where = where
        self._answer = answer
        self._drop: Callable[[], None] | None = drop
        self._heard = True
        self._before = connection.delivered

    def send(self, piece: bytes | memoryview) -> bool:
        """Send the next piece; False if the host stopped listening, perhaps after an answer.

        Raises TransportError.
        """
        if self._left is not None:
            self._left -= len(piece)
            if self._left < 0:
                raise TransportError("the body is longer than was announced", where=self._where)
            return self._put(piece)
        return self._put(b"%x\r\n" % len(piece), piece, b"\r\n") if piece else self._heard

    def _put(self, *parts: bytes | memoryview) -> bool:
        if not self._heard:
            return False
        try:
            for part in parts:
                self._connection.send(part)
        except PEER_CLOSED:
            self._heard = False
        except NETWORK_FAULTS as fault:
            raise as_transport_error(fault, self._where) from fault
        return self._heard

    @property
    def delivered(self) -> int:
        """Bytes of this body that the host has confirmed."""
        return max(0, self._connection.delivered - self._before)

    def finish(self) -> Response:
        """The host's answer, also an early refusal.

        Raises TransportError if there is none, or if the body was not sent to its end.
        """
        if self._heard and self._left:
            raise TransportError(
                f"the body is {self._left} bytes shorter than was announced", where=self._where
            )
        if self._left is None:
            self._put(b"0\r\n\r\n")
        self._drop = None
        return self._answer(self._heard)

    def close(self) -> None:
        """Break the request off, unless it is finished."""
        if self._drop is not None:
            self._drop()


def origin(url: str) -> str:
    """`scheme://host[:port]` of an absolute URL, lower case, without the scheme's usual port.

    Raises TransportError, which names at most the host.
    """
    try:
        parts = urlsplit(url if _URL.fullmatch(url) else "")
        scheme, host, port = parts.scheme, parts.hostname or "", parts.port
    except ValueError:
        raise TransportError("a URL that cannot be read", where="") from None
    if scheme not in ("http", "https") or not host or port == 0:
        raise TransportError("a URL that is neither http nor https", where="")
    if parts.username is not None or parts.password is not None:
        raise TransportError("a URL with a user or a password in it", where=f"{scheme}://{host}")
    bracketed = f"[{host}]" if ":" in host else host
    return f"{scheme}://{bracketed}" + ("" if port in (None, USUAL_PORTS[scheme]) else f":{port}")


def send(connection: Connection, request: HttpRequest) -> bool:
    """Send head and body; False if the host stopped listening, perhaps after an answer."""
    size = len(request.body) if request.body or request.method in ("POST", "PUT", "PATCH") else None
    try:
        send_head(connection, request, size)
    except PEER_CLOSED:
        return False
    return True


def send_head(connection: Connection, request: HttpRequest, size: int | None) -> None:
    """Send the head, and the request's own body if it has one."""
    connection.putrequest(request.method, connection.target(request.url))
    if connection.to_proxy and connection.to_proxy.authorization:
        connection.putheader("Proxy-Authorization", connection.to_proxy.authorization)
    for name, value in request.headers.items():
        connection.putheader(name, value)
    if size is not None:
        connection.putheader("Content-Length", str(size))
    connection.endheaders(request.body or None)


def as_transport_error(fault: Exception, where: str) -> TransportError:
    """A standard library error as TransportError, without a URL or a text of the host."""
    if isinstance(fault, ssl.SSLCertVerificationError):
        return UntrustedCertificate(
            f"its certificate is not trusted: {fault.verify_message}", where=where
        )
    if isinstance(fault, socket.gaierror):
        return TransportError("its name cannot be resolved", where=where)
    if isinstance(fault, TimeoutError):
        return TransportError("no answer in time", where=where)
    if isinstance(
        fault, (http.client.RemoteDisconnected, http.client.IncompleteRead, *PEER_CLOSED)
    ):
        return TransportError("the connection was closed early", where=where)
    if isinstance(fault, ssl.SSLError):
        if fault.reason in _NO_TLS:
            return TransportError(SPEAKS_NO_TLS, where=where)
        return TransportError(
            f"TLS: {(fault.reason or 'unknown reason').lower().replace('_', ' ')}", where=where
        )
    if isinstance(fault, OSError):
        return TransportError((fault.strerror or type(fault).__name__).lower(), where=where)
    return TransportError(f"invalid HTTP response ({type(fault).__name__})", where=where)
