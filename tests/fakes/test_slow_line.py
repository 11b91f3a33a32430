"""The slow line passes all bytes, both ways and on several connections, and no faster than it
may.
"""

from __future__ import annotations

import contextlib
import gc
import socket
import time
from concurrent.futures import ThreadPoolExecutor

from tests.engine.echo import BIG, Echo, get
from tests.fakes.slow_line import SlowLine
from towline.http.client import Transport
from towline.http.messages import HttpRequest


def test_all_connections_share_the_line() -> None:
    with (
        Echo() as server,
        SlowLine(server.host, rate=4 * len(BIG)) as line,
        Transport() as transport,
        ThreadPoolExecutor(3) as pool,
    ):
        started = time.monotonic()
        assert list(pool.map(lambda _: get(transport, line.url), range(3))) == [BIG] * 3
        with transport.request(
            HttpRequest(method="PUT", url=line.url, body=BIG[:1000])
        ) as response:
            assert response.read_capped(len(BIG)) == BIG[:1000]
        assert time.monotonic() - started >= 0.75
        assert 3 * len(BIG) < line.moved < 3 * len(BIG) + 10_000


def test_connections_that_come_while_it_ends_are_closed() -> None:
    with Echo() as server:
        for _ in range(10):
            with SlowLine(server.host, rate=1) as line:
                clients = [socket.create_connection(("127.0.0.1", line.port)) for _ in range(3)]
            for client in clients:
                with client, contextlib.suppress(ConnectionResetError):
                    assert client.recv(1) == b""
    gc.collect()  # a connection that is left open is a ResourceWarning, which fails the test
