"""The door: arguments and environment in, one command run, result file and exit code out; the one place that catches."""

from __future__ import annotations

import argparse
import errno
import gc
import io
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn, TextIO

from towline import dispatch
from towline.commands.call import Call
from towline.console import Console, Output
from towline.errors import Interrupted, MachineError, TowlineError, UsageError
from towline.files import version, write_whole
from towline.secret import is_secret
from towline.suggest import nearest
from towline.wire import Outcome, Request, encode_result, read_request

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_INTERRUPTED = tuple(128 + number for number in _SIGNALS)
_EXHAUSTED = (errno.ENOSPC, errno.EDQUOT, errno.ENOMEM, errno.EMFILE, errno.ENFILE)


class Parser(argparse.ArgumentParser):
    """Raises UsageError where argparse would end the process, with the nearest known flag or word."""

    def error(self, message: str) -> NoReturn:
        """Turn argparse's complaint into the engine's own kind of fault."""
        raise UsageError(message, hint=f"see {self.prog} --help")


def unknown(word: str, parser: argparse.ArgumentParser) -> UsageError:
    """The fault for a word that `parser` does not know, with the flag that was probably meant."""
    flag = word.partition("=")[0]
    known = [option for action in parser._actions for option in action.option_strings]  # noqa: SLF001 - argparse has no other list
    if flag.startswith("--") and is_secret(flag):
        return UsageError(f"unknown flag {flag}", hint=f"a secret has none, since every process can read it: set PIPER_{flag.removeprefix('--')}")
    return UsageError(f"unknown flag {flag}" if flag.startswith("-") else f"unexpected word {flag!r}", hint=nearest(flag, known))


def entry() -> int:
    """The console script: the process's own arguments, environment and streams; signals become an ordinary way out."""
    while (filler := os.open(os.devnull, os.O_RDWR)) < 3:  # a stream that was closed: its number must not become that of a file or socket
        pass
    os.close(filler)
    gc.set_threshold(50_000, 20, 20)  # a short process that builds large trees: looking through them again and again took half of an edit's time
    for number in _SIGNALS:
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:  # `nohup` says that the end of a session is no matter
            signal.signal(number, _interrupt)
    code = main(sys.argv[1:], environ=os.environ, out=sys.stdout or io.StringIO(), err=sys.stderr or io.StringIO())
    if not _flushed() or code in _INTERRUPTED:  # a thread that still waits for a host must not hold up the end, nor a full disk change the code
        os._exit(code)
    return code


def _flushed() -> bool:
    """Whether all that was written has gone where it should; else the interpreter would complain of it, with an exit code of its own."""
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except (OSError, ValueError):
        return False
    return True


def main(words: Sequence[str], *, environ: MutableMapping[str, str], out: TextIO, err: TextIO) -> int:
    """Run the command that `words` name and give its exit code; a result file is written on every way out."""
    console, output = Console(err), Output(out)
    if list(words) == ["--version"]:  # before argparse is set up: half of what the answer would cost
        return _print(f"towline {version()}\n", output, console)
    started = time.monotonic()
    failure = 0
    identity = Request()
    ending: Outcome | TowlineError
    try:
        request = identity = _request(words)
        taken = _take(environ, request)
        common, rest = _common(Parser(prog="towline", add_help=False, allow_abbrev=False)).parse_known_args(words)
        request = identity = replace(request, stage=common.stage or request.stage)
        parser, module, step = _command(rest)
        if not (common.request or request.stage) and hasattr(module, "STAGE"):
            request = identity = replace(request, stage=module.STAGE(taken))
        failure = getattr(module, "FAILURE", 0)
        identity = replace(identity, step=step or identity.step)
        call = Call(request=request, requested=bool(common.request), environ=taken, folder=_here(), console=console, out=output)
        ending = module.execute(_arguments(parser, rest, common), call)
    except TowlineError as fault:
        ending = fault
    except Exception as fault:  # noqa: BLE001 - the one place that catches everything: a bug must end in a result too
        ending = _unexpected(fault, console)
    _calm()
    result = encode_result(identity, ending, seconds=time.monotonic() - started, version=version())
    code = _finish(words, ending, result, console=console, out=output)
    return failure or code if code else 0  # the drop-in calls keep the one exit code that Piper has


def _calm() -> None:
    """From here on a further signal changes nothing: everything is put away and the result is written first."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is _interrupt:
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)


def _interrupt(number: int, _frame: object) -> NoReturn:
    _calm()
    raise Interrupted(number)


def _flag(words: Sequence[str], name: str) -> str | None:
    """The value of a flag before anything is parsed: the result file is owed even where parsing fails."""
    for at, word in enumerate(words):
        if word == name and at + 1 < len(words):
            return words[at + 1]
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
    return None


def _request(words: Sequence[str]) -> Request:
    path = _flag(words, "--request")
    return read_request(Path(path)) if path else Request()


def _take(environ: MutableMapping[str, str], request: Request) -> Mapping[str, str]:
    """A copy of the environment; what is secret in it is removed from the process's own, so that no child inherits it."""
    taken = dict(environ)
    for name in taken:
        if is_secret(name) or name in request.secrets.values():
            del environ[name]
    return taken


def _here() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError as fault:
        raise MachineError("the working directory is gone", hint="run it in the workspace") from fault


def _common(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """`parser` with the flags of every command; they may stand before its name as well."""
    parser.add_argument("--request", metavar="FILE", default="", help="the call as JSON (docs/contract.md)")
    parser.add_argument("--result", metavar="FILE", default="", help="where to write the result as JSON, on every way out")
    parser.add_argument("--stage", metavar="NAME", default="", help="the stage that the call belongs to")
    parser.add_argument("--config", metavar="FILE", default="", help="the project's configuration, instead of .pipeline/config.yml")
    parser.add_argument("--json", action="store_true", help="print the result to standard output")
    return parser


def _command(words: Sequence[str]) -> tuple[argparse.ArgumentParser, Any, str]:
    """The parser with the chosen command set up, that command's module, the only one loaded, and the step's own name; raises UsageError."""
    name = next((word for word in words if not word.startswith("-")), "")
    if name and name not in dispatch.COMMANDS:
        raise UsageError(f"unknown command {name!r}", hint=nearest(name, dispatch.COMMANDS))
    parser = Parser(prog="towline", description="Pushes a build's image and writes it into the GitOps repository of each stage.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"towline {version()}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=Parser)
    parsers = {command: commands.add_parser(command, help=text, description=text, allow_abbrev=False) for command, (_, text) in dispatch.COMMANDS.items()}
    if not name:
        parser.parse_args(words)  # prints the help that was asked for, else says that a command is missing
    module = dispatch.command(name)
    step = module.configure(_common(parsers[name]), words[list(words).index(name) + 1 :])
    parser.set_defaults(chosen=parsers[name])
    return parser, module, step or ""


def _arguments(parser: argparse.ArgumentParser, words: Sequence[str], common: argparse.Namespace) -> argparse.Namespace:
    """The command's arguments with the common ones; raises UsageError for what it does not know."""
    arguments, rest = parser.parse_known_args(words)
    if rest:
        raise unknown(rest[0], arguments.chosen)
    return argparse.Namespace(**{**vars(arguments), **vars(common)})


def _masked(result: Mapping[str, Any], console: Console) -> dict[str, object]:
    """The parts that are written for people, without secrets; the others are data, which a short secret would garble."""
    error = result["error"] and {key: console.mask(text) for key, text in result["error"].items()}
    return {"summary": console.mask(result["summary"]), "error": error}


def _unexpected(fault: Exception, console: Console) -> TowlineError:
    if isinstance(fault, MemoryError) or (isinstance(fault, OSError) and fault.errno in _EXHAUSTED):
        return MachineError(f"the machine is at its end: {str(fault) or type(fault).__name__}", hint="free disk space, memory or open files")
    console.say(dispatch.trace(fault))
    return TowlineError(f"unexpected: {type(fault).__name__}: {fault}", hint="this is a bug of Towline; report it with the trace above")


def _finish(words: Sequence[str], ending: Outcome | TowlineError, result: Mapping[str, object], *, console: Console, out: Output) -> int:
    """Write and print what came of it and give the exit code: the file first, since a stream may be closed or its disk full."""
    text = json.dumps({**result, **_masked(result, console)}, indent=2, ensure_ascii=False) + "\n"
    code = ending.exit_code if isinstance(ending, TowlineError) else 0
    path = _flag(words, "--result")
    try:
        if path:
            write_whole(Path(path), text.encode("utf-8", "replace"))
    except MachineError as fault:
        console.fail(fault)
        code = code or fault.exit_code
    if isinstance(ending, TowlineError):
        console.fail(ending)
    printed = _print(text, out, console) if "--json" in words else 0
    return code or printed


def _print(text: str, out: Output, console: Console) -> int:
    """Print to standard output and give the exit code."""
    try:
        out.write(text)
    except MachineError as fault:
        console.fail(fault)
        return fault.exit_code
    return 0
