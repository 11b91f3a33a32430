"""Logins that only Vault has: each step reads its own, and nothing of them stays behind."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.calls import Ending, configure, request
from tests.fakes.git_server import GitServer
from tests.fakes.images import ImageParts, make_image, put
from tests.fakes.registry import FakeRegistry
from tests.fakes.serve import Answer, LoopbackServer, Request
from tests.fakes.vault_server import VaultServer

PASSWORD = "geheim-in-vault"
MANIFEST = (
    b"kind: Deployment\nspec:\n  template:\n    spec:\n      containers:\n      - {name: app,"
    b" image: a:1}\n"
)


@dataclass(frozen=True, kw_only=True)
class Place:
    """A project that names Vault, a staging registry with an image, and a target with a login."""

    folder: Path
    vault: VaultServer
    staging: FakeRegistry
    target: FakeRegistry
    image: ImageParts

    def configure(self, step: str) -> None:
        configure(
            self.folder,
            f"general:\n  vaultServerUrl: {self.vault.url}\n  vaultBasePath: secret/unit\n "
            f" vaultPipelineName: shop\nsteps:\n{step}",
        )

    @property
    def environ(self) -> dict[str, str]:
        role_id, secret_id = self.vault.app_role("pipeline")
        return {
            "PIPER_vaultAppRoleID": role_id,
            "PIPER_vaultAppRoleSecretID": secret_id,
            "PATH": "/usr/local/bin:/usr/bin:/bin",
        }

    def run(self, step: str) -> Ending:
        environ = self.environ
        words = ["run", step, *request(self.folder, step=step, pipelineEnvironment=self.known)]
        ending = Ending(words, self.folder, environ)
        everything = (
            json.dumps(ending.result) + ending.err + ending.out + json.dumps(ending.environ)
        )
        assert not any(
            secret in everything for secret in (PASSWORD, environ["PIPER_vaultAppRoleSecretID"])
        )
        assert self.vault.tokens() == 1  # root's token: that of the AppRole is revoked
        return ending

    @property
    def known(self) -> dict[str, object]:
        return {
            "container/registryUrl": self.staging.url,
            "container/imageNames": ["shop"],
            "container/imageDigests": [self.image.digest],
            "artifactVersion": "1",
            "container/targetRegistryUrl": self.target.url,
            "container/targetImageNameTag": "shop:1",
        }


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    monkeypatch.chdir(workspace)
    with (
        VaultServer(tmp_path / "vault") as vault,
        FakeRegistry() as staging,
        FakeRegistry(username="pusher", password=PASSWORD, auth="bearer") as target,
    ):
        vault.policy("pipeline", "secret/data/unit/*")
        image = make_image("linux/amd64")
        put(image, staging, "shop", "1")
        found = Place(folder=workspace, vault=vault, staging=staging, target=target, image=image)
        found.configure(f"  imagePushToRegistry:\n    targetRegistryUrl: {target.url}\n")
        yield found


def test_an_image_is_pushed_with_a_login_from_vault(place: Place) -> None:
    place.vault.put(
        "unit/shop/docker-registry", targetRegistryUser="pusher", targetRegistryPassword=PASSWORD
    )
    ending = place.run("imagePushToRegistry")
    assert ending.code == 0, ending.err
    assert place.target.storage["shop"].tags == {"1": place.image.digest}


def test_a_login_of_the_whole_group_fills_what_the_pipelines_own_secret_lacks(place: Place) -> None:
    place.vault.put("unit/shop/docker-registry", targetRegistryUser="pusher")
    place.vault.put(
        "unit/GROUP-SECRETS/docker-registry",
        targetRegistryUser="group",
        targetRegistryPassword=PASSWORD,
    )
    ending = place.run("imagePushToRegistry")
    assert ending.code == 0, ending.err


def test_a_docker_configuration_from_vault_is_a_login_and_its_file_is_gone(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    auth = base64.b64encode(f"pusher:{PASSWORD}".encode()).decode()
    place.vault.put(
        "unit/shop/docker-config",
        dockerConfigJSON=json.dumps({"auths": {place.target.host: {"auth": auth}}}),
    )
    ending = place.run("imagePushToRegistry")
    assert ending.code == 0, ending.err
    assert list(temporary.iterdir()) == []


def test_a_wrong_password_names_where_in_vault_it_stands(place: Place) -> None:
    place.vault.put(
        "unit/shop/docker-registry",
        targetRegistryUser="pusher",
        targetRegistryPassword="an-old-password",
    )
    ending = place.run("imagePushToRegistry")
    assert ending.code == 4
    assert (
        "Vault secret/unit/shop/docker-registry field targetRegistryPassword"
        in ending.message + ending.where + ending.hint
    )
    assert "an-old-password" not in ending.err


def test_a_deployment_is_pushed_with_a_login_from_vault(place: Place, tmp_path: Path) -> None:
    with GitServer(tmp_path / "git", username="deployer", password=PASSWORD) as git:
        bare = git.create("ops", {"app.yaml": MANIFEST})
        place.configure(
            f"  gitOpsUpdateDeployment:\n    serverUrl: {git.url('ops')}\n    filePath: app.yaml\n "
            "   containerName: app\n"
        )
        place.vault.put("unit/shop/gitHttpsCredential", username="deployer", password=PASSWORD)
        ending = place.run("gitOpsUpdateDeployment")
        assert ending.code == 0, ending.err
        assert f"image: {place.target.host}/shop:1" in git.git(
            "show", "HEAD:app.yaml", repository=bare
        )


def test_a_vault_that_is_down_stops_the_step_before_it_does_anything(place: Place) -> None:
    environ = place.environ
    place.vault.stop()
    ending = Ending(
        ["run", "imagePushToRegistry", *request(place.folder, pipelineEnvironment=place.known)],
        place.folder,
        environ,
    )
    assert (ending.code, ending.result["error"]["category"]) == (4, "infrastructure")
    assert place.vault.host in ending.message
    assert place.target.requests == ()


class Stuck(LoopbackServer):
    """A registry that answers no request until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.free = threading.Event(), threading.Event()

    def answer(self, request: Request) -> Answer:
        self.asked.set()
        self.free.wait(240)
        return Answer(status=404)


def private_folder(process: int) -> Path | None:
    """The folder in which a run keeps its secrets, in memory or not: it holds the folder open."""
    held = [
        entry.readlink() for entry in Path(f"/proc/{process}/fd").iterdir() if entry.is_symlink()
    ]
    return next(
        (
            place
            for path in held
            for place in (path, *path.parents)
            if place.name.startswith("towline-")
        ),
        None,
    )


def test_a_run_that_is_ended_by_a_signal_leaves_no_secret_file(
    place: Place, tmp_path: Path
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    place.vault.put("unit/shop/docker-config", dockerConfigJSON='{"auths": {}}')
    with Stuck() as stuck:
        place.configure(f"  imagePushToRegistry:\n    targetRegistryUrl: {stuck.url}\n")
        words = [
            sys.executable,
            "-m",
            "towline",
            "run",
            "imagePushToRegistry",
            *request(place.folder, pipelineEnvironment=place.known),
        ]
        environ = {**os.environ, **place.environ, "TMPDIR": str(temporary)}
        with subprocess.Popen(
            words, cwd=place.folder, env=environ, stderr=subprocess.DEVNULL
        ) as child:
            assert stuck.asked.wait(120)
            folder = private_folder(child.pid)
            held = folder is not None and (folder / "dockerConfigJSON").exists()
            child.send_signal(signal.SIGTERM)
            code = child.wait(120)
        stuck.free.set()
    assert (held, code) == (True, 143)
    assert folder is not None
    assert not folder.exists()
    assert list(temporary.iterdir()) == []
