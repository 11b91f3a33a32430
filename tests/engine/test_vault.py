from __future__ import annotations

import contextlib
import io
import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.clock import FakeClock
from tests.fakes.serve import Answer, CutAnswer, LoopbackServer, Record, Request, Status, on
from tests.fakes.vault_server import VaultServer
from towline import private_folder
from towline.console import Console
from towline.errors import CredentialError, MachineError, VaultUnreachable
from towline.secret import Login
from towline.vault import Vault, secret_files


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VaultServer]:
    with VaultServer(tmp_path_factory.mktemp("vault")) as running:
        running.put("team/login", user="me", password="geheim-ü", number=3, flag=True, deep={"a": [1]}, nothing=None)
        running.put("team/a b%2F?#ü", user="odd")
        running.api("POST", "sys/mounts/old", {"type": "kv", "options": {"version": "1"}})
        running.api("POST", "old/team/login", {"user": "old"})
        running.api("POST", "sys/mounts/deep/er", {"type": "kv-v2"})
        running.api("POST", "deep/er/data/login", {"data": {"user": "deep"}})
        running.policy("team", "secret/data/team/*", "old/team/*", "deep/er/data/*")
        yield running


class Heard:
    """A Vault as a step has it, with the warnings that it gave."""

    def __init__(self, url: str, login: Login, namespace: str = "") -> None:
        self._log = io.StringIO()
        self.console = Console(self._log)
        self.vault = Vault(url, login, namespace=namespace, console=self.console, clock=FakeClock().clock)

    @property
    def warnings(self) -> list[str]:
        return self._log.getvalue().splitlines()

    def reads(self, *paths: str) -> list[dict[str, str]]:
        with self.vault as vault:
            found = [dict(vault.read(path)) for path in paths]
            vault.confirm()
        return found


def token(value: str) -> Login:
    return Login(username="", password=value, origin="PIPER_vaultToken")


def role(ids: tuple[str, str]) -> Login:
    return Login(username=ids[0], password=ids[1], origin="PIPER_vaultAppRoleID and PIPER_vaultAppRoleSecretID")


# ---- reading


def test_a_secret_is_its_fields_as_texts_and_what_is_no_text_as_json(server: VaultServer) -> None:
    assert Heard(server.url, token(server.root)).reads("secret/team/login") == [
        {"user": "me", "password": "geheim-ü", "number": "3", "flag": "true", "deep": '{"a": [1]}'},
    ]


def test_both_versions_of_the_store_are_known_by_themselves_and_at_any_depth(server: VaultServer) -> None:
    found = Heard(server.url, role(server.app_role("team"))).reads("secret/team/login", "old/team/login", "deep/er/login")
    assert [fields["user"] for fields in found] == ["me", "old", "deep"]


def test_a_name_with_signs_of_urls_in_it_is_read_as_it_is(server: VaultServer) -> None:
    assert Heard(server.url, token(server.root)).reads("secret/team/a b%2F?#ü") == [{"user": "odd"}]


def test_a_secret_that_is_not_there_or_was_deleted_is_empty_and_no_fault(server: VaultServer) -> None:
    server.put("team/gone", user="x")
    server.api("DELETE", "secret/data/team/gone")
    heard = Heard(server.url, role(server.app_role("team")))
    assert heard.reads("secret/team/none", "secret/team/gone", "old/team/none") == [{}, {}, {}]
    assert heard.warnings == []


def test_a_path_that_may_not_be_read_is_a_warning_and_the_next_one_is_read(server: VaultServer) -> None:
    heard = Heard(server.url, role(server.app_role("team")))
    assert heard.reads("secret/other/login", "nowhere/login", "secret/team/login")[:2] == [{}, {}]
    assert len(heard.warnings) == 2
    assert all(part in heard.warnings[0] for part in (server.host, "PIPER_vaultAppRoleID", "secret/other/login", "permission denied"))


def test_a_namespace_has_its_own_login_and_its_own_secrets(server: VaultServer) -> None:
    server.api("POST", "sys/namespaces/unit")
    server.api("POST", "sys/mounts/secret", {"type": "kv-v2"}, namespace="unit")
    server.api("POST", "secret/data/team/login", {"data": {"user": "unit"}}, namespace="unit")
    server.policy("team", "secret/data/team/*", namespace="unit")
    assert Heard(server.url, role(server.app_role("team", namespace="unit")), "unit").reads("secret/team/login") == [{"user": "unit"}]


def test_a_mount_is_asked_about_once() -> None:
    with Fake() as fake:
        Heard(fake.url, token("t")).reads("kv/a", "kv/b", "kv/c")
        assert [record.path for record in fake.requests] == ["/v1/sys/internal/ui/mounts/kv/a", "/v1/kv/data/a", "/v1/kv/data/b", "/v1/kv/data/c"]


# ---- logging in and out


def test_the_token_of_the_login_is_revoked_and_one_that_was_given_is_not(server: VaultServer) -> None:
    given, before = server.token("team"), server.tokens()
    Heard(server.url, role(server.app_role("team"))).reads("secret/team/login")
    assert server.tokens() == before
    Heard(server.url, token(given)).reads("secret/team/login")
    assert server.tokens() == before


def test_the_token_of_the_login_is_revoked_when_the_block_fails_too(server: VaultServer) -> None:
    before = server.tokens()
    with contextlib.suppress(ZeroDivisionError), Heard(server.url, role(server.app_role("team"))).vault as vault:
        assert vault.read("secret/team/login")
        assert server.tokens() == before + 1
        raise ZeroDivisionError
    assert server.tokens() == before


def test_a_batch_token_that_nobody_can_revoke_is_left_alone(server: VaultServer) -> None:
    server.policy("batch", "secret/data/team/*")
    heard = Heard(server.url, role(server.app_role("batch", token_type="batch")))
    assert heard.reads("secret/team/login")[0]["user"] == "me"
    assert heard.warnings == []


@pytest.mark.parametrize(("role_id", "secret_id", "namespace", "words"), [
    ("nobody", "nothing", "", "refuses the AppRole login"),
    ("", "wrong", "", "refuses the AppRole login"),
    ("", "", "missing", "has no AppRole login"),
])
def test_a_login_that_is_refused_names_host_and_variables_and_not_their_values(
    server: VaultServer, role_id: str, secret_id: str, namespace: str, words: str,
) -> None:
    known = server.app_role("team")
    login = (role_id or known[0], secret_id or known[1])
    with pytest.raises(CredentialError) as caught:
        Heard(server.url, role(login), namespace).reads()
    fault = caught.value
    assert fault.message.startswith(f"Vault at {server.host} {words}")
    assert fault.where == "PIPER_vaultAppRoleID and PIPER_vaultAppRoleSecretID"
    assert fault.category == "config"
    assert not any(value in f"{fault.message}{fault.hint}" for value in login)


def test_a_token_that_vault_does_not_know_is_a_fault_that_names_its_variable(server: VaultServer) -> None:
    with pytest.raises(CredentialError) as caught:
        Heard(server.url, token("s.wrong-token")).reads("secret/team/login", "old/team/login")
    assert "does not know the token" in caught.value.message
    assert caught.value.where == "PIPER_vaultToken"
    assert "s.wrong-token" not in caught.value.message + caught.value.hint


def test_a_good_token_that_may_read_nothing_is_no_fault_but_a_warning(server: VaultServer) -> None:
    heard = Heard(server.url, token(server.token("default")))
    assert heard.reads("secret/team/login") == [{}]
    assert len(heard.warnings) == 1


def test_a_login_that_cannot_be_ended_is_a_warning() -> None:
    with Fake() as fake:
        fake.fault = on("POST", "revoke-self", Status(code=403))
        heard = Heard(fake.url, role(("r", "s")))
        assert heard.reads("kv/a") == [{"user": "me"}]
    assert "did not take back the token" in heard.warnings[0]


def test_a_token_that_the_server_repeats_is_masked() -> None:
    """The one that the login gave, which nobody else knows."""
    with Fake() as fake:
        def repeat(record: Record) -> Status | None:
            body = json.dumps({"errors": [f"no {record.headers.get('x-vault-token')}"]}).encode()
            return Status(code=403, headers={"Content-Type": "application/json"}, body=body) if "kv/data" in record.path else None

        fake.fault = repeat
        heard = Heard(fake.url, role(("r", "s")))
        assert heard.reads("kv/a") == [{}]
    assert heard.warnings[0].endswith("no ****")


def test_nothing_of_the_users_own_is_sent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".vault-token").write_text("home-token")
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login home password home-password\n")
    for name, value in {"HOME": str(tmp_path), "VAULT_TOKEN": "own-token", "VAULT_ADDR": "http://other.example", "http_proxy": "http://127.0.0.1:1"}.items():
        monkeypatch.setenv(name, value)
    with Fake() as fake:
        Heard(fake.url, role(("r", "s"))).reads("kv/a")
        assert [record.headers.get("x-vault-token") for record in fake.requests] == [None, *["hvs.ours"] * 3]
        assert {record.authorization for record in fake.requests} == {""}


# ---- servers that are no good Vault


class Fake(LoopbackServer):
    """As much of Vault as a secret at `kv/` needs, so that it can break; `strange` answers take the place of these."""

    strange: bytes | None = None
    user = '"me"'

    def answer(self, request: Request) -> Answer:
        if self.strange is not None:
            return Answer(status=200, headers={"Content-Type": "application/json"}, body=self.strange)
        if request.path.startswith("/v1/sys/internal"):
            return self._data({"path": "kv/", "options": {"version": "2"}})
        if request.path == "/v1/auth/approle/login":
            return Answer(status=200, body=json.dumps({"auth": {"client_token": "hvs.ours", "token_type": "service"}}).encode())
        return self._data({"data": {"user": "me"}})

    def _data(self, data: object) -> Answer:
        return Answer(status=200, body=json.dumps({"data": data}).replace('"me"', self.user).encode())


def test_a_number_is_the_text_that_vault_sends() -> None:
    with Fake() as fake:
        fake.user = "1.10"
        assert Heard(fake.url, role(("r", "s"))).reads("kv/a") == [{"user": "1.10"}]


def unreachable(url: str, login: Login) -> VaultUnreachable:
    with pytest.raises(VaultUnreachable) as caught:
        Heard(url, login).reads("kv/a")
    assert caught.value.category == "infrastructure"
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize("login", [token("t"), role(("r", "s"))])
def test_a_vault_that_is_not_there_is_a_fault_of_the_infrastructure(login: Login) -> None:
    with Fake() as fake:
        url, host = fake.url, fake.host
    assert host in unreachable(url, login).message


@pytest.mark.parametrize("code", [429, 500, 503])
def test_a_vault_that_is_sealed_down_or_busy_to_the_end_is_one_too(code: int) -> None:
    with Fake() as fake:
        fake.fault = on("GET", "", Status(code=code, body=b'{"errors":["sealed"]}'), times=99)
        assert f"HTTP {code}" in unreachable(fake.url, token("t")).message


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_one_bad_moment_is_passed_over(method: str) -> None:
    with Fake() as fake:
        fake.fault = on(method, "login|kv/data", Status(code=503))
        assert Heard(fake.url, role(("r", "s"))).reads("kv/a") == [{"user": "me"}]


def test_an_answer_that_is_too_long_is_not_read_to_its_end() -> None:
    with Fake() as fake:
        fake.strange = b'{"data": "' + b"x" * (9 * 1024 * 1024) + b'"}'
        assert "longer than" in unreachable(fake.url, token("t")).message


def test_an_answer_that_breaks_off_is_no_secret() -> None:
    with Fake() as fake:
        fake.fault = on("GET", "kv/data", CutAnswer(after=5), times=99)
        assert "closed" in unreachable(fake.url, token("t")).message


def test_all_questions_together_have_a_deadline() -> None:
    clock = FakeClock()
    with Fake() as fake, Vault(fake.url, token("t"), namespace="", console=Console(io.StringIO()), clock=clock.clock) as vault:
        assert vault.read("kv/a")
        clock.time += 181
        with pytest.raises(VaultUnreachable, match="longer than"):
            vault.read("kv/b")


@pytest.mark.parametrize("strange", [b"", b"<html>", b"[]", b"{}", b'{"data": []}', b'{"auth": null}', b"[" * 100_000])
def test_a_server_that_does_not_speak_as_vault_does_gets_no_login_and_gives_no_secret(strange: bytes) -> None:
    with Fake() as fake:
        fake.strange = strange
        with pytest.raises(CredentialError) as caught:
            Heard(fake.url, role(("r", "s"))).reads("kv/a")
        assert "does not answer as Vault does" in caught.value.message
        assert Heard(fake.url, token("t")).reads("kv/a") == [{}]


@pytest.mark.parametrize("body", [b'{"errors": [1]}', b"[]", b'{"errors": ["a\\u001b[31m\\nb"]}', b"\xff"])
def test_a_refusal_in_strange_words_is_still_one_line(body: bytes) -> None:
    with Fake() as fake:
        fake.fault = on("POST", "login", Status(code=400, headers={"Content-Type": "application/json"}, body=body), times=9)
        with pytest.raises(CredentialError) as caught:
            Heard(fake.url, role(("r", "s"))).reads("kv/a")
    assert caught.value.message.isprintable()


@pytest.mark.parametrize("login", [token("t"), role(("r", "s"))])
def test_a_login_does_not_follow_a_redirect(login: Login) -> None:
    with Fake() as fake, Fake() as other:
        fake.fault = lambda _: Status(code=307, headers={"Location": f"{other.url}/v1/auth/approle/login"})
        with pytest.raises(CredentialError) as caught:
            Heard(fake.url, login).reads("kv/a")
        assert "does not follow" in caught.value.message
        assert other.requests == ()


@pytest.mark.parametrize("value", ["two\nlines", "ünïcode-€"])
def test_a_token_that_no_header_can_hold_is_a_fault_without_it(value: str) -> None:
    with Fake() as fake:
        assert value not in unreachable(fake.url, token(value)).message


# ---- secrets that are files


def test_a_file_holds_its_text_for_its_owner_alone_and_is_gone_afterwards() -> None:
    with secret_files({"config": "ü\n", "key": "k"}, {}) as paths:
        files = {name: Path(path) for name, path in paths.items()}
        assert files["config"].read_bytes() == "ü\n".encode()
        assert stat.S_IMODE(files["config"].stat().st_mode) == 0o600
        assert stat.S_IMODE(files["config"].parent.stat().st_mode) == 0o700
    assert not files["key"].parent.exists()


def test_the_files_are_gone_when_the_block_fails_too() -> None:
    with contextlib.suppress(ZeroDivisionError), secret_files({"config": "x"}, {}) as paths:
        folder = Path(paths["config"]).parent
        assert folder.exists()
        raise ZeroDivisionError
    assert not folder.exists()


def test_a_machine_without_a_folder_for_files_is_a_fault_of_the_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    monkeypatch.setattr(private_folder, "_MOUNTS", tmp_path / "missing")
    with pytest.raises(MachineError), secret_files({"config": "x"}, {}):
        pass
