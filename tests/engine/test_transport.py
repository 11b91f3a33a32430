from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Self

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.clock import FakeClock
from tests.fakes.serve import Answer, CutAnswer, CutRequest, LoopbackServer, Request, Status, on
from towline.errors import TransportError
from towline.transport import ATTEMPTS, HttpRequest, Response, Transport, UntrustedCertificate, Upload, origin

BIG = bytes(range(256)) * 2048


class Echo(LoopbackServer):
    """Answers what it was sent, or BIG where that was nothing."""

    def answer(self, request: Request) -> Answer:
        return Answer(status=200, headers={"X-Query": str(dict(request.query))}, body=request.body or BIG)


class Scripted:
    """A server that says exactly these bytes to each connection in turn, having read one head; for what no honest server does."""

    def __init__(self, *scripts: bytes) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._scripts = scripts
        self._thread = threading.Thread(target=self._serve)

    def _serve(self) -> None:
        for script in self._scripts:
            connection, _ = self._listener.accept()
            with connection, contextlib.suppress(OSError):
                head = b""
                while b"\r\n\r\n" not in head and (piece := connection.recv(4096)):
                    head += piece
                connection.sendall(script)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(10)
        self._listener.close()


@pytest.fixture
def server() -> Iterator[Echo]:
    with Echo() as running:
        yield running


@pytest.fixture
def time() -> FakeClock:
    return FakeClock()


@pytest.fixture
def transport(time: FakeClock) -> Iterator[Transport]:
    with Transport(clock=time.clock) as opened:
        yield opened


def get(transport: Transport, url: str, method: str = "GET") -> bytes:
    with transport.request(HttpRequest(method=method, url=url)) as response:
        return response.read_capped(1 << 20)


def drain(response: Response) -> int:
    view, total = memoryview(bytearray(300)), 0
    while got := response.readinto(view):
        total += got
    return total


def connections(server: LoopbackServer, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What will have connected to the server from now on."""
    made: list[object] = []
    plain = socket.create_connection
    def counted(address: tuple[str, int], *arguments: object) -> socket.socket:
        made.append(address)
        return plain(address, *arguments)  # type: ignore[arg-type]
    monkeypatch.setattr(socket, "create_connection", counted)
    return made


def test_one_connection_serves_one_request_after_the_other(server: Echo, transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    made = connections(server, monkeypatch)
    for method in ("GET", "HEAD", "PUT", "GET"):
        get(transport, server.url + "/x", method)
    assert len(made) == 1
    assert [record.method for record in server.requests] == ["GET", "HEAD", "PUT", "GET"]


def test_a_connection_with_an_unread_body_does_not_serve_again(server: Echo, transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    made = connections(server, monkeypatch)
    transport.request(HttpRequest(method="GET", url=server.url)).close()
    assert get(transport, server.url) == BIG
    assert len(made) == 2


def test_path_and_query_arrive_as_they_are_and_nothing_is_added(server: Echo, transport: Transport) -> None:
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


def test_an_upload_is_sent_with_its_length_and_piece_by_piece(server: Echo, transport: Transport) -> None:
    body = Upload(size=len(BIG), pieces=(memoryview(BIG)[start : start + 70_000] for start in range(0, len(BIG), 70_000)))
    with transport.request(HttpRequest(method="PUT", url=server.url, body=body)) as response:
        assert response.read_capped(1 << 20) == BIG
    assert server.requests[0].headers["content-length"] == str(len(BIG))


@pytest.mark.parametrize("size", [5, 3])
def test_an_upload_whose_pieces_do_not_make_its_size_never_ends_well(server: Echo, transport: Transport, size: int) -> None:
    with pytest.raises(TransportError):
        transport.request(HttpRequest(method="PUT", url=server.url, body=Upload(size=size, pieces=[b"1234"])))
    assert [record.status for record in server.requests] in ([], [0])


def test_a_fault_of_the_uploads_source_comes_through_and_ends_the_connection(server: Echo, transport: Transport) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"12"
        raise LookupError("the source")

    with pytest.raises(LookupError, match="the source"):
        transport.request(HttpRequest(method="PUT", url=server.url, body=Upload(size=4, pieces=pieces())))
    assert get(transport, server.url) == BIG


def test_a_body_over_its_cap_is_refused(server: Echo, transport: Transport) -> None:
    with transport.request(HttpRequest(method="GET", url=server.url)) as response, pytest.raises(TransportError, match="longer than 1000 bytes"):
        response.read_capped(1000)


def test_a_body_that_drips_beyond_its_time_is_refused(server: Echo, transport: Transport, time: FakeClock) -> None:
    with transport.request(HttpRequest(method="GET", url=server.url)) as response, pytest.raises(TransportError, match="longer than 0 seconds"):
        response.read_capped(1 << 20, seconds=0.0)


def test_a_stream_that_only_trickles_is_given_up(time: FakeClock) -> None:
    def now() -> float:
        time.time += 61.0
        return time.time

    script = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n"
    clock = replace(time.clock, now=now)
    with Scripted(script) as server, Transport(clock=clock) as transport, transport.request(HttpRequest(method="GET", url=server.url)) as response:
        assert response.readinto(memoryview(bytearray(2))) == 2  # all that was asked for is there, however long it took
        with pytest.raises(TransportError, match="sent 2 bytes in 60 seconds"):
            response.readinto(memoryview(bytearray(10)))


@pytest.mark.parametrize("read", [lambda response: response.read_capped(1 << 20), drain])
def test_a_cut_body_is_no_body(server: Echo, transport: Transport, read: Callable[[Response], object]) -> None:
    server.fault = on("GET", "", CutAnswer(after=1000))
    with transport.request(HttpRequest(method="GET", url=server.url)) as response, pytest.raises(TransportError, match="closed"):
        read(response)
    assert get(transport, server.url) == BIG


def test_chunked_bodies_are_read_and_a_cut_one_is_a_fault(transport: Transport) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    with Scripted(head + b"3\r\nabc\r\n0\r\n\r\n", head + b"3\r\nabc\r\n5\r\nde") as server:
        assert get(transport, server.url) == b"abc"
        with Transport() as other, pytest.raises(TransportError, match="the connection was closed"):
            get(other, server.url)


# Trying again

@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_an_idempotent_request_is_sent_again_after_these(server: Echo, transport: Transport, time: FakeClock, status: int) -> None:
    server.fault = on("GET", "", Status(code=status), times=2)
    assert get(transport, server.url) == BIG
    assert time.sleeps == [0.2, 0.4]


@pytest.mark.parametrize("status", [400, 401, 404, 416, 501, 507])
def test_other_answers_are_the_callers_at_once(server: Echo, transport: Transport, time: FakeClock, status: int) -> None:
    server.fault = on("GET", "", Status(code=status))
    with transport.request(HttpRequest(method="GET", url=server.url)) as response:
        assert response.status == status
    assert (server.count("GET"), time.sleeps) == (1, [])


def test_retry_after_is_obeyed(server: Echo, transport: Transport, time: FakeClock) -> None:
    server.fault = on("GET", "", Status(code=429, headers={"Retry-After": "17"}))
    assert get(transport, server.url) == BIG
    assert time.sleeps == [17.0]


def test_the_last_answer_comes_back_when_the_attempts_are_used_up(server: Echo, transport: Transport, time: FakeClock) -> None:
    server.fault = on("GET", "", Status(code=503), times=99)
    with transport.request(HttpRequest(method="GET", url=server.url)) as response:
        assert response.status == 503
    assert (server.count("GET"), len(time.sleeps)) == (ATTEMPTS, ATTEMPTS - 1)


def test_a_request_without_an_answer_is_sent_again_when_that_is_safe(server: Echo, transport: Transport) -> None:
    server.fault = on("PUT", "", CutAnswer(after=None))
    with transport.request(HttpRequest(method="PUT", url=server.url, body=b"abc")) as response:
        assert response.read_capped(10) == b"abc"
    assert server.count("PUT") == 2


@pytest.mark.parametrize(("body", "repeatable", "sent"), [(b"abc", False, 1), (b"abc", True, 2), (Upload(size=3, pieces=[b"abc"]), True, 1)])
def test_a_post_is_sent_again_only_if_it_says_so_and_an_upload_never(
    server: Echo, transport: Transport, body: bytes | Upload, repeatable: bool, sent: int,  # noqa: FBT001 - a table
) -> None:
    server.fault = on("POST", "", CutAnswer(after=None))
    with contextlib.suppress(TransportError):
        transport.request(HttpRequest(method="POST", url=server.url, body=body, repeatable=repeatable)).close()
    assert server.count("POST") == sent


def test_a_connection_that_died_while_idle_costs_no_pause(server: Echo, transport: Transport, time: FakeClock) -> None:
    get(transport, server.url)
    server.stop()
    server.start()
    assert get(transport, server.url) == BIG
    assert time.sleeps == []


def test_an_upload_on_a_connection_that_died_while_idle_goes_over_a_new_one(server: Echo, transport: Transport) -> None:
    get(transport, server.url)
    server.stop()
    server.start()
    with transport.request(HttpRequest(method="PUT", url=server.url, body=Upload(size=2, pieces=[b"ab"]))) as response:
        assert response.read_capped(10) == b"ab"


def test_an_early_refusal_of_an_upload_is_an_answer(server: Echo, transport: Transport) -> None:
    server.fault = on("PUT", "", Status(code=413, early=True))
    body = Upload(size=64 << 20, pieces=(bytes(1 << 20) for _ in range(64)))
    try:
        with transport.request(HttpRequest(method="PUT", url=server.url, body=body)) as response:
            assert response.status == 413
    except TransportError as fault:  # a reset can overtake the answer; nothing else may come of it
        assert "closed" in str(fault)  # noqa: PT017 - either is right
    assert get(transport, server.url) == BIG


def test_an_early_success_for_half_an_upload_is_a_fault(transport: Transport) -> None:
    body = Upload(size=64 << 20, pieces=(bytes(1 << 20) for _ in range(64)))
    with Scripted(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n") as server, pytest.raises(TransportError, match="closed"):
        transport.request(HttpRequest(method="PUT", url=server.url, body=body))


def test_a_cut_upload_is_a_fault(server: Echo, transport: Transport) -> None:
    server.fault = on("PUT", "", CutRequest(after=1000))
    body = Upload(size=8 << 20, pieces=(bytes(1 << 20) for _ in range(8)))
    with pytest.raises(TransportError, match="closed"):
        transport.request(HttpRequest(method="PUT", url=server.url, body=body))


def test_closing_breaks_what_waits_and_nothing_is_tried_again(time: FakeClock) -> None:
    faults: list[TransportError] = []

    def wait_for_ever(transport: Transport, url: str) -> None:
        try:
            transport.request(HttpRequest(method="GET", url=url))
        except TransportError as fault:
            faults.append(fault)

    with socket.create_server(("127.0.0.1", 0)) as listener, Transport(clock=time.clock) as transport:
        waiting = threading.Thread(target=wait_for_ever, args=[transport, f"http://127.0.0.1:{listener.getsockname()[1]}/"])
        waiting.start()
        connection, _ = listener.accept()
        with connection:
            assert connection.recv(4096).startswith(b"GET / ")
            transport.close()
            waiting.join(30)
    assert not waiting.is_alive()
    assert (len(faults), time.sleeps) == (1, [])


def test_closing_wakes_who_waits_for_the_next_try(server: Echo) -> None:
    server.fault = on("GET", "", Status(code=503, headers={"Retry-After": "60"}), times=99)
    faults: list[str] = []
    answered = threading.Event()

    class Noticed(Transport):
        def _give(self, *arguments: object) -> None:  # the answer has been read: next comes the pause
            super()._give(*arguments)  # type: ignore[arg-type]
            answered.set()

    def ask(transport: Transport) -> None:
        try:
            transport.request(HttpRequest(method="GET", url=server.url))
        except TransportError as fault:
            faults.append(str(fault))

    with Noticed() as transport:
        waiting = threading.Thread(target=ask, args=[transport], daemon=True)
        waiting.start()
        assert answered.wait(30)
    waiting.join(2)
    assert not waiting.is_alive()
    assert (len(faults), server.count("GET")) == (1, 1)
    assert faults[0].startswith("closed")


def test_a_closed_transport_dials_no_more(server: Echo, transport: Transport, time: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    made = connections(server, monkeypatch)
    transport.close()
    with pytest.raises(TransportError, match="closed"):
        get(transport, server.url)
    assert (made, time.sleeps) == ([], [])


# Faults say where, and no more

@pytest.mark.parametrize("script", [b"nonsense\r\n\r\n", b"", b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200, b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000])
def test_what_is_not_http_is_a_transport_error(transport: Transport, script: bytes) -> None:
    with Scripted(*[script] * ATTEMPTS) as server, pytest.raises(TransportError) as caught:
        transport.request(HttpRequest(method="GET", url=server.url + "/path?secret=hunter2"))
    assert caught.value.where == server.url
    assert "hunter2" not in str(caught.value)


def test_nobody_listening_is_a_transport_error_after_all_attempts(transport: Transport, time: FakeClock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(TransportError, match="connection refused") as caught:
        transport.request(HttpRequest(method="GET", url=f"http://127.0.0.1:{port}/x?token=hunter2"))
    assert caught.value.where == f"http://127.0.0.1:{port}"
    assert len(time.sleeps) == ATTEMPTS - 1


def test_a_host_that_says_nothing_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, Transport(read=0.05, clock=FakeClock().clock) as transport, pytest.raises(
        TransportError, match="no answer in time"
    ):
        transport.request(HttpRequest(method="POST", url=f"http://127.0.0.1:{listener.getsockname()[1]}/"))


def test_a_certificate_that_does_not_verify_is_refused_at_once(transport: Transport, time: FakeClock, tmp_path: Path) -> None:
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1", "-subj", "/CN=localhost",
         "-keyout", "key.pem", "-out", "cert.pem"], cwd=tmp_path, check=True, capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")

    def shake(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True):
            pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=shake, args=[listener])
        thread.start()
        with pytest.raises(UntrustedCertificate, match="not trusted"):
            transport.request(HttpRequest(method="GET", url=f"https://localhost:{listener.getsockname()[1]}/"))
        thread.join(10)
    assert time.sleeps == []


@pytest.mark.parametrize("header", ["a\r\nX-Smuggled: b", "ü€"])
def test_a_header_that_would_become_two_is_not_sent(server: Echo, transport: Transport, header: str) -> None:
    with pytest.raises(TransportError):
        transport.request(HttpRequest(method="POST", url=server.url, headers={"X": header}))
    assert server.requests == ()


@pytest.mark.parametrize(("headers", "hidden"), [
    ({"Authorization": "Bearer ey.J.x"}, ["ey.J.x"]),
    ({"authorization": "Basic dTpw"}, ["dTpw"]),
    ({"Authorization": "token ghp_1"}, ["ghp_1"]),
    ({"X-Vault-Token": "hvs.1"}, ["hvs.1"]),
    ({"Accept": "text/plain"}, []),
])
def test_a_credential_is_made_known_once_before_it_is_sent(server: Echo, headers: dict[str, str], hidden: list[str]) -> None:
    known: list[tuple[str, int]] = []
    with Transport(hide=lambda text: known.append((text, len(server.requests)))) as transport:
        for _ in range(2):
            transport.request(HttpRequest(method="GET", url=server.url, headers=headers)).close()
    assert known == [(text, 0) for text in hidden]


@pytest.mark.parametrize(("url", "expected"), [
    ("https://Host.example.com:443/v2/?a=b#c", "https://host.example.com"), ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
    ("http://[::1]:80/x", "http://[::1]"), ("https://h:80", "https://h:80"),
])
def test_an_origin_is_scheme_host_and_a_port_that_matters(url: str, expected: str) -> None:
    assert origin(url) == expected


@pytest.mark.parametrize("url", [
    "", "/v2/", "ftp://host/", "file:///etc/passwd", "https://", "https://host:99999/", "https://host:0/", "https://[::1/", "https://ho st/", "https://h\n/",
    "https://user:hunter2@host/", "https://hunter2@host/", "https://hüst/hunter2",
])
def test_what_is_no_url_of_ours_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(TransportError) as caught:
        origin(url)
    assert "hunter2" not in str(caught.value) + caught.value.where


@given(st.text(max_size=30), st.booleans())
def test_no_url_breaks_the_door(text: str, prefixed: bool) -> None:  # noqa: FBT001 - drawn
    with contextlib.suppress(TransportError):
        assert origin("https://" * prefixed + text).startswith("http")
