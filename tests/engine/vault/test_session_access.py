from __future__ import annotations

import contextlib
import itertools
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fakes.authority import Authority
from tests.fakes.json_web_tokens import Issuer
from tests.fakes.serve import Status, on
from tests.fakes.vault_fake import FakeVault
from tests.fakes.vault_server import SealedVault, VaultServer
from tests.vault_calls import AUDIENCE, Heard, jwt, role, take_jwt, token
from towline.errors import CredentialError, Interrupted, VaultUnreachable
from towline.vault.logins import VaultLogin


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[SealedVault]:
    with SealedVault(tmp_path_factory.mktemp("vault"), authority) as running:
        for name in ("one", "two", "three"):
            running.put(f"team/{name}", user=name)
        running.policy("team", "secret/data/team/*")
        yield running


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory, server: SealedVault) -> Issuer:
    made = Issuer(tmp_path_factory.mktemp("issuer"))
    take_jwt(server, made)
    return made


def forget(server: VaultServer, heard: Heard) -> None:
    """Let the server forget the token of a login, as if it had expired."""
    server.api("POST", "auth/token/revoke", {"token": heard.vault._access.client.token})


def reads_around(
    heard: Heard, change: Callable[[], object], after: Callable[[], object] = bool
) -> list[str]:
    """The users in one secret and, when something has changed, in another one; `after` comes
    before the log-out.
    """
    with heard.vault as vault:
        first = vault.read("secret/team/one")
        change()
        try:
            second = vault.read("secret/team/two")
        finally:
            after()
    return [fields["user"] for fields in (first, second)]


# ---- TLS and the seal


def test_a_server_with_an_authority_of_its_own_is_spoken_to_if_that_is_trusted(
    server: SealedVault, authority: Authority
) -> None:
    before = server.tokens()
    assert Heard(server.url, role(server.app_role("team")), authority).reads("secret/team/one") == [
        {"user": "one"}
    ]
    assert server.tokens() == before


def test_a_certificate_that_nobody_trusts_is_a_fault_before_anything_is_sent(
    server: SealedVault, tmp_path: Path
) -> None:
    for other in (None, Authority(tmp_path / "other")):
        with pytest.raises(VaultUnreachable, match="certificate is not trusted") as caught:
            Heard(server.url, role(server.app_role("team")), other).reads("secret/team/one")
        assert "customTlsCertificateLinks" in caught.value.hint


def test_a_sealed_server_is_a_fault_of_the_infrastructure_and_says_so(
    server: SealedVault, authority: Authority
) -> None:
    logins = [role(server.app_role("team")), token(server.token("team"))]
    server.seal()
    try:
        for login in logins:
            with pytest.raises(
                VaultUnreachable, match=r"it is sealed, down, or too busy \(HTTP 503\)"
            ):
                Heard(server.url, login, authority).reads("secret/team/one")
    finally:
        server.unseal()


def test_a_server_that_is_sealed_between_two_secrets_gives_no_half_of_them(
    server: SealedVault, authority: Authority
) -> None:
    before = server.tokens()
    heard = Heard(server.url, role(server.app_role("team")), authority)
    with pytest.raises(VaultUnreachable):
        reads_around(heard, server.seal, server.unseal)
    # it was open again when the token was given back
    assert (heard.warnings, server.tokens()) == ([], before)


@pytest.mark.parametrize("given", [True, False])
def test_a_server_that_is_restarted_between_two_secrets_knows_the_token_still(
    server: SealedVault, authority: Authority, *, given: bool
) -> None:
    before = server.tokens()
    heard = Heard(
        server.url,
        token(server.token("team")) if given else role(server.app_role("team")),
        authority,
    )

    def restart() -> None:
        server.restart()
        server.unseal()

    assert reads_around(heard, restart) == ["one", "two"]
    assert server.tokens() == before + given


def test_a_server_that_comes_back_sealed_is_reported_as_sealed(
    server: SealedVault, authority: Authority
) -> None:
    heard = Heard(server.url, role(server.app_role("team")), authority)
    with pytest.raises(VaultUnreachable, match="sealed"):
        reads_around(heard, server.restart, server.unseal)


def test_both_versions_of_the_store_and_namespaces_are_read_over_tls(
    server: SealedVault, authority: Authority
) -> None:
    server.store("old/store", version=1)
    server.api("POST", "old/store/team/one", {"user": "old"})
    server.store("deep/er")
    server.api("POST", "deep/er/data/team/one", {"data": {"user": "deep"}})
    server.policy("stores", "old/store/team/*", "deep/er/data/team/*")
    found = Heard(server.url, role(server.app_role("stores")), authority).reads(
        "old/store/team/one", "deep/er/team/one"
    )
    assert [fields["user"] for fields in found] == ["old", "deep"]
    server.api("POST", "sys/namespaces/unit")
    server.store("secret", namespace="unit")
    server.api("POST", "secret/data/team/one", {"data": {"user": "unit"}}, namespace="unit")
    server.policy("team", "secret/data/team/*", namespace="unit")
    before = server.tokens()
    login = role(server.app_role("team", namespace="unit"), "unit")
    assert Heard(server.url, login, authority).reads("secret/team/one") == [{"user": "unit"}]
    assert server.tokens() == before


# ---- tokens that end in between


def test_a_login_whose_token_is_forgotten_is_done_once_more(
    server: SealedVault, authority: Authority, issuer: Issuer
) -> None:
    before = server.tokens()
    for login in (
        role(server.app_role("team")),
        jwt(lambda: issuer.token(sub="build", aud=AUDIENCE, repository="team/shop")),
    ):
        heard = Heard(server.url, login, authority)
        with heard.vault as vault:
            found = [vault.read("secret/team/one")]
            # as often as that happens, if there was something to read in between
            for name in ("two", "three"):
                forget(server, heard)
                found.append(vault.read(f"secret/team/{name}"))
        assert [fields["user"] for fields in found] == ["one", "two", "three"]
        assert (heard.warnings, server.tokens()) == ([], before)


def test_the_token_is_given_back_where_another_login_cannot_be_had_for_now(
    server: SealedVault, authority: Authority
) -> None:
    """A token that may not ask about itself looks forgotten where it may not read something;
    then Vault is too busy for another login.
    """
    rules = 'path "auth/token/revoke-self" { capabilities = ["update"] }'
    server.api("POST", "sys/policies/acl/mute", {"policy": rules})
    heard = Heard(
        server.url, role(server.app_role("mute", token_no_default_policy=True)), authority
    )
    before = server.tokens()
    try:
        with heard.vault as vault:
            server.api(
                "POST",
                "sys/quotas/rate-limit/logins",
                {"path": "auth/approle/login", "rate": 1, "interval": "1h"},
            )
            with contextlib.suppress(RuntimeError):  # the one that there may be
                server.api("POST", "auth/approle/login", {"role_id": "x", "secret_id": "x"})
            with pytest.raises(VaultUnreachable, match="too busy"):
                vault.read("secret/other/one")
    finally:
        server.api("DELETE", "sys/quotas/rate-limit/logins")
    assert server.tokens() == before


def test_a_token_that_lives_for_a_second_only_is_not_a_fault(
    server: SealedVault, authority: Authority
) -> None:
    server.policy("short", "secret/data/team/*")
    heard = Heard(
        server.url, role(server.app_role("short", token_ttl="1s", token_max_ttl="1s")), authority
    )
    with heard.vault as vault:
        assert vault.read("secret/team/one")
        accessor = vault._access.client.auth.token.lookup_self()["data"]["accessor"]
        while accessor in server.api("LIST", "auth/token/accessors")["data"]["keys"]:
            time.sleep(0.05)
        assert vault.read("secret/team/two") == {"user": "two"}


def test_a_proof_is_read_afresh_for_each_login(
    server: SealedVault, authority: Authority, issuer: Issuer
) -> None:
    """The token file of a pod is replaced while the pod lives."""
    proofs = itertools.count()

    def proof() -> str:
        return issuer.token(sub="build", aud=AUDIENCE, repository="team/shop", number=next(proofs))

    heard = Heard(server.url, jwt(proof), authority)
    assert reads_around(heard, lambda: forget(server, heard)) == ["one", "two"]
    assert next(proofs) == 2


def test_a_login_that_is_good_once_only_is_a_fault_as_soon_as_its_token_is_over(
    server: SealedVault, authority: Authority
) -> None:
    server.policy("once", "secret/data/team/*")
    heard = Heard(
        server.url, role(server.app_role("once", secret_id_num_uses=1, token_ttl="1m")), authority
    )

    def over() -> None:
        forget(server, heard)
        heard.clock.time += 61

    with pytest.raises(CredentialError, match="refuses the AppRole login"):
        reads_around(heard, over)


def test_a_given_token_that_ends_in_between_is_a_fault_and_no_empty_secret(
    server: SealedVault, authority: Authority
) -> None:
    heard = Heard(server.url, token(server.token("team")), authority)
    with pytest.raises(CredentialError, match="does not know the token any more") as caught:
        reads_around(heard, lambda: forget(server, heard))
    assert caught.value.where == "PIPER_vaultToken"


# ---- policies that forbid


def login_of(server: VaultServer, *, given: bool, ignorant: bool) -> VaultLogin:
    if given:
        return token(server.token("team", no_default_policy=ignorant))
    server.policy("ignorant", "secret/data/team/*")
    return role(server.app_role("ignorant", token_no_default_policy=ignorant))


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("ignorant", [True, False])
def test_a_path_that_is_forbidden_is_reported_and_the_others_are_read(
    server: SealedVault, authority: Authority, *, given: bool, ignorant: bool
) -> None:
    """Also by a token that may not ask about itself: without the policy `default` it cannot."""
    heard = Heard(server.url, login_of(server, given=given, ignorant=ignorant), authority)
    assert heard.reads(
        "secret/team/one", "secret/other/one", "secret/team/two", "secret/other/two"
    ) == [{"user": "one"}, {}, {"user": "two"}, {}]
    assert [line.count("does not let") for line in heard.warnings[:2]] == [1, 1]
    assert all(
        path in line
        for path, line in zip(
            ("secret/other/one", "secret/other/two"), heard.warnings, strict=False
        )
    )


def test_a_login_that_may_read_nothing_at_all_is_a_warning_for_each_path(
    server: SealedVault, authority: Authority
) -> None:
    server.policy("nothing", "secret/data/none/*")
    before = server.tokens()
    heard = Heard(server.url, role(server.app_role("nothing")), authority)
    assert heard.reads("secret/team/one", "secret/team/two", "secret/team/three") == [{}, {}, {}]
    assert (len(heard.warnings), server.tokens()) == (3, before)


def test_if_path_and_token_look_alike_one_more_login_is_made_without_the_old_token() -> None:
    with FakeVault() as fake:
        fake.fault = lambda record: (
            Status(code=403) if "kv/data" in record.path or "lookup-self" in record.path else None
        )
        heard = Heard(fake.url, role(("r", "s")))
        assert heard.reads("kv/a", "kv/b", "kv/c") == [{}, {}, {}]
        assert [record.headers.get("x-vault-token") for record in fake.seen("POST", "login")] == [
            None,
            None,
        ]
        assert len(heard.warnings) == 3


def test_a_token_that_another_one_takes_the_place_of_is_given_back_too(
    server: SealedVault, authority: Authority
) -> None:
    """It may not look itself up, but it is valid."""
    rules = (
        'path "secret/data/team/*" { capabilities = ["read"] }\npath "auth/token/revoke-self" {'
        ' capabilities = ["update"] }'
    )
    server.api("POST", "sys/policies/acl/shy", {"policy": rules})
    before = server.tokens()
    heard = Heard(server.url, role(server.app_role("shy", token_no_default_policy=True)), authority)
    assert heard.reads("secret/other/one", "secret/team/one") == [{}, {"user": "one"}]
    assert server.tokens() == before


def test_a_good_token_with_a_used_up_login_is_a_warning_for_a_forbidden_path(
    server: SealedVault, authority: Authority
) -> None:
    """It may not ask about itself, and there is no second login: but it has time left, so it is
    the path that is forbidden.
    """
    server.policy("used-up", "secret/data/team/*")
    heard = Heard(
        server.url,
        role(server.app_role("used-up", secret_id_num_uses=1, token_no_default_policy=True)),
        authority,
    )
    assert heard.reads("secret/other/one", "secret/team/one") == [{}, {"user": "one"}]
    assert "does not let" in heard.warnings[0]


# ---- given back on every way out


@pytest.mark.parametrize(
    "ending", [ZeroDivisionError(), Interrupted(signal.SIGTERM), KeyboardInterrupt()]
)
def test_the_token_is_given_back_however_it_ends(
    server: SealedVault, authority: Authority, ending: BaseException
) -> None:
    before = server.tokens()
    heard = Heard(server.url, role(server.app_role("team")), authority)
    with contextlib.suppress(type(ending)), heard.vault as vault:
        assert vault.read("secret/team/one")
        assert server.tokens() == before + 1
        raise ending
    assert server.tokens() == before


def test_the_token_is_given_back_when_the_time_for_all_is_over(
    server: SealedVault, authority: Authority
) -> None:
    before = server.tokens()
    heard = Heard(server.url, role(server.app_role("team")), authority)

    def wait() -> None:
        heard.clock.time += 181

    with pytest.raises(VaultUnreachable, match="longer than"):
        reads_around(heard, wait)
    assert (server.tokens(), heard.warnings) == (before, [])


def test_the_token_is_given_back_by_a_server_that_has_a_bad_moment() -> None:
    with FakeVault() as fake:
        fake.fault = on("POST", "revoke-self", Status(code=503))
        heard = Heard(fake.url, role(("r", "s")))
        heard.reads("kv/a")
        assert [record.status for record in fake.seen("POST", "revoke-self")] == [503, 200]
        assert heard.warnings == []


@pytest.mark.parametrize("auth", [{"lease_duration": "soon"}, {"lease_duration": [1]}])
def test_a_token_of_an_answer_that_cannot_be_understood_is_given_back(
    auth: dict[str, object],
) -> None:
    with FakeVault() as fake:
        fake.auth = auth
        with pytest.raises(CredentialError, match="does not answer as Vault does"):
            Heard(fake.url, role(("r", "s"))).reads("kv/a")
        assert [record.headers["x-vault-token"] for record in fake.seen("POST", "revoke-self")] == [
            "hvs.ours"
        ]


def test_a_login_that_requires_a_second_factor_is_reported() -> None:
    with FakeVault() as fake:
        fake.auth = {"client_token": "", "mfa_requirement": {"mfa_request_id": "1"}}
        with pytest.raises(CredentialError, match="requires a second factor for the AppRole login"):
            Heard(fake.url, role(("r", "s"))).reads("kv/a")
        assert fake.seen("POST", "revoke-self") == ()
