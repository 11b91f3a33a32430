"""imagePushToRegistry against Debian's docker-registry over TLS: an authority of one's own,
client certificates, a token server, a proxy.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.calls import Ending, configure, request
from tests.fakes.authority import Authority
from tests.fakes.credential_helper import install
from tests.fakes.docker_registry import DockerRegistry
from tests.fakes.images import ImageParts, make_index, put
from tests.fakes.proxy import ProxyServer
from tests.fakes.registry import FakeRegistry
from tests.fakes.token_server import TokenServer

PASSWORD = "target-pass-wörd"
NAME = "registry.example.com"


class Site:
    """An agent with an authority, an image in staging, and a target registry.

    The target speaks TLS, and requires tokens and client certificates.
    """

    def __init__(
        self, folder: Path, authority: Authority, staging: FakeRegistry, tokens: TokenServer
    ) -> None:
        self.folder, self.authority, self.staging, self.tokens = folder, authority, staging, tokens
        self.image: ImageParts = make_index(size=300_000, layers=2)
        put(self.image, staging, "team/app", "1.0")
        self.target = DockerRegistry(
            folder / "registry", token_realm=tokens.realm, token_certificate=tokens.certificate
        )
        self.target.tls, self.target.clients = (
            self.authority.issue("registry", names=f"DNS:{NAME},IP:127.0.0.1"),
            self.authority.certificate,
        )
        mine = self.authority.issue("agent")
        self.trusted = {
            "PIPER_customTlsCertificateLinks": str(self.authority.certificate),
            "PIPER_clientCertificates": (
                f"127.0.0.1:{{port}}={mine.certificate},{NAME}={mine.certificate}"
            ),
            "PIPER_clientKeys": f"127.0.0.1:{{port}}={mine.key},{NAME}={mine.key}",
        }

    def push(self, url: str, environ: Mapping[str, str]) -> Ending:
        known = {
            "container/registryUrl": self.staging.url,
            "container/imageNames": ["team/app"],
            "artifactVersion": "1.0",
        }
        flag = request(
            self.folder / "workspace",
            step="imagePushToRegistry",
            pipelineEnvironment=known,
            parameters={"targetRegistryUrl": url},
        )
        trusted = {
            name: value.format(port=self.target.port) for name, value in self.trusted.items()
        }
        return Ending(
            ["run", "imagePushToRegistry", *flag], self.folder / "workspace", {**trusted, **environ}
        )


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    (tmp_path / "workspace").mkdir()
    configure(tmp_path / "workspace", "general: {}\n")
    authority, tokens = (
        Authority(tmp_path / "agent"),
        TokenServer(tmp_path / "token", username="pusher", password=PASSWORD),
    )
    tokens.tls = authority.issue("tokens").server()
    with FakeRegistry() as staging, tokens:
        site = Site(tmp_path, authority, staging, tokens)
        with site.target, contextlib.chdir(tmp_path / "workspace"):
            yield site


def test_the_image_arrives_with_a_login_from_the_agents_credential_store_and_one_token(
    site: Site,
) -> None:
    environ = install(site.folder / "bin", "store", {site.target.host: ("pusher", PASSWORD)})
    home = site.folder / "home" / ".docker"
    home.mkdir(parents=True)
    (home / "config.json").write_text(
        json.dumps({"auths": {site.target.host: {}}, "credsStore": "store"})
    )
    ending = site.push(site.target.url, {**environ, "HOME": str(home.parent)})
    assert ending.code == 0, ending.err
    assert site.target.manifest_digest("team/app", "1.0") == site.image.digest
    assert site.tokens.scopes == [("repository:team/app:pull,push",)]
    assert PASSWORD not in ending.err + json.dumps(ending.result)


def test_a_registry_outside_may_not_send_us_to_a_token_service_on_this_machine(site: Site) -> None:
    """Facts section 4, "credentials sent to a realm chosen by the registry"; the registry is
    reached through a proxy that wants a login.
    """
    login = {"PIPER_targetRegistryUser": "pusher", "PIPER_targetRegistryPassword": PASSWORD}
    with ProxyServer({f"{NAME}:443": site.target.host}, login="me:proxy-pass-word") as proxy:
        ending = site.push(
            f"https://{NAME}", {**login, "HTTPS_PROXY": f"http://me:proxy-pass-word@{proxy.host}"}
        )
    assert ending.code == 4, ending.err
    assert "a token service that may not be used" in ending.message
    assert (set(proxy.lines), site.tokens.requests) == ({f"CONNECT {NAME}:443"}, ())


@pytest.mark.parametrize("without", ["PIPER_customTlsCertificateLinks", "PIPER_clientCertificates"])
def test_without_either_certificate_nothing_is_pushed(site: Site, without: str) -> None:
    site.trusted = {
        name: value
        for name, value in site.trusted.items()
        if name not in {without, without.replace("Certificates", "Keys")}
    }
    ending = site.push(
        site.target.url,
        {"PIPER_targetRegistryUser": "pusher", "PIPER_targetRegistryPassword": PASSWORD},
    )
    assert ending.code == 5
    assert site.tokens.scopes == []
    assert site.target.manifest_digest("team/app", "1.0") == ""
