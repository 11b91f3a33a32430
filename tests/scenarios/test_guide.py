"""The examples of docs/guide.md, run against a real git server."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.calls import Ending
from tests.fakes.git_server import GitServer

PAGE = Path(__file__).resolve().parents[2] / "docs" / "guide.md"
SHOWN = "https://git.example.com/platform/deployments.git"
CHART = {
    "charts/shop/Chart.yaml": b"apiVersion: v2\nname: shop\nversion: 0.1.0\n",
    "charts/shop/values.yaml": b"image: {repository: shop, tag: old}\nreplicas: 1\n",
    "charts/shop/templates/deployment.yaml": (
        b"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: shop}\nspec:\n"
        b"  replicas: {{ .Values.replicas }}\n  template:\n    spec:\n      containers:\n"
        b'        - {name: shop, image: "{{ .Values.image.repository }}:{{ .Values.image.tag }}"}\n'
    ),
}
FILES = {
    **CHART,
    "values/common.yaml": b"replicas: 2\n",
    "values/acceptance.yaml": b"{}\n",
    "values/release.yaml": b"replicas: 5\n",
    "acceptance/values.yaml": b"image: {repository: shop, tag: old}\nlabels: {version: none}\n",
}
JENKINS = {
    "JENKINS_URL": "https://ci.example.com/",
    "BUILD_URL": "https://ci.example.com/job/shop/7/",
    "BUILD_NUMBER": "7",
}
IMAGE = [
    "--containerImageNameTag",
    "shop:1.4.2",
    "--containerRegistryUrl",
    "https://registry.example.com",
]


def example(name: str) -> str:
    """The block of the page that follows the comment with this name."""
    found = re.search(
        rf"^<!-- example: {name} -->\n```\w+\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE
    )
    assert found, name
    return found[1]


class Team:
    """A project in a workspace, and the GitOps repository that its configuration names."""

    def __init__(self, folder: Path, git: GitServer, files: Mapping[str, bytes]) -> None:
        self.folder, self.git = folder, git
        self.repository = git.create("deployments", dict(files))

    def configure(self, text: str) -> None:
        (self.folder / ".pipeline").mkdir(exist_ok=True)
        text = text.replace(SHOWN, self.git.url("deployments"))
        (self.folder / ".pipeline/config.yml").write_text(text)

    def deploy(self, stage: str, *words: str) -> Ending:
        return Ending(
            ["run", "gitOpsUpdateDeployment", "--stage", stage, "--branch", "main", *IMAGE, *words],
            self.folder,
            JENKINS,
        )

    def show(self, name: str) -> str:
        return self.git.git("show", f"HEAD:{name}", repository=self.repository)


@pytest.fixture
def git(tmp_path: Path) -> Iterator[GitServer]:
    with ExitStack() as stack:
        yield stack.enter_context(GitServer(tmp_path / "repositories"))


@pytest.fixture
def team(tmp_path: Path, git: GitServer, monkeypatch: pytest.MonkeyPatch) -> Team:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    monkeypatch.chdir(workspace)
    return Team(workspace, git, FILES)


def test_helm_takes_the_chart_of_the_gitops_repository(team: Team) -> None:
    team.configure(example("chart"))
    ending = team.deploy("Acceptance")
    assert ending.code == 0, ending.err
    assert "registry.example.com/shop:1.4.2" in team.show("acceptance/shop.yaml")


def test_a_chart_in_the_workspace_alone_is_an_error(
    team: Team, git: GitServer, tmp_path: Path
) -> None:
    others = {name: data for name, data in FILES.items() if name not in CHART}
    git.create("elsewhere", others)
    for name, data in CHART.items():
        file = team.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    team.configure(example("chart").replace(SHOWN, git.url("elsewhere")))
    ending = team.deploy("Acceptance")
    assert ending.code == 3
    assert "charts/shop" in ending.err


def test_each_stage_has_values_of_its_own(team: Team) -> None:
    team.configure(example("values"))
    for stage, replicas in (("Acceptance", 2), ("Release", 5)):
        ending = team.deploy(stage)
        assert ending.code == 0, ending.err
        assert f"replicas: {replicas}\n" in team.show(f"{stage.lower()}/shop.yaml")


def test_tag_and_version_go_where_the_paths_say(team: Team) -> None:
    team.configure(example("version"))
    ending = team.deploy("Acceptance", "--artifactVersion", "1.4.2-20260101")
    assert ending.code == 0, ending.err
    assert team.show("acceptance/values.yaml") == (
        "image: {repository: shop, tag: 1.4.2}\nlabels: {version: 1.4.2-20260101}\n"
    )


def test_flags_replace_the_pipeline_environment(team: Team) -> None:
    team.configure(example("chart"))
    words = example("jobs").replace("\\\n", " ").split()
    ending = Ending([*words[1:], "--branch", "main"], team.folder)
    assert ending.code == 0, ending.err
    assert "registry.example.com/shop:1.4.2" in team.show("acceptance/shop.yaml")


def test_a_direct_call_runs_and_the_other_asks(team: Team) -> None:
    team.configure(f"{example('chart')}        gitOpsUpdateDeployment: false\n")
    direct, asked = (line.split("#")[0].split()[1:] for line in example("active").splitlines())
    assert Ending([*asked, *IMAGE], team.folder).result["status"] == "skipped"
    assert Ending([*direct, *IMAGE], team.folder).result["status"] == "success"


def test_git_log_says_what_runs_where(team: Team) -> None:
    team.configure(example("values"))
    for stage in ("Acceptance", "Release"):
        assert team.deploy(stage).code == 0
    every, release = (line for line in example("log").splitlines() if line.startswith("git "))
    lines = _shell(every, team).splitlines()
    assert [line.split()[2] for line in lines] == ["Release", "Acceptance"]
    assert all("registry.example.com/shop:1.4.2" in line for line in lines)
    assert _shell(release, team).split()[1] == "https://ci.example.com/job/shop/7/"


def _shell(line: str, team: Team) -> str:
    return subprocess.check_output(["sh", "-c", line], cwd=team.repository, text=True)
