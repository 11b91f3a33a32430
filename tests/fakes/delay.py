"""A proxy to a server on loopback that delays requests as a real network does.

Every request costs a round trip; bytes are not slowed. The requests are counted by method and kind.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Self

from tests.fakes.loop_thread import LoopThread

_PIECE = 256 * 1024
_AHEAD = 64
# a text, as Go's servers send it: many clients retry an empty end
_TLS, _NO_TLS = b"\x16", b"HTTP/1.0 400 Bad Request\r\n\r\nno TLS here\n"
_KINDS = (
    ("ping", r"/v2/?"),
    ("upload", r".*/blobs/uploads/.*"),
    ("blob", r".*/blobs/[^/]+"),
    ("manifest", r".*/manifests/[^/]+"),
    ("tags", r".*/tags/list"),
    ("referrers", r".*/referrers/[^/]+"),
    ("token", r".*/token"),
    ("git", r".*/(?:info/refs|git-(?:upload|receive)-pack)"),
)


def kind_of(target: str) -> str:
    """The kind of a request by its path.

    One of `ping`, `manifest`, `blob`, `upload`, `tags`, `referrers`, `token`, `git` and `other`.
    """
    path = target.partition("?")[0]
    return next((kind for kind, pattern in _KINDS if re.fullmatch(pattern, path)), "other")


class DelayProxy(LoopThread):
    """Stands before `host` (`127.0.0.1:PORT`) from start() to stop(); `seconds` is the round
    trip, and may change while it runs.

    Opening a connection costs a round trip too, as on a real line. A client that tries TLS first
    gets an answer in plain text at once, so that a guess costs nothing.
    """

    def __init__(self, host: str, *, seconds: float = 0.0) -> None:
        super().__init__()
        self.port = 0
        self._upstream = host.rpartition(":")[0], int(host.rpartition(":")[2])
        self.seconds = seconds
        self._seen: Counter[tuple[str, str]] = Counter()
        self._up = threading.Event()

    @property
    def host(self) -> str:
        """`127.0.0.1:PORT`."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`."""
        return f"http://{self.host}"

    @property
    def seen(self) -> Counter[tuple[str, str]]:
        """The number of requests by method and kind."""
        return Counter(self._seen)

    def start(self) -> Self:
        """Listen on a free port."""
        super().start()
        self._up.wait()
        return self

    async def _serve(self) -> None:
        server = await asyncio.start_server(
            self._connected, "127.0.0.1", 0, limit=_PIECE, backlog=128
        )
        self.port = server.sockets[0].getsockname()[1]
        self._up.set()
        await self._end.wait()
        # before the port is closed: asyncio loses connections that it is about to accept
        while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
            for way in self._ways:
                way.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            # what was accepted just now becomes a task in the loop's next turn, and what was closed
            # hangs up in it
            await asyncio.sleep(0)
        server.close()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        way = asyncio.get_running_loop().create_task(self._pass(reader, writer))
        self._ways.add(way)
        way.add_done_callback(lambda _: writer.close())
        way.add_done_callback(self._ways.discard)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of a client, until one side ends it."""
        opened = self._loop.time()
        with contextlib.suppress(OSError):  # a peer may disconnect at any time
            first = await reader.read(_PIECE)
            if first.startswith(_TLS):
                writer.write(_NO_TLS)
            elif first:
                await self._joined(first, opened + self.seconds, (reader, writer))

    async def _joined(
        self, first: bytes, ready: float, client: tuple[asyncio.StreamReader, asyncio.StreamWriter]
    ) -> None:
        reader, writer = client
        answers, requests = await asyncio.open_connection(*self._upstream, limit=_PIECE)
        line: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_AHEAD)
        ways = [
            asyncio.create_task(way)
            for way in (
                self._listen(first, ready, reader, line),
                self._deliver(line, requests),
                self._back(answers, writer),
            )
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            # the client has sent everything; the rest of the server's answer still passes
            if not ways[2].done():
                await asyncio.wait(ways[2:])
        finally:
            for way in ways:
                way.cancel()
            requests.close()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _listen(
        self,
        first: bytes,
        ready: float,
        reader: asyncio.StreamReader,
        line: asyncio.Queue[tuple[float, bytes]],
    ) -> None:
        """Put the client's bytes onto the line with the time at which they arrive."""
        requests, data = _Requests(), first
        while data:
            self._seen.update((method, kind_of(target)) for method, target in requests.feed(data))
            await line.put((max(self._loop.time(), ready) + self.seconds, data))
            data = await reader.read(_PIECE)
        await line.put((self._loop.time() + self.seconds, b""))
        await line.join()

    async def _deliver(
        self, line: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter
    ) -> None:
        while True:
            due, data = await line.get()
            if (left := due - self._loop.time()) > 0:
                await asyncio.sleep(left)
            if data:
                writer.write(data)
                await writer.drain()
            elif writer.can_write_eof():
                writer.write_eof()
            line.task_done()

    @staticmethod
    async def _back(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_PIECE):
            writer.write(data)
            await writer.drain()


class _Requests:
    """Finds the heads of requests in the bytes of one connection (RFC 9112).

    Bodies are skipped by their length, or chunk by chunk.
    """

    def __init__(self) -> None:
        self._line = b""
        self._head: list[str] = []
        self._left = 0
        self._in = "head"

    def feed(self, data: bytes) -> Iterator[tuple[str, str]]:
        """Method and target of every head that ends in `data`."""
        position = 0
        while position < len(data):
            skipped = min(self._left, len(data) - position)
            self._left -= skipped
            position += skipped
            if self._left or position == len(data):
                return
            end = data.find(b"\n", position)
            self._line += data[position : end + 1 or len(data)]
            if end < 0:
                return
            position = end + 1
            line, self._line = self._line.strip().decode("latin-1"), b""
            yield from self._ended(line)

    def _ended(self, line: str) -> Iterator[tuple[str, str]]:
        if self._in == "chunk":
            size = int(line.partition(";")[0], 16)
            self._left = size + 2 if size else 0
            self._in = "chunk" if size else "trailer"
        elif line:
            self._head.append(line)
        elif self._in == "trailer":
            self._head, self._in = [], "head"
        elif self._head:
            yield self._request()
            self._head = []

    def _request(self) -> tuple[str, str]:
        method, target, *_ = self._head[0].split(" ")
        fields = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in self._head[1:])
        }
        chunked = "chunked" in fields.get("transfer-encoding", "").lower()
        self._in, self._left = (
            ("chunk", 0) if chunked else ("head", int(fields.get("content-length", "0")))
        )
        return method, target
