"""A proxy before a server that records all that it receives.

Each request is reported before it is passed on, so that the sender's process can be looked at.
"""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any, Protocol

from tests.fakes.serve import Answer, LoopbackServer, Record, Request

_HOP = frozenset({"connection", "content-length", "keep-alive", "transfer-encoding"})
_PATIENCE = 60.0

Instead = Callable[[Request], "Answer | None"]


class Upstream(Protocol):
    """A server of tests.fakes without TLS, whatever its protocol above HTTP."""

    @property
    def host(self) -> str:
        """`127.0.0.1:PORT`."""


class Tap(LoopbackServer):
    """Passes requests on to `upstream`; with none, answers 404.

    In requests and answers, the tap's address takes the place of the upstream's. `told` is called
    with each request before it goes on; `instead` may answer it, and `fault` breaks it
    (tests.fakes.serve). `said` are the bodies of the server's answers.
    """

    def __init__(
        self, name: str, upstream: Upstream | None, told: Callable[[Tap, Record], None]
    ) -> None:
        super().__init__()
        self.name = name
        self.upstream = upstream
        self.instead: Instead | None = None
        self._told = told
        self._bytes = threading.Lock()
        self._heard: list[bytes] = []
        self.said: list[bytes] = []
        self._targets: dict[int, str] = {}

    @property
    def heard(self) -> bytes:
        """All bytes that were sent here since `forget`."""
        with self._bytes:
            return b"\n".join(self._heard)

    def forget(self) -> None:
        """Forget the requests so far, and break nothing any more."""
        super().forget()
        self.instead = self.fault = None
        with self._bytes:
            self._heard.clear()
            self.said.clear()

    def arrived(self, handler: Any) -> tuple[Request, Record]:
        """Record the request as it came."""
        request, record = super().arrived(handler)
        self._targets[record.number] = handler.path
        self._hear(handler.raw_requestline + bytes(handler.headers))
        self._told(self, record)
        return request, record

    def answer(self, request: Request) -> Answer:
        """The answer of `instead`, else the server's answer."""
        self._hear(request.body)
        if self.instead and (answer := self.instead(request)) is not None:
            return answer
        return self._pass(request) if self.upstream else Answer(status=404)

    def broken(self, request: Request) -> None:
        """Record the part of a request that came before it broke off."""
        self._hear(request.body)

    def _hear(self, data: bytes) -> None:
        with self._bytes:
            self._heard.append(data)

    def _pass(self, request: Request) -> Answer:
        assert self.upstream
        host = self.upstream.host
        headers = {name: value for name, value in request.headers.items() if name not in _HOP}
        headers["host"] = host
        with closing(http.client.HTTPConnection(host, timeout=_PATIENCE)) as connection:
            connection.request(
                request.method, self._targets[request.number], request.body or None, headers
            )
            got = connection.getresponse()
            body = got.read()
        with self._bytes:
            self.said.append(body)
        kept = {
            name: value.replace(host, self.host)
            for name, value in got.headers.items()
            if name.lower() not in _HOP
        }
        if request.method == "HEAD" and "Content-Length" in got.headers:
            kept["Content-Length"] = got.headers["Content-Length"]
        return Answer(status=got.status, headers=kept, body=body)
