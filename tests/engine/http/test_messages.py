from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.echo import BIG, Echo, Scripted, get, send
from tests.fakes.clock import FakeClock
from tests.fakes.serve import CutAnswer, CutRequest, Status, on
from towline.errors import TransportError
from towline.http.client import Transport
from towline.http.messages import HttpRequest, Response, origin
from towline.record import replace
from towline.retry import ATTEMPTS


@pytest.fixture
def server() -> Iterator[Echo]:
    with Echo() as running:
        yield running


def drain(response: Response) -> int:
    view, total = memoryview(bytearray(300)), 0
    while got := response.readinto(view):
        total += got
    return total


def test_path_and_query_arrive_as_they_are_and_nothing_is_added(
    server: Echo, transport: Transport
) -> None:
    get(transport, server.url + "/a%20b/c?d=%3D&e=f")
    record = server.requests[0]
    assert (record.path, record.query) == ("/a b/c", "d=%3D&e=f")
    assert {name.lower() for name in record.headers} == {"host", "accept-encoding"}


def test_a_body_streams_into_a_buffer(server: Echo, transport: Transport) -> None:
    view, taken = memoryview(bytearray(100_000)), b""
    with transport.request(HttpRequest(method="GET", url=server.url)) as response:
        while got := response.readinto(view):
            taken += view[:got]
    assert taken == BIG


def test_an_upload_is_sent_with_its_length_and_piece_by_piece(
    server: Echo, transport: Transport
) -> None:
    pieces = [memoryview(BIG)[start : start + 70_000] for start in range(0, len(BIG), 70_000)]
    with send(transport, server.url, *pieces) as response:
        assert response.read_capped(1 << 20) == BIG
    assert server.requests[0].headers["content-length"] == str(len(BIG))


@pytest.mark.parametrize(("size", "what"), [(5, "1 bytes shorter than"), (3, "longer than")])
def test_an_upload_whose_pieces_do_not_make_its_size_never_ends_well(
    server: Echo, transport: Transport, size: int, what: str
) -> None:
    with pytest.raises(TransportError, match=f"the body is {what} was announced"):
        send(transport, server.url, b"1234", size=size)
    assert [record.status for record in server.requests] in ([], [0])


@pytest.mark.parametrize(
    ("method", "length"), [("GET", ""), ("DELETE", ""), ("POST", "0"), ("PUT", "0"), ("PATCH", "0")]
)
def test_an_empty_body_has_a_length_where_one_is_expected(
    server: Echo, transport: Transport, method: str, length: str
) -> None:
    """Without Content-Length some servers answer 411 (RFC 9110 8.6)."""
    transport.request(HttpRequest(method=method, url=server.url)).close()
    assert server.requests[0].headers.get("content-length", "") == length


def test_how_much_has_come_to_the_host_is_known() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, Transport() as transport:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with transport.begin(HttpRequest(method="PUT", url=url), len(BIG)) as sending:
            accepted, _ = listener.accept()
            with accepted:
                assert sending.send(BIG)
                assert 0 <= sending.delivered < len(BIG)
                taken = 0
                while taken < len(BIG):
                    taken += len(accepted.recv(1 << 20))
                assert len(BIG) // 2 < sending.delivered <= len(BIG)


def test_a_slow_body_is_read_while_it_brings_a_kibibyte_a_second(time: FakeClock) -> None:
    def now() -> float:
        time.time += 1.0
        return time.time

    pieces = [b"x" * 8192] * 40
    script = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"".join(b"2000\r\n" + piece + b"\r\n" for piece in pieces)
        + b"0\r\n\r\n"
    )
    clock = replace(time.clock, now=now)
    with (
        Scripted(script) as server,
        Transport(clock=clock) as transport,
        transport.request(HttpRequest(method="GET", url=server.url)) as response,
    ):
        assert response.read_capped(1 << 20) == b"".join(pieces)
    assert time.time > 1000 + 120


def test_an_upload_of_unknown_size_goes_in_chunks(server: Echo, transport: Transport) -> None:
    headers = {"Transfer-Encoding": "chunked"}
    for pieces in ([b"ab", b"", b"c" * 70_000], []):
        with transport.begin(
            HttpRequest(method="PATCH", url=server.url, headers=headers), None
        ) as sending:
            assert all(sending.send(piece) for piece in pieces)
            with sending.finish() as response:
                assert response.read_capped(1 << 20) == (b"".join(pieces) or BIG)
    assert "content-length" not in server.requests[0].headers


def test_an_upload_in_chunks_that_is_left_never_ends_well(
    server: Echo, transport: Transport
) -> None:
    with transport.begin(
        HttpRequest(method="PATCH", url=server.url, headers={"Transfer-Encoding": "chunked"}), None
    ) as sending:
        assert sending.send(b"12")
    assert get(transport, server.url) == BIG
    assert [record.status for record in server.requests if record.method == "PATCH"] in ([], [0])


def test_an_upload_that_is_left_ends_the_connection(server: Echo, transport: Transport) -> None:
    with transport.begin(HttpRequest(method="PUT", url=server.url), 4) as sending:
        assert sending.send(b"12")
    assert get(transport, server.url) == BIG
    assert [record.status for record in server.requests if record.method == "PUT"] in ([], [0])


def test_a_body_over_its_cap_is_refused(server: Echo, transport: Transport) -> None:
    with (
        transport.request(HttpRequest(method="GET", url=server.url)) as response,
        pytest.raises(TransportError, match="longer than 1000 bytes"),
    ):
        response.read_capped(1000)


def test_a_body_that_drips_beyond_its_time_is_refused(
    server: Echo, transport: Transport, time: FakeClock
) -> None:
    with (
        transport.request(HttpRequest(method="GET", url=server.url)) as response,
        pytest.raises(TransportError, match="longer than 0 seconds"),
    ):
        response.read_capped(1 << 20, seconds=0.0)


def test_a_stream_that_only_trickles_is_handed_on_as_it_comes(time: FakeClock) -> None:
    slow = False

    def now() -> float:
        time.time += 2.0 * slow
        return time.time

    script = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n"
    clock = replace(time.clock, now=now)
    with (
        Scripted(script) as server,
        Transport(clock=clock) as transport,
        transport.request(HttpRequest(method="GET", url=server.url)) as response,
    ):
        slow = True
        # all that was asked for is there, however long it took
        assert response.readinto(memoryview(bytearray(2))) == 2
        assert [response.readinto(memoryview(bytearray(10))) for _ in range(2)] == [2, 0]


@pytest.mark.parametrize("read", [lambda response: response.read_capped(1 << 20), drain])
def test_a_cut_body_is_no_body(
    server: Echo, transport: Transport, read: Callable[[Response], object]
) -> None:
    server.fault = on("GET", "", CutAnswer(after=1000))
    with (
        transport.request(HttpRequest(method="GET", url=server.url)) as response,
        pytest.raises(TransportError, match="closed"),
    ):
        read(response)
    assert get(transport, server.url) == BIG


def test_chunked_bodies_are_read_and_a_cut_one_is_a_fault(transport: Transport) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    with Scripted(head + b"3\r\nabc\r\n0\r\n\r\n", head + b"3\r\nabc\r\n5\r\nde") as server:
        assert get(transport, server.url) == b"abc"
        with Transport() as other, pytest.raises(TransportError, match="the connection was closed"):
            get(other, server.url)


def test_an_early_refusal_of_an_upload_is_an_answer(server: Echo, transport: Transport) -> None:
    server.fault = on("PUT", "", Status(code=413, early=True))
    try:
        with send(transport, server.url, *[bytes(1 << 20)] * 64) as response:
            assert response.status == 413
    except TransportError as fault:  # a reset can overtake the answer; nothing else may come of it
        assert "closed" in str(fault)  # noqa: PT017 - either is right
    assert get(transport, server.url) == BIG


def test_an_early_success_for_half_an_upload_is_a_fault(transport: Transport) -> None:
    with (
        Scripted(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n") as server,
        pytest.raises(TransportError, match="closed"),
    ):
        send(transport, server.url, *[bytes(1 << 20)] * 64)


def test_a_cut_upload_is_a_fault(server: Echo, transport: Transport) -> None:
    server.fault = on("PUT", "", CutRequest(after=1000))
    with pytest.raises(TransportError, match="closed"):
        send(transport, server.url, *[bytes(1 << 20)] * 8)


# Faults say where, and no more


@pytest.mark.parametrize(
    "script",
    [
        b"nonsense\r\n\r\n",
        b"",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200,
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000,
    ],
)
def test_what_is_not_http_is_a_transport_error(transport: Transport, script: bytes) -> None:
    # once more for the question whether it speaks TLS
    with Scripted(*[script] * (ATTEMPTS + 1)) as server, pytest.raises(TransportError) as caught:
        transport.request(HttpRequest(method="GET", url=server.url + "/path?secret=hunter2"))
    assert caught.value.where == server.url
    assert "hunter2" not in str(caught.value)


def test_a_port_that_speaks_no_tls_is_told_from_one_that_is_not_there(
    server: Echo, transport: Transport
) -> None:
    with pytest.raises(
        TransportError,
        match=r"the server does not speak TLS; did you mean http://\?",
    ):
        transport.request(HttpRequest(method="GET", url=server.url.replace("http://", "https://")))


@pytest.mark.parametrize("header", ["a\r\nX-Smuggled: b", "ü€"])
def test_a_header_that_would_become_two_is_not_sent(
    server: Echo, transport: Transport, header: str
) -> None:
    with pytest.raises(TransportError):
        transport.request(HttpRequest(method="POST", url=server.url, headers={"X": header}))
    assert server.requests == ()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://Host.example.com:443/v2/?a=b#c", "https://host.example.com"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("http://[::1]:80/x", "http://[::1]"),
        ("https://h:80", "https://h:80"),
    ],
)
def test_an_origin_is_scheme_host_and_a_port_that_matters(url: str, expected: str) -> None:
    assert origin(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/v2/",
        "ftp://host/",
        "file:///etc/passwd",
        "https://",
        "https://host:99999/",
        "https://host:0/",
        "https://[::1/",
        "https://ho st/",
        "https://h\n/",
        "https://user:hunter2@host/",
        "https://hunter2@host/",
        "https://hüst/hunter2",
    ],
)
def test_what_is_no_url_of_ours_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(TransportError) as caught:
        origin(url)
    assert "hunter2" not in str(caught.value) + caught.value.where


@given(st.text(max_size=30), st.booleans())
def test_any_text_gives_an_http_origin_or_is_refused(text: str, prefixed: bool) -> None:
    with contextlib.suppress(TransportError):
        assert origin("https://" * prefixed + text).startswith("http")
