"""Every child process: argument list, explicit environment, bytes in, capped bytes out, process group, deadline."""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from towline.errors import MachineError

CAP = 64 * 1024 * 1024
_PIECE = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class Completed:
    """How a child ended: its exit code (negative: the signal) and what it wrote."""

    code: int
    out: bytes
    err: bytes


class Overrun(Exception):
    """The child ran past its deadline or its output cap and was killed with its group; `what` says which."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


def find(name: str, environ: Mapping[str, str]) -> str | None:
    """The program `name` on the PATH of `environ`, relative entries left out; None where there is none."""
    folders = [part for part in environ.get("PATH", os.defpath).split(os.pathsep) if Path(part).is_absolute()]
    return shutil.which(name, path=os.pathsep.join(folders))


def run(
    command: Sequence[str], *, environment: Mapping[str, str], stdin: bytes = b"", folder: Path | None = None, seconds: float = 600.0
) -> Completed:
    """Run `command` to its end with nothing inherited but `environment`; raises MachineError (no such program) and Overrun."""
    child = _start(command, environment, folder)
    try:
        out, err = _exchange(child, stdin, time.monotonic() + seconds)
    finally:
        _end(child)
    return Completed(code=child.returncode, out=out, err=err)


def _start(command: Sequence[str], environment: Mapping[str, str], folder: Path | None) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(  # noqa: S603 - the one place; an argument list, no shell
            list(command), env=dict(environment), cwd=folder, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
    except OSError as fault:
        raise MachineError(f"cannot start {command[0]}: {fault.strerror}", hint=f"install {Path(command[0]).name} or put it on PATH") from fault


def _exchange(child: subprocess.Popen[bytes], stdin: bytes, end: float) -> tuple[bytes, bytes]:
    assert child.stdin
    assert child.stdout
    assert child.stderr
    waiting = memoryview(stdin)
    taken: dict[IO[bytes], bytearray] = {child.stdout: bytearray(), child.stderr: bytearray()}
    with selectors.DefaultSelector() as selector:
        for stream in taken:
            selector.register(stream, selectors.EVENT_READ)
        if waiting:
            os.set_blocking(child.stdin.fileno(), False)
            selector.register(child.stdin, selectors.EVENT_WRITE)
        else:
            child.stdin.close()
        while selector.get_map():
            left = end - time.monotonic()
            if left <= 0:
                raise Overrun("time limit")
            for key, _ in selector.select(left):
                if key.fileobj is child.stdin:
                    waiting = _feed(child.stdin, waiting, selector)
                else:
                    _take(key.fileobj, taken, selector)  # type: ignore[arg-type]
    _reap(child, end)
    return bytes(taken[child.stdout]), bytes(taken[child.stderr])


def _feed(stream: IO[bytes], waiting: memoryview, selector: selectors.BaseSelector) -> memoryview:
    try:
        waiting = waiting[os.write(stream.fileno(), waiting[:_PIECE]):]
    except BrokenPipeError:  # the child has stopped reading; how it ended says the rest
        waiting = waiting[:0]
    if not waiting:
        selector.unregister(stream)
        stream.close()
    return waiting


def _take(stream: IO[bytes], taken: dict[IO[bytes], bytearray], selector: selectors.BaseSelector) -> None:
    piece = os.read(stream.fileno(), _PIECE)
    if not piece:
        selector.unregister(stream)
        return
    taken[stream] += piece
    if len(taken[stream]) > CAP:
        raise Overrun("output cap")


def _reap(child: subprocess.Popen[bytes], end: float) -> None:
    """Wait for the exit without taking it: while the leader is a zombie its group's number cannot be given away."""
    while os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
        if time.monotonic() > end:
            raise Overrun("time limit")
        time.sleep(0.002)


def _end(child: subprocess.Popen[bytes]) -> None:
    """Kill what is left of the group, also after a normal end: a child's own children must not outlive the step."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    for stream in (child.stdin, child.stdout, child.stderr):
        if stream:
            with contextlib.suppress(BrokenPipeError):
                stream.close()
