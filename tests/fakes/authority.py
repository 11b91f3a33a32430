"""A certificate authority for tests, made by openssl: roots and the certificates they sign."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Issued:
    """A certificate and its key, each in a file."""

    certificate: Path
    key: Path

    def server(self, *, clients: Path | None = None) -> ssl.SSLContext:
        """The TLS context of a server.

        With `clients`, it requires client certificates of that authority.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        if clients:
            context.load_verify_locations(clients)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


class Authority:
    """A root of its own; clients have to trust `certificate`."""

    def __init__(self, folder: Path, name: str = "tests") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.certificate, self._key = folder / f"{name}-ca.pem", folder / f"{name}-ca.key"
        openssl(
            "req",
            "-x509",
            *_NEW,
            "-days",
            "2",
            "-subj",
            f"/CN={name} authority",
            "-keyout",
            self._key,
            "-out",
            self.certificate,
        )

    def issue(self, name: str, *, names: str = "DNS:localhost,IP:127.0.0.1") -> Issued:
        """A certificate for `names` (openssl's subjectAltName) and its key."""
        issued = Issued(certificate=self._folder / f"{name}.pem", key=self._folder / f"{name}.key")
        openssl(
            "req",
            "-x509",
            *_NEW,
            "-days",
            "2",
            "-subj",
            f"/CN={name}",
            "-addext",
            f"subjectAltName={names}",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-CA",
            self.certificate,
            "-CAkey",
            self._key,
            "-keyout",
            issued.key,
            "-out",
            issued.certificate,
        )
        return issued


_NEW = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def openssl(*arguments: str | Path, stdin: bytes = b"") -> bytes:
    """The output of openssl; raises RuntimeError if it is not installed or fails."""
    program = shutil.which("openssl")
    if not program:
        raise RuntimeError("openssl is not on PATH; install it: apt-get install openssl")
    return subprocess.run(
        [program, *map(str, arguments)], input=stdin, capture_output=True, check=True, timeout=300
    ).stdout
