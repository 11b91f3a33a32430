"""The programs that are compared: their paths, how they are built, and their copy commands."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

CACHE = Path.home() / ".cache" / "towline-bench"
TOWLINE = str(Path(sys.executable).with_name("towline"))
_MODULE = "github.com/google/go-containerregistry"


@dataclass(frozen=True, kw_only=True)
class Place:
    """The location of an image; `kind` is `docker` (registry), `oci` (folder), `docker-archive`.

    An image of kind `docker` has `host`, `name` and `tag`; the others have `path`.
    """

    kind: str = "docker"
    host: str = ""
    name: str = ""
    tag: str = ""
    path: Path = Path()

    @property
    def reference(self) -> str:
        """The image as `host/name:tag`."""
        return f"{self.host}/{self.name}:{self.tag}"

    @property
    def skopeo(self) -> str:
        """The location in skopeo's notation."""
        return f"docker://{self.reference}" if self.kind == "docker" else f"{self.kind}:{self.path}"


@dataclass(frozen=True, kw_only=True)
class Job:
    """One image to copy, and its targets: tags of one repository."""

    source: Place
    targets: tuple[Place, ...]
    tls: bool = False


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A program; `words` makes its command line for some jobs, or None if it has none yet."""

    name: str
    words: Callable[[Sequence[Job]], list[str] | None]
    environment: Mapping[str, str] = field(default_factory=dict)


def tools() -> list[Tool]:
    """Towline and the peers that are installed or can be built; others are named on stderr."""
    found = [Tool(name="towline", words=towline)]
    if crane := crane_program():
        found.append(Tool(name="crane", words=lambda jobs: _crane(crane, jobs)))
    if skopeo := _skopeo_program():
        found.append(Tool(name="skopeo", words=lambda jobs: _skopeo(skopeo, jobs)))
    return found


def without_http2(tool: Tool) -> Tool:
    """The same Go program, limited to HTTP/1.1."""
    return Tool(
        name=f"{tool.name} without HTTP/2",
        words=tool.words,
        environment={"GODEBUG": "http2client=0"},
    )


def towline(jobs: Sequence[Job]) -> list[str]:
    """The command line of Towline: `towline copy` for one image, the step for several.

    All images of the step get the same tags.
    """
    first = jobs[0]
    scheme = "https" if first.tls else "http"
    if len(jobs) == 1:
        source = (
            f"{scheme}://{first.source.reference}"
            if first.source.kind == "docker"
            else f"{first.source.kind}:{first.source.path}"
        )
        return [
            TOWLINE,
            "copy",
            source,
            *(f"{scheme}://{target.reference}" for target in first.targets),
        ]
    tags = [target.tag for target in first.targets if target.tag != "latest"]
    return [
        TOWLINE,
        "run",
        "imagePushToRegistry",
        "--sourceRegistryUrl",
        f"{scheme}://{first.source.host}",
        "--sourceImageTag",
        first.source.tag,
        "--sourceImages",
        ",".join(job.source.name for job in jobs),
        "--targetRegistryUrl",
        f"{scheme}://{first.targets[0].host}",
        "--targetImageTag",
        tags[0],
        "--targetImages",
        ",".join(f"{job.source.name}={job.targets[0].name}" for job in jobs),
        *(["--tagLatest", "true"] if len(first.targets) > len(tags) else []),
    ]


def _crane(program: str, jobs: Sequence[Job]) -> list[str]:
    commands = []
    for job in jobs:
        first, *others = job.targets
        source = job.source.reference if job.source.kind == "docker" else str(job.source.path)
        commands.append(
            [program, "copy" if job.source.kind == "docker" else "push", source, first.reference]
        )
        commands += [[program, "tag", first.reference, other.tag] for other in others]
    return _in_turn(commands)


def _skopeo(program: str, jobs: Sequence[Job]) -> list[str]:
    return _in_turn(
        [
            [
                program,
                "--insecure-policy",
                "copy",
                "--quiet",
                *_verify(job),
                job.source.skopeo,
                target.skopeo,
            ]
            for job in jobs
            for target in job.targets
        ]
    )


def _verify(job: Job) -> list[str]:
    return (
        []
        if job.tls
        else ["--src-tls-verify=false"] * (job.source.kind == "docker")
        + ["--dest-tls-verify=false"]
    )


def _in_turn(commands: Sequence[Sequence[str]]) -> list[str]:
    return (
        list(commands[0])
        if len(commands) == 1
        else ["sh", "-c", " && ".join(shlex.join(command) for command in commands)]
    )


def crane_program() -> str:
    """The path of `crane`: on PATH, else built before, else built now; empty without Go."""
    built = CACHE / "crane"
    if found := shutil.which("crane"):
        return found
    if not built.exists() and shutil.which("go"):
        _go(["install", f"{_MODULE}/cmd/crane@latest"], CACHE)
    return _there(built, "crane: it is built by Go, and there is no `go` on PATH")


def tls_registry_program() -> str:
    """The path of the in-memory registry behind TLS, which is built like `crane`."""
    folder = CACHE / "tls_registry"
    built = folder / "tls_registry"
    if not built.exists() and shutil.which("go"):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        shutil.copy(Path(__file__).with_name("tls_registry.go"), folder / "main.go")
        for words in (
            ["mod", "init", "tls_registry"],
            ["get", f"{_MODULE}/pkg/registry@latest"],
            ["build", "-o", str(built), "."],
        ):
            _go(words, folder)
    return _there(built, "the registry behind TLS: it is built by Go, and there is no `go` on PATH")


def _skopeo_program() -> str:
    if not shutil.which("skopeo") and os.geteuid() == 0 and shutil.which("apt-get"):
        print("installing skopeo", file=sys.stderr)
        for words in (
            ["update", "-q"],
            ["install", "-q", "-y", "--no-install-recommends", "skopeo"],
        ):
            subprocess.run(
                ["apt-get", *words],
                check=False,
                stdout=subprocess.DEVNULL,
                env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            )
    return _there(
        Path(shutil.which("skopeo") or ""),
        "skopeo: install it (Debian package skopeo), or run this as root",
    )


def _go(words: Sequence[str], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    print(f"go {' '.join(words)}", file=sys.stderr)
    subprocess.run(
        ["go", *words],
        cwd=folder,
        check=True,
        env={**os.environ, "GOBIN": str(CACHE), "GOFLAGS": "-mod=mod"},
    )


def _there(path: Path, missing: str) -> str:
    if path.is_file():
        return str(path)
    print(f"*** NOT MEASURED: {missing} ***", file=sys.stderr)
    return ""
