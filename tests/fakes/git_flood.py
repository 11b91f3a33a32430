"""A git server on loopback that sends without end: branch names (`refs`) or a `pack`."""

from __future__ import annotations

import contextlib
import os
import struct
import threading
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_ID = b"a" * 40
_CAPABLE = (
    b"version 2\n",
    b"agent=flood\n",
    b"ls-refs=unborn\n",
    b"fetch=shallow filter\n",
    b"object-format=sha1\n",
)


def _line(data: bytes) -> bytes:
    return f"{len(data) + 4:04x}".encode() + data


def _references() -> Iterator[bytes]:
    number = 0
    while True:
        yield b"".join(
            _line(_ID + b" refs/heads/" + b"x" * 900 + f"{number + one}\n".encode())
            for one in range(1000)
        )
        number += 1000


def _pack() -> Iterator[bytes]:
    """A pack of one mebibyte blob, repeated as a new object each time (gitformat-pack)."""
    yield (
        _line(b"shallow-info\n") + _line(b"shallow " + _ID + b"\n") + b"0001" + _line(b"packfile\n")
    )
    yield from _side(b"PACK" + struct.pack(">II", 2, 3_000_000))
    block = os.urandom(1024 * 1024)
    size = len(block)
    head, left = bytearray([3 << 4 | size & 15 | 0x80]), size >> 4
    while left:
        head.append(left & 0x7F | (0x80 if left > 0x7F else 0))
        left >>= 7
    entry = bytes(head) + zlib.compress(block, 0)
    while True:
        yield from _side(entry)


def _side(data: bytes) -> Iterator[bytes]:
    for begin in range(0, len(data), 65000):
        yield _line(b"\x01" + data[begin : begin + 65000])


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._begin("advertisement")
        self.wfile.write(
            _line(b"# service=git-upload-pack\n")
            + b"0000"
            + b"".join(map(_line, _CAPABLE))
            + b"0000"
        )

    def do_POST(self) -> None:
        asked = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._begin("result")
        endless: Iterator[bytes] = iter(())
        if b"ls-refs" in asked and self.server.kind == "pack":  # type: ignore[attr-defined]
            self.wfile.write(
                _line(_ID + b" HEAD symref-target:refs/heads/main\n")
                + _line(_ID + b" refs/heads/main\n")
                + b"0000"
            )
        else:
            endless = _references() if b"ls-refs" in asked else _pack()
        with contextlib.suppress(OSError):  # until git closes the connection
            for piece in endless:
                self.wfile.write(piece)

    def _begin(self, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", f"application/x-git-upload-pack-{kind}")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def flooding(kind: str) -> Iterator[str]:
    """The URL of such a server, while the block runs."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.kind = kind  # type: ignore[attr-defined]
    threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
    ).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/a/b.git"
    finally:
        server.shutdown()
        server.server_close()
