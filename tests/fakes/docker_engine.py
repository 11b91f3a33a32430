"""A real Docker engine, used or started for tests.

It is the one at DOCKER_HOST or the usual socket, else a dockerd as a child process in a folder of
its own. No image is pulled.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import socket
import subprocess
import tarfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import docker
import docker.errors
import requests

_USUAL = Path("/var/run/docker.sock")
_PATIENCE = 60.0
# the machine's own rules and devices stay as they are
_NO_NETWORK = ("--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-masq=false")


class DockerEngine:
    """An engine that answers.

    `own`: it was started here, without a bridge, so its containers need the host's network.
    """

    def __init__(self, url: str, *, own: bool) -> None:
        self.url, self.own = url, own

    @property
    def environ(self) -> dict[str, str]:
        """The variables that lead a client to this engine."""
        return {**told(os.environ), "DOCKER_HOST": self.url}

    def client(self) -> docker.DockerClient:
        """A client, which the caller closes."""
        return docker.DockerClient.from_env(environment=self.environ, timeout=60)


class NoEngine(RuntimeError):
    """There is no engine; the text says why, and what to do."""


def told(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that say where an engine is and how to connect to it."""
    return {
        name: environ[name]
        for name in ("DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")
        if environ.get(name)
    }


@contextlib.contextmanager
def engine() -> Iterator[DockerEngine]:
    """An engine that answers, started here if there is none and root runs the tests.

    Raises NoEngine.
    """
    url = os.environ.get("DOCKER_HOST") or (f"unix://{_USUAL}" if _USUAL.exists() else "")
    if url:
        found = DockerEngine(url, own=False)
        if fault := _asked(found):
            raise NoEngine(f"the Docker engine at {url} does not answer: {fault}")
        yield found
        return
    program = shutil.which("dockerd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if os.geteuid() or not program:
        raise NoEngine(
            "no Docker engine here: set DOCKER_HOST, or install docker.io and run as root"
        )
    with (
        TemporaryDirectory(prefix="towline-docker-") as folder,
        _started(program, Path(folder)) as started,
    ):
        yield started


@contextlib.contextmanager
def _started(program: str, folder: Path) -> Iterator[DockerEngine]:
    (folder / "daemon.json").write_text("{}")  # not the configuration of the machine in /etc
    words = [
        program,
        f"--config-file={folder}/daemon.json",
        f"--data-root={folder}/data",
        f"--exec-root={folder}/exec",
        f"--pidfile={folder}/pid",
        f"--host=unix://{folder}/docker.sock",
        "--storage-driver=vfs",
        *_NO_NETWORK,
    ]
    log = folder / "log"
    with log.open("wb") as written:
        child = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=written,
            env={"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"},
        )
    try:
        found = DockerEngine(f"unix://{folder}/docker.sock", own=True)
        end = time.monotonic() + _PATIENCE
        while fault := _asked(found):
            if child.poll() is not None or time.monotonic() > end:
                raise NoEngine(
                    f"dockerd does not come up here ({fault}):"
                    f" {_complaint(log.read_text(errors='replace'))}"
                )
            time.sleep(0.1)
        if fault := _tried(found):
            raise NoEngine(f"dockerd comes up here but takes no image: {fault}")
        yield found
    finally:
        child.terminate()  # ends its containerd too, and takes its mounts away
        try:
            child.wait(30)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        for mount in _mounts(folder):
            subprocess.run(["umount", "--lazy", mount], check=False, capture_output=True)


def _tried(engine: DockerEngine) -> str:
    """Why an image cannot be unpacked; empty if it can.

    For example, the machine's root is not a mount point.
    """
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("empty"))
    try:
        with contextlib.closing(engine.client()) as client:
            client.api.import_image_from_data(stream.getvalue(), repository="towline-tests/trial")
            client.images.remove("towline-tests/trial")
    except (docker.errors.DockerException, requests.RequestException, OSError) as fault:
        return str(fault)[:300]
    return ""


def _complaint(log: str) -> str:
    """The line in which dockerd gives up, else its last line; a trace may follow it."""
    lines = log.splitlines() or ["it says nothing"]
    return next(
        (
            line
            for line in lines
            if line.startswith(("panic:", "failed to start")) or "level=fatal" in line
        ),
        lines[-1],
    )[:400]


def _mounts(folder: Path) -> list[str]:
    """The mounts below a folder, the innermost first."""
    places = [line.split(" ")[1] for line in Path("/proc/mounts").read_text().splitlines()]
    return [place for place in reversed(places) if place.startswith(f"{folder}/")]


def _asked(engine: DockerEngine) -> str:
    """Why the engine does not answer; empty if it does."""
    path = engine.url.removeprefix("unix://")
    if path != engine.url:
        # docker's client leaves its socket open if no engine listens
        with socket.socket(socket.AF_UNIX) as probe:
            if fault := probe.connect_ex(path):
                return os.strerror(fault)
    try:
        with contextlib.closing(engine.client()) as client:
            client.ping()
    except (docker.errors.DockerException, requests.RequestException, OSError) as fault:
        return str(fault)[:300]
    return ""
