"""A secret text of Jenkins gets a new secret, on a server with Jenkins' rules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.fakes.clock import FakeClock
from tests.fakes.jenkins_server import LOGIN, Held, JenkinsServer, User
from tests.fakes.serve import CutAnswer, CutRequest, Status, at, on
from towline.errors import ConfigError, CredentialError
from towline.hosting.jenkins import (
    CredentialAddress,
    CredentialStore,
    JenkinsUnreachable,
    UpdateUnconfirmed,
)
from towline.http.client import Transport
from towline.secret import Login

NEW = "b0a1c2d3-new <&> secret"
CONFIG = "config.xml"
KIND = "org.jenkinsci.plugins.plaincredentials.impl.StringCredentialsImpl"


@pytest.fixture
def server() -> Iterator[JenkinsServer]:
    with JenkinsServer() as running:
        running.held["", "_", "vault-secret-id"] = Held(
            secret="the old one",
            description="rotated by Towline & Söhne",
            scope="SYSTEM",
            more="kept",
        )
        yield running


def put(
    server: JenkinsServer, *, password: str = "token", url: str = "", domain: str = "_", **slot: Any
) -> None:
    user = server.users["rotator"]
    login = Login(
        username="rotator",
        password=user.token if password == "token" else password,
        origin="PIPER_jenkinsToken",
    )
    with Transport(clock=FakeClock().clock, read=10) as transport:
        CredentialStore(
            CredentialAddress(
                url=url or server.url, domain=domain, **{"id": "vault-secret-id", **slot}
            ),
            login,
            transport,
        ).put(NEW)


@pytest.mark.parametrize("way", ["token", "password", "password without crumbs"])
def test_the_credential_has_the_new_secret_and_all_else_as_it_was(
    server: JenkinsServer, way: str
) -> None:
    server.crumbs = "without" not in way
    put(server, password="token" if way == "token" else server.users["rotator"].password)
    assert server.held["", "_", "vault-secret-id"] == Held(
        secret=NEW, description="rotated by Towline & Söhne", scope="SYSTEM", more="kept"
    )
    assert [record.method for record in server.requests] == ["GET", "GET", "POST", "GET"]
    assert NEW not in "".join(record.path + record.query for record in server.requests)


def test_a_store_of_a_folder_and_a_domain_are_where_the_url_and_the_name_lead(
    server: JenkinsServer,
) -> None:
    server.held["/job/team/job/sub dir", "my domain", "a b"] = Held(secret="old")
    put(server, url=f"{server.url}/job/team/job/sub%20dir/", domain="my domain", id="a b")
    assert server.secret("a b", domain="my domain", folder="/job/team/job/sub dir") == NEW
    assert server.count("GET", "^/crumbIssuer") == 1  # that is Jenkins' own, not the folder's


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"password": "wrong"}, CredentialError, "does not let 'rotator' read"),
        ({"id": "nobody's"}, ConfigError, "has no credential \"nobody's\" in the domain '_'"),
        ({"domain": "other"}, ConfigError, "in the domain 'other'"),
    ],
)
def test_what_is_refused_names_what_is_wrong_and_changes_nothing(
    server: JenkinsServer, change: dict[str, Any], kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind) as caught:
        put(server, **change)
    assert words in str(caught.value)
    assert server.count("POST") == 0


def test_a_user_who_may_only_look_is_refused(server: JenkinsServer) -> None:
    server.users["rotator"] = User(password="p", token="t", update=False)
    with pytest.raises(CredentialError, match="does not let 'rotator' change") as caught:
        put(server)
    assert not isinstance(caught.value, UpdateUnconfirmed)
    assert "Credentials/Update" in caught.value.hint
    server.users["rotator"] = User(password="p", token="t", view=False)
    with pytest.raises(CredentialError, match="does not let 'rotator' read"):
        put(server)
    assert server.secret("vault-secret-id") == "the old one"


def test_a_credential_of_another_kind_is_left_alone(server: JenkinsServer) -> None:
    server.held["", "_", "vault-secret-id"] = Held(secret="p", kind=LOGIN)
    with pytest.raises(ConfigError, match="is not a secret text"):
        put(server)
    assert server.count("POST") == 0


@pytest.mark.parametrize(
    "body",
    [
        b"<html>Sign in</html>",
        b"not xml",
        b"",
        b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
        b"<a><id>other</id></a>",
        f"<{KIND}><id>other</id></{KIND}>".encode(),
        f"<!DOCTYPE a [<!ENTITY b 'vault-secret-id'>]><{KIND}><id>&b;</id></{KIND}>".encode(),
    ],
)
def test_a_page_in_its_place_is_no_credential(server: JenkinsServer, body: bytes) -> None:
    """A proxy that requires a sign-in answers with a page and 200."""
    server.fault = on("GET", CONFIG, Status(code=200, body=body))
    with pytest.raises(ConfigError, match="has another id, or the answer is not Jenkins'"):
        put(server)
    assert server.count("POST") == 0


def test_an_answer_without_end_is_not_read(server: JenkinsServer) -> None:
    server.fault = on("GET", CONFIG, Status(code=200, body=b" " * 1024 * 1024 + b"<a/>"))
    with pytest.raises(JenkinsUnreachable):
        put(server)


def test_a_redirect_to_a_sign_in_is_not_followed(server: JenkinsServer) -> None:
    server.fault = on(
        "GET", CONFIG, Status(code=302, headers={"Location": "/securityRealm/commenceLogin"})
    )
    with pytest.raises(CredentialError, match="redirects the request"):
        put(server)


@pytest.mark.parametrize(
    "fault", [CutAnswer(after=None), CutRequest(after=10), Status(code=503), Status(code=502)]
)
def test_an_answer_that_is_lost_is_asked_for_again(
    server: JenkinsServer, fault: CutAnswer | CutRequest | Status
) -> None:
    server.fault = on("POST", CONFIG, fault, times=2)
    put(server)
    assert (server.secret("vault-secret-id"), server.count("POST")) == (NEW, 3)


@pytest.mark.parametrize(
    "fault", [CutAnswer(after=None), Status(code=503), Status(code=302), Status(code=408)]
)
def test_where_nobody_knows_whether_it_was_taken_that_is_said(
    server: JenkinsServer, fault: CutAnswer | Status
) -> None:
    server.fault = on("POST", CONFIG, fault, times=99)
    with pytest.raises(UpdateUnconfirmed, match="it is unknown whether Jenkins"):
        put(server)


def store_of(server: JenkinsServer, transport: Transport) -> CredentialStore:
    login = Login(
        username="rotator", password=server.users["rotator"].token, origin="PIPER_jenkinsToken"
    )
    return CredentialStore(
        CredentialAddress(url=server.url, domain="_", id="vault-secret-id"), login, transport
    )


def test_a_jenkins_that_has_too_much_to_do_is_asked_again_when_it_says(
    server: JenkinsServer,
) -> None:
    clock = FakeClock()
    server.fault = on("POST", CONFIG, Status(code=429, headers={"Retry-After": "40"}), times=2)
    with Transport(clock=clock.clock, read=10) as transport:
        store_of(server, transport).put(NEW)
    assert (server.secret("vault-secret-id"), server.count("POST")) == (NEW, 3)
    assert 80 <= sum(clock.sleeps) < 90


@pytest.mark.parametrize("then", [Status(code=429), Status(code=403)])
def test_where_it_has_too_much_to_do_for_good_it_has_not_taken_it(
    server: JenkinsServer, then: Status
) -> None:
    first = on("POST", CONFIG, Status(code=429), times=1)
    others = on("POST", CONFIG, then, times=99)
    server.fault = lambda record: first(record) or others(record)
    with Transport(clock=FakeClock().clock, read=10) as transport:
        store = store_of(server, transport)
        with pytest.raises(CredentialError) as caught:
            store.put(NEW)
    assert not isinstance(caught.value, UpdateUnconfirmed)
    assert f"HTTP {then.code}" in caught.value.message
    assert (store.may_hold, server.secret("vault-secret-id")) == (False, "the old one")


def test_too_much_to_do_behind_a_lost_answer_does_not_say_that_nothing_was_taken(
    server: JenkinsServer,
) -> None:
    lost, busy = (
        on("POST", CONFIG, CutAnswer(after=None), times=1),
        on("POST", CONFIG, Status(code=429), times=99),
    )
    server.fault = lambda record: lost(record) or busy(record)
    with pytest.raises(UpdateUnconfirmed):
        put(server)


def test_where_it_has_too_much_to_do_to_be_read_the_rights_are_not_to_blame(
    server: JenkinsServer,
) -> None:
    server.fault = on("GET", CONFIG, Status(code=429), times=99)
    with pytest.raises(JenkinsUnreachable, match="HTTP 429"):
        put(server)


def test_a_refusal_behind_a_lost_answer_does_not_say_that_nothing_was_taken(
    server: JenkinsServer,
) -> None:
    """The first was performed, and its answer lost; the second is refused, since the user has
    lost the right meanwhile.
    """
    lost, refused = at(2, CutAnswer(after=None)), at(3, Status(code=403))
    server.fault = lambda record: (
        lost(record) or refused(record) or (Status(code=403) if record.number > 3 else None)
    )
    with pytest.raises(UpdateUnconfirmed):
        put(server)
    assert server.secret("vault-secret-id") == NEW


def test_a_credential_that_is_not_there_any_more_when_it_is_read_back_is_not_known_to_be_taken(
    server: JenkinsServer,
) -> None:
    server.fault = at(3, Status(code=404))
    with pytest.raises(UpdateUnconfirmed, match="it confirmed the update, but now Jenkins"):
        put(server)


def test_a_jenkins_that_is_not_there_is_a_fault_of_the_infrastructure(
    server: JenkinsServer,
) -> None:
    url = server.url
    server.stop()
    with pytest.raises(JenkinsUnreachable) as caught:
        put(server, url=url)
    assert (caught.value.exit_code, caught.value.category) == (4, "infrastructure")


@pytest.mark.parametrize(
    "answer",
    [
        b"{}",
        b"[]",
        b"no json",
        b'{"crumb": "a\\r\\nX: y", "crumbRequestField": "Jenkins-Crumb"}',
        b'{"crumb": "a", "crumbRequestField": "X:y"}',
        b"[" * 100_000,
    ],
)
def test_a_crumb_that_is_none_is_not_sent(server: JenkinsServer, answer: bytes) -> None:
    server.fault = on("GET", "crumbIssuer", Status(code=200, body=answer))
    put(server)
    assert server.secret("vault-secret-id") == NEW
