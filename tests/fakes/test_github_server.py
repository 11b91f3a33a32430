from __future__ import annotations

import json
import subprocess
import time
from base64 import urlsafe_b64encode
from pathlib import Path

import pytest

from tests.fakes.github_server import APP, GithubServer
from towline.exchange import HttpRequest
from towline.transport import Transport


def jwt(key: Path, **claims: object) -> str:
    now = int(time.time())
    parts = ({"alg": "RS256", "typ": "JWT"}, {"iat": now - 60, "exp": now + 540, "iss": APP, **claims})
    text = ".".join(urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts)
    signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", str(key)], input=text.encode(), capture_output=True, check=True).stdout
    return f"{text}.{urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def ask(server: GithubServer, credential: str) -> int:
    headers = {"Authorization": f"Bearer {credential}", "User-Agent": "test"}
    with Transport() as transport, transport.request(HttpRequest(method="GET", url=f"{server.url}/repos/team/ops/installation", headers=headers)) as answer:
        return answer.status


@pytest.mark.parametrize("claims", [{"iss": "1"}, {"iat": int(time.time()) + 60}, {"exp": int(time.time()) + 3600}, {"exp": int(time.time()) - 10}])
def test_it_takes_the_apps_own_word_only_and_only_in_time(tmp_path: Path, claims: dict[str, object]) -> None:
    with GithubServer(tmp_path / "a") as server, GithubServer(tmp_path / "b") as other:
        assert ask(server, jwt(tmp_path / "a/app.pem")) == 200
        assert ask(server, jwt(tmp_path / "b/app.pem")) == 401
        assert ask(other, jwt(tmp_path / "b/app.pem", **claims)) == 401
