"""The authorities of a step in the file for another program, after the machine's own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.calls import Ending, configure, request
from tests.fakes.authority import Authority
from tests.fakes.git_server import GitServer

MANIFEST = (
    b"kind: Pod\nspec:\n  containers:\n  - {name: app, image: 'registry.example.com/app:1'}\n"
)


class Place:
    """A workspace, and a repository behind a certificate of an authority of its own."""

    def __init__(self, folder: Path, server: GitServer, authority: Authority) -> None:
        self.folder, self.server, self.authority = folder, server, authority
        server.create("ops", {"app.yaml": MANIFEST})
        self.bundles: list[str] = []
        server.fault = self._look

    def _look(self, _method: str, _path: str) -> None:
        self.bundles += [path.read_text() for path in self.folder.rglob("authorities.pem")]

    def deploy(self, *links: str, **variables: str) -> Ending:
        configure(
            self.folder,
            f"steps: {{gitOpsUpdateDeployment: {{serverUrl: '{self.server.url('ops')}', filePath:"
            " app.yaml, containerName: app}}\n",
        )
        flag = request(
            self.folder,
            step="gitOpsUpdateDeployment",
            parameters={
                "containerImageNameTag": "app:2",
                "containerRegistryUrl": "https://registry.example.com",
                "customTlsCertificateLinks": list(links),
            },
        )
        environ = {
            "PATH": os.environ["PATH"],
            "TMPDIR": str(self.folder),
            "PIPER_username": "deployer",
            "PIPER_password": "word",
            **variables,
        }
        return Ending(["run", "gitOpsUpdateDeployment", *flag], self.folder, environ)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    (tmp_path / "workspace").mkdir()
    monkeypatch.chdir(tmp_path / "workspace")
    authority = Authority(tmp_path / "ca")
    with GitServer(
        tmp_path / "git", "deployer", "word", tls=authority.issue("server").server()
    ) as server:
        yield Place(tmp_path / "workspace", server, authority)


def test_git_trusts_the_machines_authorities_and_those_besides(place: Place) -> None:
    assert place.deploy(str(place.authority.certificate)).code == 0
    assert place.authority.certificate.read_text() in place.bundles[0]
    assert place.bundles[0].count("BEGIN CERTIFICATE") > 1


@pytest.mark.parametrize("variable", ["GIT_SSL_CAINFO", "SSL_CERT_FILE"])
def test_what_the_agent_names_as_the_machines_own_stays_among_them(
    place: Place, variable: str
) -> None:
    another = Authority(place.authority.certificate.parent / "another", "another")
    ending = place.deploy(str(another.certificate), **{variable: str(place.authority.certificate)})
    assert ending.code == 0, ending.err
    assert [
        place.authority.certificate.read_text() in place.bundles[0],
        another.certificate.read_text() in place.bundles[0],
    ] == [True, True]


def test_without_any_the_agents_choice_is_left_to_git(place: Place) -> None:
    assert place.deploy().code == 3
    assert place.deploy(GIT_SSL_CAINFO=str(place.authority.certificate)).code == 0
    assert place.bundles == []


def test_a_certificate_over_plain_http_is_warned_of_and_a_missing_one_ends_the_step(
    place: Place,
) -> None:
    ending = place.deploy("http://127.0.0.1:1/ca.pem")
    assert ending.code == 3
    assert "comes over plain http" in ending.err
