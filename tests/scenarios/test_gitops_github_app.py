"""A deployment by a GitHub App.

The API checks the App's JWT; the git server accepts the token of the API while it is valid, and
nothing else.
"""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.calls import Ending, configure
from tests.fakes.git_server import GitServer
from tests.fakes.github_server import APP, GithubServer
from tests.fakes.serve import Status, on
from tests.signers import OPENSSL, SIGNERS, without_library

MANIFEST = (
    b"kind: Pod\nspec:\n  serviceAccountName: app\n  containers:\n  - name: app\n    image:"
    b" registry.example.com/app:1\n"
)
IMAGE = [
    "--containerImageNameTag",
    "app:2",
    "--containerRegistryUrl",
    "https://registry.example.com",
    "--filePath",
    "app.yaml",
    "--containerName",
    "app",
]


class Place:
    """A workspace whose project uses a GitHub App, the repository, and the API."""

    def __init__(self, folder: Path, server: GitServer, github: GithubServer) -> None:
        self.folder, self.server, self.github = folder, server, github
        self.bare = server.create("team/ops", {"app.yaml": MANIFEST})
        server.authorization = "nobody yet"
        github.issued = self.open
        github.revoked = self.close
        self.configure("")

    def open(self, token: str) -> None:
        self.server.authorization = (
            "Basic " + base64.b64encode(f"x-access-token:{token}".encode()).decode()
        )

    def close(self, _token: str) -> None:
        self.server.authorization = "nobody any more"

    def configure(self, more: str) -> None:
        configure(
            self.folder,
            f"steps: {{gitOpsUpdateDeployment: {{serverUrl: '{self.server.url('team/ops')}',"
            f" authenticationMode: githubApp{more}}}}}\n",
        )

    def agent(self) -> dict[str, str]:
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "PIPER_githubAppId": APP,
            "PIPER_githubAppPrivateKey": self.github.key,
            "PIPER_githubAppApiUrl": self.github.url,
            "PIPER_credentialHosts": f"{self.server.url('x').split('/')[2]},{self.github.host}",
        }

    def deploy(self, *words: str, **variables: str) -> Ending:
        environ = {name: value for name, value in {**self.agent(), **variables}.items() if value}
        return Ending(["run", "gitOpsUpdateDeployment", *IMAGE, *words], self.folder, environ)

    def image(self) -> str:
        return (
            self.server.git("show", "main:app.yaml", repository=self.bare)
            .partition("image: ")[2]
            .strip()
        )


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    monkeypatch.chdir(workspace)
    with (
        GitServer(tmp_path / "git", "nobody", "yet") as server,
        GithubServer(tmp_path / "github") as github,
    ):
        yield Place(workspace, server, github)


@pytest.mark.parametrize("signer", SIGNERS)
def test_the_apps_token_opens_the_repository_and_is_given_back(
    place: Place, signer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if signer == OPENSSL:
        without_library(monkeypatch)
    ending = place.deploy("--verbose")
    assert ("openssl dgst" in ending.err) == (signer == OPENSSL)
    assert ending.code == 0, ending.err
    assert place.image() == "registry.example.com/app:2"
    assert (place.github.tokens, place.server.authorization) == (set(), "nobody any more")
    assert [record.method for record in place.github.requests] == ["GET", "POST", "DELETE"]


def test_the_password_is_never_sent_instead(place: Place) -> None:
    place.github.fault = on("GET", "installation", Status(code=404))
    ending = place.deploy(PIPER_username="ann", PIPER_password="pass-word")
    assert (ending.code, "not installed for team/ops" in ending.message) == (4, True), ending.err
    assert place.server.requests == []


def test_a_push_that_fails_gives_the_token_back_all_the_same_and_shows_no_secret(
    place: Place,
) -> None:
    shown: list[str] = []

    def told(token: str) -> None:
        shown.append(token)
        place.open(token)
        place.server.hook(
            "pre-receive",
            "team/ops",
            f"echo 'no: {token} {place.server.authorization}' >&2; exit 1",
        )

    place.github.issued = told
    ending = place.deploy()
    assert ending.code == 6
    assert place.github.tokens == set()
    for secret in (
        *shown,
        *place.github.credentials,
        place.server.authorization,
        place.github.key.splitlines()[1],
    ):
        assert secret not in ending.err + str(ending.result)
    assert "no: ****" in ending.err


@pytest.mark.parametrize(("words", "code"), [([], 143), (["--pushDeadline", "3"], 6)])
def test_a_run_that_is_interrupted_or_late_gives_the_token_back(
    place: Place, tmp_path: Path, words: list[str], code: int
) -> None:
    begun, free = tmp_path / "begun", tmp_path / "free"
    os.mkfifo(begun)
    os.mkfifo(free)
    place.server.hook("pre-receive", "team/ops", f"echo > {begun}; read -r go < {free}; exit 1")
    command = [sys.executable, "-m", "towline", "run", "gitOpsUpdateDeployment", *IMAGE, *words]
    with subprocess.Popen(
        command,
        cwd=place.folder,
        env={**place.agent(), "HOME": str(tmp_path)},
        stderr=subprocess.PIPE,
    ) as child:
        begun.read_bytes()
        held = len(place.github.tokens)
        if code == 143:
            child.send_signal(signal.SIGTERM)
        _, err = child.communicate(timeout=120)
    free.write_text("go\n")
    assert (child.returncode, held, place.github.tokens) == (code, 1, set()), err.decode()


def test_the_key_may_be_one_line_as_variables_often_are(place: Place) -> None:
    assert place.deploy(PIPER_githubAppPrivateKey=place.github.key.replace("\n", "\\n")).code == 0


def test_a_project_may_name_another_path_on_the_repositorys_own_host(place: Place) -> None:
    place.configure(f", githubAppApiUrl: '{place.server.origin}/github/api'")
    ending = place.deploy(PIPER_githubAppApiUrl="")
    assert (ending.code, "refused the GitHub App" in ending.message) == (4, True), ending.err
    assert [exchange.path.partition("?")[0] for exchange in place.server.requests] == [
        "/github/api/repos/team/ops/installation"
    ]
