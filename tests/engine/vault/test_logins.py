from __future__ import annotations

from tests.vault_calls import role, token
from towline.vault.logins import METHODS, VaultLogin, method_of


def test_a_login_is_shown_without_what_proves_it() -> None:
    login = role(("role-id", "secret-id"))
    assert not any(secret in repr(login) for secret in ("role-id", "secret-id"))


def test_a_token_asks_nothing_and_stands_at_the_client() -> None:
    class Client:
        token = ""

    client = Client()
    assert method_of(token("t")).enter(client, token("t"), "t") is None
    assert client.token == "t"


def test_every_method_but_the_token_has_a_usual_mount() -> None:
    assert {name for name, method in METHODS.items() if not method.mount} == {"token"}
    assert VaultLogin(method="approle", origin="", proof=str).mount == ""
