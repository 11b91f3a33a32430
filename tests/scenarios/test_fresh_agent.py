"""An agent that has nothing but Python, git and a shell gets the engine of a released library.

The library is played as Jenkins plays it: the launcher of bridge.json, and a written file if the
launcher asks for the engine. tests/jenkins has the bridge itself.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.git_server import GitServer
from tests.fakes.images import make_index, put
from tests.fakes.registry import FakeRegistry
from tests.fakes.serve import Answer, LoopbackServer, Request
from tests.launcher import PYTHON, Agent, Ended, finish, sha256
from tests.release import ROOT, library, zipapp

SHARED = "resources/towline"
SAMPLE = ROOT / "examples" / "azure-demo-k8s-go"
DEPLOYMENT = (
    b"kind: Deployment\nspec:\n  template:\n    spec:\n      containers: [{name: app, image:"
    b" 'registry.example.com/app:1'}]\n"
)
OTHER = 65534  # nobody: a user without rights


class FreshAgent(Agent):
    """An agent with the launcher of the released library, git, and a request for each call."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        document = json.loads((library() / SHARED / "bridge.json").read_text(encoding="utf-8"))
        self.script.write_text(document["launcher"], encoding="utf-8")
        git = shutil.which("git")
        assert git
        (self.programs / "git").symlink_to(git)

    def call(self, command: str, step: str = "", **request: Any) -> Ended:
        """A call of the library; the engine is delivered if the launcher asks for it."""
        return self.deliver(zipapp().read_bytes(), **variables(command, step, **request))


def variables(command: str, step: str = "", **request: Any) -> dict[str, str | None]:
    return {
        "TOWLINE_CALL_COMMAND": command,
        "TOWLINE_CALL_STEP": step,
        "TOWLINE_REQUEST": json.dumps({"protocol": 1, "step": step, **request}),
    }


@pytest.fixture
def agent(tmp_path: Path) -> FreshAgent:
    made = FreshAgent(tmp_path)
    shutil.copytree(SAMPLE, made.workspace, dirs_exist_ok=True)
    return made


def engines(agent: Agent) -> list[str]:
    """The files in the agent's cache."""
    return sorted(path.name for path in agent.home.rglob("*") if path.is_file())


def test_the_first_call_delivers_the_engine_and_the_next_ones_find_it(agent: FreshAgent) -> None:
    first = agent.run(**variables("plan"))
    assert first.result["status"] == "deliver"
    cold = agent.call("plan")
    assert cold.result["status"] == "success", cold
    assert cold.result["outputs"]["stages"]
    warm = agent.run(**variables("plan"))
    assert warm.result["outputs"] == cold.result["outputs"]
    assert stat.S_IMODE(agent.cached(sha256(zipapp().read_bytes())).parent.stat().st_mode) == 0o700


def test_an_image_is_pushed_and_deployed_from_a_fresh_agent(
    agent: FreshAgent, tmp_path: Path
) -> None:
    served = tmp_path / "served"
    served.mkdir()
    with FakeRegistry() as registry, GitServer(served) as git:
        put(make_index(("linux/amd64", "linux/arm64")), registry, "app", "1")
        git.create("ops", {"app.yaml": DEPLOYMENT})
        pushed = agent.call(
            "run",
            "imagePushToRegistry",
            parameters={
                "sourceRegistryUrl": registry.url,
                "targetRegistryUrl": registry.url,
                "sourceImages": ["app"],
                "sourceImageTag": "1",
                "targetImages": {"app": "shop/app"},
            },
        )
        assert pushed.result["status"] == "success", pushed
        assert registry.count("PUT", "/shop/app/manifests/") == 3
        deployed = agent.call(
            "run",
            "gitOpsUpdateDeployment",
            parameters={
                "serverUrl": git.url("ops"),
                "filePath": "app.yaml",
                "containerName": "app",
                "tool": "kubectl",
                "containerImageNameTag": "shop/app:1",
                "containerRegistryUrl": "https://registry.example.com",
            },
        )
        assert deployed.result["status"] == "success", deployed


def test_two_builds_that_start_on_a_fresh_agent_both_succeed(agent: FreshAgent) -> None:
    data = zipapp().read_bytes()
    targets = [Path(agent.run(**variables("plan")).result["target"]) for _ in range(2)]
    for target in targets:
        target.write_bytes(data)
    children = [
        agent.start(**variables("plan"), TOWLINE_DELIVERED=str(target)) for target in targets
    ]
    assert [finish(child).result["status"] for child in children] == ["success"] * 2
    assert engines(agent) == ["engine.pyz"]


def test_a_build_that_is_killed_in_the_middle_leaves_nothing_that_counts(
    agent: FreshAgent,
) -> None:
    data = zipapp().read_bytes()
    target = Path(agent.run(**variables("plan")).result["target"])
    target.write_bytes(data[: len(data) // 2])  # the agent was lost while Jenkins wrote
    assert agent.call("plan").result["status"] == "success"
    child = agent.start(**variables("plan"), TOWLINE_DELIVERED=str(target))
    os.killpg(child.pid, signal.SIGKILL)  # wherever it is by now
    finish(child)
    assert agent.call("plan").result["status"] == "success"


class Files(LoopbackServer):
    """Serves one file at any path."""

    data = b""

    def answer(self, request: Request) -> Answer:
        return Answer(status=200, body=self.data)


def test_the_engine_comes_from_the_url_of_the_agent_if_its_checksum_is_right(
    agent: FreshAgent,
) -> None:
    data = zipapp().read_bytes()
    with Files() as server:
        named = {"TOWLINE_ENGINE_URL": f"{server.url}/t.pyz", "TOWLINE_ENGINE_SHA256": sha256(data)}
        server.data = data[:-1]
        assert "has another checksum" in agent.run(**variables("plan"), **named).message
        server.data = data
        server.stop()
        assert "cannot be downloaded" in agent.run(**variables("plan"), **named).message
        server.start()
        assert engines(agent) == []
        assert agent.run(**variables("plan"), **named).result["status"] == "success"
    assert agent.run(**variables("plan"), **named).result["status"] == "success"


# ---- a pod: a user without rights or home, in a workspace of another user


def python_for_others() -> Path:
    """A Python that every user can start."""
    for path in (PYTHON, Path("/usr/bin/python3")):
        reachable = all(folder.stat().st_mode & 0o001 for folder in path.resolve().parents)
        code = "import sys; sys.exit(sys.version_info < (3, 11))"
        if reachable and subprocess.run([path, "-I", "-c", code], check=False).returncode == 0:
            return path
    pytest.skip("no Python 3.11 or newer that other users can start")


class Pod(FreshAgent):
    """The same agent as a user without rights; the workspace belongs to root."""

    def start(self, *arguments: str, **more: str | None) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*self.command, *arguments],
            cwd=self.here,
            env=self.environment(more),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            user=OTHER,
            group=OTHER,
            extra_groups=[],
            umask=0o022,
        )

    def deliver(self, data: bytes, **more: str | None) -> Ended:
        """As Jenkins does: its agent is the same user."""
        first = self.run(**more)
        if first.result["status"] != "deliver":
            return first
        target = Path(first.result["target"])
        target.write_bytes(data)
        os.chown(target, OTHER, OTHER)
        return self.run(**more, TOWLINE_DELIVERED=str(target))


@pytest.fixture
def pod() -> Iterator[Pod]:
    if os.geteuid():
        pytest.skip("only root can be another user")
    folder = Path(tempfile.mkdtemp(prefix="towline-pod-"))
    try:
        folder.chmod(0o755)
        made = Pod(folder)
        (made.programs / "python3").unlink()
        (made.programs / "python3").symlink_to(python_for_others())
        shutil.copytree(SAMPLE, made.workspace, dirs_exist_ok=True)
        made.workspace.chmod(0o777)
        os.chown(made.beside, OTHER, OTHER)
        yield made
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize("home", [None, "/", "/root", "/nonexistent"])
def test_a_user_without_rights_and_home_works_in_the_workspace_of_another(
    pod: Pod, home: str | None
) -> None:
    for name in ("init", "add .", "-c user.name=a -c user.email=a@b commit -m first"):
        command = ["git", "-c", "init.defaultBranch=main", *name.split()]
        subprocess.run(command, cwd=pod.workspace, check=True, capture_output=True)
    more: dict[str, str | None] = {**variables("plan"), "HOME": home}
    ended = pod.deliver(zipapp().read_bytes(), **more)
    assert ended.result["status"] == "success", ended
    assert f"the engine is kept in {pod.beside}, since" in ended.err
    assert "Traceback" not in ended.err
    assert "Release" in ended.result["summary"]  # its branch is known, though git doubts the owner
    assert pod.run(**more).result["status"] == "success"
