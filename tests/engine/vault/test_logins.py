from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fakes.authority import Authority
from tests.fakes.json_web_tokens import Issuer
from tests.fakes.kubernetes_server import KubernetesServer
from tests.fakes.vault_server import VaultServer
from tests.vault_calls import AUDIENCE, Heard, jwt, pod, role, take_jwt, take_pods, token
from towline.errors import CredentialError
from towline.record import replace
from towline.vault.logins import (
    APP_ROLE,
    ID_TOKEN_BEARER,
    ID_TOKEN_URL,
    JWT,
    JWT_FILE,
    JWT_VARIABLE,
    KUBERNETES,
    METHODS,
    ROLE_ID,
    SECRET_ID,
    SERVICE_ACCOUNT,
    TOKEN,
    TOKEN_VARIABLE,
    VARIABLES,
    VaultLogin,
    app_role_halves,
    describe_sources,
    first_login,
)


class World:
    """A Vault with each way to log in, and the issuers that it trusts."""

    def __init__(self, vault: VaultServer, issuer: Issuer, cluster: KubernetesServer) -> None:
        self.vault, self.issuer, self.cluster = vault, issuer, cluster

    def claims(self, **others: object) -> str:
        claims = {"sub": "build", "aud": AUDIENCE, "repository": "team/shop", **others}
        return self.issuer.token(**claims)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("vault")
    authority, issuer = Authority(folder / "authority"), Issuer(folder / "issuer")
    cluster = KubernetesServer(folder / "cluster")
    cluster.tls = authority.issue("cluster").server()
    with VaultServer(folder / "vault") as vault, cluster:
        vault.put("team/login", user="me")
        vault.policy("team", "secret/data/team/*")
        for mount in ("jwt", "ci/tokens"):
            take_jwt(vault, issuer, mount)
        for mount in ("kubernetes", "clusters/one"):
            take_pods(vault, cluster, authority.certificate, mount)
        yield World(vault, issuer, cluster)


# ---- the table


def test_a_login_is_shown_without_what_proves_it() -> None:
    login = role(("role-id", "secret-id"))
    assert not any(secret in repr(login) for secret in ("role-id", "secret-id"))


@pytest.mark.parametrize(
    ("there", "method", "role", "expected"),
    [
        ((), "", "", None),
        ((TOKEN_VARIABLE, ROLE_ID, SECRET_ID, JWT_VARIABLE), "", "team", TOKEN),
        ((ROLE_ID, SECRET_ID, JWT_VARIABLE), "", "team", APP_ROLE),
        ((ROLE_ID, JWT_VARIABLE), "", "", JWT),
        ((ROLE_ID,), "", "", None),
        ((JWT_FILE, SERVICE_ACCOUNT), "", "", JWT),
        ((JWT_FILE, SERVICE_ACCOUNT), "kubernetes", "team", KUBERNETES),
        ((TOKEN_VARIABLE,), "kubernetes", "team", None),
        ((TOKEN_VARIABLE, SERVICE_ACCOUNT), "kubernetes", "team", KUBERNETES),
        (
            (SERVICE_ACCOUNT,),
            "",
            "",
            None,
        ),  # every pod has one: nobody has said that it is for Vault
        ((SERVICE_ACCOUNT,), "", "team", KUBERNETES),
        ((ID_TOKEN_URL, ID_TOKEN_BEARER), "", "", None),
        ((ID_TOKEN_URL, ID_TOKEN_BEARER), "jwt", "", JWT),
        ((ID_TOKEN_URL, ID_TOKEN_BEARER, SERVICE_ACCOUNT), "", "team", JWT),
        ((ID_TOKEN_URL,), "", "team", None),
    ],
)
def test_the_first_login_that_is_there_whole_is_taken(
    there: tuple[str, ...], method: str, role: str, expected: str | None
) -> None:
    found = first_login(there, method=method, role=role)
    assert (found.method if found else None) == expected
    assert found is None or found.source in METHODS[found.method].sources


def test_half_of_an_app_role_differs_from_none() -> None:
    assert app_role_halves([ROLE_ID]) == ((ROLE_ID,), (SECRET_ID,))
    assert app_role_halves([SECRET_ID, TOKEN_VARIABLE]) == ((SECRET_ID,), (ROLE_ID,))
    assert app_role_halves([]) == app_role_halves(VARIABLES) == ((), ())


def test_every_method_says_what_it_needs() -> None:
    assert describe_sources(APP_ROLE) == f"{ROLE_ID} and {SECRET_ID}"
    assert describe_sources(KUBERNETES) == f"{JWT_FILE}, or {SERVICE_ACCOUNT}"
    assert {name for name, method in METHODS.items() if not method.mount} == {TOKEN}


# ---- each against the real server


def test_each_login_reads_what_its_role_may_and_gives_its_token_back(world: World) -> None:
    before = world.vault.tokens()
    for login in (
        jwt(world.claims),
        pod(lambda: world.cluster.token("ci", "jenkins")),
        role(world.vault.app_role("team")),
    ):
        assert Heard(world.vault.url, login).reads("secret/team/login") == [{"user": "me"}]
        assert world.vault.tokens() == before


@pytest.mark.parametrize("kind", ["jwt", "kubernetes"])
def test_a_mount_of_another_name_is_found(world: World, kind: str) -> None:
    logins = {
        "jwt": jwt(world.claims, mount="ci/tokens"),
        "kubernetes": pod(lambda: world.cluster.token("ci", "jenkins"), mount="clusters/one"),
    }
    assert Heard(world.vault.url, logins[kind]).reads("secret/team/login") == [{"user": "me"}]


def test_a_jwt_without_a_role_has_the_one_that_vault_gives_by_default(world: World) -> None:
    assert Heard(world.vault.url, jwt(world.claims, name="")).reads("secret/team/login") == [
        {"user": "me"}
    ]


def test_a_namespace_has_logins_of_its_own(world: World) -> None:
    world.vault.api("POST", "sys/namespaces/unit")
    world.vault.api("POST", "sys/namespaces/deep", namespace="unit")
    for namespace in ("unit", "unit/deep"):
        world.vault.store("secret", namespace=namespace)
        world.vault.api(
            "POST", "secret/data/team/login", {"data": {"user": namespace}}, namespace=namespace
        )
        world.vault.policy("team", "secret/data/team/*", namespace=namespace)
        take_jwt(world.vault, world.issuer, namespace=namespace)
        assert Heard(world.vault.url, jwt(world.claims, namespace=namespace)).reads(
            "secret/team/login"
        ) == [{"user": namespace}]


def test_a_token_may_be_good_in_a_namespace_below_its_own(world: World) -> None:
    """So a namespace that a pull request chooses is a path that it chooses
    (config/vault_login.py).
    """
    world.vault.api("POST", "sys/namespaces/below")
    world.vault.store("secret", namespace="below")
    world.vault.api(
        "POST", "secret/data/team/login", {"data": {"user": "below"}}, namespace="below"
    )
    world.vault.policy("wide", "below/secret/data/team/*", "secret/data/team/*")
    login = replace(token(world.vault.token("wide")), namespace="below")
    assert Heard(world.vault.url, login).reads("secret/team/login") == [{"user": "below"}]


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ({"aud": "https://other.example"}, "audience"),
        ({"repository": "team/other"}, "repository"),
        ({"lives": -300.0}, "expired"),
    ],
)
def test_a_jwt_that_vault_refuses_is_a_fault_with_its_reason_and_without_the_token(
    world: World, others: dict[str, object], said: str
) -> None:
    proof = world.claims(**others)
    fault = refused(world, jwt(lambda: proof))
    assert fault.message.startswith(f"Vault at {world.vault.host} refuses the JWT login")
    assert said in fault.message
    assert proof not in f"{fault.message}{fault.hint}"


def test_a_jwt_without_a_role_is_an_error_with_the_setting_for_the_role(world: World) -> None:
    wrong = jwt(lambda: world.claims(aud="https://other.example"))
    assert "vaultAuthRole names no role" in refused(world, replace(wrong, role="")).hint
    assert "vaultAuthRole" not in refused(world, wrong).hint


def test_a_jwt_of_another_issuer_is_refused(
    world: World, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = Issuer(tmp_path_factory.mktemp("other"), world.issuer.name, pair="other")
    assert (
        "signature"
        in refused(
            world, jwt(lambda: other.token(sub="build", aud=AUDIENCE, repository="team/shop"))
        ).message
    )


@pytest.mark.parametrize(
    ("namespace", "account", "name"),
    [("ci", "default", "team"), ("other", "jenkins", "team"), ("ci", "jenkins", "admin")],
)
def test_a_pod_is_refused_that_is_not_the_roles(
    world: World, namespace: str, account: str, name: str
) -> None:
    fault = refused(world, pod(lambda: world.cluster.token(namespace, account), name=name))
    assert "refuses the Kubernetes login" in fault.message
    assert fault.where == "/var/run/secrets/token"


def test_a_pod_whose_service_account_is_gone_is_refused_by_the_cluster(world: World) -> None:
    proof = world.cluster.token("ci", "jenkins")
    world.cluster.remove("ci", "jenkins")
    assert "refuses the Kubernetes login" in refused(world, pod(lambda: proof)).message
    assert world.cluster.seen("POST", "tokenreviews")


def test_a_mount_that_is_not_there_names_what_to_check(world: World) -> None:
    fault = refused(world, jwt(world.claims, mount="elsewhere"))
    assert "refuses the JWT login: permission denied" in fault.message
    assert "auth/elsewhere with the role 'team'" in fault.hint


def refused(world: World, login: VaultLogin) -> CredentialError:
    with pytest.raises(CredentialError) as caught:
        Heard(world.vault.url, login).reads("secret/team/login")
    assert caught.value.category == "config"
    return caught.value
