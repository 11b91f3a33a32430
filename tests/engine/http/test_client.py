from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.engine.echo import BIG, Echo, Staying, get, send
from tests.fakes.authority import Authority
from tests.fakes.clock import FakeClock
from tests.fakes.serve import CutAnswer, LoopbackServer, Status, on
from towline.errors import TransportError
from towline.http.client import Transport
from towline.http.connection import Connection
from towline.http.messages import HttpRequest, UntrustedCertificate
from towline.retry import ATTEMPTS


@pytest.fixture
def server() -> Iterator[Echo]:
    with Echo() as running:
        yield running


def connections(server: LoopbackServer, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The connections to the server from now on."""
    made: list[object] = []
    plain = socket.create_connection

    def counted(address: tuple[str, int], *arguments: object) -> socket.socket:
        made.append(address)
        return plain(address, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "create_connection", counted)
    return made


class Interrupting(Mapping[str, str]):
    """Headers whose second reading, while they are sent, is interrupted."""

    read = 0

    def __iter__(self) -> Iterator[str]:
        self.read += 1
        if self.read == 2:
            raise KeyboardInterrupt
        return iter(())

    def __getitem__(self, name: str) -> str:
        raise KeyError(name)

    def __len__(self) -> int:
        return 0


@pytest.mark.parametrize("body", [None, 5])
def test_a_request_that_is_interrupted_on_its_way_leaves_no_connection_open(
    server: Echo, transport: Transport, body: int | None
) -> None:
    request = HttpRequest(method="PUT", url=server.url, headers=Interrupting())
    with pytest.raises(KeyboardInterrupt):
        transport.request(request) if body is None else transport.begin(request, body)
    assert transport._open == {}


def test_one_connection_serves_one_request_after_the_other(
    server: Echo, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = connections(server, monkeypatch)
    for method in ("GET", "HEAD", "PUT", "GET"):
        get(transport, server.url + "/x", method)
    assert len(made) == 1
    assert [record.method for record in server.requests] == ["GET", "HEAD", "PUT", "GET"]


def test_every_answer_has_its_own_time(
    server: Echo, transport: Transport, time: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = connections(server, monkeypatch)
    for _ in range(3):
        get(transport, server.url)
        time.time += 1000
    assert len(made) == 1


def test_a_connection_with_an_unread_body_does_not_serve_again(
    server: Echo, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = connections(server, monkeypatch)
    transport.request(HttpRequest(method="GET", url=server.url)).close()
    assert get(transport, server.url) == BIG
    assert len(made) == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"Content-Length: 100000\r\n\r\nthe rest of it may come when another one is waited for",
        b"Content-Length: 2\r\nConnection: close\r\n\r\nok",
    ],
)
def test_a_connection_that_a_host_leaves_open_after_half_an_answer_or_the_last_serves_no_other(
    transport: Transport, answer: bytes
) -> None:
    with Staying(b"HTTP/1.1 200 OK\r\n" + answer) as host:
        for _ in range(2):
            transport.request(HttpRequest(method="GET", url=host.url)).close()
    assert host.heads == [1, 1]


@pytest.mark.parametrize("length", ["Content-Length: 100", "Connection: close", "Connection: x"])
def test_the_rest_of_an_answer_that_nobody_reads_is_not_waited_for(length: str) -> None:
    with (
        Staying(f"HTTP/1.1 200 OK\r\n{length}\r\n\r\nhalf".encode()) as host,
        Transport(read=3600.0) as transport,
    ):
        response = transport.request(HttpRequest(method="GET", url=host.url))
        closing = threading.Thread(target=response.close, daemon=True)
        closing.start()
        closing.join(60)
        assert not closing.is_alive()


# Trying again


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_an_idempotent_request_is_sent_again_after_these(
    server: Echo, transport: Transport, time: FakeClock, status: int
) -> None:
    server.fault = on("GET", "", Status(code=status), times=2)
    assert get(transport, server.url) == BIG
    assert time.sleeps == [0.2, 0.4]


@pytest.mark.parametrize("status", [400, 401, 404, 416, 501, 507])
def test_other_answers_are_the_callers_at_once(
    server: Echo, transport: Transport, time: FakeClock, status: int
) -> None:
    server.fault = on("GET", "", Status(code=status))
    with transport.request(HttpRequest(method="GET", url=server.url)) as response:
        assert response.status == status
    assert (server.count("GET"), time.sleeps) == (1, [])


def test_retry_after_is_obeyed(server: Echo, transport: Transport, time: FakeClock) -> None:
    server.fault = on("GET", "", Status(code=429, headers={"Retry-After": "17"}))
    assert get(transport, server.url) == BIG
    assert time.sleeps == [17.0]


def test_a_host_that_says_how_long_to_wait_is_asked_as_long_as_there_is_time(
    server: Echo, time: FakeClock
) -> None:
    server.fault = on("GET", "", Status(code=429, headers={"Retry-After": "17"}), times=20)
    with Transport(clock=time.clock, limit=3600.0) as transport:
        assert get(transport, server.url) == BIG
    assert time.sleeps == [17.0] * 20
    server.fault = on("GET", "", Status(code=503, headers={"Retry-After": "60"}), times=10**9)
    with (
        Transport(limit=0.3) as transport,
        pytest.raises(TransportError, match="the time limit of 0 seconds is exceeded"),
    ):
        get(transport, server.url)


@pytest.mark.parametrize(
    ("limit", "wait"), [(0.0, "17"), (3600.0, "0")], ids=["no time limit", "no rest"]
)
def test_otherwise_it_is_asked_a_few_times(
    server: Echo, time: FakeClock, limit: float, wait: str
) -> None:
    server.fault = on("GET", "", Status(code=429, headers={"Retry-After": wait}), times=99)
    with (
        Transport(clock=time.clock, limit=limit) as transport,
        transport.request(HttpRequest(method="GET", url=server.url)) as response,
    ):
        assert response.status == 429
    assert server.count("GET") == ATTEMPTS


def test_the_last_answer_comes_back_when_the_attempts_are_used_up(
    server: Echo, transport: Transport, time: FakeClock
) -> None:
    server.fault = on("GET", "", Status(code=503), times=99)
    with transport.request(HttpRequest(method="GET", url=server.url)) as response:
        assert response.status == 503
    assert (server.count("GET"), len(time.sleeps)) == (ATTEMPTS, ATTEMPTS - 1)


def test_a_request_without_an_answer_is_sent_again_when_that_is_safe(
    server: Echo, transport: Transport
) -> None:
    server.fault = on("PUT", "", CutAnswer(after=None))
    with transport.request(HttpRequest(method="PUT", url=server.url, body=b"abc")) as response:
        assert response.read_capped(10) == b"abc"
    assert server.count("PUT") == 2


@pytest.mark.parametrize(("repeatable", "sent"), [(False, 1), (True, 2)])
def test_a_post_is_sent_again_only_if_it_says_so(
    server: Echo, transport: Transport, repeatable: bool, sent: int
) -> None:
    server.fault = on("POST", "", CutAnswer(after=None))
    with contextlib.suppress(TransportError):
        transport.request(
            HttpRequest(method="POST", url=server.url, body=b"abc", repeatable=repeatable)
        ).close()
    assert server.count("POST") == sent


def test_an_upload_is_sent_once(server: Echo, transport: Transport) -> None:
    server.fault = on("PUT", "", CutAnswer(after=None))
    with pytest.raises(TransportError):
        send(transport, server.url, b"abc")
    assert server.count("PUT") == 1


def test_a_connection_that_died_while_idle_costs_no_pause(
    server: Echo, transport: Transport, time: FakeClock
) -> None:
    get(transport, server.url)
    server.stop()
    server.start()
    assert get(transport, server.url) == BIG
    server.fault = on("GET", "", CutAnswer(after=None))  # the connection ends when it is used again
    assert get(transport, server.url) == BIG
    assert time.sleeps == []


def test_an_upload_on_a_connection_that_died_while_idle_goes_over_a_new_one(
    server: Echo, transport: Transport
) -> None:
    get(transport, server.url)
    server.stop()
    server.start()
    with send(transport, server.url, b"ab") as response:
        assert response.read_capped(10) == b"ab"


def test_closing_breaks_what_waits_and_nothing_is_tried_again(time: FakeClock) -> None:
    faults: list[TransportError] = []

    def wait_for_ever(transport: Transport, url: str) -> None:
        try:
            transport.request(HttpRequest(method="GET", url=url))
        except TransportError as fault:
            faults.append(fault)

    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        Transport(clock=time.clock) as transport,
    ):
        waiting = threading.Thread(
            target=wait_for_ever, args=[transport, f"http://127.0.0.1:{listener.getsockname()[1]}/"]
        )
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
        # the answer has been read: next comes the pause
        def _release(self, *arguments: object) -> None:
            super()._release(*arguments)  # type: ignore[arg-type]
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
    waiting.join(30)  # a thread that was not woken would rest for sixty seconds
    assert not waiting.is_alive()
    assert (len(faults), server.count("GET")) == (1, 1)
    assert faults[0].startswith("closed")


def test_a_closed_transport_dials_no_more(
    server: Echo, transport: Transport, time: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = connections(server, monkeypatch)
    transport.close()
    with pytest.raises(TransportError, match="closed"):
        get(transport, server.url)
    assert (made, time.sleeps) == ([], [])


def test_what_was_sent_is_counted_for_each_thread(server: Echo, transport: Transport) -> None:
    server.fault = on("GET", "", Status(code=500))
    get(transport, server.url)
    other = threading.Thread(target=get, args=[transport, server.url])
    other.start()
    other.join(30)
    assert (transport.thread_counts.requests, transport.thread_counts.retries) == (2, 1)
    assert (transport.total.requests, transport.total.retries) == (3, 1)


def test_the_rest_that_a_host_asks_for_is_kept_by_the_next_request_too(
    server: Echo, transport: Transport, time: FakeClock
) -> None:
    server.fault = on("PUT", "", Status(code=429, headers={"Retry-After": "7"}))
    with send(transport, server.url, b"x") as response:
        assert transport.note_retry_after(server.url, response) == 7.0
    get(transport, server.url)
    assert (time.sleeps, transport.throttled) == ([7.0], 1)


def test_of_two_rests_that_a_host_asks_for_the_longer_one_is_kept(
    server: Echo, transport: Transport, time: FakeClock
) -> None:
    request, responses = HttpRequest(method="PUT", url=server.url, seconds=60.0), []
    for seconds in ("30", "3"):
        server.fault = on("PUT", "", Status(code=429, headers={"Retry-After": seconds}))
        responses.append(transport.request(request))
    for response in responses:  # as if both had been under way at once
        transport.note_retry_after(server.url, response)
        response.close()
    get(transport, server.url)
    assert time.sleeps == [30.0]


def test_a_connection_that_is_made_while_all_is_closed_is_not_used(
    server: Echo, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = Connection.connect

    def closed_meanwhile(connection: Connection) -> None:
        connect(connection)
        transport._closed.set()
        transport.ending.set()

    monkeypatch.setattr(Connection, "connect", closed_meanwhile)
    with pytest.raises(TransportError, match="closed"):
        get(transport, server.url)
    assert (server.requests, transport._open) == ((), {})


def test_what_takes_longer_than_all_of_it_may_is_ended() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, Transport(limit=0.05) as transport:
        with pytest.raises(TransportError):
            transport.request(
                HttpRequest(method="GET", url=f"http://127.0.0.1:{listener.getsockname()[1]}/")
            )
        with pytest.raises(TransportError, match="the time limit of 0 seconds is exceeded"):
            transport.request(
                HttpRequest(method="GET", url=f"http://127.0.0.1:{listener.getsockname()[1]}/")
            )


@pytest.mark.filterwarnings("error")
def test_a_limit_beyond_what_a_timer_can_wait_is_as_good_as_none(server: Echo) -> None:
    with Transport(limit=float(10**14)) as transport:
        assert transport._timer is not None
        transport._timer.join(0.2)
        assert transport._timer.is_alive()
        assert get(transport, server.url) == BIG


def test_a_host_that_trickles_while_it_is_greeted_is_broken_off_too() -> None:
    """Each byte of a TLS record of 16 KiB comes well within the timeout of one read."""
    over = threading.Event()

    def trickle(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            connection.sendall(b"\x16\x03\x03\x40\x00")
            while not over.wait(0.02):
                connection.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as listener, Transport(limit=0.3) as transport:
        greeting = threading.Thread(target=trickle, args=[listener])
        greeting.start()
        with pytest.raises(TransportError, match="the time limit of"):
            transport.request(
                HttpRequest(method="POST", url=f"https://127.0.0.1:{listener.getsockname()[1]}/")
            )
        over.set()
        greeting.join(30)


def test_another_one_of_the_kind_works_when_the_first_is_closed_and_ends_by_itself(
    server: Echo, transport: Transport
) -> None:
    transport.close()
    with transport.short_lived(60) as other:
        assert get(other, server.url) == BIG
    with (
        socket.create_server(("127.0.0.1", 0)) as deaf,
        transport.short_lived(0.05) as other,
        pytest.raises(TransportError),
    ):
        other.request(HttpRequest(method="GET", url=f"http://127.0.0.1:{deaf.getsockname()[1]}/"))


def test_nobody_listening_is_a_transport_error_after_all_attempts(
    transport: Transport, time: FakeClock
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(TransportError, match="connection refused") as caught:
        transport.request(HttpRequest(method="GET", url=f"http://127.0.0.1:{port}/x?token=hunter2"))
    assert caught.value.where == f"http://127.0.0.1:{port}"
    assert len(time.sleeps) == ATTEMPTS - 1


def test_a_host_that_says_nothing_is_given_up() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        Transport(read=0.05, clock=FakeClock().clock) as transport,
        pytest.raises(TransportError, match="no answer in time"),
    ):
        transport.request(
            HttpRequest(method="POST", url=f"http://127.0.0.1:{listener.getsockname()[1]}/")
        )


def test_tls_behind_http_is_named(transport: Transport, time: FakeClock, tmp_path: Path) -> None:
    server = Echo()
    server.tls = Authority(tmp_path).issue("127.0.0.1", names="IP:127.0.0.1").server()
    with (
        server,
        pytest.raises(
            TransportError,
            match=r"the server speaks TLS; did you mean https://\?",
        ) as caught,
    ):
        transport.request(HttpRequest(method="GET", url=server.url.replace("https://", "http://")))
    assert caught.value.where == f"http://{server.host}"


def test_a_certificate_that_does_not_verify_is_refused_at_once(
    transport: Transport, time: FakeClock, tmp_path: Path
) -> None:
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "1",
            "-subj",
            "/CN=localhost",
            "-keyout",
            "key.pem",
            "-out",
            "cert.pem",
        ],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")

    def shake(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with (
            connection,
            contextlib.suppress(OSError),
            context.wrap_socket(connection, server_side=True),
        ):
            pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=shake, args=[listener])
        thread.start()
        with pytest.raises(UntrustedCertificate, match="not trusted"):
            transport.request(
                HttpRequest(method="GET", url=f"https://localhost:{listener.getsockname()[1]}/")
            )
        thread.join(30)
    assert time.sleeps == []


@pytest.mark.parametrize(
    ("headers", "hidden"),
    [
        ({"Authorization": "Bearer ey.J.x"}, ["ey.J.x"]),
        ({"authorization": "Basic dTpw"}, ["dTpw"]),
        ({"Authorization": "token ghp_1"}, ["ghp_1"]),
        ({"X-Vault-Token": "hvs.1"}, ["hvs.1"]),
        ({"Accept": "text/plain"}, []),
    ],
)
def test_a_credential_is_made_known_once_before_it_is_sent(
    server: Echo, headers: dict[str, str], hidden: list[str]
) -> None:
    known: list[tuple[str, int]] = []
    with Transport(hide=lambda text: known.append((text, len(server.requests)))) as transport:
        for _ in range(2):
            transport.request(HttpRequest(method="GET", url=server.url, headers=headers)).close()
    assert known == [(text, 0) for text in hidden]
