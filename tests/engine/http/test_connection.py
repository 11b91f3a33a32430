from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Self

import pytest

from tests.fakes.authority import Authority
from tests.fakes.clock import FakeClock
from tests.fakes.names import OUTSIDE, Names
from tests.fakes.proxy import ProxyServer
from tests.fakes.serve import Answer, LoopbackServer, Request, Status
from towline.errors import ConfigError, TransportError
from towline.http.client import Transport
from towline.http.connection import Connection, Network
from towline.http.messages import HttpRequest, UntrustedCertificate, send_head
from towline.http.proxy import Proxies
from towline.http.tls import ClientCertificate, Tls
from towline.retry import Clock

REGISTRY = "http://registry.example.com"
LOGIN = "me:p%40ssword"


class Echo(LoopbackServer):
    """Answers with the body of the request, and keeps its headers."""

    def __init__(self) -> None:
        super().__init__()
        self.headers: list[Mapping[str, str]] = []

    def answer(self, request: Request) -> Answer:
        self.headers.append(request.headers)
        return Answer(status=200, body=request.body or b"hello")


@pytest.fixture
def server() -> Iterator[Echo]:
    with Echo() as running:
        yield running


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def secure(authority: Authority) -> Iterator[Echo]:
    server = Echo()
    server.tls = authority.issue("server", names="DNS:registry.example.com,IP:127.0.0.1").server()
    with server:
        yield server


@contextlib.contextmanager
def reaching(*, tls: Tls | None = None, **environ: str) -> Iterator[Transport]:
    with Transport(
        clock=FakeClock().clock, network=Network(proxies=Proxies(environ), tls=tls or Tls())
    ) as transport:
        yield transport


def get(transport: Transport, url: str, *, named_by: str = "") -> bytes:
    with transport.request(HttpRequest(method="GET", url=url, named_by=named_by)) as response:
        return response.read_capped(1 << 20)


# TLS


def test_an_authority_of_ones_own_is_trusted_beside_the_machines(
    authority: Authority, secure: Echo
) -> None:
    with reaching(tls=Tls(authority.certificate.read_text())) as transport:
        assert [get(transport, secure.url) for _ in range(3)] == [b"hello"] * 3
    with reaching() as transport, pytest.raises(UntrustedCertificate, match="not trusted"):
        get(transport, secure.url)


def test_a_certificate_for_another_name_is_not_trusted_by_its_authority_alone(
    authority: Authority, secure: Echo
) -> None:
    with (
        reaching(tls=Tls(authority.certificate.read_text())) as transport,
        pytest.raises(UntrustedCertificate),
    ):
        get(transport, f"https://localhost:{secure.port}")


def test_verification_is_off_for_the_spelled_out_host_alone(secure: Echo) -> None:
    with reaching(tls=Tls(insecure=[secure.host])) as transport:
        assert get(transport, secure.url) == b"hello"
    with (
        reaching(tls=Tls(insecure=["127.0.0.1"])) as transport,
        pytest.raises(UntrustedCertificate),
    ):
        get(transport, secure.url)


def test_a_server_that_wants_a_client_certificate_gets_the_one_for_its_host(
    authority: Authority, tmp_path: Path
) -> None:
    mine = authority.issue("client")
    shown = ClientCertificate(certificate=mine.certificate, key=mine.key, where="call")
    root = authority.certificate.read_text()
    server = Echo()
    server.tls = authority.issue("asking").server(clients=authority.certificate)
    with server:
        with reaching(tls=Tls(root, clients={server.host: shown})) as transport:
            assert get(transport, server.url) == b"hello"
        with (
            reaching(tls=Tls(root, clients={"127.0.0.1": shown})) as transport,
            pytest.raises(TransportError),
        ):
            get(transport, server.url)


def test_a_client_certificate_that_is_gone_is_a_configuration_error(
    secure: Echo, tmp_path: Path
) -> None:
    gone = ClientCertificate(certificate=tmp_path / "gone", key=tmp_path / "gone", where="call")
    with (
        reaching(tls=Tls(clients={secure.host: gone})) as transport,
        pytest.raises(ConfigError, match="gone"),
    ):
        get(transport, secure.url)


# Proxies


def test_https_goes_through_a_tunnel_and_is_verified_against_the_hosts_name(
    authority: Authority, secure: Echo
) -> None:
    with (
        ProxyServer({"registry.example.com:443": secure.host}) as proxy,
        reaching(
            tls=Tls(authority.certificate.read_text()),
            https_proxy=f"http://{proxy.host}",
        ) as transport,
    ):
        assert [get(transport, "https://registry.example.com/v2/") for _ in range(2)] == [
            b"hello"
        ] * 2
    assert proxy.lines == ["CONNECT registry.example.com:443"]
    assert secure.headers[0]["host"] == "registry.example.com"


def test_plain_http_names_the_whole_url_to_the_proxy(server: Echo) -> None:
    with (
        ProxyServer({"registry.example.com:5000": server.host}) as proxy,
        reaching(http_proxy=f"http://{proxy.host}") as transport,
    ):
        assert get(transport, f"{REGISTRY}:5000/v2/a?b=%20") == b"hello"
    assert proxy.lines == [f"GET {REGISTRY}:5000/v2/a?b=%20"]
    assert server.headers[0]["host"] == "registry.example.com:5000"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_proxys_login_goes_to_the_proxy_alone_and_is_masked(
    authority: Authority, secure: Echo, server: Echo, scheme: str
) -> None:
    hidden: list[str] = []
    hosts = {"registry.example.com:443": secure.host, "registry.example.com:80": server.host}
    with (
        ProxyServer(hosts, login="me:p@ssword") as proxy,
        Transport(
            network=Network(
                proxies=Proxies({"ALL_PROXY": f"http://{LOGIN}@{proxy.host}"}),
                tls=Tls(authority.certificate.read_text()),
            ),
            hide=hidden.append,
        ) as transport,
    ):
        assert get(transport, f"{scheme}://registry.example.com/") == b"hello"
    assert all(
        "proxy-authorization" not in headers for headers in (*secure.headers, *server.headers)
    )
    assert set(hidden) == {"p%40ssword", "p@ssword"}


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    ("status", "why"), [(0, "it requires another user or password"), (403, "NO_PROXY")]
)
def test_a_proxy_that_refuses_is_named_and_not_asked_again(
    scheme: str, status: int, why: str
) -> None:
    with (
        ProxyServer({}, login="" if status else "me:right", status=status) as proxy,
        reaching(ALL_PROXY=f"http://me:hunter2@{proxy.host}") as transport,
    ):
        if scheme == "http" and status == 403:
            with transport.request(
                HttpRequest(method="GET", url=f"{scheme}://registry.example.com/")
            ) as response:
                assert response.status == 403  # the proxy's answer looks like any other
        else:
            with pytest.raises(TransportError, match=why) as caught:
                get(transport, f"{scheme}://registry.example.com/")
            assert f"{proxy.host} (from ALL_PROXY) answers {status or 407}" in str(caught.value)
            assert "hunter2" not in str(caught.value)
    assert len(proxy.lines) == 1


@pytest.mark.parametrize("status", [0, 302])
def test_a_proxy_that_does_not_reach_the_host_is_asked_again(status: int) -> None:
    with (
        ProxyServer({}, status=status) as proxy,
        reaching(https_proxy=f"http://{proxy.host}") as transport,
        pytest.raises(TransportError, match=f"answers {status or 502}"),
    ):
        get(transport, "https://registry.example.com/")
    assert len(proxy.lines) == 5


def test_this_machine_and_no_proxy_are_reached_directly(server: Echo) -> None:
    with ProxyServer({}) as proxy, reaching(http_proxy=f"http://{proxy.host}") as transport:
        assert get(transport, server.url) == b"hello"
    assert proxy.lines == []


# Addresses


@pytest.mark.parametrize(
    "addresses",
    [
        "127.0.0.1",
        "10.0.0.5",
        "169.254.169.254",
        "0.0.0.0",
        "224.0.0.1",
        "::1",
        "::ffff:10.0.0.5",
        "fe80::1",
        "100.64.1.1",
        "10.0.0.5 127.0.0.1",
        "168.63.129.16",
        "64:ff9b::a9fe:a9fe",
    ],
)
def test_a_name_that_stands_for_an_address_inside_is_not_asked_for_a_registry_outside(
    monkeypatch: pytest.MonkeyPatch, addresses: str
) -> None:
    """Facts section 4, "SSRF guards that look only at literal IPs": resolve first, check every
    address.
    """
    names = Names(monkeypatch, {"storage.example.net": addresses, "registry.example.com": OUTSIDE})
    with (
        reaching() as transport,
        pytest.raises(TransportError, match=r"registry\.example\.com names it, and its address is"),
    ):
        get(transport, "https://storage.example.net/x", named_by="https://registry.example.com")
    assert names.dialled == []


def test_the_connection_goes_to_the_address_that_was_checked(
    server: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Facts section 4, same row: a name that is resolved again for the connection could have
    changed meanwhile.
    """
    names = Names(monkeypatch, {"storage.example.net": OUTSIDE}, port=server.port)
    with reaching() as transport:
        assert get(transport, "http://storage.example.net:8080/x", named_by=REGISTRY) == b"hello"
    assert (names.asked, names.dialled) == (["storage.example.net"], [OUTSIDE])
    assert server.headers[0]["host"] == "storage.example.net:8080"


def test_a_registry_inside_may_send_us_to_its_like_and_not_to_this_machine(
    server: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {
        "storage.corp": "10.0.0.6",
        "registry.corp": "10.0.0.5",
        "agent.corp": "127.0.0.9",
        "metadata.corp": "169.254.169.254",
    }
    names = Names(monkeypatch, known, port=server.port)
    with reaching() as transport:
        assert get(transport, "http://storage.corp/x", named_by="http://registry.corp") == b"hello"
        for host in ("agent.corp", "metadata.corp"):
            with pytest.raises(TransportError, match="not asked"):
                get(transport, f"http://{host}/x", named_by="http://registry.corp")
    assert names.dialled == ["10.0.0.6"]


def test_a_host_that_we_named_is_not_checked_and_its_connection_serves_no_one_elses_name(
    server: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = Names(
        monkeypatch, {"inside.corp": "10.0.0.6", "registry.example.com": OUTSIDE}, port=server.port
    )
    with reaching() as transport:
        assert get(transport, "http://inside.corp/") == b"hello"
        assert (
            get(transport, "http://inside.corp/x", named_by="http://inside.corp:5000") == b"hello"
        )
        with pytest.raises(TransportError, match="private"):
            get(transport, "http://inside.corp/", named_by=REGISTRY)
    assert names.dialled == ["10.0.0.6"]


@pytest.mark.parametrize("addresses", ["10.0.0.5 {}", "{} 10.0.0.5"])
def test_where_it_was_met_says_how_far_inside_a_host_may_send_us(
    monkeypatch: pytest.MonkeyPatch, server: Echo, addresses: str
) -> None:
    """The owner of a public name may give it a private address as well."""
    Names(
        monkeypatch,
        {"registry.example.com": addresses.format(OUTSIDE), "wiki.corp": "10.0.0.6"},
        port=server.port,
    )
    with reaching() as transport:
        get(transport, f"{REGISTRY}/x")
        if addresses.startswith("10."):
            get(transport, "http://wiki.corp/x", named_by=REGISTRY)
        else:
            with pytest.raises(TransportError, match="its address is private"):
                get(transport, "http://wiki.corp/x", named_by=REGISTRY)


def test_the_next_address_is_tried_where_one_does_not_answer(
    server: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.create_connection
    Names(monkeypatch, {"storage.example.net": "127.0.0.2 127.0.0.1"})
    monkeypatch.setattr(socket, "create_connection", real)
    with reaching() as transport:
        assert (
            get(
                transport, f"http://storage.example.net:{server.port}/", named_by="http://localhost"
            )
            == b"hello"
        )


def test_the_address_outside_is_taken_of_a_name_that_has_one_inside_too(
    server: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = Names(
        monkeypatch,
        {
            "storage.example.net": f"10.0.0.5 {OUTSIDE} 169.254.169.254",
            "registry.example.com": OUTSIDE,
        },
        port=server.port,
    )
    with reaching() as transport:
        assert get(transport, "http://storage.example.net/x", named_by=REGISTRY) == b"hello"
    assert names.dialled == [OUTSIDE]


@pytest.mark.parametrize("inside", ["10.0.0.5", "127.0.0.1", "169.254.169.254"])
def test_a_host_that_moves_inside_between_two_requests_is_not_followed_there(
    server: Echo, monkeypatch: pytest.MonkeyPatch, inside: str
) -> None:
    """Rebinding: the owner of the configured host's name answers with another address the second
    time.
    """
    names = Names(monkeypatch, {"registry.example.com": OUTSIDE}, port=server.port)
    with reaching() as transport:
        assert get(transport, f"{REGISTRY}/v2/") == b"hello"
        names.know("registry.example.com", inside)
        for port in ("", ":8080"):  # another port: another connection, whatever is idle
            with pytest.raises(TransportError, match="now and was public before: not asked"):
                transport.begin(
                    HttpRequest(
                        method="PUT", url=f"{REGISTRY}{port or ':81'}/v2/", named_by=REGISTRY
                    ),
                    1,
                )
    assert names.dialled == [OUTSIDE]


def test_who_has_moved_inside_names_no_host_there_either(
    server: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = Names(
        monkeypatch, {"registry.example.com": OUTSIDE, "storage.corp": "10.0.0.6"}, port=server.port
    )
    with reaching() as transport:
        assert get(transport, f"{REGISTRY}/v2/") == b"hello"
        names.know("registry.example.com", "10.0.0.5")
        with pytest.raises(TransportError, match="its address is private: not asked"):
            get(transport, "http://storage.corp/x", named_by=REGISTRY)
    assert names.dialled == [OUTSIDE]


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "fe80::1",
        "168.63.129.16",
        "100.100.100.200",
        "fd00:ec2::254",
        "::ffff:a9fe:a9fe",
        "64:ff9b::a9fe:a9fe",
    ],
)
def test_nobody_configures_a_metadata_service(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    names = Names(monkeypatch, {"registry.corp": address})
    host = f"[{address}]" if ":" in address else address
    with reaching() as transport:
        for url in ("http://registry.corp/v2/", f"http://{host}/v2/"):
            with pytest.raises(TransportError, match="which Towline never connects to"):
                get(transport, url)
    assert names.dialled == []


def test_a_machine_of_its_own_name_is_reached_beside_its_link_local_address(
    server: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """nss-myhostname answers so for the machine itself."""
    names = Names(monkeypatch, {"agent7": "10.0.0.7 fe80::1"}, port=server.port)
    with reaching() as transport:
        assert get(transport, "http://agent7/") == b"hello"
    assert names.dialled == ["10.0.0.7"]


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    ("address", "named_by"),
    [
        ("10.0.0.5", REGISTRY),
        ("169.254.169.254", ""),
        ("169.254.169.254", REGISTRY),
        ("127.0.0.1", REGISTRY),
    ],
)
def test_a_name_is_checked_before_a_proxy_gets_it(
    monkeypatch: pytest.MonkeyPatch, scheme: str, address: str, named_by: str
) -> None:
    Names(monkeypatch, {"storage.example.net": address})
    with (
        ProxyServer({}) as proxy,
        reaching(all_proxy=f"http://{proxy.host}") as transport,
        pytest.raises(TransportError, match="its address is"),
    ):
        get(transport, f"{scheme}://storage.example.net/x", named_by=named_by)
    assert proxy.lines == []


@pytest.mark.parametrize(
    "literal",
    [
        "169.254.169.254",
        "2852039166",
        "0xa9fea9fe",
        "[::ffff:a9fe:a9fe]",
        "[64:ff9b::a9fe:a9fe]",
        "10.0.0.5",
    ],
)
def test_an_address_that_is_written_out_is_checked_before_a_proxy_gets_it(literal: str) -> None:
    with (
        ProxyServer({}) as proxy,
        reaching(all_proxy=f"http://{proxy.host}") as transport,
        pytest.raises(TransportError, match="names it, and its address is"),
    ):
        get(transport, f"http://{literal}/x", named_by=REGISTRY)
    assert proxy.lines == []


def test_a_name_that_the_proxy_alone_knows_is_left_to_it(
    server: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = Names(monkeypatch, {"storage.example.net": "", "registry.example.com": ""})
    with (
        ProxyServer({"storage.example.net:80": server.host}) as proxy,
        reaching(http_proxy=f"http://{proxy.host}") as transport,
    ):
        for path in ("x", "y"):
            assert (
                get(transport, f"http://storage.example.net/{path}", named_by=REGISTRY) == b"hello"
            )
    # asked once: each question to a resolver that does not answer costs its time limit
    assert names.asked == ["storage.example.net"]


# A host that drips


class Dripping:
    """Reads one request, says `start`, then `drip` over and over; a second passes with every
    drop.
    """

    def __init__(self, start: bytes, drip: bytes, time: FakeClock) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._start, self._drip, self._time = start, drip, time
        self._thread = threading.Thread(target=self._serve)
        self.drops = 0

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection, contextlib.suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.recv(65536)
            connection.sendall(self._start)
            for self.drops in range(20_000):
                self._time.time += 1
                connection.sendall(self._drip)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(60)
        self._listener.close()


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("start", "drip"),
    [
        (b"HTTP/1.1 200 O", b"K"),
        (b"HTTP/1.1 200 OK\r\nX: ", b"y"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
)
def test_a_head_that_only_drips_is_given_up(start: bytes, drip: bytes) -> None:
    time = FakeClock()
    with (
        Dripping(start, drip, time) as server,
        Transport(clock=time.clock) as transport,
        pytest.raises(TransportError, match="no answer in time"),
    ):
        transport.request(HttpRequest(method="POST", url=f"http://{server.host}/"))


@pytest.mark.parametrize(
    "read",
    [
        lambda response: response.read_capped(1 << 20),
        lambda response: response.readinto(memoryview(bytearray(100))),
    ],
)
@pytest.mark.parametrize("start", [CHUNKED, CHUNKED + b"1;x="])
def test_a_chunks_head_that_only_drips_is_given_up(
    start: bytes, read: Callable[[object], object]
) -> None:
    time = FakeClock()
    with (
        Dripping(start, b"0", time) as server,
        Transport(clock=time.clock) as transport,
        transport.request(
            HttpRequest(method="POST", url=f"http://{server.host}/"),
        ) as response,
        pytest.raises(TransportError, match="no answer in time"),
    ):
        read(response)


def test_a_proxys_answer_that_only_drips_is_given_up() -> None:
    time = FakeClock()
    with (
        Dripping(b"HTTP/1.1 200 O", b"K", time) as server,
        Transport(
            clock=time.clock,
            network=Network(proxies=Proxies({"ALL_PROXY": f"http://{server.host}"})),
        ) as transport,
        pytest.raises(TransportError, match="no answer in time"),
    ):
        transport.request(HttpRequest(method="POST", url="https://registry.example.com/"))


# Nothing is left open


class Reset(Tls):
    """A TLS host that resets the connection just before the handshake begins."""

    def __init__(self, listener: socket.socket) -> None:
        super().__init__()
        self._listener = listener

    def context(self, host: str) -> ssl.SSLContext:
        connection, _ = self._listener.accept()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
        return super().context(host)


def sockets() -> set[str]:
    """The sockets that this process has open; those closed meanwhile do not count."""
    found = set()
    for file in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found.add(str(file.readlink()))
    return {name for name in found if name.startswith("socket:")}


def test_a_connection_that_is_reset_before_tls_begins_is_closed() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        reaching(tls=Reset(listener)) as transport,
    ):
        before = sockets()
        with pytest.raises(TransportError) as caught:
            transport.request(
                HttpRequest(method="POST", url=f"https://127.0.0.1:{listener.getsockname()[1]}/")
            )
        assert sockets() == before
        # the cause is kept, and its frames still refer to the socket
        assert caught.value.__cause__ is not None


# A host that answers before it has heard all


class Hasty(Echo):
    """Refuses every body before it has read it, and hangs up."""

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        super().__init__()
        self.tls = tls
        self.fault = lambda _: Status(code=413, early=True)


def test_an_early_refusal_is_heard_over_tls_too(
    tls: ssl.SSLContext | None, authority: Authority
) -> None:
    heard: list[str] = []
    with Hasty(tls) as server, reaching(tls=Tls(authority.certificate.read_text())) as transport:
        while len(heard) < 5:
            with transport.begin(HttpRequest(method="PUT", url=server.url), 64 << 20) as sending:
                try:
                    all(sending.send(bytes(1 << 20)) for _ in range(64))
                    with sending.finish() as response:
                        heard.append(str(response.status))
                except TransportError as fault:  # a reset can overtake the answer
                    heard.append(str(fault))
    assert set(heard) <= {"413", "the connection was closed early"}
    assert "413" in heard


# A line that is slow, and moves


class Slow:
    """Reads slowly in small pieces, at most `most` bytes, and answers when all has come."""

    def __init__(
        self, size: int, *, most: int | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._listener.getsockname()[1]}/"
        self._size, self._most, self._tls = size, size if most is None else most, tls
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve)

    def _serve(self) -> None:
        plain, _ = self._listener.accept()
        with (
            self._tls.wrap_socket(plain, server_side=True) if self._tls else plain as connection,
            contextlib.suppress(OSError),
        ):
            head = connection.recv(65536)
            taken = len(head) - head.index(b"\r\n\r\n") - 4
            while taken < self._most and (piece := connection.recv(16 * 1024)):
                taken += len(piece)
                self._over.wait(0.04)  # 16 KiB each time: 400 KiB a second at most
            if taken < self._size:
                self._over.wait(60)
            connection.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(60)
        self._listener.close()


PATIENCE = 2.5
BODY = bytes(3 * 512 * 1024)
SMALL, LARGE = 32 * 1024, 4 * 1024 * 1024


@pytest.fixture(params=["http", "https"])
def tls(request: pytest.FixtureRequest, authority: Authority) -> ssl.SSLContext | None:
    return (
        authority.issue("slow", names="IP:127.0.0.1").server() if request.param == "https" else None
    )


def waiting(url: str, authority: Authority, *, buffer: int) -> Connection:
    """A connection that waits for PATIENCE each time, and keeps about so many bytes of what it
    sends.
    """
    network = Network(tls=Tls(authority.certificate.read_text()))
    connection = Connection(network.route(url.rstrip("/")), network, read=PATIENCE, clock=Clock())
    connection.connect()
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
    return connection


@pytest.mark.parametrize(
    ("tls", "buffer"),
    [("http", SMALL), ("http", LARGE), ("https", SMALL), ("https", LARGE)],
    indirect=["tls"],
)
def test_a_body_that_leaves_slowly_is_waited_for_as_long_as_it_moves(
    tls: ssl.SSLContext | None, authority: Authority, buffer: int
) -> None:
    """By a small buffer the wait is for room, by a large one for the answer: all has been taken
    at once, and is still leaving.
    """
    with (
        Slow(len(BODY), tls=tls) as server,
        contextlib.closing(waiting(server.url, authority, buffer=buffer)) as connection,
    ):
        began = time.monotonic()
        send_head(connection, HttpRequest(method="PUT", url=server.url), len(BODY))
        connection.send(BODY)
        assert connection.answer(PATIENCE).status == 201
        assert time.monotonic() - began > PATIENCE  # else the test shows nothing


@pytest.mark.parametrize(("tls", "buffer"), [("http", SMALL), ("https", LARGE)], indirect=["tls"])
def test_a_body_that_moves_no_more_is_given_up(
    tls: ssl.SSLContext | None, authority: Authority, buffer: int
) -> None:
    with (
        Slow(len(BODY), most=64 * 1024, tls=tls) as server,
        contextlib.closing(waiting(server.url, authority, buffer=buffer)) as connection,
    ):
        send_head(connection, HttpRequest(method="PUT", url=server.url), len(BODY))
        with pytest.raises(TimeoutError):
            sent_and_answered(connection)


def sent_and_answered(connection: Connection) -> None:
    connection.send(BODY)
    connection.answer(PATIENCE)
