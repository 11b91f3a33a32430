"""The part of GitHub's API by which a GitHub App opens a repository.

The App's JWT is checked as GitHub does it: signature and times.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.fakes.rsa_keys import rsa_key
from tests.fakes.serve import Answer, LoopbackServer, Request

APP, INSTALLATION = "4711", 99


class GithubServer(LoopbackServer):
    """One App with a key pair (the one called `pair`), installed for `owner/name`; `issued` and
    `revoked` are called with each token; `tokens` are the valid ones.
    """

    def __init__(
        self, folder: Path, *, owner: str = "team", name: str = "ops", pair: str = ""
    ) -> None:
        super().__init__()
        self.owner, self.name = owner, name
        self.tokens: set[str] = set()
        self.issued: Callable[[str], None] = lambda _token: None
        self.revoked: Callable[[str], None] = lambda _token: None
        self.asked: list[dict[str, Any]] = []
        self.credentials: list[str] = []
        self.permissions = {"contents": "write", "metadata": "read"}
        self._key, self._public = folder / "app.pem", folder / "app.pub"
        folder.mkdir(parents=True, exist_ok=True)
        made = rsa_key(pair)
        self._key.write_text(made.private)
        self._public.write_text(made.public)

    @property
    def key(self) -> str:
        """The App's private key, as GitHub lets one download it."""
        return self._key.read_text()

    def answer(self, request: Request) -> Answer:
        """The three requests of an App's login."""
        scheme, _, credential = request.headers.get("authorization", "").partition(" ")
        self.credentials.append(credential)
        if scheme != "Bearer" or "user-agent" not in request.headers:
            return _answer(401, {"message": "Requires authentication"})
        if (request.method, request.path) == ("DELETE", "/installation/token"):
            return self._revoke(credential)
        if fault := self._refusal(credential):
            return _answer(401, {"message": fault})
        if (request.method, request.path) == (
            "GET",
            f"/repos/{self.owner}/{self.name}/installation",
        ):
            return _answer(200, {"id": INSTALLATION, "app_id": int(APP)})
        if (request.method, request.path) == (
            "POST",
            f"/app/installations/{INSTALLATION}/access_tokens",
        ):
            return self._issue(json.loads(request.body))
        return _answer(404, {"message": "Not Found"})

    def _issue(self, wanted: dict[str, Any]) -> Answer:
        self.asked.append(wanted)
        if wanted.get("repositories") != [self.name] or any(
            self.permissions.get(name) != value for name, value in wanted["permissions"].items()
        ):
            return _answer(
                422, {"message": "The permissions requested are not granted to this installation."}
            )
        token = f"ghs_{secrets.token_hex(18)}"
        self.tokens.add(token)
        self.issued(token)
        return _answer(201, {"token": token, "permissions": wanted["permissions"]})

    def _revoke(self, token: str) -> Answer:
        if token not in self.tokens:
            return _answer(401, {"message": "Bad credentials"})
        self.tokens.remove(token)
        self.revoked(token)
        return Answer(status=204)

    def _refusal(self, jwt: str) -> str:
        """The fault of the JWT; empty if it is valid."""
        head, _, rest = jwt.partition(".")
        body, _, signature = rest.partition(".")
        file = self._key.parent / f"signature-{secrets.token_hex(4)}"
        file.write_bytes(_decoded(signature))
        good = (
            subprocess.run(
                [
                    "openssl",
                    "dgst",
                    "-sha256",
                    "-verify",
                    str(self._public),
                    "-signature",
                    str(file),
                ],
                input=f"{head}.{body}".encode(),
                capture_output=True,
                check=False,
            ).returncode
            == 0
        )
        if not good or json.loads(_decoded(head)) != {"alg": "RS256", "typ": "JWT"}:
            return "A JSON web token could not be decoded"
        claims, now = json.loads(_decoded(body)), time.time()
        if claims["iss"] != APP:
            return "'Issuer' claim ('iss') must be an App"
        if not now - 120 < claims["iat"] <= now - 30:
            return "'Issued at' claim ('iat') must be in the past"
        return (
            ""
            # ten minutes, by a clock that may be half a minute behind, as above ahead
            if now < claims["exp"] <= now + 570
            else "'Expiration time' claim ('exp') is too far in the future"
        )


def _decoded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _answer(status: int, document: dict[str, Any]) -> Answer:
    return Answer(
        status=status,
        headers={"Content-Type": "application/json; charset=utf-8"},
        body=json.dumps(document).encode(),
    )
