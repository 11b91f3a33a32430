from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from tests.engine.registry.clients import SOURCE_LOGIN, TARGET_LOGIN, registry_of, repository_at
from tests.fakes.clock import FakeClock
from tests.fakes.names import OUTSIDE, Names
from tests.fakes.registry import Answer, FakeRegistry, Record, Status, on
from tests.fakes.serve import CutAnswer, Request
from towline.errors import CredentialError, RegistryError, RegistryUnreachable
from towline.http.client import Transport
from towline.http.messages import HttpRequest, Response
from towline.image import Registry
from towline.registry.auth.tokens import Authorizer
from towline.registry.errors import Endpoint
from towline.registry.parallel import in_parallel
from towline.registry.session import RegistrySession
from towline.secret import Login


@pytest.fixture
def session(source: FakeRegistry, transport: Transport) -> RegistrySession:
    return open_session(source, transport)


def open_session(
    server: FakeRegistry, transport: Transport, role: str = "source"
) -> RegistrySession:
    login = SOURCE_LOGIN if role == "source" else TARGET_LOGIN
    server.username, server.password = login.username, login.password
    return RegistrySession(
        Endpoint(registry=registry_of(server), role=role, login=login),
        transport,
        allow_plain_http=False,
    )


def send(
    session: RegistrySession, method: str, path: str, body: bytes = b"", *, scope: str = "app"
) -> int:
    with session.send(
        HttpRequest(method=method, url=session.base + path, body=body, repeatable=True),
        (session.scope(repository_at(session, scope)),),
    ) as response:
        return response.status


@pytest.mark.parametrize("auth", ["none", "basic", "bearer"])
def test_each_kind_of_login_is_found_by_one_challenge(
    source: FakeRegistry, session: RegistrySession, auth: str
) -> None:
    source.auth = auth
    assert [send(session, "HEAD", "/v2/app/manifests/1") for _ in range(3)] == [404] * 3
    refused = [record for record in source.requests if record.status == 401]
    assert len(refused) == (0 if auth == "none" else 1)
    assert len(source.scopes) == (1 if auth == "bearer" else 0)


def quiet(server: FakeRegistry, *, status: int = 401) -> None:
    """A registry that sends its challenge at /v2/ alone, and `status` elsewhere."""
    plain = server.answer

    def answer(request: Request) -> Answer:
        found = plain(request)
        if found.status != 401 or request.path in ("/v2/", "/token"):
            return found
        return replace(
            found,
            status=status,
            headers={
                name: value for name, value in found.headers.items() if name != "WWW-Authenticate"
            },
        )

    server.answer = answer  # type: ignore[method-assign]


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("auth", ["basic", "bearer"])
def test_a_registry_that_sends_its_challenge_at_its_base_url_alone_is_asked_there_once(
    source: FakeRegistry, session: RegistrySession, auth: str, status: int
) -> None:
    quiet(source, status=status)
    source.auth = auth
    assert [send(session, "HEAD", "/v2/app/manifests/1") for _ in range(3)] == [404] * 3
    assert source.count("GET", "^/v2/$") == 1
    source.expire_tokens()
    if status == 401:
        assert send(session, "HEAD", "/v2/app/manifests/1") == 404
    assert source.count("GET", "^/v2/$") == 1


def test_all_threads_ask_together_at_the_base_url_once(
    source: FakeRegistry, session: RegistrySession
) -> None:
    together = threading.Barrier(4, timeout=30)

    def refuse_together(record: Record) -> None:
        if record.path != "/v2/" and not record.authorization:
            together.wait()

    source.auth, source.fault = "basic", refuse_together
    quiet(source)
    assert (
        in_parallel(lambda _: send(session, "HEAD", "/v2/app/manifests/1"), range(4)) == [404] * 4
    )
    assert source.count("GET", "^/v2/$") == 1


def test_a_base_url_that_does_not_answer_is_asked_again(
    source: FakeRegistry, session: RegistrySession
) -> None:
    quiet(source)
    source.auth, source.fault = "basic", on("GET", "^/v2/$", Status(code=500), times=5)
    with pytest.raises(CredentialError):
        send(session, "HEAD", "/v2/app/manifests/1")
    assert send(session, "HEAD", "/v2/app/manifests/1") == 404


def test_a_base_url_that_cannot_be_reached_leaves_the_first_answer_closed(
    source: FakeRegistry, session: RegistrySession
) -> None:
    source.auth = "basic"
    quiet(source)
    source.fault = on("GET", "/v2/$", CutAnswer(after=None), times=99)
    with pytest.raises(RegistryUnreachable):
        send(session, "GET", "/v2/app/manifests/1")
    idle = {connection for entries in session.transport._idle.values() for connection in entries}
    assert session.transport._open.keys() == idle


def test_a_registry_without_a_challenge_at_its_base_url_either_refuses(
    source: FakeRegistry, session: RegistrySession
) -> None:
    source.fault = lambda _: Status(code=401)
    with pytest.raises(CredentialError, match="refuses user 'builder'"):
        send(session, "HEAD", "/v2/app/manifests/1")
    assert len(source.requests) == 2
    source.fault = lambda record: Status(code=200 if record.path == "/v2/" else 403)
    assert send(session, "HEAD", "/v2/app/manifests/1") == 403


def test_without_a_login_a_403_is_an_answer(source: FakeRegistry, transport: Transport) -> None:
    session = RegistrySession(
        Endpoint(registry=registry_of(source), role="source", login=None),
        transport,
        allow_plain_http=False,
    )
    source.fault = lambda _: Status(code=403)
    assert (send(session, "HEAD", "/v2/app/manifests/1"), len(source.requests)) == (403, 1)


@pytest.mark.parametrize(
    ("role", "scope"), [("source", "repository:app:pull"), ("target", "repository:app:pull,push")]
)
def test_a_source_asks_for_pull_and_a_target_for_push_as_well(
    target: FakeRegistry, transport: Transport, role: str, scope: str
) -> None:
    target.auth = "bearer"
    send(open_session(target, transport, role), "HEAD", "/v2/app/manifests/1")
    assert target.scopes == [(scope,)]


def test_a_token_that_expired_early_is_renewed_once(
    source: FakeRegistry, session: RegistrySession
) -> None:
    source.auth = "bearer"
    send(session, "HEAD", "/v2/app/manifests/1")
    source.expire_tokens()
    assert send(session, "HEAD", "/v2/app/manifests/1") == 404
    assert len(source.scopes) == 2


def test_a_token_that_another_request_brought_and_that_has_ended_as_well_is_no_refusal(
    source: FakeRegistry, session: RegistrySession, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.auth = "bearer"
    send(session, "HEAD", "/v2/app/manifests/1")
    source.expire_tokens()
    plain, others = session.transport.request, iter(["/v2/app/manifests/2"])

    def overtaken(request: HttpRequest) -> Response:
        response = plain(request)
        if response.status == 401 and (other := next(others, "")):
            assert send(session, "HEAD", other) == 404  # another request, which brings a token
            source.expire_tokens()
        return response

    monkeypatch.setattr(session.transport, "request", overtaken)
    assert send(session, "HEAD", "/v2/app/manifests/1") == 404
    assert len(source.scopes) == 3


def test_a_registry_that_refuses_every_token_is_not_asked_for_ever(
    source: FakeRegistry, session: RegistrySession
) -> None:
    source.auth, source.token_seconds = "bearer", -1
    with pytest.raises(CredentialError, match="'builder'"):
        send(session, "HEAD", "/v2/app/manifests/1")
    assert (source.count("HEAD"), len(source.scopes)) == (3, 2)


def test_a_first_token_that_expires_before_its_use_is_replaced(
    source: FakeRegistry, session: RegistrySession, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.auth = "bearer"
    plain, moments = session.transport.request, iter(["now"])

    def late(request: HttpRequest) -> Response:
        if "Authorization" in request.headers and request.method == "HEAD" and next(moments, ""):
            source.expire_tokens()
        return plain(request)

    monkeypatch.setattr(session.transport, "request", late)
    assert send(session, "HEAD", "/v2/app/manifests/1") == 404
    assert len(source.scopes) == 2


def upload(session: RegistrySession, scopes: tuple[str, ...]) -> int:
    request = HttpRequest(method="PUT", url=session.base + "/v2/app/blobs/uploads/x?digest=y")
    with session.begin(request, 2, scopes) as sending:
        sending.send(b"ab")
        with sending.finish() as response:
            if response.status == 401:
                session.forget(request, response, scopes)
            return response.status


def test_an_upload_with_an_expired_token_comes_back_and_the_next_has_a_new_one(
    target: FakeRegistry, transport: Transport
) -> None:
    target.auth = "bearer"
    session = open_session(target, transport, "target")
    send(session, "POST", "/v2/app/blobs/uploads/")
    target.expire_tokens()
    assert [upload(session, (session.scope(repository_at(session, "app")),)) for _ in range(2)] == [
        401,
        404,
    ]


def test_an_upload_elsewhere_carries_no_authorization(
    source: FakeRegistry, target: FakeRegistry, transport: Transport
) -> None:
    target.auth = "basic"
    session = open_session(target, transport, "target")
    send(session, "POST", "/v2/app/blobs/uploads/")
    with (
        session.begin(
            HttpRequest(method="PUT", url=source.url + "/v2/x"),
            0,
            (session.scope(repository_at(session, "app")),),
        ) as sending,
        sending.finish(),
    ):
        pass
    assert [record.authorization for record in source.requests] == [""]


def test_a_host_that_is_gone_before_an_upload_is_unreachable(
    target: FakeRegistry, transport: Transport
) -> None:
    session = open_session(target, transport, "target")
    target.stop()
    with pytest.raises(RegistryUnreachable):
        session.begin(HttpRequest(method="PUT", url=session.base + "/v2/x"), 1, ())
    target.start()


def test_a_redirect_to_another_host_carries_no_authorization(
    source: FakeRegistry, target: FakeRegistry, session: RegistrySession
) -> None:
    """Facts section 4, "bearer token re-attached after cross-host redirect" and "same class in
    Python HTTP libs".
    """
    source.auth = "basic"
    source.fault = on(
        "GET",
        "blobs",
        Status(code=307, headers={"Location": target.url + "/v2/app/blobs/x?sig=1"}),
        times=2,
    )
    send(session, "HEAD", "/v2/")
    assert send(session, "GET", "/v2/app/blobs/x") == 404
    assert [record.authorization for record in source.requests] == ["", "Basic", "Basic"]
    assert [(record.query, record.authorization) for record in target.requests] == [("sig=1", "")]


def test_a_challenge_of_the_other_host_is_not_answered(
    source: FakeRegistry, target: FakeRegistry, session: RegistrySession
) -> None:
    target.auth = "basic"
    source.fault = on(
        "GET", "blobs", Status(code=307, headers={"Location": target.url + "/v2/app/blobs/x"})
    )
    assert send(session, "GET", "/v2/app/blobs/x") == 401
    assert [record.authorization for record in target.requests] == [""]


def test_a_redirect_at_home_keeps_it_and_one_back_home_does_not(
    source: FakeRegistry, target: FakeRegistry, session: RegistrySession
) -> None:
    """Facts section 4, "bearer token re-attached after cross-host redirect"."""
    source.auth = "basic"
    send(session, "HEAD", "/v2/")
    source.forget()
    source.fault = on("GET", "/a$", Status(code=302, headers={"Location": "/v2/b"}))
    send(session, "GET", "/v2/a")
    assert [record.authorization for record in source.requests] == ["Basic", "Basic"]
    source.forget()
    source.fault = on("GET", "/a$", Status(code=302, headers={"Location": target.url + "/v2/b"}))
    target.fault = on("GET", "/b$", Status(code=302, headers={"Location": source.url + "/v2/c"}))
    send(session, "GET", "/v2/a")
    assert [record.authorization for record in source.requests] == ["Basic", ""]


def test_ten_redirects_are_followed_and_no_more(
    source: FakeRegistry, session: RegistrySession
) -> None:
    """Facts section 4, "bearer token re-attached after cross-host redirect": at most 10."""
    source.fault = on("GET", "", Status(code=301, headers={"Location": "/v2/x"}), times=10)
    assert (send(session, "GET", "/v2/app/blobs/x"), source.count("GET")) == (404, 11)
    source.fault = on("GET", "", Status(code=301, headers={"Location": "/v2/x"}), times=99)
    with pytest.raises(RegistryError, match="more than 10 times"):
        send(session, "GET", "/v2/app/blobs/x")


@pytest.mark.parametrize("location", ["ftp://example.com/x", "http://[::1", "file:///etc/passwd"])
def test_a_redirect_to_where_it_may_not_is_refused(
    source: FakeRegistry, session: RegistrySession, location: str
) -> None:
    source.fault = on("GET", "", Status(code=307, headers={"Location": location}))
    with pytest.raises(RegistryError, match="redirects to a URL that may not be followed"):
        send(session, "GET", "/v2/app/blobs/x")


@pytest.mark.parametrize(
    "host",
    [
        "0x7f000001",
        "2130706433",
        "[::ffff:127.0.0.1]",
        "169.254.169.254",
        "0.0.0.0",
        "127.1",
        "inside.example.net",
    ],
)
def test_a_redirect_that_leads_inside_is_refused_however_it_is_written(
    source: FakeRegistry,
    transport: Transport,
    monkeypatch: pytest.MonkeyPatch,
    host: str,
) -> None:
    """Facts section 4, "SSRF guards that look only at literal IPs"."""
    names = Names(
        monkeypatch,
        {"registry.example.com": OUTSIDE, "inside.example.net": "10.0.0.5"},
        port=source.port,
    )
    source.fault = on("GET", "", Status(code=307, headers={"Location": f"http://{host}/x"}))
    session = RegistrySession(
        Endpoint(
            registry=Registry(scheme="http", host="registry.example.com"), role="source", login=None
        ),
        transport,
        allow_plain_http=False,
    )
    with pytest.raises(
        RegistryError, match=r"redirects to a URL that may not be followed|not asked"
    ):
        send(session, "GET", "/v2/app/blobs/x")
    assert names.dialled == [OUTSIDE]


def test_an_upload_to_a_name_that_leads_inside_is_not_sent(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Facts section 4, "upload Location pointing inside the network, body exfiltrated"."""
    names = Names(monkeypatch, {"registry.example.com": OUTSIDE, "inside.example.net": "10.0.0.5"})
    endpoint = Endpoint(
        registry=Registry(scheme="https", host="registry.example.com"),
        role="target",
        login=TARGET_LOGIN,
    )
    session = RegistrySession(endpoint, transport, allow_plain_http=False)
    with pytest.raises(RegistryUnreachable, match="its address is private"):
        session.begin(
            HttpRequest(method="PUT", url="https://inside.example.net/upload"),
            3,
            (session.scope(repository_at(session, "app")),),
        )
    assert names.dialled == []


def test_one_token_serves_all_that_is_wanted(target: FakeRegistry, transport: Transport) -> None:
    target.auth = "bearer"
    session = open_session(target, transport, "target")
    session.want([repository_at(session, "app"), repository_at(session, "other")])
    for repository in ("app", "other"):
        send(session, "HEAD", f"/v2/{repository}/manifests/1", scope=repository)
    assert target.scopes == [("repository:app:pull,push", "repository:other:pull,push")]
    assert len([record for record in target.requests if record.status == 401]) == 1


def test_each_login_is_told_once_what_is_wanted(
    target: FakeRegistry, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A project may name thousands of images."""
    told: list[int] = []
    monkeypatch.setattr(Authorizer, "want", lambda _, scopes: told.append(len(list(scopes))))
    session = open_session(target, transport, "target")
    session.log_in({repository_at(session, "a/app"): SOURCE_LOGIN})
    names = ["a/app", *(f"b/web-{number}" for number in range(99))]
    session.want([repository_at(session, name) for name in names])
    assert sorted(told) == [1, 99]


@pytest.mark.parametrize("auth", ["basic", "bearer"])
def test_each_repository_may_have_a_login_of_its_own(
    target: FakeRegistry, transport: Transport, auth: str
) -> None:
    session = open_session(target, transport, "target")
    target.auth, target.owners = auth, {"b": ("bee", "other-pass-word")}
    app, web, other = (repository_at(session, name) for name in ("a/app", "b/web", "c"))
    session.log_in(
        {web: Login(username="bee", password="other-pass-word", origin="auths/b"), other: None}
    )
    session.want([app, web])
    assert [
        send(session, "HEAD", f"/v2/{name}/manifests/1", scope=name)
        for name in ("a/app", "b/web", "a/other")
    ] == [404] * 3
    assert [
        session.endpoint_of(repository).user.partition(" (")[0] for repository in (app, web, other)
    ] == [
        "user 'pusher'",
        "user 'bee'",
        "a request without a user",
    ]
    assert [scopes[0] for scopes in target.scopes] == [
        f"repository:{name}:pull,push" for name in ("a/app", "b/web", "a/other") if auth == "bearer"
    ]


def test_who_is_refused_is_the_one_who_works_in_that_repository(
    target: FakeRegistry, transport: Transport
) -> None:
    session = open_session(target, transport, "target")
    target.auth, target.owners = "basic", {"b": ("bee", "other-pass-word")}
    guess = Login(username="bee", password="guess-me-not", origin="auths/b")
    session.log_in({repository_at(session, "b/web"): guess})
    with pytest.raises(CredentialError, match=r"refuses user 'bee' \(from auths/b\)"):
        send(session, "HEAD", "/v2/b/web/manifests/1", scope="b/web")
    assert send(session, "HEAD", "/v2/app/manifests/1") == 404


@pytest.mark.parametrize(("size", "tokens"), [(64 << 20, 2), (1 << 20, 1)])
def test_a_long_upload_begins_with_a_token_that_does_not_end_at_once(
    target: FakeRegistry,
    transport: Transport,
    time: FakeClock,
    size: int,
    tokens: int,
) -> None:
    target.auth, target.token_seconds = "bearer", 60
    session = open_session(target, transport, "target")
    send(session, "POST", "/v2/app/blobs/uploads/")
    time.time += 35
    with session.begin(
        HttpRequest(method="PUT", url=f"{session.base}/v2/app/blobs/uploads/x?digest=y"),
        size,
        (session.scope(repository_at(session, "app")),),
    ):
        assert len(target.scopes) == tokens


WRITES = ["POST", "PUT", "PATCH", "DELETE"]


@pytest.mark.parametrize("code", [307, 308])
@pytest.mark.parametrize("method", WRITES)
def test_a_write_goes_where_it_is_sent_with_its_body_and_at_home_with_its_login(
    source: FakeRegistry, session: RegistrySession, method: str, code: int
) -> None:
    source.auth = "basic"
    send(session, "HEAD", "/v2/")
    source.forget()
    source.fault = on(method, "/a$", Status(code=code, headers={"Location": "/v2/b?x=1"}))
    with session.send(
        HttpRequest(method=method, url=session.base + "/v2/a", body=b"body"), ()
    ) as response:
        assert response.url == session.base + "/v2/b?x=1"
    assert [
        (record.path, record.query, record.bytes_in, record.authorization)
        for record in source.seen(method)
    ] == [("/v2/a", "", 4, "Basic"), ("/v2/b", "x=1", 4, "Basic")]


@pytest.mark.parametrize("code", [301, 302, 303])
@pytest.mark.parametrize("method", WRITES)
def test_a_write_is_not_made_a_question(
    source: FakeRegistry, session: RegistrySession, method: str, code: int
) -> None:
    source.fault = on(method, "", Status(code=code, headers={"Location": "/v2/elsewhere"}))
    assert (send(session, method, "/v2/a"), source.count("GET")) == (code, 0)


@pytest.mark.parametrize("method", WRITES)
def test_a_write_to_another_host_carries_no_authorization_nor_one_back_home(
    source: FakeRegistry,
    target: FakeRegistry,
    session: RegistrySession,
    method: str,
) -> None:
    """Facts section 4, "bearer token re-attached after cross-host redirect"."""
    source.auth = "basic"
    send(session, "HEAD", "/v2/")
    source.forget()
    source.fault = on(method, "/a$", Status(code=307, headers={"Location": target.url + "/v2/b"}))
    target.fault = on(method, "/b$", Status(code=307, headers={"Location": source.url + "/v2/c"}))
    send(session, method, "/v2/a", b"body")
    assert [
        (record.authorization, record.bytes_in) for record in (*target.requests, *source.requests)
    ] == [("", 4), ("Basic", 4), ("", 4)]


def test_an_upload_that_another_host_has_sent_back_home_carries_no_authorization(
    target: FakeRegistry, transport: Transport
) -> None:
    target.auth = "basic"
    session = open_session(target, transport, "target")
    send(session, "HEAD", "/v2/")
    request = HttpRequest(method="PUT", url=session.base + "/v2/x", named_by="http://127.0.0.1:1")
    with session.begin(request, 0, ()) as sending, sending.finish():
        pass
    assert [record.authorization for record in target.seen("PUT")] == [""]


def test_writes_that_are_sent_round_in_a_circle_come_to_an_end(
    source: FakeRegistry, session: RegistrySession
) -> None:
    source.fault = on("PUT", "", Status(code=307, headers={"Location": "/v2/x"}), times=99)
    with pytest.raises(RegistryError, match="more than 10 times"):
        send(session, "PUT", "/v2/x", b"body")
    assert source.count("PUT") == 11


@pytest.mark.parametrize(
    "location",
    ["http://elsewhere.example.com/x", "https://10.0.0.5/x", "https://127.0.0.1/x", "ftp://a/x"],
)
def test_a_write_is_not_sent_down_to_http_nor_inside(
    target: FakeRegistry, transport: Transport, location: str
) -> None:
    endpoint = Endpoint(
        registry=Registry(scheme="https", host="registry.example.com"),
        role="target",
        login=TARGET_LOGIN,
    )
    session = RegistrySession(endpoint, transport, allow_plain_http=False)
    target.fault = on("PUT", "", Status(code=307, headers={"Location": location}))
    response = transport.request(HttpRequest(method="PUT", url=target.url + "/x"))
    with pytest.raises(RegistryError, match="redirects to a URL that may not be followed"):
        session.redirect_target(
            HttpRequest(method="PUT", url="https://registry.example.com/x"), response
        )


@pytest.mark.parametrize("method", ["GET", *WRITES])
def test_a_redirect_that_a_proxy_places_at_http_stays_with_https_at_the_registrys_own_name(
    target: FakeRegistry, transport: Transport, method: str
) -> None:
    """distribution#970: what stands behind TLS knows neither scheme nor port that it is asked
    by.
    """
    endpoint = Endpoint(
        registry=Registry(scheme="https", host="registry.example.com:8443"),
        role="target",
        login=TARGET_LOGIN,
    )
    session = RegistrySession(endpoint, transport, allow_plain_http=False)
    target.fault = on(
        method, "", Status(code=308, headers={"Location": "http://registry.example.com/y?z=1"})
    )
    with transport.request(HttpRequest(method=method, url=target.url + "/x")) as response:
        assert (
            session.redirect_target(
                HttpRequest(method=method, url="https://registry.example.com:8443/x"), response
            )
            == "https://registry.example.com:8443/y?z=1"
        )


def test_a_network_fault_is_an_unreachable_registry_with_its_role(
    session: RegistrySession, source: FakeRegistry
) -> None:
    source.stop()
    with pytest.raises(RegistryUnreachable, match="the source registry 127") as caught:
        send(session, "HEAD", "/v2/")
    assert caught.value.where == source.url
    source.start()


@pytest.mark.parametrize("host", ["docker.io", "index.docker.io", "registry-1.docker.io"])
def test_docker_hub_has_its_api_elsewhere(transport: Transport, host: str) -> None:
    endpoint = Endpoint(registry=Registry(scheme="https", host=host), role="source", login=None)
    assert (
        RegistrySession(endpoint, transport, allow_plain_http=False).base
        == "https://registry-1.docker.io"
    )
