"""A git server on loopback: bare repositories served by the real `git http-backend` as CGI.

For tests and the demo.
"""

from __future__ import annotations

import base64
import functools
import hmac
import os
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self
from urllib.parse import unquote, urlsplit

from tests.fakes.serve import secured

Fault = Callable[[str, str], "int | str | None"]
"""Called with method and path before a request is handled; decides what happens.

None: go on. A number: answer with this status. "drop": close the connection, handle nothing.
"cut": handle it, and break off in the middle of the answer. A URL: redirect there.
"""

_IDENTITY = "Someone <someone@example.com> 1700000000 +0000"
_SETTINGS = """\
[http]
	receivepack = true
[uploadpack]
	allowFilter = true
[receive]
	autogc = false
[gc]
	auto = 0
[core]
	fsync = none
"""


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """One request as the server saw it.

    Body bytes in both directions, the status (0: no complete answer), and whether it had a login.
    """

    method: str
    path: str
    received: int
    sent: int
    status: int
    authorized: bool


class GitServer:
    """Serves `<folder>/<name>.git` for each created repository on a free port of 127.0.0.1, with
    basic auth when a user is given, and TLS by `tls`.
    """

    def __init__(
        self,
        folder: Path,
        username: str = "",
        password: str = "",
        *,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.folder = folder
        self.requests: list[Exchange] = []
        self.fault: Fault | None = None
        self.environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(folder),
            "LC_ALL": "C",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_PROJECT_ROOT": str(folder),
            "GIT_HTTP_EXPORT_ALL": "1",
        }
        folder.mkdir(parents=True, exist_ok=True)
        self.backend = _backend()
        self.authorization = (
            "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()
            if username
            else ""
        )
        self.tls = tls
        self._server = _Server(self)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self._server.server_address[1]}"

    def url(self, name: str) -> str:
        """The address of the repository `name`."""
        return f"{self.origin}/{name}.git"

    def create(
        self,
        name: str,
        files: Mapping[str, bytes | tuple[bytes, int]],
        branch: str = "main",
        *,
        form: str = "sha1",
    ) -> Path:
        """Make a bare repository with one commit of `files` (content, or content and mode such
        as 0o755 or 0o120000); without files it is empty.
        """
        folder = self.folder / f"{name}.git"
        self.git(
            "init",
            "--quiet",
            "--bare",
            f"--initial-branch={branch}",
            f"--object-format={form}",
            "--template=",
            str(folder),
        )
        with (folder / "config").open("a") as config:
            config.write(_SETTINGS)
        if files:
            self._commit(folder, files, branch, message="Begin", tip="")
        return folder

    def add(
        self,
        name: str,
        files: Mapping[str, bytes | tuple[bytes, int]],
        branch: str = "main",
        *,
        message: str = "Change",
    ) -> str:
        """Commit `files` on top of `branch` in the bare repository itself, as another writer
        would have pushed it; gives the commit id.
        """
        folder = self.folder / f"{name}.git"
        tip = self.git(
            "for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}", repository=folder
        ).strip()
        return self._commit(folder, files, branch, message=message, tip=tip)

    def _commit(
        self,
        folder: Path,
        files: Mapping[str, bytes | tuple[bytes, int]],
        branch: str,
        *,
        message: str,
        tip: str,
    ) -> str:
        stream = (
            f"commit refs/heads/{branch}\nmark :1\ncommitter {_IDENTITY}\ndata"
            f" {len(message.encode())}\n{message}\n".encode()
        )
        stream += f"from {tip}\n".encode() if tip else b""
        for path, given in files.items():
            content, mode = given if isinstance(given, tuple) else (given, 0o644)
            stream += (
                f"M {mode if mode > 0o777 else mode | 0o100000:o} inline {path}\ndata"
                f" {len(content)}\n".encode()
                + content
                + b"\n"
            )
        return self.git(
            "fast-import", "--quiet", repository=folder, stdin=stream + b"get-mark :1\n"
        ).strip()

    def hook(self, name: str, repository: str, script: str) -> Path:
        """Let the repository run a shell script as its hook `name`."""
        path = self.folder / f"{repository}.git/hooks/{name}"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    def git(self, *words: str, repository: Path | None = None, stdin: bytes = b"") -> str:
        """Run git, in a repository of this server; gives its standard output."""
        place = [f"--git-dir={repository}"] if repository else []
        done = subprocess.run(
            ["git", *place, *words],
            input=stdin,
            capture_output=True,
            env=self.environment,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"git {words[0]}: {done.stderr.decode(errors='replace')}")
        return done.stdout.decode(errors="surrogateescape")

    def stop(self) -> None:
        """Close every connection and the port; a second time does nothing."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()


@functools.cache
def _backend() -> str:
    folder = subprocess.run(
        ["git", "--exec-path"], capture_output=True, text=True, check=True
    ).stdout.strip()
    return str(Path(folder) / "git-http-backend")


class _Server(ThreadingHTTPServer):
    daemon_threads = False

    def __init__(self, owner: GitServer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.owner = owner
        self._open: set[socket.socket] = set()

    def get_request(self) -> tuple[socket.socket, object]:
        connection, address = super().get_request()
        return secured(connection, self.owner.tls), address

    def process_request(
        self, request: socket.socket | tuple[bytes, socket.socket], client_address: object
    ) -> None:
        assert isinstance(request, socket.socket)
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        assert isinstance(request, socket.socket)
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore clients that disconnect."""

    def server_close(self) -> None:
        for connection in list(self._open):
            try:
                # its thread waits for another request, which will not come
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        super().server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    timeout = 60

    server: _Server

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def log_message(self, *_: object) -> None:
        """Write no log: the record is in `requests`."""

    def _serve(self) -> None:
        owner = self.server.owner
        body = self._body()
        fault = owner.fault(self.command, self.path) if owner.fault else None
        if fault == "drop":
            self._record(body, 0, 0)
            self.close_connection = True
        elif isinstance(fault, int):
            self._answer(body, fault, {}, b"a fault was asked for\n")
        elif isinstance(fault, str) and fault != "cut":
            self._answer(body, 302, {"Location": fault}, b"")
        elif not hmac.compare_digest(
            self.headers.get("Authorization", "").encode() if owner.authorization else b"",
            owner.authorization.encode(),
        ):
            self._answer(body, 401, {"WWW-Authenticate": 'Basic realm="git"'}, b"log in\n")
        else:
            self._answer(body, *self._backend(body), cut=fault == "cut")

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))
        pieces = []
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            continue
        return b"".join(pieces)

    def _backend(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """The CGI program's answer (RFC 3875): status, headers and body."""
        owner = self.server.owner
        parts = urlsplit(self.path)
        environment = owner.environment | {
            "REQUEST_METHOD": self.command,
            "PATH_INFO": unquote(parts.path),
            "QUERY_STRING": parts.query,
            "REMOTE_ADDR": "127.0.0.1",
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REMOTE_USER": "someone" if owner.authorization else "",
            "GATEWAY_INTERFACE": "CGI/1.1",
            "SERVER_PROTOCOL": "HTTP/1.1",
        }
        done = subprocess.run(
            [owner.backend], input=body, capture_output=True, env=environment, check=False
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(
            line.split(": ", 1) for line in head.decode("latin-1").split("\r\n") if ": " in line
        )
        return int(headers.pop("Status", "200" if head else "500").split()[0]), headers, content

    def _answer(
        self,
        body: bytes,
        status: int,
        headers: Mapping[str, str],
        content: bytes,
        *,
        cut: bool = False,
    ) -> None:
        sent = content[: len(content) // 2] if cut else content
        self._record(body, len(sent), 0 if cut else status)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(sent)
        self.close_connection = self.close_connection or cut

    def _record(self, body: bytes, sent: int, status: int) -> None:
        self.server.owner.requests.append(
            Exchange(
                method=self.command,
                path=self.path,
                received=len(body),
                sent=sent,
                status=status,
                authorized="Authorization" in self.headers,
            )
        )
