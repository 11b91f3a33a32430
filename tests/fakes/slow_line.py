"""A slow line between a client and a server on loopback.

It passes a number of bytes per second in all, over all connections and directions, and counts them.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket

from tests.fakes.loop_thread import LoopThread

_PIECE, _BUFFER = 2 * 1024, 16 * 1024


class SlowLine(LoopThread):
    """Stands before `host` (`127.0.0.1:PORT`) from start() to stop(); `moved` are the bytes
    that have passed, from the clients to the server and back.
    """

    def __init__(self, host: str, *, rate: int) -> None:
        super().__init__()
        self.rate = rate
        self.moved = 0
        self._upstream = host.rpartition(":")[0], int(host.rpartition(":")[2])
        self._listener = socket.socket()
        # bytes that are not on the line yet stay with the sender
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(128)
        self.port = self._listener.getsockname()[1]
        self._free = 0.0

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`."""
        return f"http://127.0.0.1:{self.port}"

    async def _serve(self) -> None:
        self._listener.setblocking(False)
        self._loop.add_reader(self._listener, self._accept)
        await self._end.wait()
        self._loop.remove_reader(self._listener)
        self._listener.close()
        for way in self._ways:
            way.cancel()
        await asyncio.gather(*self._ways, return_exceptions=True)

    def _accept(self) -> None:
        """Accept a connection without losing one.

        An asyncio task that is cancelled drops the connection that it was just given.
        """
        with contextlib.suppress(OSError):  # the client went away
            client, _ = self._listener.accept()
            client.setblocking(False)
            way = self._loop.create_task(self._pass(client))
            self._ways.add(way)
            # a task that is cancelled before it has begun does not close its connection
            way.add_done_callback(lambda _: client.close())
            way.add_done_callback(self._ways.discard)

    async def _pass(self, client: socket.socket) -> None:
        """One connection of a client, until one side ends it."""
        with socket.socket() as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
            server.setblocking(False)
            with contextlib.suppress(OSError):
                await self._loop.sock_connect(server, self._upstream)
                ways = [
                    asyncio.create_task(self._carry(*pair))
                    for pair in ((client, server), (server, client))
                ]
                try:
                    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for way in ways:
                        way.cancel()
                    await asyncio.gather(*ways, return_exceptions=True)

    async def _carry(self, sender: socket.socket, receiver: socket.socket) -> None:
        while piece := await self._loop.sock_recv(sender, _PIECE):
            now = self._loop.time()
            self._free = max(now, self._free) + len(piece) / self.rate
            await asyncio.sleep(self._free - now)
            await self._loop.sock_sendall(receiver, piece)
            self.moved += len(piece)
