"""An issuer of JSON web tokens with a key of its own."""

from __future__ import annotations

import base64
import json
import subprocess
import time
from pathlib import Path

from tests.fakes.rsa_keys import rsa_key


class Issuer:
    """Signs claims by RS256 with the key called `pair`; `public` is its public half in PEM."""

    def __init__(
        self, folder: Path, name: str = "https://issuer.example", *, pair: str = ""
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.name = name
        self._key = folder / "issuer.key"
        made = rsa_key(pair)
        self._key.write_text(made.private)
        self.public = made.public

    def token(self, *, lives: float = 600.0, **claims: object) -> str:
        """A token with these claims, valid for this number of seconds."""
        now = time.time()
        claims = {
            "iss": self.name,
            "iat": int(now) - 5,
            "nbf": int(now) - 5,
            "exp": int(now + lives),
            **claims,
        }
        signed = b".".join(
            _part(json.dumps(one).encode()) for one in ({"alg": "RS256", "typ": "JWT"}, claims)
        )
        signature = subprocess.run(
            ["openssl", "dgst", "-sha256", "-sign", str(self._key)],
            input=signed,
            capture_output=True,
            check=True,
            timeout=60,
        ).stdout
        return b".".join((signed, _part(signature))).decode()


def claims_of(token: str) -> dict[str, object]:
    """The claims of a token, without a check of its signature."""
    part = token.split(".")[1]
    claims: dict[str, object] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return claims


def _part(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
