"""The command line: runs one command, writes the result file, returns the exit code.

This is the one module that reads the process's arguments and environment, and the one place that
catches errors.
"""

from __future__ import annotations

import errno
import gc
import io
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, TextIO

from towline import deadline, dispatch
from towline.commands.call import Call
from towline.commands.parser import (
    apart,
    arguments,
    chosen,
    shared,
    shared_by,
    spelled_out,
    verbosity,
)
from towline.console import VERBOSE, Console, Output, send_to
from towline.contract import Outcome, Request, encode_result, take_request
from towline.errors import Interrupted, MachineError, TowlineError
from towline.files import enter_workspace, version, write_whole
from towline.limits import hold_self
from towline.printable import tame_json, use
from towline.record import replace
from towline.secret import is_secret, secret_texts

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_INTERRUPTED = tuple(128 + number for number in _SIGNALS)
_SHORTEST_EARLY_MASK = 8
# a CI system that sets one of these takes annotations or a report (commands/ci_report.py)
_CI_SIGNS = ("GITHUB_ACTIONS", "TF_BUILD", "TOWLINE_SUMMARY", "TOWLINE_OUTPUTS")
_STANDARD_OUTPUT = "-"  # as the value of --result
_SECRETS = "secrets"  # a name that makes every text secret
_READING = 300.0  # seconds for all but the work of a step, which says itself how long it may take
_EXHAUSTED = (errno.ENOSPC, errno.EDQUOT, errno.ENOMEM, errno.EMFILE, errno.ENFILE)


def entry() -> int:
    """Run the console script with the process's own arguments, environment and streams.

    Signals end the run in the ordinary way.
    """
    # a stream that was closed: its number must not become that of a file or socket
    while (filler := os.open(os.devnull, os.O_RDWR)) < 3:
        pass
    os.close(filler)
    # a short process that builds large trees: usual garbage collection took half of an edit's time
    gc.set_threshold(50_000, 20, 20)
    for number in _SIGNALS:
        # `nohup` has this process ignore the end of its session
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    hold_self()
    try:
        code = main(
            sys.argv[1:],
            environ=os.environ,
            out=sys.stdout or io.StringIO(),
            err=sys.stderr or io.StringIO(),
        )
    except SystemExit:  # a help was asked for, and has been printed
        code = 0
    # a thread that still waits for a host must not hold up the end, nor a full disk change the code
    if not _flushed() or code in _INTERRUPTED:
        os._exit(code)
    return code


def _flushed() -> bool:
    """Return whether all output was written.

    If not, the interpreter would choose an exit code of its own.
    """
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except (OSError, ValueError):
        return False
    return True


def main(
    words: Sequence[str], *, environ: MutableMapping[str, str], out: TextIO, err: TextIO
) -> int:
    """Run the command that `words` name and return its exit code.

    The result file is written on every way out.
    """
    words, program = apart(words)
    console, output = Console(err, environ), Output(out)
    result_to_stdout = _flag(words, "--result") == _STANDARD_OUTPUT
    use(console.masks)
    # before argparse is set up, which would double the cost of this answer
    if list(words) in (["--version"], ["version"]):
        return _print(f"towline {version()}\n", output, console)
    started, failure, reports = time.monotonic(), 0, False
    identity = Request()
    ending: Outcome | TowlineError
    try:
        with deadline.within(_READING, _unread):
            words = spelled_out(words)
            request = identity = _request(words, environ)
            taken = _take(environ, request, console)
            common, rest = shared(words)
            request = identity = replace(request, stage=common.stage or request.stage)
            parser, module, step = chosen(rest)
            console.level = verbosity(rest, module)
            send_to(console.detail if console.level == VERBOSE else None)
            if not (common.request or request.stage) and hasattr(module, "STAGE"):
                request = identity = replace(request, stage=module.STAGE(taken))
            failure = getattr(module, "FAILURE", 0)
            words = _without_unknown_json(words, module)
            identity = replace(identity, step=step or identity.step)
            if not common.request and any(name in taken for name in _CI_SIGNS):
                reports = _annotate(console, taken, module)
            call = Call(
                request=request,
                requested=bool(common.request),
                environ=taken,
                folder=_working_folder(),
                console=console,
                out=Output(err) if result_to_stdout else output,
                program=program,
            )
            enter_workspace(call.folder, taken)
            ending = module.execute(arguments(parser, rest, common, module), call)
    except TowlineError as fault:
        ending = fault
    # the one place that catches everything: a bug must end in a result too
    except Exception as fault:  # noqa: BLE001
        ending = _unexpected(fault, console)
    _ignore_signals()
    code = ending.exit_code if isinstance(ending, TowlineError) else 0
    result = encode_result(
        identity,
        ending,
        # the drop-in calls keep the one exit code that Piper has
        exit_code=failure or code if code else 0,
        seconds=time.monotonic() - started,
        version=version(),
    )
    code = _finish(words, ending, result, console=console, out=output)
    if reports:
        _report(environ, {**result, **_masked(result, ending, console)}, console)
    return failure or code if code else 0


def _without_unknown_json(words: Sequence[str], module: Any) -> Sequence[str]:
    """Return the words, without `--json` if the command lacks that flag: its error prints nothing.

    The standard output of such a command is for another document.
    """
    return words if "json" in shared_by(module) else [word for word in words if word != "--json"]


def _ignore_signals() -> None:
    """Ignore further signals: only cleaning up and writing the result are left."""
    if (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGTERM) is _interrupt
    ):
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)


def _unread() -> TowlineError:
    return MachineError(
        f"the configuration has not been read within {_READING:.0f} seconds",
        hint="see why it is so large, or which host that it names takes so long",
    )


def _interrupt(number: int, _frame: object) -> NoReturn:
    _ignore_signals()
    raise Interrupted(number)


def _flag(words: Sequence[str], name: str) -> str | None:
    """Return the value of a flag before parsing.

    The result file is written even if parsing fails.
    """
    for at, word in enumerate(words):
        if word == name and at + 1 < len(words):
            return words[at + 1]
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
    return None


def _request(words: Sequence[str], environ: MutableMapping[str, str]) -> Request:
    path = _flag(words, "--request")
    return take_request(path, environ) if path else Request()


def _take(
    environ: MutableMapping[str, str], request: Request, console: Console
) -> Mapping[str, str]:
    """Return a copy of the environment; mask its secrets and remove them from the process's own.

    So no child process inherits them.
    """
    taken, claimed = dict(environ), request.claimed
    named = set(request.secrets.values()) - set(request.carried)
    for name, value in taken.items():
        if is_secret(name) or name in named:
            del environ[name]
            _hide_early(name, value, console, real=name not in claimed)
    entries = {name: entry for entry, name in request.secrets.items()}
    for key, held in request.carried.items():
        # a text is secret as a whole; of maps and lists only what is secret by its name
        entry = entries.get(key, _SECRETS) if isinstance(held, dict | list) else _SECRETS
        _hide_early(entry, held, console, real=key not in claimed)
    return taken


def _hide_early(name: str, value: object, console: Console, *, real: bool) -> None:
    """Mask a secret before anything else is read.

    A short text, or a path, is masked later, once it is known to be the secret itself.
    """
    for text in secret_texts({name: value}):
        if len(text) >= _SHORTEST_EARLY_MASK and not text.startswith("/"):
            console.hide(text, real=real)


def _working_folder() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError as fault:
        raise MachineError(
            "the working directory is gone", hint="run it in the workspace"
        ) from fault


def _masked(
    result: Mapping[str, Any], ending: Outcome | TowlineError, console: Console
) -> dict[str, object]:
    """Return the parts of the result that people read, masked.

    The others are data, which a short secret would garble.
    """
    error = None
    if isinstance(ending, TowlineError) and result["error"]:
        error = {key: console.shown_fault(ending, text) for key, text in result["error"].items()}
    links = [{key: console.shown(text) for key, text in link.items()} for link in result["links"]]
    return {"summary": console.shown(result["summary"]), "links": links, "error": error}


def _unexpected(fault: Exception, console: Console) -> TowlineError:
    if isinstance(fault, MemoryError) or (isinstance(fault, OSError) and fault.errno in _EXHAUSTED):
        return MachineError(
            f"out of disk, memory or file descriptors: {str(fault) or type(fault).__name__}",
            hint="free disk space, memory or open files",
        )
    console.say("".join(dispatch.standard_module("traceback").format_exception(fault)).rstrip())
    return TowlineError(
        f"unexpected: {type(fault).__name__}: {fault}",
        hint="this is a bug of Towline; report it with the trace above",
    )


def _finish(
    words: Sequence[str],
    ending: Outcome | TowlineError,
    result: Mapping[str, object],
    *,
    console: Console,
    out: Output,
) -> int:
    """Write and print the result and return the exit code.

    The file comes first: a stream may be closed, or its disk full.
    """
    shown = {**result, **_masked(result, ending, console)}
    text = tame_json(shown) + "\n"
    code = ending.exit_code if isinstance(ending, TowlineError) else 0
    path = _flag(words, "--result")
    try:
        if path == _STANDARD_OUTPUT:
            # in ASCII: whoever reads it may decode it by another character set
            out.hand_over(tame_json(shown, ascii_only=True) + "\n")
        elif path:
            write_whole(Path(path), text.encode())
    except MachineError as fault:
        console.fail(fault)
        code = code or fault.exit_code
    if isinstance(ending, TowlineError):
        console.fail(ending)
    wanted = "--json" in words and path != _STANDARD_OUTPUT
    printed = _print(text, out, console) if wanted else 0
    return code or printed


def _annotate(console: Console, environ: Mapping[str, str], module: Any) -> bool:
    """Let the CI system mark errors and warnings; return whether it gets a report, too."""
    console.annotate = dispatch.part("ci_report").annotate_for(environ)
    return getattr(module, "REPORTS", False)


def _report(environ: Mapping[str, str], result: Mapping[str, object], console: Console) -> None:
    """Give the result to the CI system; the step is done, so a file that fails is a warning."""
    try:
        for line in dispatch.part("ci_report").report(environ, result, console.mask):
            console.command(line)
    except MachineError as fault:
        console.warn(f"the CI system's page lacks this step: {fault.message} ({fault.where})")


def _print(text: str, out: Output, console: Console) -> int:
    """Print to standard output and return the exit code."""
    try:
        out.write(text)
    except MachineError as fault:
        console.fail(fault)
        return fault.exit_code
    return 0
