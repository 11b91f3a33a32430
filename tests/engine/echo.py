"""HTTP servers for tests of the client: one echoes, the others send what a test says."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Self

from tests.fakes.serve import Answer, LoopbackServer, Request
from towline.http.client import Transport
from towline.http.messages import HttpRequest, Response

BIG = bytes(range(256)) * 2048


class Echo(LoopbackServer):
    """Answers with the body that it was sent, or with BIG if there was none."""

    def answer(self, request: Request) -> Answer:
        return Answer(
            status=200, headers={"X-Query": str(dict(request.query))}, body=request.body or BIG
        )


class Scripted:
    """A server that sends exactly these bytes to each connection in turn, after one head.

    For answers that no honest server gives.
    """

    def __init__(self, *scripts: bytes) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._scripts = scripts
        self._thread = threading.Thread(target=self._serve)

    def _serve(self) -> None:
        for script in self._scripts:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # the test is over
                return
            with connection, contextlib.suppress(OSError):
                head = b""
                # a TLS client waits for an answer as well, and says no such thing
                while not head.startswith(b"\x16") and b"\r\n\r\n" not in head:
                    head += (piece := connection.recv(4096))
                    if not piece:
                        break
                connection.sendall(script)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._listener.close()


class Staying:
    """A server that sends exactly these bytes after every head, and keeps connections open.

    `heads` counts them for each connection.
    """

    def __init__(self, script: bytes) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.heads: list[int] = []
        self._script = script
        self._threads = [threading.Thread(target=self._accept)]

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.heads.append(0)
                place = len(self.heads) - 1
                self._threads.append(threading.Thread(target=self._talk, args=(connection, place)))
                self._threads[-1].start()

    def _talk(self, connection: socket.socket, place: int) -> None:
        text = b""
        with connection, contextlib.suppress(OSError):
            while piece := connection.recv(4096):
                text += piece
                while b"\r\n\r\n" in text:
                    text = text.partition(b"\r\n\r\n")[2]
                    self.heads[place] += 1
                    connection.sendall(self._script)

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join(10)
        self._listener.close()


def get(transport: Transport, url: str, method: str = "GET") -> bytes:
    with transport.request(HttpRequest(method=method, url=url)) as response:
        return response.read_capped(1 << 20)


def send(
    transport: Transport, url: str, *pieces: bytes | memoryview, size: int | None = None
) -> Response:
    """PUT the pieces, as far as the host accepts them."""
    total = sum(map(len, pieces)) if size is None else size
    with transport.begin(HttpRequest(method="PUT", url=url), total) as sending:
        all(sending.send(piece) for piece in pieces)
        return sending.finish()
