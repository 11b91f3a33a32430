"""Machines of other kinds: a laptop without /proc and namespaces, one without what macOS lacks,
and an agent whose user has no name and no rights, as OpenShift gives them.

Commands and steps work on each.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.calls import configure
from tests.engine.gitops.charts import as_bytes, chart
from tests.fakes import nameless
from tests.fakes.archives import old_save, tar
from tests.fakes.git_server import GitServer
from tests.fakes.images import make_image, put
from tests.fakes.registry import FakeRegistry

PASSWORD = "a-pass-word-of-the-machine"
MANIFEST = (
    b"kind: Deployment\nspec:\n  template:\n    spec:\n      containers:\n      - {name: app,"
    b" image: a:1}\n"
)
# No process is found in /proc, and a renderer gets no network namespace.
BARE = [
    "unshare",
    "--user",
    "--map-root-user",
    "--mount",
    "sh",
    "-c",
    'echo 0 > /proc/sys/user/max_net_namespaces && mount -t tmpfs none /proc && exec "$@"',
    "sh",
]
# `python -I -c CODE` as on macOS before 3.13, for the engine and for renderers that it starts.
MAC = """\
#!{python} -I
import os, resource, sys
missing = [(os, name) for name in ("waitid", "sched_getaffinity", "unshare", "O_PATH")]
for module, name in [*missing, (resource, "prlimit")]:
    if hasattr(module, name):
        delattr(module, name)
known = resource.setrlimit
def setrlimit(which, limits):
    if which == resource.RLIMIT_DATA:
        raise ValueError("current limit exceeds maximum limit")
    known(which, limits)
resource.setrlimit = setrlimit
sys.executable, code = __file__, sys.argv[3]
sys.argv[:] = ["-c", *sys.argv[4:]]
exec(compile(code, "<string>", "exec"), {{"__name__": "__main__"}})
"""
ENTRY = "import sys; from towline.__main__ import entry; sys.exit(entry())"


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A clone of the project on `main`, its registries and git server, and a way to start it."""

    folder: Path
    start: list[str]
    target: FakeRegistry
    git: GitServer

    def run(self, *words: str) -> str:
        """The output of a command, which must succeed."""
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder.parent / "home"),
            **{f"PIPER_{name}": PASSWORD for name in ("targetRegistryPassword", "password")},
            **{f"PIPER_{name}": "bot" for name in ("targetRegistryUser", "username")},
        }
        command = [*self.start, *words]
        ended = subprocess.run(
            command, cwd=self.folder, env=environ, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stderr
        assert "Traceback" not in ended.stderr
        assert PASSWORD not in ended.stderr + ended.stdout
        return ended.stdout

    def deployed(self, path: str) -> str:
        """The file in the repository."""
        words = ["git", "-C", str(self.git.folder / "ops.git"), "show", f"main:{path}"]
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def bare() -> list[str]:
    if subprocess.run([*BARE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system gives no user namespace in which /proc can be taken away")
    return [*BARE, sys.executable, "-I", "-c", ENTRY]


def nobody() -> list[str]:
    if missing := nameless.missing():
        pytest.skip(missing)
    return [*nameless.START, sys.executable, "-I", "-c", ENTRY]


def mac(folder: Path) -> list[str]:
    """The command of an engine on a Python like that of macOS, which its renderers use, too."""
    python = folder / "python"
    python.write_text(MAC.format(python=sys.executable))
    python.chmod(0o755)
    return [str(python), "-I", "-c", ENTRY]


@pytest.fixture(params=["bare", "mac", "nameless"])
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Machine]:
    start = {"bare": bare, "mac": lambda: mac(tmp_path), "nameless": nobody}[request.param]()
    home, workspace = tmp_path / "home", tmp_path / "workspace"
    home.mkdir(mode=0o555)  # the home on OpenShift is `/`
    workspace.mkdir()
    subprocess.run(
        ["git", "init", "--quiet", "--initial-branch", "main", str(workspace)], check=True
    )
    (workspace / "values.j2").write_text("image: {{ image }}\n")
    image = make_image("linux/amd64")
    (workspace / "image.tar").write_bytes(tar(old_save([(["app:1"], image)])))
    with (
        FakeRegistry() as staging,
        FakeRegistry(username="bot", password=PASSWORD, auth="basic") as target,
        GitServer(tmp_path / "git", username="bot", password=PASSWORD) as git,
    ):
        put(image, staging, "app", "2")
        git.create("ops", {"app.yaml": MANIFEST, **as_bytes(chart())})
        push = {
            "sourceRegistryUrl": staging.url,
            "targetRegistryUrl": target.url,
            "sourceImages": ["app"],
            "sourceImageTag": "2",
        }
        deploy = {
            "serverUrl": git.url("ops"),
            "containerRegistryUrl": target.url,
            "containerImageNameTag": "app:2",
            "deploymentName": "app",
            "containerName": "app",
        }
        configure(
            workspace,
            json.dumps(
                {
                    "general": {"vaultCredentialPath": "app", "vaultCredentialKeys": ["user"]},
                    "steps": {"imagePushToRegistry": push, "gitOpsUpdateDeployment": deploy},
                    "stages": {"Release": {"filePath": "out.yaml"}},
                }
            ),
        )
        yield Machine(folder=workspace, start=start, target=target, git=git)


def test_what_is_active_and_what_is_wrong_is_told(machine: Machine) -> None:
    assert "Release" in machine.run("plan")
    assert "targetRegistryUrl" in machine.run("explain", "imagePushToRegistry")
    assert "PIPER_password" in machine.run("explain", "--credentials")
    machine.run("lint")


def test_a_program_of_the_callers_own_is_run(machine: Machine) -> None:
    assert machine.run("exec", "--", "echo", "--tag", "exec") == "--tag exec\n"


def test_an_image_is_pushed_from_a_registry_and_from_a_file(machine: Machine) -> None:
    machine.run("run", "imagePushToRegistry")
    machine.run(
        "copy",
        "docker-archive:image.tar",
        f"docker://{machine.target.url.removeprefix('http://')}/app:1",
    )
    assert machine.target.manifest("app", "1")
    assert machine.target.manifest("app", "2")


@pytest.mark.parametrize(
    "how",
    [
        ["--tool", "kubectl", "--filePath", "app.yaml"],
        ["--tool", "helm", "--chartPath", "chart/app", "--filePath", "out.yaml"],
        ["--tool", "helm-values", "--valuesTemplate", "values.j2", "--filePath", "out.yaml"],
    ],
    ids=["kubectl", "helm", "template"],
)
def test_an_image_is_deployed(machine: Machine, how: list[str]) -> None:
    machine.run("run", "imagePushToRegistry")
    machine.run("run", "gitOpsUpdateDeployment", "--stage", "Release", *how)
    assert "/app:2" in machine.deployed(how[-1])
