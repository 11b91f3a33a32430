"""Log lines for people, on one stream; every registered secret is masked in all of them.

What a project calls a secret may be any word: it is masked too, but not in what an auditor reads
(`audit`).

What is asked of hosts and programs, for those who want to know all of it (`--verbose`): one sink for the process, which the door sets.
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
    """Writes lines to `stream`; what `hide` was given never gets through.

    `level` is QUIET, VERBOSE, or empty for the usual.

    Of the variables `environ`, NO_COLOR and TERM say how a terminal is written to.
    """

    def __init__(self, stream: TextIO, environ: Mapping[str, str] = _NOTHING) -> None:
        self._stream = stream
        self.masks = Masks()
        self._real = Masks()  # those of them that are not only called so
        self._said_once: set[str] = set()
        # https://no-color.org: any value but the empty one
        self._coloured = not environ.get("NO_COLOR")
        self._dumb = environ.get("TERM") == "dumb"
        self._guard = threading.Lock()
        self._renewed = 0  # lines that are there for a while only
        self.level = ""

    def hide(self, secret: str, *, real: bool = True) -> None:
        """Mask `secret` from now on, in every form that it may take.

        Where only something that a pull request can change calls it one, it is not `real`: `audit`
        leaves it as it is.
        """
        self.masks.hide(secret)
        if real:
            self._real.hide(secret)

    def mask(self, text: str) -> str:
        """`text` with every registered secret replaced."""
        return self.masks.mask(text)

    def audit(self, text: str) -> str:
        """`text` of where credentials go, and by whose word, without secrets; the project's word blanks nothing in it."""
        return self._real.mask(text)

    def shown(self, text: str) -> str:
        """`text` as people get to see it: without secrets, and without anything that a terminal or a CI system obeys."""
        return tame(self.mask(text))

    def shown_fault(self, fault: TowlineError, text: str) -> str:
        """A text of a fault in the same way, by `audit` where it refuses a credential."""
        return tame(self.audit(text) if isinstance(fault, Refusal) else self.mask(text))

    @property
    def terminal(self) -> bool:
        """Whether a person looks on, at a terminal that can write over a line."""
        try:
            return self._stream.isatty() and not self._dumb
        except ValueError:  # closed
            return False

    @property
    def width(self) -> int:
        """How many characters a line of the terminal has."""
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or _WIDTH
        except (OSError, ValueError):  # no terminal, or one that does not say
            return _WIDTH

    def relay(self, text: str) -> None:
        """What a program of the caller's own has written: without secrets, and else as it is."""
        with contextlib.suppress(OSError, ValueError), self._guard:
            self._stream.write(self._cleared() + self.mask(text))
            self._stream.flush()

    def renew(self, *lines: str) -> None:
        """Show `lines` instead of those that the last call shows; the next line of the log takes their place."""
        if self.level == QUIET:
            return
        with contextlib.suppress(OSError, ValueError), self._guard:
            self._stream.write(self._cleared() + "\n".join(map(self.shown, lines)))
            self._stream.flush()
            self._renewed = len(lines)

    def say(self, text: str) -> None:
        """One line about what happens."""
        if self.level != QUIET:
            self._write(self.shown(text))

    def say_audit(self, text: str) -> None:
        """One line about where a credential goes."""
        if self.level != QUIET:
            self._write(tame(self.audit(text)))

    def detail(self, text: str) -> None:
        """One line about what is asked of a host or a program, for those who want to know all of it."""
        if self.level == VERBOSE:
            self._write(self.shown(f"  {text}"))

    def warn(self, text: str) -> None:
        """One line about what is probably not meant so, once however often it happens."""
        self._once("warning", text, self.shown(text), _YELLOW)

    def warn_audit(self, text: str) -> None:
        """The same about where a credential goes."""
        self._once("warning", text, tame(self.audit(text)), _YELLOW)

    def warn_of(self, fault: TowlineError, text: str) -> None:
        """A warning that tells of a fault, which ends nothing."""
        self._once("warning", text, self.shown_fault(fault, text), _YELLOW)

    def note(self, text: str) -> None:
        """One line, once, about what only the administrator of an agent or host can mend."""
        self._once("note", text, self.shown(text), "")

    def fail(self, fault: TowlineError) -> None:
        """What happened, where, and what to do next; of an answer that is no, the answer alone."""
        if isinstance(fault, Negative):
            self.say(fault.message)
            return
        self._write(self.shown_fault(fault, fault.message), self._label("error", _RED))
        if fault.where:
            self._write(self.shown_fault(fault, fault.where), "  where:")
        if fault.hint:
            self._write(self.shown_fault(fault, fault.hint), "  next: ")

    def _once(self, kind: str, text: str, shown: str, colour: str) -> None:
        if text not in self._said_once and not (kind == "note" and self.level == QUIET):
            self._said_once.add(text)
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
        """What empties the lines that `renew` has shown and goes to the first of them; nothing where no person looks on."""
        above, self._renewed = max(self._renewed - 1, 0), 0
        return _CLEAR + f"{_UP}{_CLEAR}" * above if self.terminal else ""


class Output:
    """Standard output, where what was asked for is printed: data as it is, and lines for people by `shown.tame_lines`."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        """Print `text` at once; raises MachineError where it cannot be.

        A reader that has seen enough (`| head`) is no fault.
        """
        with contextlib.suppress(BrokenPipeError):
            self.relay(text)

    def relay(self, text: str) -> None:
        """The same, for who has to know that nobody reads any more: raises BrokenPipeError then, and MachineError."""
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
    """One line, which is made only if somebody wants it.

    It must hold no query of a URL, where hosts put tokens.
    """
    for sink in _sinks:
        sink(text())
