from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs

import pytest

from tests.engine.registry.clients import SECRET, TARGET_LOGIN, registry_of
from tests.fakes.clock import FakeClock
from tests.fakes.names import OUTSIDE, Names
from tests.fakes.registry import FakeRegistry, Status, on
from tests.fakes.serve import Answer, LoopbackServer, Request
from towline.errors import CredentialError, RegistryError, RegistryUnreachable, TransportError
from towline.http.client import Transport
from towline.image import Registry
from towline.registry.auth.tokens import Authorizer
from towline.registry.errors import Endpoint
from towline.secret import BEARER, IDENTITY, Login

PUSH = "repository:app:pull,push"


class TokenService(LoopbackServer):
    """Hands out token-0, token-1, ... with `extra` beside them, or `body` where there is one;
    `forms` are the bodies of POST.
    """

    def __init__(self) -> None:
        super().__init__()
        self.extra: dict[str, object] = {}
        self.body = b""
        self.asked: list[dict[str, list[str]]] = []
        self.forms: list[dict[str, list[str]]] = []
        self.logins: list[str] = []

    def answer(self, request: Request) -> Answer:
        self.asked.append(dict(request.query))
        self.forms += [parse_qs(request.body.decode())] if request.method == "POST" else []
        self.logins.append(
            base64.b64decode(
                request.headers.get("authorization", "").removeprefix("Basic ")
            ).decode()
        )
        body = (
            self.body
            or json.dumps({"token": f"token-{len(self.asked) - 1}", **self.extra}).encode()
        )
        return Answer(status=200, body=body)


@pytest.fixture
def service() -> Iterator[TokenService]:
    with TokenService() as running:
        yield running


@pytest.fixture
def authorizer(service: TokenService, transport: Transport) -> Authorizer:
    return make(registry_of(service), transport)


def make(
    registry: Registry,
    transport: Transport,
    login: Login | None = TARGET_LOGIN,
    *,
    allow_plain_http: bool = False,
) -> Authorizer:
    return Authorizer(
        Endpoint(registry=registry, role="target", login=login),
        transport,
        allow_plain_http=allow_plain_http,
    )


def bearer(service: LoopbackServer, scope: str = "", error: str = "") -> list[str]:
    more = "".join(
        f',{name}="{value}"' for name, value in (("scope", scope), ("error", error)) if value
    )
    return [f'Bearer realm="{service.url}/token",service="reg"{more}']


def test_nothing_is_sent_before_the_registry_asks(
    authorizer: Authorizer, service: TokenService
) -> None:
    assert authorizer.header([PUSH]) is None
    assert service.requests == ()


def test_basic_is_remembered_for_every_scope(authorizer: Authorizer) -> None:
    header = authorizer.answer(["Basic realm=x"], [PUSH], None)
    assert header is not None
    assert header.startswith("Basic ")
    assert authorizer.header(["repository:other:pull"]) == header


def test_a_token_is_asked_for_once_and_kept(authorizer: Authorizer, service: TokenService) -> None:
    assert authorizer.answer(bearer(service), [PUSH], None) == "Bearer token-0"
    assert [authorizer.header([PUSH]) for _ in range(3)] == ["Bearer token-0"] * 3
    assert service.asked == [{"service": ["reg"], "scope": [PUSH]}]
    assert service.requests[0].authorization == "Basic"


def test_other_scopes_get_their_own_token_without_another_challenge(
    authorizer: Authorizer, service: TokenService
) -> None:
    authorizer.answer(bearer(service), [PUSH], None)
    assert authorizer.header([PUSH, "repository:lib:pull"]) == "Bearer token-1"
    assert service.asked[1]["scope"] == [PUSH, "repository:lib:pull"]


def test_scopes_that_the_registry_demands_on_top_are_merged_after_ours(
    authorizer: Authorizer, service: TokenService
) -> None:
    authorizer.answer(
        bearer(service, "repository:app:pull repository:app:delete repository:lib:pull"),
        [PUSH],
        None,
    )
    assert service.asked[0]["scope"] == [PUSH, "repository:app:delete", "repository:lib:pull"]


@pytest.mark.parametrize(
    ("extra", "lifetime"),
    [({}, 50), ({"expires_in": 300}, 290), ({"expires_in": "300"}, 50), ({"expires_in": -1}, 50)],
)
def test_a_token_is_renewed_ten_seconds_before_its_end(
    authorizer: Authorizer,
    service: TokenService,
    time: FakeClock,
    extra: dict[str, object],
    lifetime: int,
) -> None:
    service.extra = extra
    authorizer.answer(bearer(service), [PUSH], None)
    time.time += lifetime - 1
    assert authorizer.header([PUSH]) == "Bearer token-0"
    time.time += 1
    assert authorizer.header([PUSH]) == "Bearer token-1"


def test_many_threads_ask_for_one_token(authorizer: Authorizer, service: TokenService) -> None:
    with ThreadPoolExecutor(8) as pool:
        headers = set(
            pool.map(lambda _: authorizer.answer(bearer(service), [PUSH], None), range(32))
        )
    assert headers == {"Bearer token-0"}
    assert len(service.asked) == 1


def test_a_token_that_was_refused_is_replaced_once(
    authorizer: Authorizer, service: TokenService
) -> None:
    authorizer.answer(bearer(service), [PUSH], None)
    assert authorizer.answer(bearer(service), [PUSH], "Bearer token-0") == "Bearer token-1"
    assert authorizer.answer(bearer(service), [PUSH], "Bearer token-0") == "Bearer token-1"
    assert len(service.asked) == 2


def test_basic_that_was_refused_is_not_sent_again(authorizer: Authorizer) -> None:
    sent = authorizer.answer(["Basic"], [PUSH], None)
    assert authorizer.answer(["Basic"], [PUSH], sent) is None


def test_without_a_login_basic_cannot_be_answered_and_a_token_is_asked_for_without_it(
    service: TokenService, transport: Transport
) -> None:
    anonymous = make(registry_of(service), transport, None)
    assert anonymous.answer(["Basic"], [PUSH], None) is None
    assert anonymous.answer(bearer(service), [PUSH], None) == "Bearer token-0"
    assert service.requests[0].authorization == ""


def test_a_token_that_comes_packed_is_read(authorizer: Authorizer, service: TokenService) -> None:
    service.fault = on(
        "GET",
        "",
        Status(
            code=200,
            headers={"Content-Encoding": "gzip"},
            body=gzip.compress(b'{"token": "packed"}'),
        ),
    )
    assert authorizer.answer(bearer(service), [PUSH], None) == "Bearer packed"


def test_a_limit_at_the_token_service_is_no_fault_of_the_login(
    authorizer: Authorizer, service: TokenService
) -> None:
    body = (
        b'{"errors": [{"code": "DENIED", "message": "registry contains 1 repositories, limit is'
        b' 1"}]}'
    )
    service.fault = on("GET", "", Status(code=403, body=body), times=9)
    with pytest.raises(
        RegistryError,
        match=(
            "at its token service: a limit of the registry is reached: DENIED: registry contains 1"
        ),
    ):
        authorizer.answer(bearer(service), [PUSH], None)


def test_a_token_that_ended_is_replaced_where_the_registry_does_not_say_again_what_it_wants(
    authorizer: Authorizer, service: TokenService
) -> None:
    first = authorizer.answer(bearer(service), [PUSH], None)
    assert authorizer.answer([], [PUSH], first) is None
    assert authorizer.header([PUSH]) not in (None, first)


def test_access_token_is_a_token_too(authorizer: Authorizer, service: TokenService) -> None:
    service.body = b'{"access_token": "abc"}'
    assert authorizer.answer(bearer(service), [PUSH], None) == "Bearer abc"


@pytest.mark.parametrize(
    "body",
    [
        b"x",
        b"[]",
        b"{}",
        b'{"token": 5}',
        b'{"token": ""}',
        b'{"token": "a\\r\\nX-Smuggled: b"}',
        b'{"token": "a b"}',
    ],
)
def test_an_answer_without_a_usable_token_is_a_fault(
    authorizer: Authorizer, service: TokenService, body: bytes
) -> None:
    service.body = body
    with pytest.raises(RegistryError, match="without a token") as caught:
        authorizer.answer(bearer(service), [PUSH], None)
    assert caught.value.where == service.url


def test_an_answer_that_does_not_end_is_cut_off(
    authorizer: Authorizer, service: TokenService
) -> None:
    """Facts section 4, "unbounded bodies": 64 KiB for a token."""
    service.body = b"{" + b" " * 70_000
    with pytest.raises(RegistryUnreachable, match="longer than 65536 bytes"):
        authorizer.answer(bearer(service), [PUSH], None)


def test_a_redirect_of_the_token_service_is_not_followed(
    authorizer: Authorizer, service: TokenService, source: FakeRegistry
) -> None:
    """Facts section 4, "credentials sent to a realm chosen by the registry": no redirect from
    the realm.
    """
    service.fault = on("GET", "", Status(code=307, headers={"Location": source.url + "/token"}))
    with pytest.raises(RegistryError, match="answers 307 without a token"):
        authorizer.answer(bearer(service), [PUSH], None)
    assert source.requests == ()


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_login_that_the_token_service_refuses_is_a_credential_error(
    authorizer: Authorizer, service: TokenService, status: int
) -> None:
    service.fault = on("GET", "", Status(code=status))
    with pytest.raises(
        CredentialError,
        match=r"refuses user 'pusher' \(from PIPER_targetRegistryPassword\) at its token service",
    ):
        authorizer.answer(bearer(service), [PUSH], None)


@pytest.mark.parametrize(
    "realm", ["http://auth.example.net/token", "http://127.0.0.1.example.net/token"]
)
def test_a_realm_on_a_foreign_host_over_http_gets_no_credential(
    service: TokenService, transport: Transport, realm: str
) -> None:
    """Facts section 4, "credentials sent to a realm chosen by the registry"."""
    for allowed in (False, True):
        with pytest.raises(CredentialError) as caught:
            make(registry_of(service), transport, allow_plain_http=allowed).answer(
                [f'Bearer realm="{realm}"'], [PUSH], None
            )
        assert "example.net" in caught.value.message
        assert SECRET not in caught.value.message + caught.value.hint


def test_a_realm_outside_the_hosts_of_a_login_is_not_even_asked(
    service: TokenService, source: FakeRegistry, transport: Transport
) -> None:
    confined = Login(username="u", password="p", origin="o", hosts=(source.host,))
    with pytest.raises(CredentialError, match="no credential may be sent to"):
        make(registry_of(source), transport, confined).answer(bearer(service), [PUSH], None)
    assert service.requests == ()


@pytest.mark.parametrize(
    "realm",
    [
        "ftp://x/token",
        "token",
        "http://u:p@127.0.0.1/token",
        "http://127.0.0.1:1/a b",
        "https://169.254.169.254/token",
    ],
)
def test_a_realm_that_may_not_be_asked_is_refused_for_anonymous_use_too(
    transport: Transport, realm: str
) -> None:
    """Facts section 4, "credentials sent to a realm chosen by the registry"."""
    public = Registry(scheme="https", host="registry.example.com")
    with pytest.raises(CredentialError, match="token service that may not be used"):
        make(public, transport, None).answer([f'Bearer realm="{realm}"'], [PUSH], None)


def test_a_realm_with_a_query_of_its_own_keeps_it(
    authorizer: Authorizer, service: TokenService
) -> None:
    authorizer.answer([f'Bearer realm="{service.url}/token?tenant=7#x"'], [PUSH], None)
    assert service.asked == [{"tenant": ["7"], "scope": [PUSH]}]


def test_a_token_service_that_is_gone_is_an_unreachable_registry(
    transport: Transport, service: TokenService, authorizer: Authorizer
) -> None:
    service.stop()
    with pytest.raises(RegistryUnreachable) as caught:
        authorizer.answer(bearer(service), [PUSH], None)
    assert isinstance(caught.value.__cause__, TransportError)
    service.start()


@pytest.mark.parametrize("show", [repr, str])
def test_a_token_is_never_shown(
    authorizer: Authorizer, service: TokenService, show: Callable[[object], str]
) -> None:
    authorizer.answer(bearer(service), [PUSH], None)
    assert "token-0" not in "".join(show(token) for token in authorizer._tokens)


# One token for all

PULL, LIB, OTHER = "repository:app:pull", "repository:lib:pull", "repository:other:pull,push"
IDENTIFIED = Login(username="<token>", password="identity-t", origin="config.json", kind=IDENTITY)


def test_what_the_run_wants_is_in_the_first_token_and_whoever_needs_less_is_given_that(
    authorizer: Authorizer, service: TokenService
) -> None:
    authorizer.want([LIB, OTHER])
    authorizer.want([LIB, PUSH])
    assert authorizer.answer(bearer(service, PULL), [LIB], None) == "Bearer token-0"
    assert [authorizer.header(scopes) for scopes in ([PUSH], [PULL], [OTHER, LIB], [])] == [
        "Bearer token-0"
    ] * 4
    assert service.asked == [{"service": ["reg"], "scope": [OTHER, PUSH, LIB]}]


def test_the_scope_that_pushes_stands_first(authorizer: Authorizer, service: TokenService) -> None:
    authorizer.answer(bearer(service), [LIB, PUSH], None)
    assert service.asked[0]["scope"] == [PUSH, LIB]


def test_a_token_with_too_little_is_followed_once_by_one_with_what_is_demanded(
    authorizer: Authorizer, service: TokenService
) -> None:
    authorizer.want([PUSH, LIB])
    wide = authorizer.answer(bearer(service), [PUSH], None)
    narrow = authorizer.answer(
        bearer(service, "repository:app:pull,push,delete", "insufficient_scope"), [PUSH], wide
    )
    assert (wide, narrow) == ("Bearer token-0", "Bearer token-1")
    assert service.asked[1]["scope"] == [PUSH, "repository:app:pull,push,delete"]
    assert authorizer.header([PUSH]) == "Bearer token-1"
    authorizer.header([LIB])
    assert [asked["scope"] for asked in service.asked[2:]] == [[LIB]]


def test_a_token_for_all_that_is_refused_is_followed_by_one_for_this(
    authorizer: Authorizer, service: TokenService
) -> None:
    """Facts 3.1: old services use only the last of several scopes, without a message."""
    authorizer.want([LIB, OTHER])
    wide = authorizer.answer(bearer(service), [PUSH], None)
    assert authorizer.answer(bearer(service), [PUSH], wide) == "Bearer token-1"
    assert [len(asked["scope"]) for asked in service.asked] == [3, 1]


@pytest.mark.parametrize("status", [400, 403])
def test_a_service_that_does_not_grant_all_is_asked_for_what_is_needed(
    authorizer: Authorizer, service: TokenService, status: int
) -> None:
    service.fault = on("GET", "", Status(code=status))
    authorizer.want([LIB])
    assert authorizer.answer(bearer(service), [PUSH], None) == "Bearer token-0"
    assert service.asked == [{"service": ["reg"], "scope": [PUSH]}]
    assert service.count("GET") == 2


def test_a_question_does_not_grow_without_end(
    authorizer: Authorizer, service: TokenService
) -> None:
    authorizer.want(f"repository:lib{number}:pull" for number in range(500))
    authorizer.answer(bearer(service), [PUSH], None)
    assert PUSH in service.asked[0]["scope"]
    assert len(service.asked[0]["scope"]) == 40


def test_a_wrong_password_is_sent_once_however_much_is_wanted(
    authorizer: Authorizer, service: TokenService
) -> None:
    service.fault = on("GET", "", Status(code=401), times=9)
    authorizer.want([LIB])
    with pytest.raises(CredentialError):
        authorizer.answer(bearer(service), [PUSH], None)
    assert service.count("GET") == 1


def test_threads_that_need_different_things_ask_for_one_token_where_all_is_wanted(
    authorizer: Authorizer, service: TokenService
) -> None:
    scopes = [f"repository:app{number}:pull,push" for number in range(16)]
    authorizer.want(scopes)
    with ThreadPoolExecutor(8) as pool:
        headers = set(
            pool.map(lambda scope: authorizer.answer(bearer(service), [scope], None), scopes)
        )
    assert headers == {"Bearer token-0"}
    assert len(service.asked) == 1


def test_a_long_upload_begins_with_a_token_that_lives(
    authorizer: Authorizer, service: TokenService, time: FakeClock
) -> None:
    authorizer.ensure_lifetime([PUSH], 100)  # nothing has been asked for yet
    service.extra = {"expires_in": 300}
    authorizer.answer(bearer(service), [PUSH], None)
    authorizer.ensure_lifetime([PUSH], 100)
    assert len(service.asked) == 1
    time.time += 200
    authorizer.ensure_lifetime([PUSH], 100)
    assert (len(service.asked), authorizer.header([PUSH])) == (2, "Bearer token-1")


def test_a_token_that_is_refused_is_not_followed_by_an_older_one(
    authorizer: Authorizer, service: TokenService, time: FakeClock
) -> None:
    service.extra = {"expires_in": 60}
    authorizer.answer(bearer(service), [PUSH], None)
    time.time += 35
    authorizer.ensure_lifetime([PUSH], 20.0)
    assert authorizer.header([PUSH]) == "Bearer token-1"
    refused = bearer(service, error="invalid_token")
    assert authorizer.held_header(refused, [PUSH], "Bearer token-1") is None
    assert authorizer.answer(refused, [PUSH], "Bearer token-1") == "Bearer token-2"


def test_a_token_that_lives_shorter_than_the_upload_is_asked_for_once_each_time(
    authorizer: Authorizer, service: TokenService
) -> None:
    authorizer.answer(bearer(service), [PUSH], None)
    authorizer.ensure_lifetime([PUSH], 3600)
    assert len(service.asked) == 2


def test_a_token_of_a_few_seconds_is_used_while_it_lives(
    authorizer: Authorizer, service: TokenService, time: FakeClock
) -> None:
    service.extra = {"expires_in": 4}
    authorizer.answer(bearer(service), [PUSH], None)
    time.time += 1
    assert authorizer.header([PUSH]) == "Bearer token-0"
    time.time += 1
    assert authorizer.header([PUSH]) == "Bearer token-1"


# Identity tokens and registry tokens


def test_an_identity_token_is_exchanged_in_a_form(
    service: TokenService, transport: Transport
) -> None:
    service.body = b'{"access_token": "abc"}'
    assert (
        make(registry_of(service), transport, IDENTIFIED).answer(bearer(service), [PUSH, LIB], None)
        == "Bearer abc"
    )
    assert service.forms == [
        {
            "grant_type": ["refresh_token"],
            "service": ["reg"],
            "client_id": ["towline"],
            "scope": [f"{PUSH} {LIB}"],
            "refresh_token": ["identity-t"],
        }
    ]
    assert (service.asked, service.logins) == ([{}], [""])


@pytest.mark.parametrize("status", [400, 404, 405])
def test_a_service_without_that_form_is_asked_in_the_other(
    service: TokenService, transport: Transport, status: int
) -> None:
    service.fault = on("POST", "", Status(code=status), times=9)
    assert (
        make(registry_of(service), transport, IDENTIFIED).answer(bearer(service), [PUSH], None)
        == "Bearer token-0"
    )
    assert service.logins == ["<token>:identity-t"]
    assert [record.method for record in service.requests] == ["POST", "GET"]


def test_an_identity_token_that_is_refused_is_a_credential_error(
    service: TokenService, transport: Transport
) -> None:
    service.fault = on("POST", "", Status(code=401))
    with pytest.raises(CredentialError, match=r"refuses user '<token>' \(from config\.json\)"):
        make(registry_of(service), transport, IDENTIFIED).answer(bearer(service), [PUSH], None)
    assert service.count("GET") == 0


def test_an_identity_token_goes_to_no_realm_that_may_not_have_a_password(
    service: TokenService, transport: Transport
) -> None:
    with pytest.raises(CredentialError):
        make(registry_of(service), transport, IDENTIFIED).answer(
            ['Bearer realm="http://auth.example.net/token"'], [PUSH], None
        )


def test_a_registry_token_is_the_answer_itself_once(
    service: TokenService, transport: Transport
) -> None:
    token = Login(username="", password="registry-t", origin="config.json", kind=BEARER)
    authorizer = make(registry_of(service), transport, token)
    assert authorizer.answer(bearer(service), [PUSH], None) == "Bearer registry-t"
    authorizer.ensure_lifetime([PUSH], 100)
    assert authorizer.header([PUSH, LIB]) == "Bearer registry-t"
    assert authorizer.answer(bearer(service), [PUSH], "Bearer registry-t") is None
    assert authorizer.answer(["Basic"], [PUSH], None) is None
    assert service.requests == ()


def test_a_registry_token_does_not_go_over_plain_http(transport: Transport) -> None:
    token = Login(username="", password="registry-t", origin="config.json", kind=BEARER)
    authorizer = make(Registry(scheme="http", host="registry.example.com"), transport, token)
    with pytest.raises(CredentialError, match="plain http"):
        authorizer.answer(['Bearer realm="https://auth.example.net/token"'], [PUSH], None)


def test_a_password_does_not_go_over_plain_http_unless_that_is_allowed(
    transport: Transport,
) -> None:
    plain = Registry(scheme="http", host="registry.example.com")
    with pytest.raises(CredentialError, match="would go over plain http") as caught:
        make(plain, transport).answer(["Basic realm=x"], [PUSH], None)
    assert SECRET not in caught.value.message + caught.value.hint
    allowed = make(plain, transport, allow_plain_http=True)
    assert (allowed.answer(["Basic realm=x"], [PUSH], None) or "").startswith("Basic ")


def test_a_password_goes_to_no_registry_outside_its_hosts(transport: Transport) -> None:
    confined = Login(username="u", password="p", origin="o", hosts=("registry.example.com",))
    elsewhere = make(Registry(scheme="https", host="other.example.com"), transport, confined)
    with pytest.raises(CredentialError, match="no credential may be sent to"):
        elsewhere.answer(["Basic realm=x"], [PUSH], None)


@pytest.mark.parametrize("login", [TARGET_LOGIN, IDENTIFIED])
def test_a_realm_whose_name_leads_inside_is_not_asked(
    transport: Transport, monkeypatch: pytest.MonkeyPatch, login: Login
) -> None:
    """Facts section 4, "credentials sent to a realm chosen by the registry": private, loopback
    and link-local addresses, also behind a name.
    """
    names = Names(monkeypatch, {"registry.example.com": OUTSIDE, "auth.example.net": "10.0.0.5"})
    public = make(Registry(scheme="https", host="registry.example.com"), transport, login)
    with pytest.raises(RegistryUnreachable, match="its address is private"):
        public.answer(['Bearer realm="https://auth.example.net/token"'], [PUSH], None)
    assert names.dialled == []
