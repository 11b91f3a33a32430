"""Debian's `docker-registry` (distribution 2.8) as a child process on loopback: the real server
beside the fake one.
"""

from __future__ import annotations

import gzip
import http.client
import json
import shutil
import subprocess
from pathlib import Path

import bcrypt

from tests.fakes.authority import Issued
from tests.fakes.child import ChildServer

_PROGRAM = "docker-registry"


class DockerRegistry(ChildServer):
    """`docker-registry serve` with file storage in `folder` from start() to stop(); Basic
    credentials if a user name is given.

    To be set before start(): `tls` (its certificate), `clients` (the CA of the clients that it
    accepts), and `others` (more accounts by name).
    """

    def __init__(
        self,
        folder: Path,
        *,
        username: str = "",
        password: str = "",
        token_realm: str = "",
        token_certificate: Path | None = None,
    ) -> None:
        super().__init__(folder)
        self.username, self.password = username, password
        self.token_realm, self.token_certificate = token_realm, token_certificate
        self.tls: Issued | None = None
        self.clients: Path | None = None
        self.others: dict[str, str] = {}

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`, or with https if it has `tls`."""
        return f"{'https' if self.tls else 'http'}://{self.host}"

    def manifest_digest(self, repository: str, tag: str) -> str:
        """The digest of `tag`, read from the storage folder; empty if there is none."""
        link = (
            self._files
            / "repositories"
            / repository
            / "_manifests"
            / "tags"
            / tag
            / "current"
            / "link"
        )
        return link.read_text(encoding="utf-8").strip() if link.is_file() else ""

    def blob(self, digest: str) -> bytes:
        """The content of `digest`, read from the storage folder; raises FileNotFoundError."""
        algorithm, _, text = digest.partition(":")
        return (self._files / "blobs" / algorithm / text[:2] / text / "data").read_bytes()

    def uploads(self) -> list[str]:
        """The uploads that are not finished, of all repositories.

        Of a cancelled upload, the program itself leaves an empty folder.
        """
        return sorted(
            begun.parent.name for begun in self._files.glob("repositories/**/_uploads/*/startedat")
        )

    def unpacked(self, digest: str) -> tuple[bytes, list[bytes]]:
        """The configuration and the unpacked layers of the image `digest`."""
        manifest = json.loads(self.blob(digest))
        return self.blob(manifest["config"]["digest"]), [
            gzip.decompress(self.blob(layer["digest"])) for layer in manifest["layers"]
        ]

    @property
    def _files(self) -> Path:
        return self.folder / "storage" / "docker" / "registry" / "v2"

    def launch(self) -> subprocess.Popen[bytes]:
        """Start the program with its configuration; raises RuntimeError if it is not installed."""
        program = shutil.which(_PROGRAM)
        if not program:
            raise RuntimeError(f"{_PROGRAM} is not on PATH; install it: apt-get install {_PROGRAM}")
        config = self.folder / "config.yml"
        config.write_text(json.dumps(self._config()), encoding="utf-8")  # JSON is YAML
        return self.spawn(program, "serve", str(config))

    def _config(self) -> dict[str, object]:
        config: dict[str, object] = {
            "version": "0.1",
            "log": {"level": "info", "accesslog": {"disabled": False}},
            "storage": {
                "filesystem": {"rootdirectory": str(self.folder / "storage")},
                "delete": {"enabled": True},
            },
            "http": {"addr": self.host, "secret": "loopback"},
        }
        if self.tls:
            tls = {
                "certificate": str(self.tls.certificate),
                "key": str(self.tls.key),
                **({"clientcas": [str(self.clients)]} if self.clients else {}),
            }
            config["http"] = {"addr": self.host, "secret": "loopback", "tls": tls}
        if self.token_realm:
            token = {
                "realm": self.token_realm,
                "service": "docker-registry",
                "issuer": "tests",
                "rootcertbundle": str(self.token_certificate),
            }
            config["auth"] = {"token": token}
        elif self.username:
            users, known = self.folder / "htpasswd", {self.username: self.password, **self.others}
            lines = [
                f"{name}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()}\n"
                for name, password in known.items()
            ]
            users.write_text("".join(lines), encoding="utf-8")
            config["auth"] = {"htpasswd": {"realm": "docker-registry", "path": str(users)}}
        return config

    def answers(self) -> bool:
        """Whether /v2/ answers: with 400 for plain HTTP if it speaks TLS."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/v2/")
            return connection.getresponse().status in {200, 400, 401}
        except http.client.HTTPException:
            return False
        finally:
            connection.close()
