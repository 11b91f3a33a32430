"""The login of a GitHub App, against a server that checks its JWT."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.clock import FakeClock
from tests.fakes.github_server import APP, GithubServer
from tests.fakes.serve import Status, on
from tests.signers import OPENSSL, SIGNERS, without_library
from towline.errors import (
    ConfigError,
    CredentialError,
    GitError,
    GitUnreachable,
    MachineError,
    TowlineError,
)
from towline.hosting.github_app import AppRepository, GithubApp, app_repository, installation_token
from towline.http.client import Transport


class Caller:
    """An App's login, with its log and the texts that it masks."""

    def __init__(self, server: GithubServer, folder: Path) -> None:
        self.server, self.warnings, self.hidden = server, list[str](), list[str]()
        self.app = GithubApp(id=APP, key=server.key, origin="PIPER_githubAppPrivateKey")
        self.place = AppRepository(api=server.url, owner="team", name="ops")
        self.environ = {"PATH": os.environ["PATH"], "TMPDIR": str(folder)}

    def login(self) -> str:
        with (
            Transport(hide=self.hidden.append) as transport,
            installation_token(
                self.app,
                self.place,
                transport=transport,
                environ=self.environ,
                warn=self.warnings.append,
            ) as given,
        ):
            assert self.server.tokens == {given}
            return given


@pytest.fixture(params=SIGNERS)
def caller(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Caller]:
    if request.param == OPENSSL:
        without_library(monkeypatch)
    (tmp_path / "temporary").mkdir()
    with GithubServer(tmp_path / "github") as server:
        yield Caller(server, tmp_path / "temporary")


def test_a_token_for_the_one_repository_is_got_and_given_back(
    caller: Caller, tmp_path: Path
) -> None:
    given = caller.login()
    assert caller.server.asked == [{"repositories": ["ops"], "permissions": {"contents": "write"}}]
    assert caller.server.tokens == set()
    assert [record.method for record in caller.server.requests] == ["GET", "POST", "DELETE"]
    assert set(caller.server.credentials) == set(caller.hidden), (
        "word and token are masked before they are sent"
    )
    assert given in caller.hidden
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_token_is_given_back_where_the_work_fails(caller: Caller) -> None:
    with (
        pytest.raises(ZeroDivisionError),
        Transport() as transport,
        installation_token(
            caller.app,
            caller.place,
            transport=transport,
            environ=caller.environ,
            warn=caller.warnings.append,
        ),
    ):
        raise ZeroDivisionError
    assert (caller.server.tokens, caller.warnings) == (set(), [])


def test_a_token_that_cannot_be_given_back_fails_nothing(caller: Caller) -> None:
    caller.server.fault = on("DELETE", "token", Status(code=403))
    caller.login()
    assert len(caller.warnings) == 1
    assert "within an hour" in caller.warnings[0]


@pytest.mark.parametrize(
    ("method", "code", "kind", "said"),
    [
        ("GET", 401, CredentialError, "refused the GitHub App 4711"),
        ("GET", 403, CredentialError, "refused"),
        ("GET", 404, CredentialError, "not installed"),
        ("POST", 422, CredentialError, "may not write"),
        ("GET", 301, ConfigError, "redirects"),
        ("POST", 307, ConfigError, "redirects"),
        ("GET", 400, GitError, "did not take"),
        ("POST", 200, GitError, "does not answer as GitHub"),
        ("GET", 200, GitError, "does not answer as GitHub"),
    ],
)
def test_each_refusal_says_what_to_do_and_is_asked_once(
    caller: Caller, method: str, code: int, kind: type[TowlineError], said: str
) -> None:
    caller.server.fault = on(
        method,
        "install",
        Status(
            code=code,
            headers={"Location": f"{caller.server.url}/elsewhere"},
            body=b'{"message": "because\\n so"}',
        ),
    )
    with pytest.raises(kind) as caught:
        caller.login()
    assert type(caught.value) is kind
    assert said in caught.value.message
    assert (f"(HTTP {code}: because so)" in caught.value.message) == (code != 200)
    assert caught.value.hint
    assert caller.server.count("GET") == 1
    assert caller.server.count("GET", "elsewhere") == 0
    assert caller.server.count("DELETE") == 0


@pytest.mark.parametrize(
    ("method", "body"),
    [
        ("GET", b'{"id": "99/../../app"}'),
        ("GET", b'{"id": 9.5}'),
        ("POST", b'{"token": "ghs_a\\nb"}'),
        ("POST", b'{"token": 5}'),
    ],
)
def test_an_id_or_a_token_that_is_none_is_not_used(
    caller: Caller, method: str, body: bytes
) -> None:
    caller.server.fault = on(method, "install", Status(code=200, body=body))
    with pytest.raises(GitError, match="does not answer as GitHub's API does"):
        caller.login()
    assert caller.server.count("DELETE") == 0
    assert caller.server.count("POST") == (method == "POST")


def test_a_host_that_cannot_answer_is_asked_again_and_then_unreachable(caller: Caller) -> None:
    clock = FakeClock(wall=time.time()).clock
    caller.server.fault = on("GET", "installation", Status(code=503), times=2)
    with (
        Transport(clock=clock) as transport,
        installation_token(
            caller.app,
            caller.place,
            transport=transport,
            environ=caller.environ,
            warn=caller.warnings.append,
        ),
    ):
        pass
    caller.server.fault = on("GET", "installation", Status(code=503), times=99)
    with (
        pytest.raises(GitUnreachable, match="cannot answer"),
        Transport(clock=clock) as transport,
        installation_token(
            caller.app,
            caller.place,
            transport=transport,
            environ=caller.environ,
            warn=caller.warnings.append,
        ),
    ):
        pass


def test_a_host_that_is_not_there_is_unreachable(caller: Caller) -> None:
    caller.server.stop()
    with (
        pytest.raises(GitUnreachable, match="cannot be reached"),
        Transport(clock=FakeClock().clock) as transport,
        installation_token(
            caller.app,
            caller.place,
            transport=transport,
            environ=caller.environ,
            warn=caller.warnings.append,
        ),
    ):
        pass


def test_a_key_that_signs_nothing_and_a_machine_without_signer_say_so(
    caller: Caller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller.app = GithubApp(
        id=APP,
        key="-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n",
        origin="PIPER_githubAppPrivateKey",
    )
    with pytest.raises(CredentialError, match="cannot sign") as caught:
        caller.login()
    assert caught.value.where == "PIPER_githubAppPrivateKey"
    without_library(monkeypatch)
    caller.environ["PATH"] = str(tmp_path)
    with pytest.raises(MachineError, match="neither the libraries PyJWT"):
        caller.login()
    assert caller.server.requests == ()


@pytest.mark.parametrize(
    ("url", "api"),
    [
        ("https://github.com/team/ops.git", "https://api.github.com"),
        ("https://github.com/team/ops", "https://api.github.com"),
        ("https://git.example.com/team/ops.git", "https://git.example.com/api/v3"),
        ("https://git.example.com:8443/team/ops/", "https://git.example.com:8443/api/v3"),
    ],
)
def test_the_api_follows_from_the_repositorys_address(url: str, api: str) -> None:
    assert app_repository(url) == AppRepository(api=api, owner="team", name="ops")
    assert app_repository(url, "https://api.example.com/x/") == AppRepository(
        api="https://api.example.com/x", owner="team", name="ops"
    )


@pytest.mark.parametrize(
    "path", ["ops.git", "group/team/ops.git", "team/", "team/..", "team/a%2fb", "-team/ops"]
)
def test_what_is_no_repository_of_githubs_is_a_fault(path: str) -> None:
    with pytest.raises(ConfigError, match="needs a repository on a GitHub server"):
        app_repository(f"https://git.example.com/{path}")
