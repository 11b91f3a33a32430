"""The slow line delays every request once, passes all bytes, and counts by method and kind."""

from __future__ import annotations

import http.client
import itertools
import socket
import ssl
import time
from collections import Counter
from contextlib import closing

import pytest

from tests.fakes.delay import DelayProxy, _Requests, kind_of
from tests.fakes.images import make_index, missing, put
from tests.fakes.registry import FakeRegistry

STREAM = (
    b"GET /v2/ HTTP/1.1\r\nHost: h\r\n\r\nPUT /v2/a/blobs/uploads/1?digest=d"
    b" HTTP/1.1\r\nContent-Length: 5\r\n\r\n\r\n\r\n\nPATCH /v2/a/blobs/uploads/2"
    b" HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\n\r\n\r\r\n1\r\nz\r\n0\r\nTrailer:"
    b" t\r\n\r\nHEAD /v2/a/manifests/1 HTTP/1.1\r\n\r\n"
)
FOUND = [
    ("GET", "/v2/"),
    ("PUT", "/v2/a/blobs/uploads/1?digest=d"),
    ("PATCH", "/v2/a/blobs/uploads/2"),
    ("HEAD", "/v2/a/manifests/1"),
]


@pytest.mark.parametrize("size", [1, 2, 7, 64, len(STREAM)])
def test_heads_are_found_however_the_bytes_are_cut(size: int) -> None:
    requests = _Requests()
    pieces = (STREAM[start : start + size] for start in range(0, len(STREAM), size))
    assert list(itertools.chain.from_iterable(map(requests.feed, pieces))) == FOUND


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        ("/v2/", "ping"),
        ("/v2/team/app/manifests/1", "manifest"),
        ("/v2/app/blobs/sha256:00", "blob"),
        ("/v2/app/blobs/uploads/?mount=a&from=b/blobs/c", "upload"),
        ("/v2/app/blobs/uploads/1-2", "upload"),
        ("/token?scope=repository:a:pull", "token"),
        ("/ops.git/info/refs?service=git-upload-pack", "git"),
        ("/", "other"),
    ],
)
def test_a_target_tells_its_kind(target: str, kind: str) -> None:
    assert kind_of(target) == kind


def test_an_image_passes_whole_and_every_request_is_counted() -> None:
    index = make_index(layers=2, size=600_000)
    with FakeRegistry(relative_location=True) as registry, DelayProxy(registry.host) as line:
        put(index, line.url, "app", "1")
        assert missing(index, registry, "app") == ()
        assert line.seen == {("POST", "upload"): 6, ("PUT", "upload"): 6, ("PUT", "manifest"): 3}
        assert sum(line.seen.values()) == len(registry.requests)


def test_each_request_waits_for_one_round_trip_and_so_does_the_connection() -> None:
    with (
        FakeRegistry() as registry,
        DelayProxy(registry.host, seconds=0.02) as line,
        closing(http.client.HTTPConnection(line.host, timeout=60)) as client,
    ):
        began = time.monotonic()
        for _ in range(3):
            client.request("GET", "/v2/")
            assert client.getresponse().read() == b"{}"
        assert time.monotonic() - began >= 4 * 0.02
        assert line.seen == Counter({("GET", "ping"): 3})


def test_who_tries_tls_first_is_told_at_once_that_there_is_none() -> None:
    with (
        FakeRegistry() as registry,
        DelayProxy(registry.host, seconds=60.0) as line,
        socket.create_connection(("127.0.0.1", line.port), 10) as plain,
    ):
        with pytest.raises(ssl.SSLError, match=r"WRONG_VERSION_NUMBER|PACKET_LENGTH|RECORD"):
            ssl.create_default_context().wrap_socket(plain, server_hostname="localhost")
        assert registry.requests == ()


def test_a_server_that_hangs_up_ends_the_connection_and_stopping_ends_the_rest() -> None:
    with (
        FakeRegistry() as registry,
        DelayProxy(registry.host) as line,
        closing(http.client.HTTPConnection(line.host, timeout=60)) as client,
    ):
        client.request("GET", "/v2/")
        client.getresponse().read()
        registry.stop()
        assert client.sock.recv(1) == b""
        idle = socket.create_connection(("127.0.0.1", line.port), 10)
    with idle:
        assert idle.recv(1) == b""
