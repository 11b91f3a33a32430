"""The flags and commands of the command line, and the answer to an unknown word.

Only the called command is loaded.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Sequence
from functools import partial
from typing import Any, NoReturn

from towline import dispatch
from towline.console import Output
from towline.errors import UsageError
from towline.files import version
from towline.secret import is_secret
from towline.suggest import CUTOFF_SECRET, close, nearest

DESCRIPTION = "Pushes a build's image and writes it into the GitOps repository of each stage."
_END = "'towline help COMMAND' says more of a command, 'towline help run STEP' of a step."
SHARED: dict[str, dict[str, Any]] = {
    "request": {
        "metavar": "FILE",
        "default": "",
        "help": "the call as JSON (docs/contract.md); env:NAME takes it from a variable",
    },
    "result": {
        "metavar": "FILE",
        "default": "",
        "help": "where to write the result as JSON, on every way out; - is standard output",
    },
    "stage": {"metavar": "NAME", "default": "", "help": "the stage that the call belongs to"},
    "config": {
        "metavar": "FILE",
        "default": "",
        "help": "the project's configuration, instead of .pipeline/config.yml",
    },
    "json": {"action": "store_true", "help": "print the result to standard output"},
}
VERBOSITY = {
    "--verbose": "also log requests to hosts and calls of programs",
    "--quiet": "log warnings and errors only",
}
RUNS = "exec"
_NARROW = partial(argparse.HelpFormatter, width=80)
_ALONE = {"help": "show the help of a command, or of a step", "version": "show the version"}


class Parser(argparse.ArgumentParser):
    """A parser that raises UsageError with the nearest known word where argparse would exit."""

    def __init__(self, **options: Any) -> None:
        # argparse makes a formatter for each flag that is added, and loads `shutil` for the width
        # of the terminal
        super().__init__(**options, formatter_class=_NARROW)

    def format_help(self) -> str:
        """Return the help, as wide as the terminal."""
        if self.formatter_class is _NARROW:  # a command may have chosen another formatter
            self.formatter_class = argparse.HelpFormatter
        return super().format_help()

    def error(self, message: str) -> NoReturn:
        """Turn argparse's complaint into the engine's own error."""
        flag, _, complaint = message.removeprefix("argument ").partition(": ")
        if complaint.startswith("ignored explicit argument"):
            raise UsageError(
                f"{flag} takes no value", hint="give it to switch it on, leave it out otherwise"
            )
        if complaint == "expected one argument" and flag.startswith("-"):
            raise UsageError(f"{flag} lacks its value", hint=f"write {flag} VALUE")
        raise UsageError(message, hint=f"see {self.prog} --help")

    def _print_message(self, message: str, file: Any = None) -> None:
        """Print a help; raises MachineError if the disk is full, where argparse says nothing."""
        Output(file or io.StringIO()).write(message)


def apart(words: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    """Return the words for the engine, and those behind `--` for the program that `exec` runs."""
    ours = list(words)
    if "--" not in ours or RUNS not in ours[: ours.index("--")]:
        return ours, ()
    at = ours.index("--")
    return ours[:at], tuple(ours[at + 1 :])


def spelled_out(words: Sequence[str]) -> list[str]:
    """Return the words with short forms written out: no words at all, and `help COMMAND`.

    Raises UsageError if `help` is given too many words.
    """
    if not words:
        return ["--help"]
    if words[0] != "help":
        return list(words)
    if len(words) > (3 if words[1:2] == ["run"] else 2):
        raise UsageError(
            f"unexpected word {words[-1]!r}",
            hint="'towline help COMMAND' and 'towline help run STEP' take no more",
        )
    return [*words[1:], "--help"]


def shared(words: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Return the flags that several commands share, and the other words.

    The flags may stand before the command too.
    """
    parser = Parser(prog="towline", add_help=False, allow_abbrev=False)
    for name, words_of in SHARED.items():
        parser.add_argument(f"--{name}", **words_of)
    return parser.parse_known_args(words)


def chosen(words: Sequence[str]) -> tuple[Parser, Any, str]:
    """Return the parser with the chosen command, that command's module, and the step's own name.

    Only that module is loaded. Raises UsageError for an unknown command or step. Prints a help that
    is asked for, and ends the process.
    """
    name = next((word for word in words if not word.startswith("-")), "")
    if name and name not in dispatch.COMMANDS and name not in _ALONE:
        raise UsageError(
            f"unknown command {name!r}", hint=nearest(name, [*dispatch.COMMANDS, *_ALONE])
        )
    # a word before the command may be a flag that prints the help of all commands
    parser, parsers = _commands(name if words[:1] == [name] else "")
    if not name or name in _ALONE:
        # prints the help; else raises for a missing command, or returns the words that are too many
        _, extra = parser.parse_known_args(words)
        if extra:
            raise UsageError(f"'{name}' takes no arguments, got {extra[0]!r}", hint=_END)
        raise UsageError(f"'{name}' takes no arguments", hint=_END)
    module = dispatch.command(name)
    step = module.configure(
        _with_shared(parsers[name], module), words[list(words).index(name) + 1 :]
    )
    parser.set_defaults(chosen=parsers[name])
    return parser, module, step or ""


def whole() -> Parser:
    """Return the parser with every command set up, for completion; loads them all."""
    parser, parsers = _commands()
    for name in dispatch.COMMANDS:
        module = dispatch.command(name)
        below = getattr(module, "configure_whole", module.configure)(
            _with_shared(parsers[name], module), []
        )
        for subparser in below or ():
            _with_shared(subparser, module)
    parsers["help"].add_argument("topic", metavar="COMMAND", choices=[*dispatch.COMMANDS])
    parsers["help"].add_argument("step", metavar="STEP", nargs="?", choices=[*dispatch.STEPS])
    return parser


def arguments(
    parser: Parser, words: Sequence[str], common: argparse.Namespace, module: Any
) -> argparse.Namespace:
    """Return the command's arguments with the shared ones; raises UsageError for unknown words."""
    if _own_verbosity(module):
        words = [word for word in words if word not in VERBOSITY]
    found, rest = parser.parse_known_args(words)
    if rest:
        raise unknown(rest[0], found.chosen)
    for name in SHARED:
        if getattr(common, name) and name not in shared_by(module):
            raise unknown(f"--{name}", found.chosen)
    return argparse.Namespace(**{**vars(found), **vars(common)})


def verbosity(words: Sequence[str], module: Any) -> str:
    """Return `--verbose` or `--quiet` if one is given, else "".

    Piper's commands have a flag of their own of that name.
    """
    return next((word for word in words if word in VERBOSITY), "") if _own_verbosity(module) else ""


def unknown(word: str, parser: argparse.ArgumentParser) -> UsageError:
    """Return the error for an unknown word, with the flag that was probably meant."""
    flag = word.partition("=")[0]
    # argparse has no other list
    actions = parser._actions  # noqa: SLF001
    known = [option for action in actions for option in action.option_strings]
    if flag.startswith("--") and is_secret(flag) and not close(flag, known, cutoff=CUTOFF_SECRET):
        hint = (
            "a secret has no flag, since every process can read it: set"
            f" PIPER_{flag.removeprefix('--')}"
        )
        return UsageError(f"unknown flag {flag}", hint=hint)
    if not flag.startswith("-"):
        return UsageError(
            f"unexpected word {flag!r}",
            hint=f"write STEP, KEY and the like before the flags; see {parser.prog} --help",
        )
    return UsageError(f"unknown flag {flag}", hint=nearest(flag, known))


def _commands(only: str = "") -> tuple[Parser, dict[str, Parser]]:
    """Return the main parser, and an empty parser by name for each command, or for `only` it."""
    parser = Parser(prog="towline", description=DESCRIPTION, epilog=_END, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"towline {version()}")
    commands = parser.add_subparsers(
        dest="command", metavar="COMMAND", required=True, parser_class=Parser
    )
    texts = {name: text for name, (_, text) in dispatch.COMMANDS.items()} | _ALONE
    parsers = {
        name: commands.add_parser(name, help=text, description=text, allow_abbrev=name in _ALONE)
        for name, text in texts.items()
        if only in ("", name)
    }
    return parser, parsers


def _with_shared(parser: Parser, module: Any) -> Parser:
    """Add to `parser` the shared flags that mean something to the command."""
    for name in shared_by(module):
        parser.add_argument(f"--{name}", **SHARED[name])
    for flag, text in VERBOSITY.items() if _own_verbosity(module) else ():
        parser.add_argument(flag, action="store_true", help=text)
    return parser


def shared_by(module: Any) -> Sequence[str]:
    """Return the names of the shared flags that the command takes."""
    names: Sequence[str] = getattr(module, "SHARED", tuple(SHARED))
    return names


def _own_verbosity(module: Any) -> bool:
    return not hasattr(module, "FAILURE")  # the drop-in calls know Piper's --verbose
