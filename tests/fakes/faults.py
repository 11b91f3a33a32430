"""A proxy before a registry that breaks one request: any fault of the network or a server.

The faults of `tests.fakes.serve` break the answers of a fake itself; those here change what passes
between client and registry.
"""

from __future__ import annotations

import http.client
import re
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol, Self
from urllib.parse import parse_qs, quote, urlsplit

from tests.fakes.serve import (
    Answer,
    Corrupt,
    CutAnswer,
    CutRequest,
    LoopbackServer,
    Record,
    Request,
    Status,
)

_OWN = frozenset(
    {"connection", "content-length", "date", "host", "keep-alive", "server", "transfer-encoding"}
)
_PATIENCE = 30.0
STRANGER = "anything without a login"


@dataclass(frozen=True, kw_only=True)
class Late:
    """Fault: the request is passed on after this number of seconds of the proxy's clock."""

    seconds: float


@dataclass(frozen=True, kw_only=True)
class Short:
    """Fault: the last `by` bytes of the answer's body are missing, also from its Content-Length."""

    by: int = 1


@dataclass(frozen=True, kw_only=True)
class CorruptRequest:
    """Fault: one byte of the request's body is flipped, counted from its start (negative: from
    its end).
    """

    at: int = 0


@dataclass(frozen=True, kw_only=True)
class Expired:
    """Fault: the token of this request is not valid after it."""


@dataclass(frozen=True, kw_only=True)
class Unseen:
    """Fault: the object that this request stores is missing (404) for `times` requests for it.

    So it is on a registry that copies among its nodes.
    """

    times: int = 1


@dataclass(frozen=True, kw_only=True)
class Forgotten:
    """Fault: from this request on, the registry answers 404 for its upload."""


@dataclass(frozen=True, kw_only=True)
class Located:
    """Fault: the Location of the answer in another form.

    `form` is `relative`, `absolute`, or `downgraded` (http, while the proxy speaks https).
    """

    form: str


@dataclass(frozen=True, kw_only=True)
class Moved:
    """Fault: the request is redirected by `code` to its own URL."""

    code: int = 307


Fault = (
    Status
    | CutAnswer
    | CutRequest
    | Corrupt
    | Late
    | Short
    | CorruptRequest
    | Expired
    | Unseen
    | Forgotten
    | Located
    | Moved
)


@dataclass(frozen=True, kw_only=True, order=True)
class Position:
    """A request by its meaning, not by its time.

    Threads may change the order of requests, but the same copy makes the same requests. `nth`
    counts equal requests from 0.
    """

    method: str
    what: str
    nth: int = 0

    def __str__(self) -> str:
        return f"{self.method} {self.what}" + (f" again ({self.nth})" if self.nth else "")


def what_of(record: Record, upload: str = "") -> str:
    """The subject of a request: its path, and the digest that it sends, wants, or uploads.

    Names that a server makes up for one upload are removed from the path.
    """
    query = parse_qs(record.query)
    path = re.sub(r"(?<=/blobs/uploads/).+", "...", record.path)
    about = query.get("mount", query.get("digest", [""]))[0] or upload
    return f"{path} {about}" if about else path


def _upload_in(path: str) -> str:
    """The registry's own name of an upload, found in a path or URL."""
    return path.partition("?")[0].rpartition("/blobs/uploads/")[2]


def _unknown(code: str) -> Answer:
    """404 with a code of the distribution specification."""
    body = f'{{"errors":[{{"code":"{code}","message":"not known here"}}]}}'
    return Answer(status=404, headers={"Content-Type": "application/json"}, body=body.encode())


class Upstream(Protocol):
    """Any registry of tests.fakes without TLS."""

    @property
    def host(self) -> str:
        """`127.0.0.1:PORT`."""


Choose = Callable[[Position, Record], "Fault | None"]


class FaultProxy(LoopbackServer):
    """Passes everything on to `upstream`; `hit(position, fault)` breaks the one request at that
    position, `break_by` those that a function chooses.

    `sleep` is how `Late` waits; with `tls` the proxy speaks https. The registry's own address in
    Location and WWW-Authenticate becomes the proxy's. If the registry requires logins, `login`
    makes all requests without a login alike, since their order is not defined.
    """

    def __init__(
        self,
        upstream: Upstream,
        *,
        sleep: Callable[[float], None] = time.sleep,
        tls: ssl.SSLContext | None = None,
        login: bool = False,
    ) -> None:
        super().__init__()
        self._login = login
        self.fault = self._choose
        self._upstream, self._sleep, self.tls = upstream, sleep, tls
        self._lock = threading.Lock()
        self.clear()

    @property
    def positions(self) -> tuple[Position, ...]:
        """The positions of all requests so far, in an order that does not depend on when they
        came.
        """
        return tuple(sorted(self.records))

    @property
    def told(self) -> frozenset[str]:
        """The registry's own names of the uploads whose URL the client got.

        Uploads that the registry has forgotten are left out.
        """
        with self._lock:
            return frozenset(self._told - self._forgotten)

    @property
    def records(self) -> Mapping[Position, Record]:
        """The requests so far by position."""
        counted: Counter[tuple[str, str]] = Counter()
        return {self._position(record, counted): record for record in self.requests}

    @property
    def struck(self) -> bool:
        """Whether the request at the position has come since hit()."""
        return self._struck

    def clear(self) -> None:
        """Break nothing, and forget the requests so far."""
        self._begin(None)

    def hit(self, position: Position, fault: Fault) -> None:
        """Break the request at `position`; counting starts anew."""
        self._begin(lambda found, _: fault if found == position else None)

    def break_by(self, choose: Choose) -> None:
        """Break every request for which `choose` has a fault, from now on counted anew; it is
        asked about one after the other.
        """
        self._begin(choose)

    def _begin(self, choose: Choose | None) -> None:
        self.settle()  # uploads of an earlier client do not count
        self.forget()
        with self._lock:
            self._by = choose
            self._struck = False
            self._told: set[str] = set()
            self._forgotten: set[str] = set()
            self._begun: dict[str, str] = {}
            self._counted: Counter[tuple[str, str]] = Counter()
            self._chosen: dict[int, Fault] = {}
            self._untold: set[int] = set()
            self._expired: set[str] = set()
            self._unseen: Counter[str] = Counter()

    def answer(self, request: Request) -> Answer:
        """The registry's answer, changed by the fault of this request's position."""
        with self._lock:
            fault = self._chosen.pop(request.number, None)
        if isinstance(fault, Late):
            self._sleep(fault.seconds)
        if isinstance(fault, CorruptRequest) and request.body:
            body = bytearray(request.body)
            body[fault.at] ^= 0xFF
            request = replace(request, body=bytes(body))
        if isinstance(fault, Forgotten):
            self._forgotten.add(_upload_in(request.path))
        if _upload_in(request.path) in self._forgotten:
            return _unknown("BLOB_UPLOAD_UNKNOWN")
        if (absent := self._absent(request)) is not None:
            return absent
        answer = self._pass(request)
        if isinstance(fault, Expired):
            self._expired.add(request.headers.get("authorization", ""))
        if isinstance(fault, Unseen) and answer.status < 300:
            self._hide(request, answer, fault.times)
        self._note(request, answer)
        return self._changed(answer, fault)

    def broken(self, request: Request) -> None:
        """Pass the part of a request that came to the registry, and end that connection as well."""
        with self._open() as connection:
            self._send(connection, request, int(request.headers.get("content-length", "0")))

    # Faults

    def _choose(self, record: Record) -> Status | CutAnswer | CutRequest | Corrupt | None:
        """The fault of this request if the server performs it; the others are kept for `answer`."""
        with self._lock:
            position = self._position(record, self._counted)
            fault = self._by(position, record) if self._by else None
            if fault is None:
                return None
            self._struck = True
            if isinstance(fault, Moved):
                return Status(
                    code=fault.code, headers={"Location": f"{record.path}?{record.query}"}
                )
            if isinstance(fault, CutAnswer):
                self._untold.add(record.number)
            if isinstance(fault, Status | CutAnswer | CutRequest | Corrupt):
                return fault
            self._chosen[record.number] = fault
            return None

    def _position(self, record: Record, counted: Counter[tuple[str, str]]) -> Position:
        """The position of the next request; `counted` are the requests before it."""
        upload = self._begun.get(_upload_in(record.path), "")
        alike = (
            record.method,
            (STRANGER if self._login and not record.authorization else what_of(record, upload)),
        )
        counted[alike] += 1
        return Position(method=alike[0], what=alike[1], nth=counted[alike] - 1)

    def _note(self, request: Request, answer: Answer) -> None:
        """Note the blob that an upload is for, and whether the client got its URL."""
        begun = _upload_in(answer.headers.get("Location", ""))
        if request.method == "POST" and answer.status == 202 and begun:
            with self._lock:
                self._begun[begun] = request.asks("mount")
                self._told |= {begun} - ({begun} if request.number in self._untold else set())

    def _hide(self, request: Request, answer: Answer, times: int) -> None:
        stored = request.asks("digest") or answer.headers.get("Docker-Content-Digest", "")
        with self._lock:
            self._unseen[stored or request.path] = times

    def _absent(self, request: Request) -> Answer | None:
        """404 for an object that is not visible yet.

        The request names it, or stores a manifest that names it.
        """
        with self._lock:
            for digest, left in self._unseen.items():
                named = (
                    request.method == "PUT"
                    and "/manifests/" in request.path
                    and digest.encode() in request.body
                )
                asked = request.method in ("GET", "HEAD") and request.path.endswith(digest)
                if left and (named or asked):
                    self._unseen[digest] -= 1
                    return _unknown("MANIFEST_BLOB_UNKNOWN")
        return None

    def _changed(self, answer: Answer, fault: Fault | None) -> Answer:
        if isinstance(fault, Short):
            return replace(answer, body=answer.body[: -fault.by])
        place = answer.headers.get("Location", "")
        if not isinstance(fault, Located) or not place:
            return answer
        parts = urlsplit(place)
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        base = {"relative": "", "absolute": self.url, "downgraded": f"http://{self.host}"}[
            fault.form
        ]
        return replace(answer, headers={**answer.headers, "Location": base + path})

    # The way to the registry

    def _open(self) -> _Connection:
        return _Connection(self._upstream.host, timeout=_PATIENCE)

    def _pass(self, request: Request) -> Answer:
        with self._open() as connection:
            self._send(connection, request, len(request.body))
            got = connection.getresponse()
            body = got.read()
            headers = {
                name: self._renamed(value)
                for name, value in got.headers.items()
                if name.lower() not in _OWN
            }
            if request.method == "HEAD" and "Content-Length" in got.headers:
                headers["Content-Length"] = got.headers["Content-Length"]
            return Answer(status=got.status, headers=headers, body=body)

    def _send(self, connection: http.client.HTTPConnection, request: Request, size: int) -> None:
        query = self.requests[request.number].query
        connection.putrequest(
            request.method,
            quote(request.path, safe="/:@") + (f"?{query}" if query else ""),
            skip_accept_encoding=True,
        )
        for name, value in request.headers.items():
            if name not in _OWN:
                connection.putheader(
                    name,
                    (
                        "Bearer expired"
                        if name == "authorization" and value in self._expired
                        else value
                    ),
                )
        if size or request.method in ("POST", "PUT", "PATCH"):
            connection.putheader("Content-Length", str(size))
        connection.endheaders(request.body or None)

    def _renamed(self, value: str) -> str:
        return value.replace(f"http://{self._upstream.host}", self.url)


class _Connection(http.client.HTTPConnection):
    """A connection that is closed at the end of a `with`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
