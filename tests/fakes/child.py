"""A real server program as a child process on loopback: started on a free port, waited for,
ended; for the registry, Vault and SSH of the tests.
"""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

_PATIENCE = 120.0  # seconds; a wait reaches this limit only if something is broken


class ChildServer:
    """A server that runs from start() to stop().

    A subclass starts the program by `launch` on `port`, and `answers` returns whether it is ready.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "server.log"
        self.port = 0
        self._child: subprocess.Popen[bytes] | None = None

    def launch(self) -> subprocess.Popen[bytes]:
        """Start the program; its output goes to `log`."""
        raise NotImplementedError

    def answers(self) -> bool:
        """Whether it is ready; OSError counts as not yet."""
        raise NotImplementedError

    @property
    def host(self) -> str:
        """`127.0.0.1:PORT`."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> Self:
        """Start the program on a free port and wait until it answers; raises RuntimeError with
        the log's end.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        # between the choice of a free port and its use another program may take it
        for _ in range(5):
            self.port = free_port()
            if self._begins():
                return self
        raise RuntimeError(
            f"{type(self).__name__} did not come up:"
            f" {self.log.read_text(encoding='utf-8', errors='replace')[-2000:]}"
        )

    def restart(self) -> Self:
        """End the program and start it again at the same place; raises RuntimeError if it does
        not come up.
        """
        self.stop()
        if not self._begins():
            raise RuntimeError(
                f"{type(self).__name__} did not come up again:"
                f" {self.log.read_text(encoding='utf-8', errors='replace')[-2000:]}"
            )
        return self

    def stop(self) -> None:
        """End the program; its folder stays."""
        child, self._child = self._child, None
        if child:
            child.terminate()
            try:
                child.wait(60)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def spawn(
        self, *words: str, environment: dict[str, str] | None = None, cwd: Path | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a program for `launch`: in `cwd` (the server's folder), with `environment` (empty)
        and its output in the log.
        """
        with self.log.open("ab") as log:
            return subprocess.Popen(
                words,
                env=environment or {},
                cwd=cwd or self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _begins(self) -> bool:
        """Start the program on `port`; False, with the program ended, if it does not come up."""
        self._child = self.launch()
        if self._comes_up(self._child):
            return True
        self.stop()
        return False

    def _comes_up(self, child: subprocess.Popen[bytes]) -> bool:
        """Whether the program answers before it ends or the patience does."""
        end = time.monotonic() + _PATIENCE
        while child.poll() is None and time.monotonic() < end:
            try:
                if self.answers():
                    return child.poll() is None
            except OSError:
                pass
            time.sleep(0.02)
        return False


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
