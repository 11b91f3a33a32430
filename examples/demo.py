"""What `make demo` runs: the pipeline of the sample project, on servers of this machine.

Staging registry, target registry and git server are those of `tests/fakes/`; the engine is the
installed one, or the program that the arguments name, run as a user would run it. At the end the
demo checks its claims without the engine's help, and fails if one does not hold. With `--keep` the
target registry and the git server then stay until Ctrl-C, for commands of the user's own.
"""

from __future__ import annotations

import ctypes
import json
import os
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.fakes.git_server import (  # noqa: E402
    GitServer,
)
from tests.fakes.images import ImageParts, make_index, put  # noqa: E402
from tests.fakes.registry import FakeRegistry  # noqa: E402

NAME = "azure-demo-k8s-go"
SAMPLE = ROOT / "examples" / NAME
TAG = "1.0.0"
PLATFORMS = ("linux/amd64", "linux/arm64")
SEED_TARGET = "https://piper-test.common.repositories.cloud.sap"
SEED_REPOSITORY = "https://github.tools.sap/project-piper/azure-demo-k8s-go.git"
STAGES = ("Acceptance", "Performance", "Release")
PREVIEW = "environments/preview/values.yaml"
TEAM = "team.yml"
KEEP = "--keep"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SUBREAPER = (
    36  # PR_SET_CHILD_SUBREAPER: processes that a child leaves behind become ours, and are seen
)


class Claim(Exception):
    """A claim of the demo that does not hold."""


@dataclass(kw_only=True)
class Demo:
    """One run: its temporary folder, its servers, its made-up logins, and all output."""

    folder: Path
    staging: FakeRegistry
    target: FakeRegistry
    git: GitServer
    image: ImageParts
    passwords: Mapping[str, str]
    printed: list[str] = field(default_factory=list)

    @property
    def workspace(self) -> Path:
        """The folder that a Jenkins build would work in."""
        return self.folder / "workspace"

    def say(self, text: str) -> None:
        """Print `text`, and keep it for the check that no secret was printed."""
        self.printed.append(text)
        print(text, flush=True)

    def environment(self) -> dict[str, str]:
        """The environment that the agent gives the engine.

        It has the logins of the target and of git, which would come from Vault otherwise. The
        platform team's defaults name the hosts that get them.
        """
        return {
            "TOWLINE_DEFAULTS": str(self.folder / TEAM),
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder / "home"),
            "TMPDIR": str(self.folder / "tmp"),
            "LC_ALL": "C.UTF-8",
            "PIPER_targetRegistryUser": "target-user",
            "PIPER_targetRegistryPassword": self.passwords["target"],
            "PIPER_username": "git-user",
            "PIPER_password": self.passwords["git"],
        }

    def towline(self, *words: str) -> dict[str, Any]:
        """Run the engine as a user would: print its log lines, return its result."""
        arguments = [argument for argument in sys.argv[1:] if argument != KEEP]
        engine = arguments or [str(Path(sys.executable).with_name("towline"))]
        done = subprocess.run(
            [*engine, *words, "--json"],
            cwd=self.workspace,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        self.say("".join(f"    {line}\n" for line in done.stderr.splitlines()).rstrip())
        self.printed.append(done.stdout)
        if done.returncode:
            raise Claim(f"towline {' '.join(words)} ended with exit code {done.returncode}")
        result: dict[str, Any] = json.loads(done.stdout)
        return result


@contextmanager
def servers() -> Iterator[Demo]:
    """Start the three servers and make the sample's image, repository and workspace.

    Everything is removed afterwards.
    """
    passwords = {name: secrets.token_urlsafe(18) for name in ("staging", "target", "git")}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="towline-demo-")))
        for name in ("home", "tmp", "repositories"):
            (folder / name).mkdir()
        staging = stack.enter_context(
            FakeRegistry(username="staging-user", password=passwords["staging"], auth="basic")
        )
        target = stack.enter_context(
            FakeRegistry(username="target-user", password=passwords["target"], auth="bearer")
        )
        git = stack.enter_context(
            GitServer(folder / "repositories", username="git-user", password=passwords["git"])
        )
        demo = Demo(
            folder=folder,
            staging=staging,
            target=target,
            git=git,
            image=make_index(PLATFORMS),
            passwords=passwords,
        )
        shutil.copytree(SAMPLE, demo.workspace)
        configuration = demo.workspace / ".pipeline" / "config.yml"
        configuration.write_text(
            configuration.read_text()
            .replace(SEED_TARGET, target.url)
            .replace(SEED_REPOSITORY, git.url(NAME))
        )
        hosts = json.dumps(
            [server.url.partition("://")[2] for server in (staging, target)]
            + [git.url(NAME).split("/")[2]]
        )
        (folder / TEAM).write_text(f"general:\n  credentialHosts: {hosts}\n")
        check_out(demo)
        git.create(
            NAME,
            {
                str(path.relative_to(demo.workspace)): path.read_bytes()
                for path in sorted(demo.workspace.rglob("*"))
                if path.is_file() and ".git" not in path.parts
            },
        )
        yield demo


def check_out(demo: Demo) -> None:
    """Make the workspace a checkout of the productive branch, as a build has it."""
    git(demo, "init", "--quiet", "--initial-branch=main", str(demo.workspace))
    git(demo, "-C", str(demo.workspace), "add", "--all")
    git(
        demo,
        "-C",
        str(demo.workspace),
        "-c",
        "user.name=demo",
        "-c",
        "user.email=demo@example.com",
        "commit",
        "--quiet",
        "--message=A change to the service",
    )


def build(demo: Demo) -> None:
    """Stand in for kanikoExecute or cnbBuild.

    Puts an image into staging, and writes the pipeline environment as those steps do.
    """
    put(demo.image, demo.staging, NAME, TAG)
    values: dict[str, object] = {
        "container/registryUrl": demo.staging.url,
        "container/imageNames": [NAME],
        "container/imageNameTags": [f"{NAME}:{TAG}"],
        "container/imageNameTag": f"{NAME}:{TAG}",
        "container/repositoryUsername": "staging-user",
        "container/repositoryPassword": demo.passwords["staging"],
        "container/imageDigests": [demo.image.digest],
        "artifactVersion": TAG,
    }
    for key, value in values.items():
        path = demo.workspace / ".pipeline" / "commonPipelineEnvironment" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(value, str):
            path.write_text(value)
        else:
            path.with_name(f"{path.name}.json").write_text(json.dumps(value))
    demo.say(
        f"  stand-in for kanikoExecute: {NAME}:{TAG} for {' and '.join(PLATFORMS)} is in staging,"
        f" {demo.image.digest}"
    )


def pipeline(demo: Demo) -> list[dict[str, Any]]:
    """Run the stages after the build as `towlinePipeline` does; returns the results in order."""
    results = [demo.towline("run", "imagePushToRegistry", "--stage", "Build", "--if-active")]
    results += [
        demo.towline("run", "gitOpsUpdateDeployment", "--stage", stage, "--if-active")
        for stage in STAGES
    ]
    template = ["--tool", "helm-values", "--valuesTemplate", f"{PREVIEW}.j2", "--filePath", PREVIEW]
    return [
        *results,
        demo.towline("run", "gitOpsUpdateDeployment", "--stage", "Preview", *template),
    ]


def clone(demo: Demo, name: str) -> Path:
    """A fresh full clone of the bare repository, made by git without the server."""
    place = demo.folder / name
    git(demo, "clone", "--quiet", str(demo.folder / "repositories" / f"{NAME}.git"), str(place))
    return place


def git(demo: Demo, *words: str) -> str:
    """The output of git, run without the user's configuration."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(demo.folder / "home"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "LC_ALL": "C.UTF-8",
    }
    return subprocess.run(
        ["git", *words], env=environment, capture_output=True, text=True, check=True
    ).stdout


def claim(what: str, holds: object) -> None:
    """Raise Claim if `holds` is false."""
    if not holds:
        raise Claim(what)


def check_first(demo: Demo, results: list[dict[str, Any]]) -> None:
    """Check the first run against the registries' storage and a clone."""
    here, there = demo.staging.storage[NAME], demo.target.storage[NAME]
    claim(
        "the target's digest is the one that was built",
        there.tags[TAG] == here.tags[TAG] == demo.image.digest,
    )
    index = json.loads(there.manifests[demo.image.digest][1])
    found = {
        f"{entry['platform']['os']}/{entry['platform']['architecture']}"
        for entry in index["manifests"]
    }
    claim("both platforms are at the target", found == set(PLATFORMS))
    claim(
        "every manifest of the index is there",
        all(entry["digest"] in there.manifests for entry in index["manifests"]),
    )
    claim("every blob is there, byte for byte", dict(here.blobs) == dict(there.blobs))
    place = clone(demo, "first")
    image = f"{demo.target.host}/{NAME}:{TAG}"
    for stage in STAGES:
        text = (place / f"manifest-{stage.lower()}-stage.yaml").read_text()
        claim(
            f"the manifest of {stage} names the target's image",
            image in text and demo.staging.host not in text,
        )
    claim(
        "the values of Preview name the target's image",
        demo.target.host in (place / PREVIEW).read_text() and TAG in (place / PREVIEW).read_text(),
    )
    commits = git(demo, "-C", str(place), "log", "--format=%H").split()
    claim(
        "each deployment made one commit, and no other was made",
        len(commits) == 1 + len(STAGES) + 1,
    )
    claim(
        "the commits are those of the results",
        commits[:-1] == [result["outputs"]["commit"] for result in reversed(results[1:])],
    )
    claim("every result is a success", all(result["status"] == "success" for result in results))


def check_second(demo: Demo, results: list[dict[str, Any]], uploads: int, head: str) -> None:
    """Check the second run, without staging: nothing pushed or committed, all succeeded."""
    claim(
        "every result says unchanged",
        [result["status"] for result in results] == ["unchanged"] * len(results),
    )
    claim("nothing was uploaded or tagged", writes(demo) == uploads)
    claim(
        "no commit was made",
        git(demo, "-C", str(clone(demo, "second")), "rev-parse", "HEAD") == head,
    )


def writes(demo: Demo) -> int:
    """The number of write requests to the target so far."""
    return sum(1 for request in demo.target.requests if request.method in ("PUT", "PATCH", "POST"))


def check_traces(demo: Demo) -> None:
    """Check that no secret was printed, and that no process and no temporary file is left."""
    everything = "\n".join(demo.printed)
    claim(
        "no secret was printed",
        not any(password in everything for password in demo.passwords.values()),
    )
    claim("no temporary file is left", list((demo.folder / "tmp").iterdir()) == [])
    left = {path for path in (demo.folder / "home").rglob("*") if path.is_file()}
    proof = demo.folder / "home" / ".local" / "state" / "towline" / "builds"
    claim(
        "the home folder has nothing but the copy that proves what the steps have left",
        bool(left) and all(path.is_relative_to(proof) for path in left),
    )
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return
    raise Claim("no process is left")


def show_history(demo: Demo) -> None:
    """Print the git log and the diffs of the commits."""
    place = str(clone(demo, "shown"))
    demo.say("\nThe git log:\n")
    demo.say(git(demo, "-C", place, "log", "--format=%h %an: %s%n%w(0,8,8)%(trailers)"))
    demo.say("The diffs:\n")
    demo.say(
        git(
            demo,
            "-C",
            place,
            "log",
            "--reverse",
            "--format=--- %h %s",
            "--patch",
            "--unified=0",
            f"HEAD~{len(STAGES) + 1}..HEAD",
        )
    )


def play(demo: Demo) -> None:
    """Run the whole scenario."""
    started = time.monotonic()
    demo.say(
        f"Staging {demo.staging.url}, target {demo.target.url}, git {demo.git.url(NAME)}: started"
        " for this run"
    )
    demo.say(
        "The platform team's default document, which TOWLINE_DEFAULTS names:"
        f" {(demo.folder / TEAM).read_text().split(maxsplit=1)[1]}\nBuild"
    )
    build(demo)
    demo.say("\nThe stages:\n")
    first = pipeline(demo)
    check_first(demo, first)
    show_history(demo)
    uploads, head = writes(demo), git(demo, "-C", str(demo.folder / "shown"), "rev-parse", "HEAD")
    demo.staging.stop()
    demo.say("Staging is stopped. Everything again:\n")
    check_second(demo, pipeline(demo), uploads, head)
    check_traces(demo)
    took = time.monotonic() - started
    demo.say(
        f"\nAll claims hold: digests and platforms equal, {len(STAGES) + 1} commits, a second run"
        f" that changes nothing; {took:.1f} s"
    )


def keep(demo: Demo) -> None:
    """Keep target and git server until a signal comes; a file has the environment to use them."""
    variables = {
        name: value
        for name, value in demo.environment().items()
        if name.startswith(("PIPER_", "TOWLINE_"))
    }
    variables["PIPER_sourceRegistryUser"] = variables["PIPER_targetRegistryUser"]
    variables["PIPER_sourceRegistryPassword"] = variables["PIPER_targetRegistryPassword"]
    variables["XDG_STATE_HOME"] = str(demo.folder / "home" / ".local" / "state")
    lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    lines += [
        f'export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"',
        f"cd {shlex.quote(str(demo.workspace))}",
    ]
    file = demo.folder / "try.sh"
    file.touch(mode=0o600)  # it has the passwords
    file.write_text("".join(f"{line}\n" for line in lines))
    demo.say(
        "\nThe target registry and the git server stay until Ctrl-C. In another shell, for example:"
        f"\n\n    . {file}\n    towline plan --branch main\n    towline copy"
        f" {demo.target.host}/{NAME}:{TAG} {demo.target.host}/{NAME}:2.0.0\n"
        "    towline run gitOpsUpdateDeployment"
        f" --stage Acceptance --containerImageNameTag {NAME}:2.0.0 --dry-run\n"
    )
    signal.pause()


def interrupted(number: int, _frame: object) -> NoReturn:
    """Handle a signal: exit, and remove everything on the way, as at the end of a run."""
    for one in SIGNALS:
        signal.signal(one, signal.SIG_IGN)  # a second signal must not interrupt the clean-up
    print("\ndemo: interrupted; its servers and its folder go with it", file=sys.stderr)
    sys.exit(128 + number)


def main() -> int:
    """Run the scenario; returns 1, after one clear line, if a claim does not hold."""
    for number in SIGNALS:
        signal.signal(number, interrupted)
    ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    try:
        with servers() as demo:
            play(demo)
            if KEEP in sys.argv[1:]:
                keep(demo)
    except Claim as fault:
        print(f"\ndemo: this does not hold: {fault}", file=sys.stderr)
        return 1
    finally:
        with suppress(ChildProcessError):
            while True:
                os.waitpid(-1, 0)  # if the engine was ended, its children are ours
    return 0


if __name__ == "__main__":
    sys.exit(main())
