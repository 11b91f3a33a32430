"""Every child process: argument list, explicit environment, bytes in, capped bytes out, process group, deadline."""

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
_LOOK = 0.1  # seconds between two looks whether the child has ended
_GRACE = 10.0  # seconds for a program of the caller's own to put its things away
_OUT, _ERR = 1, 2
_SHELL = "/bin/sh"  # POSIX has it there, whatever PATH says
_Take = Callable[[int, bytes], None]
# It reads which groups begin (+) and have ended (-); at the end of its input, which is that of the
# engine, it kills those that are left.
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
    """How a child ended: its exit code (negative: the signal) and what it wrote."""

    code: int
    out: bytes
    err: bytes


class Overrun(Exception):
    """The child ran past its deadline or its output cap and was killed with its group; `what` says which."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class _Guard:
    """A shell that outlives this process by a moment: it kills the groups that this one leaves running when it is killed itself (SIGKILL).

    They have logins in their variables, and may wait for a host for as long as that likes. A child
    that is told to die with its parent (PR_SET_PDEATHSIG) would leave its own children, such as
    git-remote-https, and to tell it takes code between fork and exec.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pipe: int | None = None

    def begin(self) -> None:
        """Have it run, once; where there is no shell nothing is guarded."""
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
        """Kill this group, too."""
        self._tell("+", group)

    def leave(self, group: int) -> None:
        """Kill it no more: it has ended, and its number may soon be another's."""
        self._tell("-", group)

    def _end(self, shell: subprocess.Popen[bytes]) -> None:
        """Wait for it: a container need not have anybody else who does."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            shell.communicate(timeout=_GRACE)

    def _tell(self, sign: str, group: int) -> None:
        if self._pipe is not None and self._pipe >= 0:
            # somebody has killed or stopped it
            with contextlib.suppress(BrokenPipeError, BlockingIOError):
                os.write(self._pipe, f"{sign} {group}\n".encode())


_guard = _Guard()


def find(name: str, environ: Mapping[str, str]) -> str | None:
    """The program `name` on the PATH of `environ`; None where there is none.

    Relative entries, and what lies in the workspace, which a pull request can change, are left out.
    """
    folders = [
        part
        for part in environ.get("PATH", os.defpath).split(os.pathsep)
        if Path(part).is_absolute()
    ]
    found = (shutil.which(name, path=folder) for folder in folders)
    return next((path for path in found if path and not in_workspace(Path(path), Path.cwd())), None)


def _without_workspace(environment: Mapping[str, str]) -> Mapping[str, str]:
    """The same with a PATH on which a child, too, finds no program of the workspace."""
    return (
        {**environment, "PATH": _outside(environment["PATH"], Path.cwd())}
        if "PATH" in environment
        else environment
    )


@lru_cache(maxsize=8)
def _outside(path: str, here: Path) -> str:
    parts = [
        part
        for part in path.split(os.pathsep)
        if Path(part).is_absolute() and not in_workspace(Path(part), here)
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
    """Run `command` to its end, or to its limits, with nothing inherited but `environment`, of whose PATH no folder is in the workspace.

    Raises MachineError (no such program, no such folder), ConfigError (a word or value that no
    program can be given) and Overrun.
    """
    _guard.begin()
    child = _start(command, _without_workspace(environment), folder)
    try:
        impose(child.pid, limits)
        _guard.watch(child.pid)
        out, err = _exchange(child, stdin, limits)
    finally:
        _end(child)
    detail(lambda: f"{' '.join(command)} -> exit code {child.returncode}")
    return Completed(code=child.returncode, out=out, err=err)


def attend(
    command: Sequence[str], *, environment: Mapping[str, str], take: _Take, seconds: float
) -> int:
    """Run a program of the caller's own to its end, with this process's input and no limit but the time; its exit code (negative: the signal).

    What it writes goes to `take` as it comes, with the number of its stream: 1 or 2; by
    BrokenPipeError that says that nobody reads it any more. What it leaves running stays; if this
    ends before it, it is asked to end, then killed with its group. Raises MachineError, ConfigError
    and Overrun.
    """
    with unheld():
        child = _start(command, environment, None, own=True)
    try:
        _follow(child, take, end=time.monotonic() + seconds)
        code = child.wait()
    except BaseException:
        with contextlib.suppress(ProcessLookupError, PermissionError, Overrun, TowlineError):
            os.killpg(child.pid, signal.SIGTERM)
            _follow(child, take, end=time.monotonic() + _GRACE)
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
    """Begin it.

    As this process does, it ignores SIGXFSZ and SIGPIPE: so a write beyond its limits is an error
    that it can tell.

    `own`: it is the caller's own, without limits, and reads what the caller gives it.
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
    return MachineError(f"cannot start {name}: {fault.strerror}", hint=_mending(program, fault))


def _mending(program: Path, fault: OSError) -> str:
    """What to do about a program that cannot be started."""
    if isinstance(fault, PermissionError):
        return f"name a program that this user may run (chmod +x {program.name})"
    if fault.errno == errno.ENOEXEC or (isinstance(fault, FileNotFoundError) and program.is_file()):
        return (
            f"let the first line of {program.name} name what runs it, as #!/bin/sh does, and"
            " install that"
        )
    if fault.errno == errno.E2BIG:
        return "give it fewer words, and shorter variables"
    return f"install {program.name} or put it on PATH"


def _exchange(
    child: subprocess.Popen[bytes], stdin: bytes, limits: ProcessLimits
) -> tuple[bytes, bytes]:
    """What it writes, held to its cap."""
    taken = {_OUT: bytearray(), _ERR: bytearray()}

    def take(stream: int, piece: bytes) -> None:
        taken[stream] += piece
        if len(taken[stream]) > limits.output:
            raise Overrun("output cap")

    _follow(child, take, end=time.monotonic() + limits.seconds, stdin=stdin)
    return bytes(taken[_OUT]), bytes(taken[_ERR])


def _follow(child: subprocess.Popen[bytes], take: _Take, *, end: float, stdin: bytes = b"") -> None:
    """Feed and read until the child has ended and nothing more is in its pipes; its own children may hold them open for ever."""
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
            ready = selector.select(0 if ended else min(left, _LOOK))
            if ended and not ready:
                break
            for key, _ in ready:
                if key.fileobj is child.stdin:
                    waiting = _feed(child.stdin, waiting, selector)
                else:
                    _hand_on(key, take, selector)
    _await_end(child, end)


def _hand_on(key: selectors.SelectorKey, take: _Take, selector: selectors.BaseSelector) -> None:
    """Give to `take` what has come.

    Where it wants no more the pipe is closed, so that the child learns it as without us.
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
    except BrokenPipeError:  # the child has stopped reading; how it ended says the rest
        waiting = waiting[:0]
    if not waiting:
        selector.unregister(stream)
        stream.close()
    return waiting


def _has_ended(child: subprocess.Popen[bytes]) -> bool:
    """Whether it has exited; the exit is not taken: while the leader is a zombie its group's number cannot be given away.

    Python has no waitid on macOS before 3.13: there the exit is taken, and the number stays the
    group's for as long as something is left in it to be killed.
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
    """Kill what is left of the group, also after a normal end: a child's own children must not outlive the step."""
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
