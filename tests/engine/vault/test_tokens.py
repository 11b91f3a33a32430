from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.json_web_tokens import Issuer, claims_of
from tests.fakes.serve import Answer, LoopbackServer, Request
from towline.errors import ConfigError, CredentialError
from towline.files import enter_workspace
from towline.vault.logins import ID_TOKEN_BEARER, ID_TOKEN_URL
from towline.vault.tokens import checked_jwt, from_file, from_github

TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl-_"


# ---- only what is a token is ever sent


def test_the_space_around_a_token_is_left_out() -> None:
    assert checked_jwt(f" {TOKEN}\n", "PIPER_vaultJwt") == TOKEN


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hvs.token",
        "a.b",
        "a.b.c.d",
        "a..c",
        "a.b.c\nd",
        "a.b.c=",
        "ä.b.c",
        "-----BEGIN RSA PRIVATE KEY-----",
        "a.a." + "c" * 1024 * 1024,
    ],
    ids=lambda text: text[:20],
)
def test_what_has_not_the_shape_of_one_is_a_fault_that_does_not_repeat_it(text: str) -> None:
    with pytest.raises(CredentialError) as caught:
        checked_jwt(text, "PIPER_vaultJwt")
    assert caught.value.where == "PIPER_vaultJwt"
    assert not text or text not in f"{caught.value.message}{caught.value.hint}"


# ---- a file


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    enter_workspace(folder, {})
    return folder


def read(path: Path, workspace: Path) -> str:
    return from_file(path, where="PIPER_vaultJwtFile", folder=workspace)


def test_a_file_is_read_through_links_as_kubernetes_makes_them(
    workspace: Path, tmp_path: Path
) -> None:
    (tmp_path / "..data").mkdir()
    (tmp_path / "..data" / "token").write_text(f"{TOKEN}\n")
    (tmp_path / "token").symlink_to("..data/token")
    assert read(tmp_path / "token", workspace) == TOKEN


def test_a_file_of_the_workspace_is_not_sent_nor_one_that_a_link_there_leads_to(
    workspace: Path, tmp_path: Path
) -> None:
    (tmp_path / "key").write_text(TOKEN)
    (workspace / "link").symlink_to(tmp_path / "key")
    (workspace / "token").write_text(TOKEN)
    (tmp_path / "inside").symlink_to(workspace / "token")
    for path in (
        workspace / "link",
        workspace / "token",
        tmp_path / "inside",
        Path("token"),
        workspace / "none",
    ):
        with pytest.raises(ConfigError, match="in the workspace"):
            read(path if path.is_absolute() else workspace / path, workspace)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "is not there"),
        (b"not a token", "not a JSON web token"),
        (b"\xff" * 9, "not a JSON web token"),
        (b"a" * 1024 * 1024 + b"a", "is larger than 1 MiB"),
    ],
)
def test_a_file_that_holds_no_token_is_a_fault(
    workspace: Path, tmp_path: Path, content: bytes | None, said: str
) -> None:
    path = tmp_path / "file"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CredentialError, match=said) as caught:
        read(path, workspace)
    assert caught.value.where == "PIPER_vaultJwtFile"


@pytest.mark.parametrize("name", ["/dev/zero", "/proc", "a\0b"])
def test_a_path_that_is_not_a_file_is_not_read(workspace: Path, name: str) -> None:
    with pytest.raises(CredentialError):
        read(Path(name), workspace)


# ---- GitHub Actions


class Runner(LoopbackServer):
    """The token service that GitHub gives a job with `id-token: write`, for any audience."""

    def __init__(self, issuer: Issuer) -> None:
        super().__init__()
        self.issuer, self.strange = issuer, Answer(status=0)

    def environ(self, query: str = "?api-version=2.0") -> dict[str, str]:
        return {ID_TOKEN_URL: f"{self.url}/token{query}", ID_TOKEN_BEARER: "bearer-of-the-job"}

    def answer(self, request: Request) -> Answer:
        if self.strange.status:
            return self.strange
        if request.headers.get("authorization") != "Bearer bearer-of-the-job":
            return Answer(status=401)
        value = self.issuer.token(
            sub="repo:team/shop", aud=request.asks("audience"), version=request.asks("api-version")
        )
        return Answer(status=200, body=json.dumps({"count": len(value), "value": value}).encode())


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Issuer:
    return Issuer(tmp_path_factory.mktemp("issuer"))


@pytest.fixture
def runner(issuer: Issuer) -> Iterator[Runner]:
    with Runner(issuer) as running:
        yield running


@pytest.mark.parametrize("query", ["?api-version=2.0", ""])
def test_the_id_token_of_a_job_is_for_the_audience_that_is_asked_for(
    runner: Runner, query: str
) -> None:
    hidden = list[str]()
    claims = claims_of(
        from_github(runner.environ(query), "https://vault.example:8200/a b", hidden.append)
    )
    assert (claims["aud"], claims["version"]) == (
        "https://vault.example:8200/a b",
        "2.0" if query else "",
    )
    assert "bearer-of-the-job" in hidden


@pytest.mark.parametrize(
    "strange",
    [
        Answer(status=403),
        Answer(status=302, headers={"Location": "http://127.0.0.1:1/"}),
        Answer(status=200),
        Answer(status=200, body=b"{}"),
        Answer(status=200, body=b"[]"),
        Answer(status=200, body=b'{"value": 1}'),
        Answer(status=200, body=b'{"value": "no-token"}'),
        Answer(status=200, body=b"[" * 99_999),
    ],
)
def test_another_answer_is_not_a_token(runner: Runner, strange: Answer) -> None:
    runner.strange = strange
    with pytest.raises(CredentialError) as caught:
        from_github(runner.environ(), "a", list[str]().append)
    assert caught.value.where == ID_TOKEN_URL


def test_a_runner_that_is_not_there_is_a_fault(runner: Runner) -> None:
    environ = {**runner.environ(), ID_TOKEN_URL: "https://127.0.0.1:1/token"}
    with pytest.raises(CredentialError, match="cannot be asked for an id token"):
        from_github(environ, "a", list[str]().append)


def test_what_opens_the_runner_goes_over_no_plain_http(runner: Runner) -> None:
    with pytest.raises(CredentialError, match="over plain http"):
        from_github(
            {**runner.environ(), ID_TOKEN_URL: "http://runner.example/token"},
            "a",
            list[str]().append,
        )
