"""Build to Release in a shell, on three of Debian's docker-registry with a login each.

Release deploys from the registry that Promote copied to.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.calls import Ending
from tests.fakes.docker_registry import DockerRegistry
from tests.fakes.git_server import GitServer
from tests.fakes.images import make_index, put

IMAGE = make_index(size=200_000)
VALUES = b"image:\n  repository: nothing\n  tag: none\n"
VARIABLES = {
    "staging": ("PIPER_sourceRegistryUser", "PIPER_sourceRegistryPassword"),
    "tested": ("PIPER_targetRegistryUser", "PIPER_targetRegistryPassword"),
    "releases": ("PIPER_dockerRegistryUser", "PIPER_dockerRegistryPassword"),
}


class World:
    """The registries, the repository, and a workspace whose pipeline environment is on disk."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self.registries = {
            name: stack.enter_context(
                DockerRegistry(folder / name, username=f"{name}-user", password=f"{name}-pass-word")
            )
            for name in VARIABLES
        }
        self.git = stack.enter_context(GitServer(folder / "repositories"))
        self.repository = self.git.create(
            "deployments", {f"{stage}.yaml": VALUES for stage in ("acceptance", "release")}
        )
        self.workspace = folder / "workspace"
        (self.workspace / ".pipeline").mkdir(parents=True)
        (self.workspace / ".pipeline" / "config.yml").write_text(f"""\
stages:
  Build: {{imagePushToRegistry: true}}
  Acceptance: {{filePath: acceptance.yaml}}
  Promote: {{dockerRegistryUrl: "{self.registries["releases"].url}"}}
  Release: {{filePath: release.yaml}}
steps:
  imagePushToRegistry:
    targetRegistryUrl: "{self.registries["tested"].url}"
    sourceRegistryUrl: "{self.registries["staging"].url}"
    sourceImages: [team/app]
    sourceImageTag: "1.0"
  gitOpsUpdateDeployment: {{serverUrl: "{self.git.url("deployments")}", tool: helm-values}}
""")
        put(
            IMAGE,
            self.registries["staging"].url,
            "team/app",
            "1.0",
            login=("staging-user", "staging-pass-word"),
        )

    def run(self, step: str, stage: str, **more: str) -> str:
        """Run one step as a stage does, with the logins of all registries; gives its status."""
        logins = {
            variable: value
            for name, pair in VARIABLES.items()
            for variable, value in zip(pair, (f"{name}-user", f"{name}-pass-word"), strict=True)
        }
        ending = Ending(
            ["run", step, "--stage", stage, "--branch", "main", "--if-active"],
            self.workspace,
            {"HOME": str(self.workspace.parent), **logins, **more},
        )
        assert ending.code == 0, ending.err
        return str(ending.result["status"])

    def deployed(self, stage: str) -> str:
        """The registry in the values file of the stage."""
        text = self.git.git("show", f"HEAD:{stage}.yaml", repository=self.repository)
        return next(
            name
            for name, registry in self.registries.items()
            if f"repository: {registry.host}/team/app" in text
        )


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with ExitStack() as stack:
        started = World(stack, tmp_path)
        monkeypatch.chdir(started.workspace)
        yield started


def test_release_deploys_what_was_promoted_and_a_restart_from_promote_changes_nothing(
    world: World,
) -> None:
    tested = {
        "PIPER_sourceRegistryUser": "tested-user",
        "PIPER_sourceRegistryPassword": "tested-pass-word",
    }
    assert world.run("imagePushToRegistry", "Build") == "success"
    assert world.run("gitOpsUpdateDeployment", "Acceptance") == "success"
    assert world.run("containerPushToRegistry", "Promote", **tested) == "success"
    assert world.run("gitOpsUpdateDeployment", "Release") == "success"
    assert (world.deployed("acceptance"), world.deployed("release")) == ("tested", "releases")
    assert {
        registry.manifest_digest("team/app", "1.0") for registry in world.registries.values()
    } == {IMAGE.digest}
    refused = [
        line
        for line in world.registries["releases"].log.read_text().splitlines()
        if 'msg="error authenticating user' in line
    ]
    assert refused == []

    world.registries["staging"].stop()
    assert world.run("containerPushToRegistry", "Promote", **tested) == "unchanged"
    assert world.run("gitOpsUpdateDeployment", "Release") == "unchanged"
    known = world.workspace / ".pipeline" / "commonPipelineEnvironment" / "container"
    assert json.loads((known / "targetImageDigests.json").read_text()) == [IMAGE.digest]
