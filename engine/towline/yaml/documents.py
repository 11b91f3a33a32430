"""Pure.

The documents of a YAML file with positions. A large file is parsed part by part on demand, and only
one parsed part is kept: a tree takes about fifty times the memory of its text.

A part begins at a line that begins with `---`. That starts a document wherever it stands, so a part
is parsed as it would be in the whole file.

The nesting depth of YAML, known before it is parsed: each level takes stack in the parser and in
comparisons.
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
    """Whether `text` has more than `most` levels, or is not YAML, so that its depth is unknown.

    At some ten thousand levels, libyaml itself would crash the process.
    """
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
)  # of a file, and of each of its parts

_BEGIN = re.compile(r"(?m)^---(?=[ \t\r\n]|\Z)")
_DIRECTIVE = re.compile("(?m)^%")


class YamlDocuments:
    """The documents of `text` in their order.

    Raises RenderError if the text is not YAML: at once, in a large file also when a document is
    read.
    """

    def __init__(self, name: str, text: str) -> None:
        self._name, self._text, self.aliased = name, text, "*" in text
        self.starts = _starts(text) if len(text) > LARGE_FILE else (0,)
        self._lines = [1]
        for first, last in pairwise(self.starts):
            self._lines.append(self._lines[-1] + len(BREAK.findall(text, first, last)))
        self._kept: tuple[int, tuple[DocumentNode, ...], tuple[Event, ...]] = -1, (), ()
        # The numbers of documents and of events before each part.
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
        """The number of the part that has a document."""
        return bisect_right(self._before, document) - 1

    def events(self, part: int) -> Iterable[Event]:
        """The events of a part, without positions."""
        kept_part, _, events = self._kept
        return (
            events
            if kept_part == part and events
            else parse_events(self.piece(part), limits=FILE_LIMITS)
        )

    def starts_in(self, text: str) -> tuple[int, ...]:
        """Where the parts begin in the text after an edit."""
        return _starts(text) if len(self.starts) > 1 else (0,)

    def piece(self, part: int) -> str:
        """The text of a part."""
        return (
            self._text[slice(*self.starts[part : part + 2])]
            if part + 1 < len(self.starts)
            else self._text[self.starts[part] :]
        )

    def _mark_of_part(self, part: int) -> Mark:
        return Mark(self.starts[part], self._lines[part], 1)

    def _read(self, part: int) -> tuple[DocumentNode, ...]:
        kept_part, documents, _ = self._kept
        if kept_part == part:
            return documents
        self._kept, documents = (-1, (), ()), ()  # frees the memory before the next part takes it
        events: list[Event] | None = [] if len(self._text) <= LARGE_FILE else None
        with _faults_named(self._name):
            documents = parse(
                self.piece(part),
                events,
                begin=self._mark_of_part(part),
                limits=FILE_LIMITS,
                number=self.numbers[part],
            )
            for document in documents:
                if document.root and self.aliased:
                    alias_targets(document.root)
        self._kept = part, documents, tuple(events or ())
        return documents

    def _count(self, part: int) -> tuple[int, int]:
        """The numbers of documents and events of a part.

        A part of several is only counted by its events, so that no tree is kept.
        """
        if len(self.starts) == 1:
            return len(self._read(part)), FILE_LIMITS.characters
        if self.aliased and "*" in self.piece(part):
            self._read(part)
        with _faults_named(self._name):
            kinds = [
                event.kind
                for event in parse_events(
                    self.piece(part), begin=self._mark_of_part(part), limits=FILE_LIMITS
                )
            ]
        return kinds.count("DocumentStartEvent"), len(kinds)


def _starts(text: str) -> tuple[int, ...]:
    """Where the parts of a large file begin.

    A file with directives is one part, since a directive stands before its document.
    """
    if _DIRECTIVE.search(text):
        return (0,)
    return tuple(dict.fromkeys((0, *(found.start() for found in _BEGIN.finditer(text)))))


@contextmanager
def _faults_named(name: str) -> Iterator[None]:
    """Turn a fault of the parser into a RenderError."""
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
