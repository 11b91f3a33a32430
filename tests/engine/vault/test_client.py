from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.serve import Record, Status, on
from tests.fakes.vault_fake import FakeVault
from tests.fakes.vault_server import VaultServer
from tests.vault_calls import Heard, role, token
from towline.errors import CredentialError, VaultUnreachable


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VaultServer]:
    with VaultServer(tmp_path_factory.mktemp("vault")) as running:
        running.put(
            "team/login",
            user="me",
            password="geheim-ü",
            number=3,
            flag=True,
            deep={"a": [1]},
            nothing=None,
        )
        running.put("team/a b%2F?#ü", user="odd")
        running.store("old", version=1)
        running.api("POST", "old/team/login", {"user": "old"})
        running.store("deep/er")
        running.api("POST", "deep/er/data/login", {"data": {"user": "deep"}})
        running.policy("team", "secret/data/team/*", "old/team/*", "deep/er/data/*")
        yield running


# ---- reading


def test_a_secret_has_its_fields_as_texts_and_other_values_as_json(server: VaultServer) -> None:
    assert Heard(server.url, token(server.root)).reads("secret/team/login") == [
        {"user": "me", "password": "geheim-ü", "number": "3", "flag": "true", "deep": '{"a": [1]}'},
    ]


def test_both_versions_of_the_store_are_known_by_themselves_and_at_any_depth(
    server: VaultServer,
) -> None:
    found = Heard(server.url, role(server.app_role("team"))).reads(
        "secret/team/login", "old/team/login", "deep/er/login"
    )
    assert [fields["user"] for fields in found] == ["me", "old", "deep"]


def test_a_name_with_signs_of_urls_in_it_is_read_as_it_is(server: VaultServer) -> None:
    assert Heard(server.url, token(server.root)).reads("secret/team/a b%2F?#ü") == [{"user": "odd"}]


def test_a_secret_that_is_not_there_or_was_deleted_is_empty_and_no_fault(
    server: VaultServer,
) -> None:
    server.put("team/gone", user="x")
    server.api("DELETE", "secret/data/team/gone")
    heard = Heard(server.url, role(server.app_role("team")))
    assert heard.reads("secret/team/none", "secret/team/gone", "old/team/none") == [{}, {}, {}]
    assert heard.warnings == []


def test_a_path_that_may_not_be_read_is_a_warning_and_the_next_one_is_read(
    server: VaultServer,
) -> None:
    heard = Heard(server.url, role(server.app_role("team")))
    assert heard.reads("secret/other/login", "nowhere/login", "secret/team/login")[:2] == [{}, {}]
    assert len(heard.warnings) == 2
    assert all(
        part in heard.warnings[0]
        for part in (server.host, "PIPER_vaultAppRoleID", "secret/other/login", "permission denied")
    )


def test_a_namespace_has_its_own_login_and_its_own_secrets(server: VaultServer) -> None:
    server.api("POST", "sys/namespaces/unit")
    server.store("secret", namespace="unit")
    server.api("POST", "secret/data/team/login", {"data": {"user": "unit"}}, namespace="unit")
    server.policy("team", "secret/data/team/*", namespace="unit")
    assert Heard(server.url, role(server.app_role("team", namespace="unit"), "unit")).reads(
        "secret/team/login"
    ) == [{"user": "unit"}]


def test_a_store_that_sets_itself_up_is_waited_for_and_one_that_refuses_on_is_a_fault() -> None:
    busy = Status(
        code=400,
        headers={"Content-Type": "application/json"},
        body=b'{"errors": ["Upgrading from non-versioned to versioned data."]}',
    )
    with FakeVault() as fake:
        fake.fault = on("GET", "kv/data", busy, times=3)
        heard = Heard(fake.url, role(("r", "s")))
        assert (heard.reads("kv/a"), heard.warnings) == ([{"user": "me"}], [])
        assert len(heard.clock.sleeps) >= 3
        fake.fault = on("GET", "kv/data", busy, times=99)
        with pytest.raises(VaultUnreachable, match="cannot read kv/a: Upgrading"):
            Heard(fake.url, token("t")).reads("kv/a")


def test_a_mount_is_asked_about_once() -> None:
    with FakeVault() as fake:
        Heard(fake.url, token("t")).reads("kv/a", "kv/b", "kv/c")
        assert [record.path for record in fake.requests] == [
            "/v1/sys/internal/ui/mounts/kv/a",
            "/v1/kv/data/a",
            "/v1/kv/data/b",
            "/v1/kv/data/c",
        ]


# ---- logging in and out


def test_the_token_of_the_login_is_revoked_and_one_that_was_given_is_not(
    server: VaultServer,
) -> None:
    given, before = server.token("team"), server.tokens()
    Heard(server.url, role(server.app_role("team"))).reads("secret/team/login")
    assert server.tokens() == before
    Heard(server.url, token(given)).reads("secret/team/login")
    assert server.tokens() == before


def test_the_token_of_the_login_is_revoked_when_the_block_fails_too(server: VaultServer) -> None:
    before = server.tokens()
    with (
        contextlib.suppress(ZeroDivisionError),
        Heard(server.url, role(server.app_role("team"))).vault as vault,
    ):
        assert vault.read("secret/team/login")
        assert server.tokens() == before + 1
        raise ZeroDivisionError
    assert server.tokens() == before


def test_a_batch_token_that_nobody_can_revoke_is_left_alone(server: VaultServer) -> None:
    server.policy("batch", "secret/data/team/*")
    heard = Heard(server.url, role(server.app_role("batch", token_type="batch")))
    assert heard.reads("secret/team/login")[0]["user"] == "me"
    assert heard.warnings == []


@pytest.mark.parametrize(
    ("role_id", "secret_id", "namespace", "words"),
    [
        ("nobody", "nothing", "", "refuses the AppRole login"),
        ("", "wrong", "", "refuses the AppRole login"),
        ("", "", "missing", "has no AppRole login"),
    ],
)
def test_a_login_that_is_refused_names_host_and_variables_and_not_their_values(
    server: VaultServer,
    role_id: str,
    secret_id: str,
    namespace: str,
    words: str,
) -> None:
    known = server.app_role("team")
    login = (role_id or known[0], secret_id or known[1])
    with pytest.raises(CredentialError) as caught:
        Heard(server.url, role(login, namespace)).reads()
    fault = caught.value
    assert fault.message.startswith(f"Vault at {server.host} {words}")
    assert fault.where == "PIPER_vaultAppRoleID and PIPER_vaultAppRoleSecretID"
    assert fault.category == "config"
    assert not any(value in f"{fault.message}{fault.hint}" for value in login)


def test_a_token_that_vault_does_not_know_is_a_fault_that_names_its_variable(
    server: VaultServer,
) -> None:
    with pytest.raises(CredentialError) as caught:
        Heard(server.url, token("s.wrong-token")).reads("secret/team/login", "old/team/login")
    assert "does not know the token" in caught.value.message
    assert caught.value.where == "PIPER_vaultToken"
    assert "s.wrong-token" not in caught.value.message + caught.value.hint


def test_a_good_token_that_may_read_nothing_is_not_a_fault_but_a_warning(
    server: VaultServer,
) -> None:
    heard = Heard(server.url, token(server.token("default")))
    assert heard.reads("secret/team/login") == [{}]
    assert len(heard.warnings) == 1


def test_a_login_that_cannot_be_ended_is_a_warning() -> None:
    with FakeVault() as fake:
        fake.fault = on("POST", "revoke-self", Status(code=403))
        heard = Heard(fake.url, role(("r", "s")))
        assert heard.reads("kv/a") == [{"user": "me"}]
    assert "did not revoke the token" in heard.warnings[0]


def test_a_token_that_the_server_repeats_is_masked() -> None:
    """The token that the login gave, which only the engine knows."""
    with FakeVault() as fake:

        def repeat(record: Record) -> Status | None:
            body = json.dumps({"errors": [f"no {record.headers.get('x-vault-token')}"]}).encode()
            return (
                Status(code=403, headers={"Content-Type": "application/json"}, body=body)
                if "kv/data" in record.path
                else None
            )

        fake.fault = repeat
        heard = Heard(fake.url, role(("r", "s")))
        assert heard.reads("kv/a") == [{}]
    assert heard.warnings[0].endswith("no ****")


def test_nothing_of_the_users_own_is_sent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".vault-token").write_text("home-token")
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login home password home-password\n")
    for name, value in {
        "HOME": str(tmp_path),
        "VAULT_TOKEN": "own-token",
        "VAULT_ADDR": "http://other.example",
        "http_proxy": "http://127.0.0.1:1",
    }.items():
        monkeypatch.setenv(name, value)
    with FakeVault() as fake:
        Heard(fake.url, role(("r", "s"))).reads("kv/a")
        assert [record.headers.get("x-vault-token") for record in fake.requests] == [
            None,
            *["hvs.ours"] * 3,
        ]
        assert {record.authorization for record in fake.requests} == {""}


# ---- servers that are no good Vault


def test_a_number_is_the_text_that_vault_sends() -> None:
    with FakeVault() as fake:
        fake.user = "1.10"
        assert Heard(fake.url, role(("r", "s"))).reads("kv/a") == [{"user": "1.10"}]


@pytest.mark.parametrize(
    "strange", [b"", b"<html>", b"[]", b"{}", b'{"data": []}', b'{"auth": null}', b"[" * 100_000]
)
def test_a_server_that_does_not_speak_as_vault_does_gets_no_login_and_gives_no_secret(
    strange: bytes,
) -> None:
    with FakeVault() as fake:
        fake.strange = strange
        with pytest.raises(CredentialError) as caught:
            Heard(fake.url, role(("r", "s"))).reads("kv/a")
        assert "does not answer as Vault does" in caught.value.message
        assert Heard(fake.url, token("t")).reads("kv/a") == [{}]


@pytest.mark.parametrize(
    "body", [b'{"errors": [1]}', b"[]", b'{"errors": ["a\\u001b[31m\\nb"]}', b"\xff"]
)
def test_a_refusal_in_strange_words_is_still_one_line(body: bytes) -> None:
    with FakeVault() as fake:
        fake.fault = on(
            "POST",
            "login",
            Status(code=400, headers={"Content-Type": "application/json"}, body=body),
            times=9,
        )
        with pytest.raises(CredentialError) as caught:
            Heard(fake.url, role(("r", "s"))).reads("kv/a")
    assert caught.value.message.isprintable()
