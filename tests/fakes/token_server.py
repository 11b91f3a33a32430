"""A token server beside Debian's docker-registry.

It signs the tokens that distribution's `auth: token` checks (JWT, RS256, x5c).
"""

from __future__ import annotations

import base64
import json
import secrets
import time
from pathlib import Path
from typing import Any

from tests.fakes.authority import openssl
from tests.fakes.rsa_keys import rsa_key
from tests.fakes.serve import Answer, LoopbackServer, Request


class TokenServer(LoopbackServer):
    """Hands out tokens under /token for the requested scopes; the registry has to trust
    `certificate`.

    `others` are more accounts (name to password), and `owners` has the owner of each repository by
    its first word: no other user's token opens it.
    """

    def __init__(
        self, folder: Path, *, username: str = "", password: str = "", seconds: int = 300
    ) -> None:
        super().__init__()
        self.username, self.password, self.seconds = username, password, seconds
        self.others: dict[str, str] = {}
        self.owners: dict[str, str] = {}
        self.granted: list[tuple[str, str]] = []
        self.scopes: list[tuple[str, ...]] = []
        self.certificate, self._key = folder / "token.crt", folder / "token.key"
        folder.mkdir(parents=True, exist_ok=True)
        self._key.write_text(rsa_key().private)
        words = ("-days", "2", "-subj", "/CN=tests", "-out", self.certificate)
        openssl("req", "-x509", "-key", self._key, *words)

    @property
    def realm(self) -> str:
        """The URL that the registry names in its challenge."""
        return f"{self.url}/token"

    def answer(self, request: Request) -> Answer:
        """GET /token?service=&scope=&scope=, with Basic credentials if a user name is given."""
        if request.method != "GET" or request.path != "/token":
            return Answer(status=404)
        account = self._account(request.headers.get("authorization", ""))
        if account is None:
            return Answer(status=401, headers={"WWW-Authenticate": 'Basic realm="token"'})
        scopes = tuple(
            scope for text in request.query.get("scope", []) for scope in text.split(" ") if scope
        )
        self.scopes.append(scopes)
        allowed = tuple(scope for scope in scopes if self._owner(scope) in ("", account))
        self.granted += [(account, scope) for scope in allowed]
        token = self._sign(request.asks("service"), allowed)
        body = json.dumps({"token": token, "expires_in": self.seconds}).encode()
        return Answer(status=200, headers={"Content-Type": "application/json"}, body=body)

    def _account(self, authorization: str) -> str | None:
        """The account of the caller; None if its login is not known."""
        if not self.username:
            return ""
        known = {self.username: self.password, **self.others}
        logins = {
            f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}": name
            for name, password in known.items()
        }
        return logins.get(authorization)

    def _owner(self, scope: str) -> str:
        return self.owners.get(_parts(scope)[1].partition("/")[0], "")

    def _sign(self, service: str, scopes: tuple[str, ...]) -> str:
        now = int(time.time())
        access = [
            {"type": kind, "name": name, "actions": actions.split(",")}
            for kind, name, actions in map(_parts, scopes)
        ]
        claims = {
            "iss": "tests",
            "sub": self.username,
            "aud": service,
            "nbf": now - 10,
            "iat": now,
            "exp": now + self.seconds,
            "jti": secrets.token_hex(8),
            "access": access,
        }
        certificate = "".join(
            line
            for line in self.certificate.read_text(encoding="ascii").splitlines()
            if not line.startswith("-")
        )
        text = f"{_part({'typ': 'JWT', 'alg': 'RS256', 'x5c': [certificate]})}.{_part(claims)}"
        return (
            f"{text}.{_base64(openssl('dgst', '-sha256', '-sign', self._key, stdin=text.encode()))}"
        )


def _parts(scope: str) -> tuple[str, str, str]:
    kind, _, rest = scope.partition(":")
    name, _, actions = rest.rpartition(":")
    return kind, name, actions


def _part(document: dict[str, Any]) -> str:
    return _base64(json.dumps(document).encode())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
