"""The number of requests of a deployment, by a call of the step in a build.

They include those for the history that tells newer deployments apart.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.calls import Ending, configure, request
from tests.fakes.git_server import GitServer

PASSWORD = "git-pass-word"
MANIFEST = (
    b"kind: Deployment\nspec:\n  template:\n    spec:\n      containers:\n      - {name: app,"
    b" image: 'registry.example.com/app:1'}\n"
)
FEW: Mapping[str, bytes] = {f"apps/{number}/app.yaml": MANIFEST for number in range(20)}
MANY: Mapping[str, bytes] = {
    f"clusters/c{number % 3}/app-{number}/app.yaml": MANIFEST for number in range(600)
}
LONG = MANIFEST + b"# long\n" * 10_000


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GitServer]:
    monkeypatch.chdir(tmp_path)
    with GitServer(tmp_path / "git", "deployer", PASSWORD) as running:
        yield running


def deploy(server: GitServer, path: str, number: int, **parameters: object) -> Ending:
    """Build `number` deploys the image that it made."""
    folder = Path.cwd()
    configure(folder, f"steps:\n  gitOpsUpdateDeployment: {{serverUrl: '{server.url('ops')}'}}\n")
    build = {"number": str(number), "url": f"https://ci.example.com/job/app/{number}/"}
    given = {
        "filePath": path,
        "containerName": "app",
        "containerImageNameTag": f"app:{number}",
        "containerRegistryUrl": "https://registry.example.com",
    }
    flag = request(
        folder, step="gitOpsUpdateDeployment", build=build, parameters={**given, **parameters}
    )
    server.requests.clear()
    return Ending(
        ["run", "gitOpsUpdateDeployment", *flag],
        folder,
        {"PATH": os.environ["PATH"], "PIPER_username": "deployer", "PIPER_password": PASSWORD},
    )


@pytest.mark.parametrize(
    ("files", "path", "requests"),
    [
        ({"app.yaml": MANIFEST}, "app.yaml", 7),
        (FEW, "apps/7/app.yaml", 9),
        (MANY, "clusters/c1/app-7/app.yaml", 9),
        ({**MANY, "clusters/c1/app-7/app.yaml": LONG}, "clusters/c1/app-7/app.yaml", 9),
        (FEW, "apps/*/app.yaml", 9),
    ],
    ids=[
        "at the root",
        "of few folders",
        "of many folders",
        "too long to come along",
        "every file",
    ],
)
def test_an_update_with_a_look_at_the_history_takes_at_most_ten_requests(
    server: GitServer, files: Mapping[str, bytes], path: str, requests: int
) -> None:
    bare = server.create("ops", files)
    assert deploy(server, path, 12).result["status"] == "success"
    for _ in range(3):
        server.add("ops", {"theirs": os.urandom(8)}, message="Somebody else")
    assert deploy(server, path, 13).result["status"] == "success"
    assert [exchange.status for exchange in server.requests] == [200] * requests
    server.add("ops", {"theirs": b""}, message="Somebody else")
    ending = deploy(server, path, 11)
    assert (ending.code, ending.result["status"]) == (8, "superseded"), ending.err
    assert len(server.requests) == requests - 2, "no push"
    assert server.git("log", "-1", "--format=%s", "main", repository=bare) == "Somebody else\n"
    assert server.git("fsck", "--full", "--strict", "--no-dangling", repository=bare) == ""


def test_a_chart_that_is_rendered_takes_no_more(server: GitServer) -> None:
    pod = (
        b"kind: Pod\nmetadata: {name: app}\nspec:\n  containers: [{name: app, image: '{{"
        b" .Values.image.repository }}:{{ .Values.image.tag }}'}]\n"
    )
    server.create(
        "ops",
        {
            **MANY,
            "charts/app/Chart.yaml": b"apiVersion: v2\nname: app\nversion: 0.1.0\n",
            "charts/app/values.yaml": b"image: {}\n",
            "charts/app/templates/pod.yaml": pod,
            "out/app.yaml": b"a: 1\n",
        },
    )
    for number in (12, 13):
        server.add("ops", {"theirs": os.urandom(8)}, message="Somebody else")
        ending = deploy(
            server,
            "out/app.yaml",
            number,
            tool="helm",
            chartPath="charts/app",
            deploymentName="app",
        )
        assert ending.result["status"] == "success", ending.err
        assert len(server.requests) == 9
