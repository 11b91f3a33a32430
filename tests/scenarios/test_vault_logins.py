"""Each way to log in to a Vault that runs as in production, with TLS by its own authority.

Nothing of the logins stays behind.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.calls import Ending, configure, request
from tests.fakes.authority import Authority
from tests.fakes.images import make_image, put
from tests.fakes.json_web_tokens import Issuer
from tests.fakes.kubernetes_server import KubernetesServer
from tests.fakes.registry import FakeRegistry
from tests.fakes.serve import Answer, LoopbackServer, Request
from tests.fakes.vault_server import SealedVault
from tests.vault_calls import AUDIENCE, take_jwt, take_pods

PASSWORD = "geheim-in-vault"
_HOP = {"connection", "content-length", "transfer-encoding", "date", "server"}


class World:
    """A Vault server, and the issuers of the tokens that it trusts."""

    def __init__(self, folder: Path, vault: SealedVault, authority: Authority) -> None:
        self.vault, self.authority = vault, authority
        self.issuer = Issuer(folder / "issuer")
        self.cluster = KubernetesServer(folder / "cluster")
        self.cluster.tls = authority.issue("cluster").server()

    def logins(self, folder: Path) -> dict[str, dict[str, str]]:
        """The variables of the agent for each way to log in."""
        role_id, secret_id = self.vault.app_role("team")
        (folder / "pod").write_text(self.cluster.token("ci", "jenkins"))
        return {
            "approle": {"PIPER_vaultAppRoleID": role_id, "PIPER_vaultAppRoleSecretID": secret_id},
            "jwt": {
                "PIPER_vaultJwt": self.issuer.token(
                    sub="build", aud=AUDIENCE, repository="team/shop"
                ),
                "PIPER_vaultAuthRole": "team",
            },
            "kubernetes": {
                "PIPER_vaultAuthMethod": "kubernetes",
                "PIPER_vaultAuthRole": "team",
                "PIPER_vaultJwtFile": str(folder / "pod"),
            },
        }


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("vault")
    authority = Authority(folder / "authority")
    with SealedVault(folder / "vault", authority) as vault:
        made = World(folder, vault, authority)
        with made.cluster:
            vault.put(
                "unit/shop/docker-registry",
                targetRegistryUser="pusher",
                targetRegistryPassword=PASSWORD,
            )
            vault.put("unit/GROUP-SECRETS/docker-config", dockerConfigJSON='{"auths": {}}')
            vault.policy("team", "secret/data/unit/*")
            take_jwt(vault, made.issuer)
            take_pods(vault, made.cluster, authority.certificate)
            yield made


class Shop:
    """A workspace, a staging registry with its image, and a target whose login is in Vault."""

    def __init__(self, folder: Path, staging: FakeRegistry, target: FakeRegistry) -> None:
        self.folder, self.staging, self.target = folder, staging, target
        self.image = make_image("linux/amd64")
        put(self.image, staging, "shop", "1")
        configure(
            folder, f"steps: {{imagePushToRegistry: {{targetRegistryUrl: '{target.url}'}}}}\n"
        )

    def words(self) -> list[str]:
        known = {
            "container/registryUrl": self.staging.url,
            "container/imageNames": ["shop"],
            "container/imageDigests": [self.image.digest],
            "artifactVersion": "1",
        }
        return [
            "run",
            "imagePushToRegistry",
            *request(self.folder, step="imagePushToRegistry", pipelineEnvironment=known),
        ]

    def push(self, environ: dict[str, str]) -> Ending:
        ending = Ending(self.words(), self.folder, {"PATH": "/usr/bin:/bin", **environ})
        everything = json.dumps(ending.result) + ending.err + ending.out
        secrets = [
            PASSWORD,
            *(
                value
                for name, value in environ.items()
                if name in ("PIPER_vaultJwt", "PIPER_vaultAppRoleSecretID")
            ),
        ]
        assert not any(secret in everything for secret in secrets)
        return ending

    @property
    def pushed(self) -> bool:
        return "shop" in self.target.storage and self.target.storage["shop"].tags == {
            "1": self.image.digest
        }


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    monkeypatch.chdir(workspace)
    with (
        FakeRegistry() as staging,
        FakeRegistry(username="pusher", password=PASSWORD, auth="bearer") as target,
    ):
        yield Shop(workspace, staging, target)


def agent(world: World, url: str = "", *, trusting: bool = True) -> dict[str, str]:
    """The settings of the platform team on the agent."""
    trust = (
        {"PIPER_customTlsCertificateLinks": str(world.authority.certificate)} if trusting else {}
    )
    return {
        "PIPER_vaultServerUrl": url or world.vault.url,
        "PIPER_vaultBasePath": "secret/unit",
        "PIPER_vaultPipelineName": "shop",
        **trust,
    }


class Between(LoopbackServer):
    """A proxy before the server that calls a function at the first request for a path."""

    def __init__(self, world: World, path: str, happen: Callable[[Request], object]) -> None:
        super().__init__()
        self._world, self._path, self._happen = world, path, happen

    def answer(self, request: Request) -> Answer:
        happen, self._happen = (
            (self._happen, lambda _: None)
            if self._path in request.path
            else (lambda _: None, self._happen)
        )
        happen(request)
        connection = self._world.vault.connection()
        try:
            connection.request(
                request.method,
                request.path,
                request.body or None,
                {name: value for name, value in request.headers.items() if name not in _HOP},
            )
            response = connection.getresponse()
            headers = {
                name: value for name, value in response.getheaders() if name.lower() not in _HOP
            }
            return Answer(status=response.status, headers=headers, body=response.read())
        except (OSError, http.client.HTTPException):
            return Answer(status=502)
        finally:
            connection.close()


@pytest.mark.parametrize("kind", ["approle", "jwt", "kubernetes"])
def test_an_image_is_pushed_with_a_password_from_a_vault_with_its_own_authority(
    world: World, shop: Shop, tmp_path: Path, kind: str
) -> None:
    environ = world.logins(tmp_path)[kind]
    before = world.vault.tokens()
    ending = shop.push({**agent(world), **environ})
    assert (ending.code, shop.pushed, world.vault.tokens()) == (0, True, before), ending.err


def test_an_authority_that_only_the_project_names_is_none(
    world: World, shop: Shop, tmp_path: Path
) -> None:
    (shop.folder / "ca.pem").write_bytes(world.authority.certificate.read_bytes())
    configure(
        shop.folder,
        "general: {customTlsCertificateLinks: [ca.pem]}\nsteps: {imagePushToRegistry:"
        f" {{targetRegistryUrl: '{shop.target.url}'}}}}\n",
    )
    ending = shop.push({**agent(world, trusting=False), **world.logins(tmp_path)["approle"]})
    assert (ending.code, ending.result["error"]["category"]) == (4, "infrastructure")
    assert "its certificate is not trusted" in ending.message
    assert shop.target.requests == ()


def test_the_machines_own_choice_of_authorities_counts_for_vault_too(
    world: World, shop: Shop, tmp_path: Path
) -> None:
    environ = {**agent(world, trusting=False), **world.logins(tmp_path)["jwt"]}
    for name, code in (("SSL_CERT_FILE", 0), ("OTHER_CERT_FILE", 4)):
        words = [sys.executable, "-m", "towline", *shop.words()]
        ended = subprocess.run(
            words,
            cwd=shop.folder,
            env={**os.environ, **environ, name: str(world.authority.certificate)},
            capture_output=True,
            check=False,
        )
        assert ended.returncode == code, ended.stderr.decode()


def test_a_sealed_vault_stops_the_step_before_it_does_anything(
    world: World, shop: Shop, tmp_path: Path
) -> None:
    logins = world.logins(tmp_path)
    world.vault.seal()
    try:
        ending = shop.push({**agent(world), **logins["kubernetes"]})
    finally:
        world.vault.unseal()
    assert (ending.code, ending.result["error"]["category"]) == (4, "infrastructure")
    assert "sealed" in ending.message
    assert shop.target.requests == ()


def restart(world: World, _: Request) -> None:
    world.vault.restart()
    world.vault.unseal()


def forget(world: World, request: Request) -> None:
    world.vault.api("POST", "auth/token/revoke", {"token": request.headers["x-vault-token"]})


@pytest.mark.parametrize("happen", [restart, forget])
@pytest.mark.parametrize("kind", ["approle", "jwt", "kubernetes"])
def test_what_happens_to_vault_between_two_secrets_does_not_cost_the_second(
    world: World,
    shop: Shop,
    tmp_path: Path,
    kind: str,
    happen: Callable[[World, Request], None],
) -> None:
    environ = world.logins(tmp_path)[kind]
    before = world.vault.tokens()
    with Between(
        world, "GROUP-SECRETS/docker-config", lambda request: happen(world, request)
    ) as between:
        ending = shop.push({**agent(world, between.url), **environ})
    assert (ending.code, shop.pushed, world.vault.tokens()) == (0, True, before), ending.err
    assert "dockerConfigJSON" in ending.err


def test_a_given_token_that_ends_in_mid_step_is_a_fault_before_anything_is_pushed(
    world: World, shop: Shop
) -> None:
    with Between(
        world, "GROUP-SECRETS/docker-config", lambda request: forget(world, request)
    ) as between:
        ending = shop.push(
            {**agent(world, between.url), "PIPER_vaultToken": world.vault.token("team")}
        )
    assert (ending.code, ending.where) == (4, "PIPER_vaultToken")
    assert "does not know the token any more" in ending.message
    assert shop.target.requests == ()


@pytest.mark.parametrize("kind", ["approle", "kubernetes"])
def test_a_run_that_is_ended_by_a_signal_gives_its_token_back(
    world: World, shop: Shop, tmp_path: Path, kind: str
) -> None:
    environ = {**os.environ, **world.logins(tmp_path)[kind]}
    before = world.vault.tokens()
    asked, free = threading.Event(), threading.Event()

    def stick(_: Request) -> None:
        asked.set()
        free.wait(240)

    with Between(world, "GROUP-SECRETS/docker-config", stick) as between:
        words = [sys.executable, "-m", "towline", *shop.words()]
        with subprocess.Popen(
            words,
            cwd=shop.folder,
            env={**environ, **agent(world, between.url)},
            stderr=subprocess.PIPE,
        ) as child:
            assert asked.wait(120)
            held = world.vault.tokens()
            child.send_signal(signal.SIGTERM)
            _, err = child.communicate(timeout=120)
        free.set()
    assert (child.returncode, held, world.vault.tokens()) == (143, before + 1, before), err.decode()
