"""Bad input by example: each ends with its exit code, one clear message and a result file, and
loses nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.calls import Ending, configure, request
from tests.fakes.git_server import GitServer
from tests.fakes.images import make_image, put
from tests.fakes.registry import Corrupt, FakeRegistry

DEPLOYMENT = (
    b"kind: Deployment\nspec:\n  template:\n    spec:\n      containers:\n      - {name: app,"
    b" image: a:1}\n      - {name: proxy, image: p:1}\n"
)
PASSWORDS = {"target": "target-pass-word", "git": "git-pass-word"}


@dataclass(frozen=True, kw_only=True)
class Place:
    folder: Path
    staging: FakeRegistry
    target: FakeRegistry
    git: GitServer
    bare: Path

    def run(
        self, step: str, *, environ: dict[str, str] | None = None, **parameters: object
    ) -> Ending:
        known = {
            "container/registryUrl": self.staging.url,
            "container/imageNames": ["app"],
            "artifactVersion": "1",
            "container/targetRegistryUrl": self.target.url,
            "container/targetImageNameTag": "app:1",
        }
        login = {
            "PIPER_targetRegistryUser": "pusher",
            "PIPER_targetRegistryPassword": PASSWORDS["target"],
            "PIPER_username": "deployer",
            "PIPER_password": PASSWORDS["git"],
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            **(environ or {}),
        }
        ending = Ending(
            [
                "run",
                step,
                *request(self.folder, step=step, pipelineEnvironment=known, parameters=parameters),
            ],
            self.folder,
            login,
        )
        assert ending.result["status"] == "failure"
        assert ending.message
        assert ending.hint
        assert "Traceback" not in ending.err
        text = json.dumps(ending.result) + ending.err + ending.out
        assert not any(password in text for password in login.values() if "pass" in password)
        assert self.git.git("rev-list", "--count", "--all", repository=self.bare).strip() == "1"
        assert all(not repository.tags for repository in self.target.storage.values())
        return ending


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    monkeypatch.chdir(workspace)
    with (
        FakeRegistry() as staging,
        FakeRegistry(
            username="pusher", password=PASSWORDS["target"], auth="bearer", create_on_push=False
        ) as target,
        GitServer(tmp_path / "git", username="deployer", password=PASSWORDS["git"]) as git,
    ):
        put(make_image("linux/amd64"), staging, "app", "1")
        bare = git.create(
            "ops",
            {
                "app.yaml": DEPLOYMENT,
                "charts/shop/Chart.yaml": b"apiVersion: v2\nname: shop\nversion: 1.0.0\n",
            },
        )
        configure(
            workspace,
            f"steps:\n  imagePushToRegistry:\n    targetRegistryUrl: {target.url}\n "
            f" gitOpsUpdateDeployment:\n    serverUrl: {git.url('ops')}\n    filePath: app.yaml\n  "
            "  containerName: app\n",
        )
        yield Place(folder=workspace, staging=staging, target=target, git=git, bare=bare)


def test_a_wrong_registry_password_names_registry_user_and_where_the_user_came_from(
    place: Place,
) -> None:
    ending = place.run(
        "imagePushToRegistry", environ={"PIPER_targetRegistryPassword": "wrong-pass-word"}
    )
    assert ending.code == 4
    assert ending.result["error"]["category"] == "config"
    for part in (place.target.host, "pusher", "PIPER_targetRegistryUser"):
        assert part in ending.message + ending.where + ending.hint


def test_a_target_repository_that_is_missing_where_pushing_creates_none(place: Place) -> None:
    ending = place.run("imagePushToRegistry")
    assert (ending.code, ending.result["error"]["category"]) == (5, "service")
    assert "app" in ending.message
    assert place.target.host in ending.message + ending.where


def test_a_digest_that_does_not_match_while_copying_leaves_nothing_behind(place: Place) -> None:
    place.target.create("app")
    place.staging.fault = lambda seen: (
        Corrupt(at=10) if seen.method == "GET" and "/blobs/" in seen.path else None
    )
    ending = place.run("imagePushToRegistry")
    assert (ending.code, ending.result["error"]["category"]) == (5, "service")
    assert "sha256:" in ending.message
    assert place.staging.host in ending.message + ending.where
    assert place.target.storage["app"].manifests == {}


def test_a_chart_that_does_not_exist_names_those_that_do(place: Place) -> None:
    ending = place.run(
        "gitOpsUpdateDeployment", tool="helm", chartPath="charts/shops", deploymentName="shop"
    )
    assert ending.code == 3
    assert "charts/shops" in ending.message
    assert "charts/shop" in ending.hint


def test_a_branch_that_does_not_exist_names_near_ones(place: Place) -> None:
    ending = place.run("gitOpsUpdateDeployment", branchName="mian")
    assert ending.code == 3
    assert "mian" in ending.message
    assert "main" in ending.hint


def test_a_wrong_git_password_names_host_and_user(place: Place) -> None:
    ending = place.run("gitOpsUpdateDeployment", environ={"PIPER_password": "other-pass-word"})
    assert ending.code == 4
    for part in (place.git.origin.removeprefix("http://"), "deployer", "PIPER_username"):
        assert part in ending.message + ending.where + ending.hint


def test_a_container_that_is_not_in_the_manifest_lists_those_that_are(place: Place) -> None:
    ending = place.run("gitOpsUpdateDeployment", containerName="ap")
    assert ending.code == 3
    assert "app.yaml" in ending.message + ending.where
    assert "app" in ending.hint
    assert "proxy" in ending.hint


def test_a_file_that_does_not_exist_names_near_ones(place: Place) -> None:
    ending = place.run("gitOpsUpdateDeployment", filePath="ap.yaml")
    assert ending.code == 3
    assert "app.yaml" in ending.hint


def test_a_registry_that_cannot_be_reached_is_a_fault_of_the_infrastructure(place: Place) -> None:
    place.target.stop()
    ending = place.run("imagePushToRegistry")
    assert (ending.code, ending.result["error"]["category"]) == (5, "infrastructure")


def test_a_git_server_that_cannot_be_reached_is_a_fault_of_the_infrastructure(place: Place) -> None:
    url = place.git.url("ops")
    place.git.stop()
    ending = place.run("gitOpsUpdateDeployment", serverUrl=url, pushDeadline=1)
    assert (ending.code, ending.result["error"]["category"]) == (6, "infrastructure")


def test_a_template_that_does_not_render_is_a_fault_of_the_build(place: Place) -> None:
    (place.folder / "values.j2").write_text("a: 1\nb: {{ nothing }}\n")
    ending = place.run(
        "gitOpsUpdateDeployment",
        tool="helm-values",
        valuesTemplate="values.j2",
        filePath="values.yaml",
    )
    assert (ending.code, ending.result["error"]["category"]) == (7, "build")
    assert "nothing" in ending.message
    assert "values.j2:2" in ending.where
