"""Pure.

The documents of a YAML file with positions. A large file is read part by part, each when it is
asked for, and one at a time is kept.

A part begins where a line begins with `---`: that starts a document wherever it stands, so a part
is read as the whole file would be. A tree takes about fifty times the memory of its text.

How deep YAML is nested, known before it is read: each level takes stack in what reads and in what
compares it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise

import yaml

from towline.errors import RenderError
from towline.yaml.marks import (
    BREAK,
    DocumentNode,
    Event,
    Mark,
    YamlFault,
    YamlLimit,
    YamlLimits,
    alias_targets,
    parse,
    parse_events,
)

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_LEADING = re.compile(r"^[ ?-]+", re.MULTILINE)


def is_nested_deeper(text: str, most: int) -> bool:
    """Whether `text` has more than `most` levels, or is no YAML so that nobody knows; libyaml itself would end the process with it at some ten thousand."""
    if (
        text.count("[") + text.count("{") + 2 * max(map(len, _LEADING.findall(text)), default=0)
        < most
    ):
        return False
    depth = 0
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(
                event, yaml.CollectionEndEvent
            )
            if depth > most:
                return True
    except (yaml.YAMLError, ValueError):
        return True
    return False


LARGE_FILE = 2 * 1024 * 1024
FILE_LIMITS = YamlLimits(
    characters=64 * 1024 * 1024, nodes=2_000_000
)  # of a file, and of a part of it

_BEGIN = re.compile(r"(?m)^---(?=[ \t\r\n]|\Z)")
_DIRECTIVE = re.compile("(?m)^%")


class YamlDocuments:
    """The documents of `text`, in their order; raises RenderError where it is no YAML: at once, of a large file some when they are asked for."""

    def __init__(self, name: str, text: str) -> None:
        self._name, self._text, self.aliased = name, text, "*" in text
        self.starts = _starts(text) if len(text) > LARGE_FILE else (0,)
        self._lines = [1]
        for first, last in pairwise(self.starts):
            self._lines.append(self._lines[-1] + len(BREAK.findall(text, first, last)))
        self._kept: tuple[int, tuple[DocumentNode, ...], tuple[Event, ...]] = -1, (), ()
        # how many documents, and events, are before each part
        self._before, self.numbers = [0], [0]
        for part in range(len(self.starts)):
            documents, events = self._count(part)
            self._before.append(self._before[-1] + documents)
            self.numbers.append(self.numbers[-1] + events)

    def __len__(self) -> int:
        return self._before[-1]

    def __getitem__(self, number: int) -> DocumentNode:
        if not 0 <= number < len(self):
            raise IndexError(number)
        part = self.part(number)
        return self._read(part)[number - self._before[part]]

    def __iter__(self) -> Iterator[DocumentNode]:
        return (self[number] for number in range(len(self)))

    def part(self, document: int) -> int:
        """The part that holds a document."""
        return bisect_right(self._before, document) - 1

    def events(self, part: int) -> Iterable[Event]:
        """The outline of a part."""
        kept, _, events = self._kept
        return (
            events
            if kept == part and events
            else parse_events(self.piece(part), limits=FILE_LIMITS)
        )

    def starts_in(self, text: str) -> tuple[int, ...]:
        """Where parts begin in what an edit makes of the text."""
        return _starts(text) if len(self.starts) > 1 else (0,)

    def piece(self, part: int) -> str:
        """The characters of a part."""
        return (
            self._text[slice(*self.starts[part : part + 2])]
            if part + 1 < len(self.starts)
            else self._text[self.starts[part] :]
        )

    def _begin(self, part: int) -> Mark:
        return Mark(self.starts[part], self._lines[part], 1)

    def _read(self, part: int) -> tuple[DocumentNode, ...]:
        kept, documents, _ = self._kept
        if kept == part:
            return documents
        self._kept, documents = (-1, (), ()), ()  # before the next takes memory
        events: list[Event] | None = [] if len(self._text) <= LARGE_FILE else None
        with _told(self._name):
            documents = parse(
                self.piece(part),
                events,
                begin=self._begin(part),
                limits=FILE_LIMITS,
                number=self.numbers[part],
            )
            for document in documents:
                if document.root and self.aliased:
                    alias_targets(document.root)
        self._kept = part, documents, tuple(events or ())
        return documents

    def _count(self, part: int) -> tuple[int, int]:
        """How many documents and events a part has; of several parts no tree is kept, so events must do."""
        if len(self.starts) == 1:
            return len(self._read(part)), FILE_LIMITS.characters
        if self.aliased and "*" in self.piece(part):
            self._read(part)
        with _told(self._name):
            kinds = [
                event.kind
                for event in parse_events(
                    self.piece(part), begin=self._begin(part), limits=FILE_LIMITS
                )
            ]
        return kinds.count("DocumentStartEvent"), len(kinds)


def _starts(text: str) -> tuple[int, ...]:
    """Where the parts of a large file begin; one if it has directives, which stand before the document that they are for."""
    if _DIRECTIVE.search(text):
        return (0,)
    return tuple(dict.fromkeys((0, *(found.start() for found in _BEGIN.finditer(text)))))


@contextmanager
def _told(name: str) -> Iterator[None]:
    """A fault of the parser as a RenderError."""
    try:
        yield
    except YamlLimit as fault:
        raise RenderError(
            f"{name} is too large: {fault.problem}",
            where=f"{name}:{fault.line}:{fault.column}",
            hint="split the file",
        ) from fault
    except YamlFault as fault:
        raise RenderError(
            f"{name} is not YAML: {fault.problem}",
            where=f"{name}:{fault.line}:{fault.column}",
            hint="correct the file",
        ) from fault
