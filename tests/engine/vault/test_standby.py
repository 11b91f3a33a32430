"""A standby server: it learns of a new token a moment later, and takes over in time."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.fakes.authority import Authority
from tests.fakes.serve import Record, Status, on
from tests.fakes.vault_fake import FakeVault
from tests.fakes.vault_server import SealedVault
from tests.vault_calls import Heard, role, token
from towline.errors import CredentialError
from towline.record import replace
from towline.vault.logins import VaultLogin


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def servers(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority
) -> Iterator[tuple[SealedVault, SealedVault]]:
    folder = tmp_path_factory.mktemp("vault")
    with (
        SealedVault(folder / "one", authority) as one,
        SealedVault(folder / "two", authority, joins=one) as two,
    ):
        for name in ("one", "two"):
            one.put(f"team/{name}", user=name)
        one.policy("team", "secret/data/team/*")
        yield one, two


@pytest.fixture(scope="module")
def ids(servers: tuple[SealedVault, SealedVault]) -> tuple[str, str]:
    """An AppRole that both servers know.

    That is not tested by logging in: several failures lock it out.
    """
    role_id, secret_id = servers[0].app_role("team")
    end = time.monotonic() + 120
    while time.monotonic() < end:
        try:
            servers[1].api("GET", "auth/approle/role/team/role-id")
            if servers[1].api(
                "POST", "auth/approle/role/team/secret-id/lookup", {"secret_id": secret_id}
            ):
                return role_id, secret_id
        except RuntimeError:
            time.sleep(0.02)
    pytest.fail("the other server never hears of the AppRole")


def test_a_server_that_stands_by_answers_each_login(
    servers: tuple[SealedVault, SealedVault], authority: Authority, ids: tuple[str, str]
) -> None:
    one, two = servers
    before = one.tokens()
    for _ in range(20):  # one of ten was refused by a server that had not heard of it yet
        heard = Heard(two.url, role(ids), authority, real=True)
        assert (heard.reads("secret/team/one"), heard.warnings) == ([{"user": "one"}], [])
    assert one.tokens() == before


def test_a_secret_id_that_was_just_made_logs_in(
    servers: tuple[SealedVault, SealedVault], authority: Authority, ids: tuple[str, str]
) -> None:
    two = servers[1]
    for _ in range(3):
        made = two.api("POST", "auth/approle/role/team/secret-id", {})["data"]["secret_id"]
        heard = Heard(two.url, replace(role((ids[0], made)), fresh=True), authority, real=True)
        assert heard.reads("secret/team/one") == [{"user": "one"}]


def test_a_forbidden_path_is_reported_there_as_well(
    servers: tuple[SealedVault, SealedVault], authority: Authority, ids: tuple[str, str]
) -> None:
    for server in servers:
        heard = Heard(server.url, role(ids), authority, real=True)
        assert heard.reads("secret/other/one", "secret/other/two", "secret/team/one") == [
            {},
            {},
            {"user": "one"},
        ]
        assert len(heard.warnings) == 2


@pytest.mark.extra
def test_a_server_that_takes_over_between_two_secrets_has_time(
    servers: tuple[SealedVault, SealedVault], authority: Authority, ids: tuple[str, str]
) -> None:
    one, two = servers
    before = one.tokens()
    heard = Heard(two.url, role(ids), authority, real=True)
    with heard.vault as vault:
        found = [vault.read("secret/team/one")]
        (one if one.active else two).api("PUT", "sys/step-down")
        found.append(vault.read("secret/team/two"))
    assert ([fields["user"] for fields in found], heard.warnings) == (["one", "two"], [])
    assert (one if one.active else two).tokens() == before


# ---- the same where each moment can be told


def by(fake: FakeVault, *, stands_by: bool, refusals: int) -> None:
    """Let the server refuse this number of reads, as a standby or not."""
    fake.leader = {"ha_enabled": True, "is_self": not stands_by}
    left = iter(range(refusals))

    def refuse(record: Record) -> Status | None:
        return (
            Status(code=403) if "kv/data" in record.path and next(left, None) is not None else None
        )

    fake.fault = refuse


@pytest.mark.parametrize("login", [role(("r", "s")), token("t")])
@pytest.mark.parametrize("stands_by", [True, False])
def test_only_a_login_of_ones_own_is_waited_for_and_only_where_a_server_stands_by(
    login: VaultLogin, *, stands_by: bool
) -> None:
    with FakeVault() as fake:
        by(fake, stands_by=stands_by, refusals=3)
        heard = Heard(fake.url, login)
        waited = stands_by and login.method == "approle"
        assert heard.reads("kv/a") == [{"user": "me"} if waited else {}]
        assert (len(heard.clock.sleeps) > 0, len(heard.warnings)) == (waited, not waited)


@pytest.mark.parametrize("stands_by", [True, False])
@pytest.mark.parametrize("fresh", [True, False])
def test_a_login_is_tried_once_and_a_new_one_where_a_server_stands_by_when_it_has_heard_of_it(
    *, fresh: bool, stands_by: bool
) -> None:
    """Whoever fails to log in several times is locked out, and with them everybody of their
    role.
    """
    with FakeVault() as fake:
        fake.leader = {"ha_enabled": True, "is_self": not stands_by}
        fake.fault = on("POST", "login", Status(code=403), times=99)
        heard = Heard(fake.url, replace(role(("r", "s")), fresh=fresh))
        with pytest.raises(CredentialError, match="refuses the AppRole login"):
            heard.reads("kv/a")
        assert len(fake.seen("POST", "login")) == 1
        assert heard.clock.sleeps == ([3.0] if fresh and stands_by else [])


def test_it_is_not_waited_for_longer_than_news_take() -> None:
    with FakeVault() as fake:
        by(fake, stands_by=True, refusals=99)
        heard = Heard(fake.url, role(("r", "s")))
        assert heard.reads("kv/a", "kv/b") == [{}, {}]
        assert 2.5 < sum(heard.clock.sleeps) < 3.5
        assert len(fake.seen("GET", "sys/leader")) == 1
