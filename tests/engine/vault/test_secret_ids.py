"""The permissions of an AppRole for its own secret ids, on a real server."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.fakes.vault_server import VaultServer
from tests.vault_calls import role
from towline.console import Console
from towline.errors import CredentialError
from towline.vault.secret_ids import SecretIds
from towline.vault.session import VaultAccess

ROTATES = (
    'path "auth/approle/role/{0}/secret-id" {{ capabilities = ["update"] }}\n'
    'path "auth/approle/role/{0}/secret-id/lookup" {{ capabilities = ["update"] }}\n'
    'path "auth/approle/role/{0}/secret-id-accessor/destroy" {{ capabilities = ["update"] }}\n'
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VaultServer]:
    with VaultServer(tmp_path_factory.mktemp("vault")) as running:
        yield running


def app_role(
    server: VaultServer, name: str, rules: str = ROTATES, *, life: str = "30d"
) -> tuple[str, str]:
    server.api("POST", f"sys/policies/acl/{name}", {"policy": rules.format(name)})
    return server.app_role(name, secret_id_ttl=life)


def entered(server: VaultServer, ids: tuple[str, str]) -> VaultAccess:
    return VaultAccess(server.url, role(ids), console=Console(io.StringIO()))


def test_one_says_whose_it_is_and_how_long_it_lives(server: VaultServer) -> None:
    ids = app_role(server, "living")
    with entered(server, ids) as access:
        held = SecretIds(access).lookup(ids[1])
    assert held.role == "living"
    assert held.ends is not None
    assert held.ends - held.made == timedelta(days=30)
    assert abs(held.made - datetime.now(UTC)) < timedelta(minutes=10)


def test_one_without_an_end_has_none(server: VaultServer) -> None:
    ids = app_role(server, "endless", life="0")
    with entered(server, ids) as access:
        assert SecretIds(access).lookup(ids[1]).ends is None


def test_a_new_one_logs_in_and_is_bound_as_the_other_is_until_it_is_ended(
    server: VaultServer,
) -> None:
    app_role(server, "bound")
    bindings = {
        "metadata": '{"team": "shop"}',
        "cidr_list": ["127.0.0.0/8"],
        "token_bound_cidrs": ["127.0.0.0/16"],
    }
    role_id = server.api("GET", "auth/approle/role/bound/role-id")["data"]["role_id"]
    secret = server.api("POST", "auth/approle/role/bound/secret-id", bindings)["data"]["secret_id"]
    with entered(server, (role_id, secret)) as access:
        ids = SecretIds(access)
        fresh = ids.generate(ids.lookup(secret))
        with entered(server, (role_id, fresh.secret)) as other:
            found = SecretIds(other).lookup(fresh.secret)
        assert (found.role, found.bindings) == ("bound", ids.lookup(secret).bindings)
        assert found.bindings["metadata"] == {"team": "shop"}
        assert found.bindings["cidr_list"] == ["127.0.0.0/8"]
        ids.destroy("bound", fresh.accessor)
    with pytest.raises(CredentialError, match="refuses the AppRole login"):
        entered(server, (role_id, fresh.secret)).__enter__()
    with entered(server, (role_id, secret)):
        pass


@pytest.mark.parametrize(
    ("without", "what"),
    [
        ("/secret-id/lookup", "look up its own secret id"),
        ('/secret-id"', "make a new secret id"),
        ("-accessor", "destroy a secret id"),
    ],
)
def test_what_the_policy_lacks_is_named(server: VaultServer, without: str, what: str) -> None:
    rules = "".join(f"{line}\n" for line in ROTATES.splitlines() if without not in line)
    ids = app_role(server, "poor", rules)
    with entered(server, ids) as access:
        seen = SecretIds(access)
        with pytest.raises(CredentialError, match=f"does not let the AppRole {what}") as caught:
            seen.destroy("poor", seen.generate(seen.lookup(ids[1])).accessor)
    assert (
        'the policy of the AppRole needs: path "auth/approle/role/poor/secret-id'
        in caught.value.hint
    )


def test_a_token_that_is_of_no_app_role_has_no_secret_id(server: VaultServer) -> None:
    ids = app_role(server, "lost")
    with entered(server, ids) as access:
        access.client.token = server.root
        with pytest.raises(CredentialError, match="does not answer as Vault does"):
            SecretIds(access).lookup(ids[1])
