"""The registries that the benches copy between; each starts empty, with its storage in memory.

If there is no room in memory, the storage is on disk.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.tools import crane_program, tls_registry_program
from tests.fakes.child import ChildServer
from tests.fakes.docker_registry import DockerRegistry

_SHM, _ROOM = Path("/dev/shm"), 4 * 1024**3


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """The files of a self-signed certificate for 127.0.0.1, and of its key."""

    certificate: Path
    key: Path


@contextmanager
def storage() -> Iterator[Path]:
    """A temporary folder for the files of a bench, on tmpfs if that has 4 GiB free."""
    there = _SHM.is_dir() and shutil.disk_usage(_SHM).free > _ROOM and os.access(_SHM, os.W_OK)
    with tempfile.TemporaryDirectory(
        prefix="towline-bench-", dir=_SHM if there else None
    ) as folder:
        yield Path(folder)


def make_certificate(folder: Path) -> Certificate:
    """A new certificate, made by openssl in `folder`."""
    made = Certificate(certificate=folder / "tls.crt", key=folder / "tls.key")
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-keyout",
            made.key,
            "-out",
            made.certificate,
        ],
        check=True,
        capture_output=True,
    )
    return made


def can_serve(kind: str) -> bool:
    """Whether this machine has the program for a kind of registry (`memory`, `tls`, `docker`)."""
    return bool(
        {"memory": crane_program, "tls": tls_registry_program}.get(
            kind, lambda: shutil.which("docker-registry")
        )()
    )


@contextmanager
def registry(kind: str, folder: Path, certificate: Certificate) -> Iterator[str]:
    """Run a new registry of that kind; yields its `127.0.0.1:PORT`."""
    if kind == "docker":
        place = Path(tempfile.mkdtemp(dir=folder))
        with DockerRegistry(place) as running:
            yield running.host
        shutil.rmtree(place)
        return
    with _InMemory(
        Path(tempfile.mkdtemp(dir=folder)), certificate if kind == "tls" else None
    ) as memory:
        yield memory.host


class _InMemory(ChildServer):
    """`crane registry serve`, or the same behind TLS."""

    def __init__(self, folder: Path, certificate: Certificate | None) -> None:
        super().__init__(folder)
        self._certificate = certificate

    def launch(self) -> subprocess.Popen[bytes]:
        if self._certificate:
            return self.spawn(
                tls_registry_program(),
                self.host,
                str(self._certificate.certificate),
                str(self._certificate.key),
            )
        return self.spawn(crane_program(), "registry", "serve", "--address", self.host)

    def answers(self) -> bool:
        with socket.create_connection(("127.0.0.1", self.port), 5):
            return True
