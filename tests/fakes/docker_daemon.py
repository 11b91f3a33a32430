"""A Docker daemon for tests, as far as exporting images goes: HTTP over a socket file, with the
answers of the Engine API 1.43.
"""

from __future__ import annotations

import json
import re
import socketserver
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote

_EXPORT = re.compile(r"/v[0-9.]+/images/(.+)/get")


class DockerDaemon:
    """Serves `images` on a socket in `folder`; `cut` ends exports after so many bytes.

    `images` has the archive of `docker save` by image name.
    """

    def __init__(
        self, folder: Path, images: dict[str, bytes], *, cut: int = 0, broken: bool = False
    ) -> None:
        self.images = images
        self.asked: list[str] = []
        self.cut, self.broken = cut, broken
        self._path = folder / "docker.sock"
        self._server = _Server(str(self._path), self)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}
        )

    @property
    def environ(self) -> dict[str, str]:
        """The variables that lead a client to this daemon."""
        return {"DOCKER_HOST": f"unix://{self._path}"}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = False

    def __init__(self, path: str, daemon: DockerDaemon) -> None:
        self.daemon = daemon
        super().__init__(path, _Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        daemon, path = self.server.daemon, unquote(self.path)
        daemon.asked.append(path)
        export = _EXPORT.fullmatch(path)
        if path == "/version":
            self._answer(
                200,
                {
                    "Version": "24.0.7",
                    "ApiVersion": "1.43",
                    "MinAPIVersion": "1.12",
                    "Os": "linux",
                    "Arch": "amd64",
                },
            )
        elif export is None or daemon.broken:
            self._answer(500, {"message": "the storage driver is on fire"})
        elif export.group(1) not in daemon.images:
            self._answer(404, {"message": f"No such image: {export.group(1)}"})
        else:
            self._export(daemon.images[export.group(1)], daemon.cut)

    def _answer(self, status: int, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _export(self, archive: bytes, cut: int) -> None:
        """The archive in chunks, as the daemon sends it; if cut, without the last chunk."""
        self.send_response(200)
        self.send_header("Content-Type", "application/x-tar")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for start in range(0, cut or len(archive), 10_000):
            piece = archive[start : start + 10_000]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        if cut:
            self.close_connection = True
        else:
            self.wfile.write(b"0\r\n\r\n")

    def address_string(self) -> str:
        """A client on a socket file has no address."""
        return "local"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Print nothing: the requests are in `asked`."""
