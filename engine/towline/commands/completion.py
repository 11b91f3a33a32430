"""`towline completion bash|zsh`: print a shell's completion of commands, steps and flags."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import shtab

from towline.commands.call import Call
from towline.commands.parser import whole
from towline.config.metadata import stage_names, step_names
from towline.contract import SUCCESS, Outcome

SHARED = ("result",)
_SHELLS = ("bash", "zsh")
_FILES = {"FILE": shtab.FILE, "FOLDER": shtab.DIRECTORY}


def configure(parser: argparse.ArgumentParser, _words: Sequence[str]) -> None:
    """Add the shell."""
    parser.add_argument(
        "shell",
        metavar="SHELL",
        choices=_SHELLS,
        help="bash or zsh; source the output, or write it where the shell looks for it",
    )


def execute(arguments: argparse.Namespace, call: Call) -> Outcome:
    """Print the script for the shell."""
    parser = whole()
    _complete(parser)
    call.out.write(shtab.complete(parser, shell=arguments.shell) + "\n")
    return Outcome(status=SUCCESS, summary=f"completion for {arguments.shell}")


def _complete(parser: argparse.ArgumentParser) -> None:
    """Set the completion of the values of a parser's flags, and of those of its subcommands."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no other list
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for subparser in action.choices.values():
                _complete(subparser)
        elif action.metavar in _FILES:
            action.complete = _FILES[str(action.metavar)]  # type: ignore[attr-defined]
        elif action.metavar == "true|false":
            action.choices = ("true", "false")
        elif "--stage" in action.option_strings:
            # a shell would take the words one by one
            action.choices = [name for name in stage_names() if " " not in name]
        elif action.metavar == "STEP" and not action.choices:
            action.choices = step_names()
