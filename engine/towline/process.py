"""Child processes: the only module that starts any.

A child gets an argument list, an explicit environment, bytes as input, a cap on its output, a
process group of its own and a deadline.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import io
import os
import selectors
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import IO

from towline.console import detail
from towline.errors import ConfigError, MachineError, TowlineError
from towline.files import in_workspace
from towline.limits import ProcessLimits, impose, unheld
from towline.record import frozen

_USUAL = ProcessLimits()
_PIECE = 64 * 1024
_POLL_SECONDS = 0.1  # between two checks whether the child has ended
_GRACE_SECONDS = 10.0  # for the caller's own program to clean up
_OUT, _ERR = 1, 2
_SHELL = "/bin/sh"  # POSIX has it there, whatever PATH says
_Take = Callable[[int, bytes], None]
# The shell reads which process groups have begun (+) and ended (-). Its input ends when the engine
# ends; then it kills the groups that are left.
_GUARD = """\
trap '' HUP INT TERM
left=' '
while read -r sign group; do
  case $sign in
    +) left="$left$group " ;;
    -) case $left in *" $group "*) left="${left%%" $group "*} ${left#*" $group "}" ;; esac ;;
  esac
done
for group in $left; do kill -9 "-$group"; done
"""


@frozen
class Completed:
    """The end of a child process: its exit code (negative: the signal) and its output."""

    code: int
    out: bytes
    err: bytes


class Overrun(Exception):
    """Raised if a child exceeded its deadline or its output cap, and was killed with its group.

    `limit` is the name of the exceeded one.
    """

    def __init__(self, limit: str) -> None:
        super().__init__(limit)
        self.limit = limit


class _Guard:
    """A shell that kills the children of this process if this process is killed itself (SIGKILL).

    Children have logins in their variables, and may wait for a host for a long time. With
    PR_SET_PDEATHSIG a child would leave its own children behind, such as git-remote-https, and
    setting it takes code between fork and exec.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pipe: int | None = None

    def begin(self) -> None:
        """Start the shell, once; without a shell on the machine nothing is guarded."""
        with self._lock:
            if self._pipe is not None:
                return
            try:
                shell = subprocess.Popen(  # noqa: S603 - as below
                    [_SHELL, "-c", _GUARD],
                    env={},
                    cwd="/",
                    start_new_session=True,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            except OSError:
                self._pipe = -1
                return
            assert shell.stdin
            self._pipe = shell.stdin.fileno()
            os.set_blocking(self._pipe, False)
            atexit.register(self._end, shell)

    def watch(self, group: int) -> None:
        """Kill this process group too."""
        self._send("+", group)

    def leave(self, group: int) -> None:
        """No longer kill this group: it has ended, and its number may soon be another's."""
        self._send("-", group)

    def _end(self, shell: subprocess.Popen[bytes]) -> None:
        """Wait for the shell: in a container nobody else may do so."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            shell.communicate(timeout=_GRACE_SECONDS)

    def _send(self, sign: str, group: int) -> None:
        if self._pipe is not None and self._pipe >= 0:
            # the shell was killed or stopped
            with contextlib.suppress(BrokenPipeError, BlockingIOError):
                os.write(self._pipe, f"{sign} {group}\n".encode())


_guard = _Guard()


def find(name: str, environ: Mapping[str, str]) -> str | None:
    """Return the path of program `name` on the PATH of `environ`; None if it is not there.

    Relative entries are ignored, and so are programs in the workspace, which a pull request can
    change.
    """
    folders = [
        part
        for part in environ.get("PATH", os.defpath).split(os.pathsep)
        if Path(part).is_absolute()
    ]
    found = (shutil.which(name, path=folder) for folder in folders)
    return next((path for path in found if path and not in_workspace(Path(path), Path.cwd())), None)


def _without_workspace(environment: Mapping[str, str]) -> Mapping[str, str]:
    """Return the environment without folders of the workspace in its PATH."""
    return (
        {**environment, "PATH": _outside(environment["PATH"], Path.cwd())}
        if "PATH" in environment
        else environment
    )


@lru_cache(maxsize=8)
def _outside(path: str, workspace: Path) -> str:
    parts = [
        part
        for part in path.split(os.pathsep)
        if Path(part).is_absolute() and not in_workspace(Path(part), workspace)
    ]
    return os.pathsep.join(parts) or os.defpath


def run(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    stdin: bytes = b"",
    folder: Path | None = None,
    limits: ProcessLimits = _USUAL,
) -> Completed:
    """Run `command` to its end or its limits; it inherits nothing but `environment`.

    Folders of the workspace are removed from its PATH. Raises MachineError (no such program or
    folder), ConfigError (a word or value that cannot be passed to a program) and Overrun.
    """
    _guard.begin()
    child = _start(command, _without_workspace(environment), folder)
    try:
        impose(child.pid, limits)
        _guard.watch(child.pid)
        out, err = _feed_and_collect(child, stdin, limits)
    finally:
        _end(child)
    detail(lambda: f"{' '.join(command)} -> exit code {child.returncode}")
    return Completed(code=child.returncode, out=out, err=err)


def attend(
    command: Sequence[str], *, environment: Mapping[str, str], take: _Take, seconds: float
) -> int:
    """Run a program of the caller's own with this process's input, and return its exit code.

    The time is its only limit. Its output goes to `take` as it arrives, with the number of its
    stream (1 or 2); `take` raises BrokenPipeError if nobody reads it any more. Processes that it
    leaves running stay. If this process ends first, the program is asked to end, then killed with
    its group. A negative exit code is a signal. Raises MachineError, ConfigError and Overrun.
    """
    with unheld():
        child = _start(command, environment, None, own=True)
    try:
        _follow(child, take, end=time.monotonic() + seconds)
        code = child.wait()
    except BaseException:
        with contextlib.suppress(ProcessLookupError, PermissionError, Overrun, TowlineError):
            os.killpg(child.pid, signal.SIGTERM)
            _follow(child, take, end=time.monotonic() + _GRACE_SECONDS)
        _end(child)
        raise
    _close(child)
    return code


def _start(
    command: Sequence[str],
    environment: Mapping[str, str],
    folder: Path | None,
    *,
    own: bool = False,
) -> subprocess.Popen[bytes]:
    """Start the child.

    Like this process, it ignores SIGXFSZ and SIGPIPE, so that a write beyond its limits is an error
    that it can report. `own`: it is the caller's own program, without limits, and reads the
    caller's input.
    """
    try:
        return subprocess.Popen(  # noqa: S603 - the one place; an argument list, no shell
            list(command),
            env=dict(environment),
            cwd=folder,
            start_new_session=True,
            restore_signals=own,
            stdin=None if own else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    except (OSError, ValueError) as fault:
        raise _not_started(Path(command[0]), folder, fault) from fault


def _not_started(program: Path, folder: Path | None, fault: OSError | ValueError) -> TowlineError:
    name = program.name
    if not isinstance(fault, OSError):  # a null byte, or text that is not Unicode
        return ConfigError(
            f"{name} cannot be started with these values: {fault}",
            hint="look for unprintable characters in the configuration",
        )
    if fault.filename is not None and fault.filename == folder:
        return MachineError(
            f"cannot start {name} in its folder: {fault.strerror}", where=str(folder)
        )
    return MachineError(
        f"cannot start {name}: {fault.strerror}", hint=_how_to_start(program, fault)
    )


def _how_to_start(program: Path, fault: OSError) -> str:
    """Return what to do about a program that cannot be started."""
    if isinstance(fault, PermissionError):
        return f"name a program that this user may run (chmod +x {program.name})"
    if fault.errno == errno.ENOEXEC or (isinstance(fault, FileNotFoundError) and program.is_file()):
        return (
            f"let the first line of {program.name} name its interpreter, as #!/bin/sh does, and"
            " install that"
        )
    if fault.errno == errno.E2BIG:
        return "pass fewer or shorter arguments, and shorter variables"
    return f"install {program.name} or put it on PATH"


def _feed_and_collect(
    child: subprocess.Popen[bytes], stdin: bytes, limits: ProcessLimits
) -> tuple[bytes, bytes]:
    """Return the child's output, held to its cap."""
    taken = {_OUT: bytearray(), _ERR: bytearray()}

    def take(stream: int, piece: bytes) -> None:
        taken[stream] += piece
        if len(taken[stream]) > limits.output:
            raise Overrun("output cap")

    _follow(child, take, end=time.monotonic() + limits.seconds, stdin=stdin)
    return bytes(taken[_OUT]), bytes(taken[_ERR])


def _follow(child: subprocess.Popen[bytes], take: _Take, *, end: float, stdin: bytes = b"") -> None:
    """Feed and read until the child has ended and its pipes are empty.

    Its own children may hold the pipes open for ever.
    """
    waiting = memoryview(stdin)
    with selectors.DefaultSelector() as selector:
        for stream, number in ((child.stdout, _OUT), (child.stderr, _ERR)):
            if stream and not stream.closed:
                selector.register(stream, selectors.EVENT_READ, number)
        if child.stdin and waiting:
            os.set_blocking(child.stdin.fileno(), False)
            selector.register(child.stdin, selectors.EVENT_WRITE)
        elif child.stdin:
            child.stdin.close()
        while selector.get_map():
            left, ended = end - time.monotonic(), _has_ended(child)
            if left <= 0:
                raise Overrun("time limit")
            ready = selector.select(0 if ended else min(left, _POLL_SECONDS))
            if ended and not ready:
                break
            for key, _ in ready:
                if key.fileobj is child.stdin:
                    waiting = _feed(child.stdin, waiting, selector)
                else:
                    _hand_on(key, take, selector)
    _await_end(child, end)


def _hand_on(key: selectors.SelectorKey, take: _Take, selector: selectors.BaseSelector) -> None:
    """Give new output to `take`.

    If `take` wants no more, the pipe is closed, so that the child notices.
    """
    try:
        if piece := os.read(key.fd, _PIECE):
            take(key.data, piece)
            return
    except BrokenPipeError:
        pass
    selector.unregister(key.fileobj)
    if isinstance(key.fileobj, io.IOBase):
        key.fileobj.close()


def _feed(stream: IO[bytes], waiting: memoryview, selector: selectors.BaseSelector) -> memoryview:
    try:
        waiting = waiting[os.write(stream.fileno(), waiting[:_PIECE]) :]
    except BrokenPipeError:  # the child has stopped reading; its exit code says why
        waiting = waiting[:0]
    if not waiting:
        selector.unregister(stream)
        stream.close()
    return waiting


def _has_ended(child: subprocess.Popen[bytes]) -> bool:
    """Return whether the child has exited, without taking its exit status.

    While the leader is a zombie, the kernel cannot give the number of its group to another one.
    Python has no waitid on macOS before 3.13: there the status is taken, and the number stays the
    group's as long as a process of it is left to be killed.
    """
    if not hasattr(os, "waitid"):
        return child.poll() is not None
    return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None


def _await_end(child: subprocess.Popen[bytes], end: float) -> None:
    while not _has_ended(child):
        if time.monotonic() > end:
            raise Overrun("time limit")
        time.sleep(0.002)


def _end(child: subprocess.Popen[bytes]) -> None:
    """Kill the rest of the group, also after a normal end.

    No child of a child outlives the step.
    """
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    _guard.leave(child.pid)
    child.wait()
    _close(child)


def _close(child: subprocess.Popen[bytes]) -> None:
    for stream in (child.stdin, child.stdout, child.stderr):
        if stream:
            with contextlib.suppress(BrokenPipeError):
                stream.close()
