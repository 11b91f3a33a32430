"""The real registry comes up, takes a push and shows its storage, also with a token server."""

from __future__ import annotations

import http.client
import json
import subprocess
from contextlib import closing
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.fakes.docker_registry import DockerRegistry
from tests.fakes.images import make_index, put
from tests.fakes.token_server import TokenServer


def _get(host: str, target: str, authorization: str = "") -> tuple[int, bytes, str]:
    with closing(http.client.HTTPConnection(host, timeout=60)) as connection:
        connection.request(
            "GET", target, headers={"Authorization": authorization} if authorization else {}
        )
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers.get("WWW-Authenticate", "")


@pytest.mark.parametrize("docker", [False, True])
def test_a_pushed_index_lies_in_the_storage_folder(tmp_path: Path, *, docker: bool) -> None:
    index = make_index(docker=docker)
    with DockerRegistry(tmp_path, username="someone", password="pässword") as registry:
        put(index, registry.url, "team/app", "1.0", login=("someone", "pässword"))
        assert registry.manifest_digest("team/app", "1.0") == index.digest
        assert registry.manifest_digest("team/app", "2.0") == ""
        assert registry.blob(index.children[1].digest) == index.children[1].manifest


def test_a_wrong_password_is_refused_and_the_program_ends_with_the_block(tmp_path: Path) -> None:
    with (
        DockerRegistry(tmp_path, username="someone", password="right") as registry,
        pytest.raises(RuntimeError, match="401"),
    ):
        put(make_index(), registry.url, "team/app", "1.0", login=("someone", "wrong"))
    with pytest.raises(OSError, match="refused"):
        _get(registry.host, "/v2/")


def test_a_missing_program_is_named_with_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match="apt-get install docker-registry"):
        DockerRegistry(tmp_path).start()


def test_a_program_that_ends_at_once_is_shown_with_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "docker-registry"
    program.write_text("#!/bin/sh\necho no good >&2\nexit 3\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match="did not come up: no good"):
        DockerRegistry(tmp_path / "folder").start()


def test_a_token_opens_its_scope_and_no_other(tmp_path: Path) -> None:
    with (
        TokenServer(tmp_path / "token", username="someone", password="secret") as tokens,
        DockerRegistry(
            tmp_path / "registry", token_realm=tokens.realm, token_certificate=tokens.certificate
        ) as registry,
    ):
        status, _, challenge = _get(registry.host, "/v2/team/app/tags/list")
        assert (
            status,
            "Bearer"
            f' realm="{tokens.realm}",service="docker-registry",scope="repository:team/app:pull"'
            in challenge,
        ) == (401, True)
        target = "/token?" + urlencode(
            {"service": "docker-registry", "scope": "repository:team/app:pull"}
        )
        assert _get(tokens.host, target)[0] == 401
        token = json.loads(_get(tokens.host, target, "Basic c29tZW9uZTpzZWNyZXQ=")[1])["token"]
        assert tokens.scopes == [("repository:team/app:pull",)]
        assert _get(registry.host, "/v2/team/app/tags/list", f"Bearer {token}")[0] == 404
        assert _get(registry.host, "/v2/team/other/tags/list", f"Bearer {token}")[0] == 401


def test_stopping_leaves_no_process(tmp_path: Path) -> None:
    registry = DockerRegistry(tmp_path).start()
    child = registry._child
    registry.stop()
    registry.stop()
    assert isinstance(child, subprocess.Popen)
    assert child.returncode is not None
