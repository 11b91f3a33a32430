"""The log for people, on one stream; every registered secret is masked.

A project may call any word a secret. Such a word is masked too, but not in lines for an auditor
(`audit`). With `--verbose` the log has a line for each request to a host and each program; the
command line sets the one sink for them (`send_to`).
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TextIO

from towline.errors import MachineError, Negative, Refusal, TowlineError
from towline.masks import Masks
from towline.printable import tame

QUIET, VERBOSE = "--quiet", "--verbose"
_RED, _YELLOW, _PLAIN = "\x1b[31m", "\x1b[33m", "\x1b[0m"
_CLEAR, _UP = "\r\x1b[2K", "\x1b[1A"
_WIDTH = 80
_NOTHING: Mapping[str, str] = MappingProxyType({})


class Console:
    """Writes lines to `stream`; a secret that `hide` was given is never written.

    `level` is QUIET, VERBOSE, or empty for the usual. The variables NO_COLOR and TERM in `environ`
    say how to write to a terminal.
    """

    def __init__(self, stream: TextIO, environ: Mapping[str, str] = _NOTHING) -> None:
        self._stream = stream
        self.masks = Masks()
        self._real = Masks()  # without words that only the project calls secret
        self._written_once: set[str] = set()
        # https://no-color.org: any value but the empty one
        self._coloured = not environ.get("NO_COLOR")
        self._dumb = environ.get("TERM") == "dumb"
        self._guard = threading.Lock()
        self._renewed = 0  # lines on the terminal that the next output replaces
        self.level = ""
        # the line of a CI system for an error or warning: its kind, text and place
        self.annotate: Callable[[str, str, str], str] | None = None

    def hide(self, secret: str, *, real: bool = True) -> None:
        """Mask `secret` from now on, in every form that it may take.

        It is not `real` if only something that a pull request can change calls it a secret: `audit`
        does not mask it then.
        """
        self.masks.hide(secret)
        if real:
            self._real.hide(secret)

    def mask(self, text: str) -> str:
        """Return `text` with every registered secret masked."""
        return self.masks.mask(text)

    def audit(self, text: str) -> str:
        """Return a text on the hosts of credentials, in which only real secrets are masked."""
        return self._real.mask(text)

    def shown(self, text: str) -> str:
        """Return `text` as people see it: masked, without commands of a terminal or CI system."""
        return tame(self.mask(text))

    def shown_fault(self, fault: TowlineError, text: str) -> str:
        """Return a text of an error as people see it; that of a Refusal is masked by `audit`."""
        return tame(self.audit(text) if isinstance(fault, Refusal) else self.mask(text))

    @property
    def terminal(self) -> bool:
        """Return whether the stream is a terminal that can overwrite a line."""
        try:
            return self._stream.isatty() and not self._dumb
        except ValueError:  # closed
            return False

    @property
    def width(self) -> int:
        """Return the width of the terminal in characters."""
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or _WIDTH
        except (OSError, ValueError):  # no terminal, or one that does not say
            return _WIDTH

    def relay(self, text: str) -> None:
        """Write the output of a program of the caller's own: masked, otherwise unchanged."""
        with contextlib.suppress(OSError, ValueError), self._guard:
            self._stream.write(self._cleared() + self.mask(text))
            self._stream.flush()

    def renew(self, *lines: str) -> None:
        """Show `lines` in place of those of the last call.

        The next line of the log replaces them.
        """
        if self.level == QUIET:
            return
        with contextlib.suppress(OSError, ValueError), self._guard:
            self._stream.write(self._cleared() + "\n".join(map(self.shown, lines)))
            self._stream.flush()
            self._renewed = len(lines)

    def say(self, text: str) -> None:
        """Write one line on what happens."""
        if self.level != QUIET:
            self._write(self.shown(text))

    def say_audit(self, text: str) -> None:
        """Write one line on where a credential goes."""
        if self.level != QUIET:
            self._write(tame(self.audit(text)))

    def command(self, line: str) -> None:
        """Write a command of the CI system, whose text is masked and escaped."""
        self._write(line)

    def detail(self, text: str) -> None:
        """With `--verbose`, write one line on a request to a host or on a program."""
        if self.level == VERBOSE:
            self._write(self.shown(f"  {text}"))

    def warn(self, text: str) -> None:
        """Write a warning; a repeated one is left out."""
        self._once("warning", text, self.shown(text), _YELLOW)

    def warn_audit(self, text: str) -> None:
        """Write a warning on where a credential goes."""
        self._once("warning", text, tame(self.audit(text)), _YELLOW)

    def warn_of(self, fault: TowlineError, text: str) -> None:
        """Write a warning about an error that does not end the run."""
        self._once("warning", text, self.shown_fault(fault, text), _YELLOW)

    def note(self, text: str) -> None:
        """Write one line, once, on what only the administrator of an agent or host can mend."""
        self._once("note", text, self.shown(text), "")

    def fail(self, fault: TowlineError) -> None:
        """Write what happened, where, and what to do next; for a Negative its answer alone."""
        if isinstance(fault, Negative):
            self.say(fault.message)
            return
        message, where = (self.shown_fault(fault, text) for text in (fault.message, fault.where))
        if self.annotate:
            self._write(self.annotate("error", message, where))
        else:
            self._write(message, self._label("error", _RED))
        if fault.where:
            self._write(self.shown_fault(fault, fault.where), "  where:")
        if fault.hint:
            self._write(self.shown_fault(fault, fault.hint), "  next: ")

    def _once(self, kind: str, text: str, shown: str, colour: str) -> None:
        if text not in self._written_once and not (kind == "note" and self.level == QUIET):
            self._written_once.add(text)
            if self.annotate and kind == "warning":
                self._write(self.annotate(kind, shown, ""))
            else:
                self._write(shown, self._label(kind, colour))

    def _label(self, kind: str, colour: str) -> str:
        return (
            f"{colour}{kind}:{_PLAIN}"
            if colour and self._coloured and self.terminal
            else f"{kind}:"
        )

    def _write(self, shown: str, label: str = "") -> None:
        # a log that cannot be written must not end the step, nor cost its result
        with contextlib.suppress(OSError, ValueError), self._guard:
            print(
                f"{self._cleared()}{label}{' ' if label else ''}{shown}",
                file=self._stream,
                flush=True,
            )

    def _cleared(self) -> str:
        """Return the control codes that erase the lines that `renew` has shown.

        It is empty if the stream is not a terminal.
        """
        above, self._renewed = max(self._renewed - 1, 0), 0
        return _CLEAR + f"{_UP}{_CLEAR}" * above if self.terminal else ""


class Output:
    """Standard output, for the answer to a command: data as it is, lines for people tamed."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        """Print `text` at once; raises MachineError if that fails.

        A reader that has seen enough (`| head`) is not a fault.
        """
        with contextlib.suppress(BrokenPipeError):
            self.relay(text)

    def hand_over(self, text: str) -> None:
        """Print `text`, which somebody has to read; raises MachineError if that fails."""
        try:
            self.relay(text)
        except BrokenPipeError as fault:
            raise MachineError(
                "nobody reads the result on standard output",
                hint="see why its reader has ended, or take the result from --result FILE",
            ) from fault

    def relay(self, text: str) -> None:
        """Print `text`; raises MachineError, and BrokenPipeError if nobody reads it any more."""
        try:
            self._stream.write(text)
            self._stream.flush()
        except BrokenPipeError:
            raise
        except (OSError, ValueError) as fault:
            reason = fault.strerror if isinstance(fault, OSError) else str(fault)
            raise MachineError(
                f"cannot write to standard output: {reason}",
                hint="see where it leads to, or take the result from --result FILE",
            ) from fault


_sinks: list[Callable[[str], None]] = []


def send_to(sink: Callable[[str], None] | None) -> None:
    """Give every detail to `sink`, which masks secrets, from now on; None: to nobody."""
    _sinks[:] = [sink] if sink else []


def silent(_: object) -> None:
    """Ignore a message or event: for callbacks that nobody listens to."""


def detail(text: Callable[[], str]) -> None:
    """Give a line to the sink; `text` is called only if there is a sink.

    The line must not hold the query of a URL, where hosts put tokens.
    """
    for sink in _sinks:
        sink(text())
