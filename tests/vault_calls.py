"""A Vault client as steps have it, the logins that tests use, and the servers behind them."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

from tests.fakes.authority import Authority
from tests.fakes.clock import FakeClock
from tests.fakes.json_web_tokens import Issuer
from tests.fakes.kubernetes_server import KubernetesServer
from tests.fakes.vault_server import VaultServer
from towline.console import Console
from towline.http.connection import Network
from towline.http.tls import Tls
from towline.retry import Clock
from towline.vault.client import Vault
from towline.vault.logins import APP_ROLE, JWT, KUBERNETES, TOKEN, VaultLogin

AUDIENCE = "https://vault.example"


class Heard:
    """A Vault client with the warnings that it gave.

    `authority` is trusted in addition to the machine's own. Pauses take no time unless they are
    `real`.
    """

    def __init__(
        self, url: str, login: VaultLogin, authority: Authority | None = None, *, real: bool = False
    ) -> None:
        self._log = io.StringIO()
        self.console = Console(self._log)
        self.clock = FakeClock()
        network = Network(tls=Tls(authority.certificate.read_text() if authority else ""))
        self.vault = Vault(
            url,
            login,
            console=self.console,
            network=network,
            clock=Clock() if real else self.clock.clock,
        )

    @property
    def warnings(self) -> list[str]:
        """The warnings so far."""
        return self._log.getvalue().splitlines()

    def reads(self, *paths: str) -> list[dict[str, str]]:
        """The secrets at these paths, between log-in and log-out."""
        with self.vault as vault:
            found = [dict(vault.read(path)) for path in paths]
            vault.confirm()
        return found


def token(value: str) -> VaultLogin:
    """The login by a token from the caller."""
    return VaultLogin(method=TOKEN, proof=lambda: value, origin="PIPER_vaultToken")


def role(ids: tuple[str, str], namespace: str = "") -> VaultLogin:
    """The login of an AppRole: its role id and a secret id."""
    return VaultLogin(
        method=APP_ROLE,
        role=ids[0],
        proof=lambda: ids[1],
        mount="approle",
        namespace=namespace,
        origin="PIPER_vaultAppRoleID and PIPER_vaultAppRoleSecretID",
    )


def jwt(
    proof: Callable[[], str], *, name: str = "team", mount: str = "jwt", namespace: str = ""
) -> VaultLogin:
    """The login of a JWT in a variable."""
    return VaultLogin(
        method=JWT,
        role=name,
        proof=proof,
        mount=mount,
        namespace=namespace,
        origin="PIPER_vaultJwt",
    )


def pod(proof: Callable[[], str], *, name: str = "team", mount: str = "kubernetes") -> VaultLogin:
    """The login of a pod by the token of its service account."""
    return VaultLogin(
        method=KUBERNETES, role=name, proof=proof, mount=mount, origin="/var/run/secrets/token"
    )


def take_jwt(server: VaultServer, issuer: Issuer, mount: str = "jwt", namespace: str = "") -> None:
    """Let the issuer's tokens for AUDIENCE whose `repository` is `team/shop` log in as role
    `team`, the one of who names none.
    """
    server.login(
        "jwt",
        mount,
        config={"jwt_validation_pubkeys": [issuer.public], "default_role": "team"},
        namespace=namespace,
    )
    bounds = {"bound_audiences": [AUDIENCE], "bound_claims": {"repository": "team/shop"}}
    server.api(
        "POST",
        f"auth/{mount}/role/team",
        {"role_type": "jwt", "user_claim": "sub", "token_policies": ["team"], **bounds},
        namespace=namespace,
    )


def take_pods(
    server: VaultServer, cluster: KubernetesServer, authority: Path, mount: str = "kubernetes"
) -> None:
    """Let pods of the cluster with service account `jenkins` in namespace `ci` log in as role
    `team`.
    """
    config = {
        "kubernetes_host": cluster.url,
        "token_reviewer_jwt": cluster.reviewer,
        "disable_local_ca_jwt": True,
        "kubernetes_ca_cert": authority.read_text(),
    }
    server.login("kubernetes", mount, config=config)
    bounds = {
        "bound_service_account_names": ["jenkins"],
        "bound_service_account_namespaces": ["ci"],
    }
    server.api("POST", f"auth/{mount}/role/team", {**bounds, "token_policies": ["team"]})
