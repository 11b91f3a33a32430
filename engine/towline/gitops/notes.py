"""Pure.

Notes of Changes: the values that they replace, and messages, as data that a step shows once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from towline.record import frozen


@frozen
class Replaced:
    """A value before and after a Change: `name` is the container, key or image in `file`.

    `old` is empty if there was no value.
    """

    file: str
    name: str
    old: str
    new: str


Note = Callable[[Replaced], None]


@frozen
class _Message:
    text: str
    warns: bool


class Notes:
    """The notes of one target's Changes; `replaced` holds the values of the last application."""

    def __init__(self) -> None:
        self.replaced: list[Replaced] = []
        self._messages: list[_Message] = []
        self._shown: set[_Message] = set()

    def say(self, text: str) -> None:
        """Note a line about what the Change does."""
        self._messages.append(_Message(text=text, warns=False))

    def warn(self, text: str) -> None:
        """Note a warning."""
        self._messages.append(_Message(text=text, warns=True))

    def clear(self) -> None:
        """Drop all notes, before the Change is applied again."""
        self.replaced.clear()
        self._messages.clear()

    def show(self, *, say: Callable[[str], None], warn: Callable[[str], None]) -> None:
        """Pass on each message that was not shown before: a Change is applied again and again."""
        for message in self._messages:
            if message not in self._shown:
                self._shown.add(message)
                (warn if message.warns else say)(message.text)
        self._messages.clear()

    @contextmanager
    def dropped(self) -> Iterator[None]:
        """Drop the notes that are made while the block runs."""
        replaced, messages = len(self.replaced), len(self._messages)
        try:
            yield
        finally:
            del self.replaced[replaced:]
            del self._messages[messages:]
