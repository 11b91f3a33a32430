"""Debian's `docker-registry` (distribution 2.8) as a child process on loopback: the real server beside the fake one."""

from __future__ import annotations

import gzip
import http.client
import json
import shutil
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import bcrypt

from tests.fakes.authority import Issued

_PROGRAM = "docker-registry"
_PATIENCE = 30.0


class DockerRegistry:
    """`docker-registry serve` with file storage in `folder` from start() to stop(); Basic credentials where a user name is given.

    To be set before start(): `tls` and `clients`, what it speaks TLS with and the authority of the clients it lets in; `others`, more accounts by name.
    """

    def __init__(self, folder: Path, *, username: str = "", password: str = "", token_realm: str = "", token_certificate: Path | None = None) -> None:
        self.folder = folder
        self.username, self.password = username, password
        self.token_realm, self.token_certificate = token_realm, token_certificate
        self.tls: Issued | None = None
        self.clients: Path | None = None
        self.others: dict[str, str] = {}
        self.log = folder / "registry.log"
        self.port = 0
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def host(self) -> str:
        """`127.0.0.1:PORT`."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`, or with https where it has `tls`."""
        return f"{'https' if self.tls else 'http'}://{self.host}"

    def start(self) -> Self:
        """Start the program on a free port and wait until it answers; raises RuntimeError (not installed, or not up in time) with the log's end."""
        program = shutil.which(_PROGRAM)
        if not program:
            raise RuntimeError(f"{_PROGRAM} is not on PATH; install it: apt-get install {_PROGRAM}")
        self.folder.mkdir(parents=True, exist_ok=True)
        for _ in range(5):  # between the choice of a free port and its use another program may take it
            self.port = _free_port()
            self._launch(program)
            if self._comes_up():
                return self
            self.stop()
        raise RuntimeError(f"{_PROGRAM} did not come up: {self._log_end()}")

    def stop(self) -> None:
        """End the program; its folder stays."""
        child, self._child = self._child, None
        if child:
            child.terminate()
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def manifest_digest(self, repository: str, tag: str) -> str:
        """The digest that `tag` points to, read from the storage folder; empty where there is none."""
        link = self._files / "repositories" / repository / "_manifests" / "tags" / tag / "current" / "link"
        return link.read_text(encoding="utf-8").strip() if link.is_file() else ""

    def blob(self, digest: str) -> bytes:
        """The content of `digest`, read from the storage folder; raises FileNotFoundError."""
        algorithm, _, text = digest.partition(":")
        return (self._files / "blobs" / algorithm / text[:2] / text / "data").read_bytes()

    def unpacked(self, digest: str) -> tuple[bytes, list[bytes]]:
        """The configuration and the unpacked layers of the image `digest`."""
        manifest = json.loads(self.blob(digest))
        return self.blob(manifest["config"]["digest"]), [gzip.decompress(self.blob(layer["digest"])) for layer in manifest["layers"]]

    @property
    def _files(self) -> Path:
        return self.folder / "storage" / "docker" / "registry" / "v2"

    def _launch(self, program: str) -> None:
        config = self.folder / "config.yml"
        config.write_text(json.dumps(self._config()), encoding="utf-8")  # JSON is YAML
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                [program, "serve", str(config)], env={}, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )

    def _config(self) -> dict[str, object]:
        config: dict[str, object] = {
            "version": "0.1",
            "log": {"level": "info", "accesslog": {"disabled": False}},
            "storage": {"filesystem": {"rootdirectory": str(self.folder / "storage")}, "delete": {"enabled": True}},
            "http": {"addr": self.host, "secret": "loopback"},
        }
        if self.tls:
            tls = {"certificate": str(self.tls.certificate), "key": str(self.tls.key), **({"clientcas": [str(self.clients)]} if self.clients else {})}
            config["http"] = {"addr": self.host, "secret": "loopback", "tls": tls}
        if self.token_realm:
            token = {"realm": self.token_realm, "service": "docker-registry", "issuer": "tests", "rootcertbundle": str(self.token_certificate)}
            config["auth"] = {"token": token}
        elif self.username:
            users, known = self.folder / "htpasswd", {self.username: self.password, **self.others}
            lines = [f"{name}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()}\n" for name, password in known.items()]
            users.write_text("".join(lines), encoding="utf-8")
            config["auth"] = {"htpasswd": {"realm": "docker-registry", "path": str(users)}}
        return config

    def _comes_up(self) -> bool:
        """Whether /v2/ answers (400 for plain HTTP where it speaks TLS) before the program ends or the patience does."""
        end = time.monotonic() + _PATIENCE
        while self._child and self._child.poll() is None and time.monotonic() < end:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            try:
                connection.request("GET", "/v2/")
                return connection.getresponse().status in {200, 400, 401} and self._child.poll() is None
            except (OSError, http.client.HTTPException):
                time.sleep(0.02)
            finally:
                connection.close()
        return False

    def _log_end(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")[-2000:]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
