"""What is asked of hosts and programs, for those who want to know all of it (`--verbose`): one sink for the process, which the door sets."""

from __future__ import annotations

from collections.abc import Callable

_sinks: list[Callable[[str], None]] = []


def send_to(sink: Callable[[str], None] | None) -> None:
    """Give every detail to `sink`, which masks secrets, from now on; None: to nobody."""
    _sinks[:] = [sink] if sink else []


def silent(_: str) -> None:
    """For callers to whom nobody listens."""


def detail(text: Callable[[], str]) -> None:
    """One line, which is made only if somebody wants it.

    It must hold no query of a URL, where hosts put tokens.
    """
    for sink in _sinks:
        sink(text())
