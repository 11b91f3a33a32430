from __future__ import annotations

import json
import subprocess
import time
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.github_server import APP, GithubServer
from towline.http.client import Transport
from towline.http.messages import HttpRequest


def jwt(key: Path, *, issuer: str = APP, begin: int = -60, end: int = 540) -> str:
    now = int(time.time())
    parts = ({"alg": "RS256", "typ": "JWT"}, {"iat": now + begin, "exp": now + end, "iss": issuer})
    text = ".".join(
        urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts
    )
    signature = subprocess.run(
        ["openssl", "dgst", "-sha256", "-sign", str(key)],
        input=text.encode(),
        capture_output=True,
        check=True,
    ).stdout
    return f"{text}.{urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def ask(server: GithubServer, credential: str) -> int:
    headers = {"Authorization": f"Bearer {credential}", "User-Agent": "test"}
    with (
        Transport() as transport,
        transport.request(
            HttpRequest(
                method="GET", url=f"{server.url}/repos/team/ops/installation", headers=headers
            )
        ) as answer,
    ):
        return answer.status


@pytest.mark.parametrize("claims", [{"issuer": "1"}, {"begin": 60}, {"end": 3600}, {"end": -10}])
def test_it_takes_the_apps_own_word_only_and_only_in_time(
    tmp_path: Path, claims: dict[str, Any]
) -> None:
    with (
        GithubServer(tmp_path / "a") as server,
        GithubServer(tmp_path / "b", pair="other") as other,
    ):
        assert ask(server, jwt(tmp_path / "a/app.pem")) == 200
        assert ask(server, jwt(tmp_path / "b/app.pem")) == 401
        assert ask(other, jwt(tmp_path / "b/app.pem", **claims)) == 401
