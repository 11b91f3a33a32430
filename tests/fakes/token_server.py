"""A token server beside Debian's docker-registry: signs what distribution's `auth: token` checks (JWT, RS256, x5c)."""

from __future__ import annotations

import base64
import json
import secrets
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from tests.fakes.serve import Answer, LoopbackServer, Request


class TokenServer(LoopbackServer):
    """Hands out tokens under /token for the scopes asked for; `certificate` is what the registry has to trust."""

    def __init__(self, folder: Path, *, username: str = "", password: str = "", seconds: int = 300) -> None:
        super().__init__()
        self.username, self.password, self.seconds = username, password, seconds
        self.scopes: list[tuple[str, ...]] = []
        self.certificate, self._key = folder / "token.crt", folder / "token.key"
        folder.mkdir(parents=True, exist_ok=True)
        _openssl(
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=tests", "-keyout", str(self._key), "-out", str(self.certificate),
        )

    @property
    def realm(self) -> str:
        """The URL that the registry names in its challenge."""
        return f"{self.url}/token"

    def answer(self, request: Request) -> Answer:
        """GET /token?service=&scope=&scope=, with Basic credentials where a user name is given."""
        if request.method != "GET" or request.path != "/token":
            return Answer(status=404)
        login = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
        if self.username and request.headers.get("authorization", "") != f"Basic {login}":
            return Answer(status=401, headers={"WWW-Authenticate": 'Basic realm="token"'})
        scopes = tuple(scope for text in request.query.get("scope", []) for scope in text.split(" ") if scope)
        self.scopes.append(scopes)
        token = self._sign(request.asks("service"), scopes)
        body = json.dumps({"token": token, "expires_in": self.seconds}).encode()
        return Answer(status=200, headers={"Content-Type": "application/json"}, body=body)

    def _sign(self, service: str, scopes: tuple[str, ...]) -> str:
        now = int(time.time())
        access = [{"type": kind, "name": name, "actions": actions.split(",")} for kind, name, actions in map(_parts, scopes)]
        claims = {
            "iss": "tests", "sub": self.username, "aud": service, "nbf": now - 10, "iat": now, "exp": now + self.seconds, "jti": secrets.token_hex(8),
            "access": access,
        }
        certificate = "".join(line for line in self.certificate.read_text(encoding="ascii").splitlines() if not line.startswith("-"))
        text = f"{_part({'typ': 'JWT', 'alg': 'RS256', 'x5c': [certificate]})}.{_part(claims)}"
        return f"{text}.{_base64(_openssl('dgst', '-sha256', '-sign', str(self._key), stdin=text.encode()))}"


def _parts(scope: str) -> tuple[str, str, str]:
    kind, _, rest = scope.partition(":")
    name, _, actions = rest.rpartition(":")
    return kind, name, actions


def _part(document: dict[str, Any]) -> str:
    return _base64(json.dumps(document).encode())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _openssl(*arguments: str, stdin: bytes = b"") -> bytes:
    program = shutil.which("openssl")
    if not program:
        raise RuntimeError("openssl is not on PATH; install it: apt-get install openssl")
    return subprocess.run([program, *arguments], input=stdin, capture_output=True, check=True, timeout=60).stdout
