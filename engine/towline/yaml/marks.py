"""Pure.

A tree of YAML nodes with positions: configuration errors name file:line, surgical edits find their
characters.

The tree is built from the events of PyYAML's libyaml parser, or of its Python parser if libyaml is
missing; both give the same tree. `parse` keeps texts as written; `load_located` reads the first
document as Piper does (go-yaml 3: facts/configuration.md sections 1.6 and 12).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections import abc
from collections.abc import Iterator
from typing import Any, NamedTuple, Self

import yaml

from towline.literals import with_text
from towline.record import compact, frozen, replace
from towline.yaml.plain_scalar import resolve_plain

MAX_CHARACTERS = 8 * 1024 * 1024
MAX_NODES = 500_000
MAX_LOADED = 100_000  # nodes of a configuration file, of which every key is checked
MAX_DEPTH = 100
MAX_EXPANDED = 100_000

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# YAML 1.1, section 4.1; PyYAML's, since compiling it again would take longer than all of ours
_UNPRINTABLE = yaml.reader.Reader.NON_PRINTABLE
BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")  # YAML 1.1, section 4.2

_BLANK = "[ \t\r\n\x85\u2028\u2029]"
# Atomic: else the matcher would try to end a comment at each of its characters, without an end.
# Not possessive: a `(?:a|b)*+` of CPython before 3.11.5 loses its place (python/cpython#106052),
# and Debian 12 has 3.11.2.
_COMMENT = rf"#(?>(?:(?!{BREAK.pattern}).)*)"
_PROPERTIES = re.compile(
    rf"(?>(?:[&!](?>(?:(?!{_BLANK}).)*)(?>(?:{_BLANK}++(?>(?:{_COMMENT}{_BLANK}*+)*))?))*)",
    re.DOTALL,
)
_COLON = re.compile(rf"(?>(?:{_BLANK}|{_COMMENT})*):", re.DOTALL)
_STANDARD = "tag:yaml.org,2002:"


class Mark(int):
    """A position: `index` counts characters from 0, `line` and `column` from 1.

    A byte order mark is a character.

    One number holds all three, since a large file has millions of positions.
    """

    __slots__ = ()

    def __new__(cls, index: int, line: int, column: int) -> Self:  # noqa: D102
        return int.__new__(cls, column << 64 | line << 32 | index)

    def __repr__(self) -> str:
        return f"Mark({self.index}, {self.line}, {self.column})"

    @property
    def index(self) -> int:
        """The number of characters before it."""
        return self & 0xFFFFFFFF

    @property
    def line(self) -> int:
        """The line, from 1."""
        return self >> 32 & 0xFFFFFFFF

    @property
    def column(self) -> int:
        """The column, from 1."""
        return self >> 64


START = Mark(0, 1, 1)


@compact
class ScalarNode:
    """A scalar; `start` to `end` is its source with quotes or block header, without anchor and tag.

    `style` is '' for a plain scalar. `number` is that of the node's first event in the whole text,
    as `parse_events` counts them.
    """

    value: str
    tag: str | None
    style: str
    start: Mark
    end: Mark
    anchor: str | None
    number: int


@compact
class MappingNode:
    """The pairs of a mapping in their order; a block mapping ends where its last value ends."""

    pairs: tuple[tuple[Node, Node], ...]
    flow: bool
    start: Mark
    end: Mark
    anchor: str | None
    tag: str | None
    number: int


@compact
class SequenceNode:
    """The items of a sequence in their order; a block sequence ends where its last item ends."""

    items: tuple[Node, ...]
    flow: bool
    start: Mark
    end: Mark
    anchor: str | None
    tag: str | None
    number: int


@compact
class AliasNode:
    """An alias, `*name`."""

    name: str
    start: Mark
    end: Mark
    number: int


class Event(NamedTuple):
    """An event of the YAML parser without its position.

    `kind` is libyaml's name; the other fields are those of a scalar or the start of a collection.
    """

    kind: str
    value: str = ""
    style: str = ""
    anchor: str | None = None
    tag: str | None = None


Node = ScalarNode | MappingNode | SequenceNode | AliasNode
Path = tuple[str | int, ...]


@compact
class DocumentNode:
    """A document of a stream, from its `---` if it has one; `root` is None if it is empty."""

    root: Node | None
    start: Mark
    end: Mark


@frozen
class LocatedData:
    """Plain Python data, with the position of each mapping entry (its key) and each list item.

    `marks` are by path from the root `()`. `unread`: where content begins behind the first
    document, or None.
    """

    value: object
    marks: abc.Mapping[Path, Mark]
    unread: Mark | None = None


class YamlFault(ValueError):
    """A text that is not YAML or is over a limit; `line` and `column` count from 1.

    The caller adds the name of the file.
    """

    def __init__(self, problem: str, line: int, column: int) -> None:
        super().__init__(f"{problem} (line {line}, column {column})")
        self.problem, self.line, self.column = problem, line, column


class YamlLimit(YamlFault):
    """A text that is over a limit."""


class YamlLimits(NamedTuple):
    """The most characters and nodes that a text may have."""

    characters: int
    nodes: int


def parse(
    text: str,
    events: list[Event] | None = None,
    *,
    begin: Mark = START,
    number: int = 0,
    limits: YamlLimits | None = None,
) -> tuple[DocumentNode, ...]:
    """Return every document of `text` with positions; its events are appended to `events`.

    If `text` is a part of a larger text, `begin` is its position there, and `number` is the count
    of events before it. Raises YamlFault, and YamlLimit if a limit on size, nodes or depth is
    exceeded.
    """
    composer = _Composer(text, events, begin=begin, limits=limits)
    composer.number += number
    return tuple(composer.documents())


def parse_events(
    text: str, *, begin: Mark = START, limits: YamlLimits | None = None
) -> Iterator[Event]:
    """Every event of `text`, without positions; raises YamlFault.

    Two texts with the same events have the same values in the same styles.
    """
    return (_event(event) for event in _Composer(text, begin=begin, limits=limits).stream)


def _event(event: Any) -> Event:
    if type(event) is yaml.ScalarEvent:
        return Event("scalar", event.value, event.style or "", event.anchor, event.tag)
    style = "flow" if getattr(event, "flow_style", None) else ""
    return Event(
        type(event).__name__, "", style, getattr(event, "anchor", None), getattr(event, "tag", None)
    )


def load_located(text: str) -> LocatedData:
    """Read the first document of `text` as plain Python data in Piper's dialect; raises YamlFault.

    An empty document is None; `unread` is where more content begins behind it. yes/no/on/off and
    dates stay text, keys are text as written, duplicate keys are a fault, aliases and `<<` are
    expanded.
    """
    documents = _Composer(text, limits=YamlLimits(MAX_CHARACTERS, MAX_LOADED)).documents()
    first = next(documents, None)
    found = (
        _Constructor(first.root).located()
        if first and first.root is not None
        else LocatedData(value=None, marks={})
    )
    return replace(found, unread=_unread(documents))


def _unread(documents: Iterator[DocumentNode]) -> Mark | None:
    """Where the next of `documents` with content begins, or text that is not YAML; or None."""
    try:
        return next((document.start for document in documents if document.root is not None), None)
    except YamlFault as fault:
        return Mark(0, fault.line, fault.column)


class _Composer:
    """Events of one text to nodes; MAX_DEPTH limits the recursion."""

    def __init__(
        self,
        text: str,
        events: list[Event] | None = None,
        *,
        begin: Mark = START,
        limits: YamlLimits | None = None,
    ) -> None:
        mark = int(text.startswith("\ufeff"))
        self.shift, self.line = begin.index + mark, begin.line
        self.text = text[mark:]
        self.nodes, self.number, self.events = 0, -1, events  # number of the last event
        self.limits = limits or YamlLimits(MAX_CHARACTERS, MAX_NODES)
        if len(text) > self.limits.characters:
            raise YamlLimit(f"longer than {self.limits.characters} characters", 1, 1)
        # A byte order mark inside of the text is not allowed either.
        if bad := _UNPRINTABLE.search(self.text.replace("\ufeff", "\0")):
            before = self.text[: bad.start()]
            raise YamlFault(
                f"character U+{ord(self.text[bad.start()]):04X} is not allowed",
                before.count("\n") + self.line,
                len(before) - before.rfind("\n"),
            )
        self.stream = self._events()

    def _events(self) -> Iterator[Any]:
        try:
            for event in yaml.parse(self.text, Loader=_LOADER):
                self.number += 1
                if self.events is not None:
                    self.events.append(_event(event))
                yield event
        except yaml.MarkedYAMLError as fault:
            mark, context = fault.problem_mark or fault.context_mark, fault.context_mark
            started = (
                f" {fault.context}, which begins on line {context.line + self.line}"
                if mark and context and context.line < mark.line
                else ""
            )
            line, column = (mark.line, mark.column) if mark else (0, 0)
            raise YamlFault(
                f"{fault.problem or 'not YAML'}{started}", line + self.line, column + 1
            ) from fault
        # The Python parser does not turn errors of escapes beyond Unicode into its own.
        except (yaml.YAMLError, ValueError, OverflowError) as fault:
            raise YamlFault(str(fault) or "not YAML", self.line, 1) from fault

    def documents(self) -> Iterator[DocumentNode]:
        for event in self.stream:
            if isinstance(event, yaml.DocumentStartEvent):
                root = self.node(next(self.stream), 1)
                ending = next(self.stream)
                empty = (
                    isinstance(root, ScalarNode)
                    and root.start.index == root.end.index
                    and not (root.anchor or root.tag)
                )
                last = self.mark(event.end_mark) if empty else root.end
                yield DocumentNode(
                    None if empty else root,
                    self.mark(event.start_mark),
                    self.mark(ending.end_mark) if ending.explicit else last,
                )

    def mark(self, position: Any) -> Mark:
        return Mark(position.index + self.shift, position.line + self.line, position.column + 1)

    def node(self, event: Any, depth: int) -> Node:
        self.nodes += 1
        if depth > MAX_DEPTH or self.nodes > self.limits.nodes:
            problem = (
                f"nested deeper than {MAX_DEPTH} levels"
                if depth > MAX_DEPTH
                else f"more than {self.limits.nodes} keys and values"
            )
            raise YamlLimit(problem, event.start_mark.line + self.line, event.start_mark.column + 1)
        if isinstance(event, yaml.ScalarEvent):
            return self.scalar(event)
        if isinstance(event, yaml.AliasEvent):
            return AliasNode(
                str(event.anchor),
                self.mark(event.start_mark),
                self.mark(event.end_mark),
                self.number,
            )
        number = self.number
        inner, ending = self.children(depth)
        start, anchor, tag, flow = (
            self.mark(event.start_mark),
            event.anchor,
            event.tag,
            bool(event.flow_style),
        )
        end = self.mark(ending.end_mark) if flow or not inner else inner[-1].end
        if isinstance(event, yaml.MappingStartEvent):
            return MappingNode(tuple(self.pairs(inner)), flow, start, end, anchor, tag, number)
        return SequenceNode(tuple(inner), flow, start, end, anchor, tag, number)

    def children(self, depth: int) -> tuple[list[Node], Any]:
        found: list[Node] = []
        for event in self.stream:
            if isinstance(event, yaml.CollectionEndEvent):
                return found, event
            found.append(self.node(event, depth + 1))
        # Not reached: the parser closes each collection that it has opened.
        raise YamlFault("ends inside a collection", 1, 1)

    def scalar(self, event: Any) -> ScalarNode:
        start, end = self.mark(event.start_mark), self.mark(event.end_mark)
        if event.anchor is not None or event.tag is not None:
            start = self.skip_properties(event.start_mark, event.end_mark)
        return ScalarNode(
            event.value, event.tag, event.style or "", start, end, event.anchor, self.number
        )

    def skip_properties(self, start: Any, end: Any) -> Mark:
        """The start of a scalar's source: the parser's position is that of its anchor or tag."""
        found = _PROPERTIES.match(self.text, start.index, end.index)
        return self.advance(self.mark(start), found.end() - start.index if found else 0)

    def pairs(self, nodes: list[Node]) -> Iterator[tuple[Node, Node]]:
        """Keys with their values; an empty value is positioned right behind its colon.

        In flow mappings, only the Python parser gives that position.
        """
        for key, value in zip(nodes[::2], nodes[1::2], strict=True):
            if (
                not isinstance(value, ScalarNode)
                or value.start.index != value.end.index
                or value.anchor is not None
                or value.tag is not None
            ):
                yield key, value
                continue
            end = key.end.index - self.shift
            colon = _COLON.match(self.text, end, value.start.index - self.shift)
            position = self.advance(key.end, colon.end() - end if colon else 0)
            yield key, ScalarNode("", None, "", position, position, None, value.number)

    def advance(self, start: Mark, length: int) -> Mark:
        index = start.index - self.shift
        lines = BREAK.split(self.text[index : index + length])
        column = len(lines[-1]) + (start.column if len(lines) == 1 else 1)
        return Mark(start.index + length, start.line + len(lines) - 1, column)


def children(node: Node) -> tuple[Node, ...]:
    """The nodes directly below `node` in their order, keys included."""
    if isinstance(node, MappingNode):
        return tuple(child for pair in node.pairs for child in pair)
    return node.items if isinstance(node, SequenceNode) else ()


def descendants(root: Node) -> Iterator[Node]:
    """`root` and every node below it in the order of the text."""
    yield root
    for child in children(root):
        yield from descendants(child)


def alias_targets(root: Node) -> dict[int, Node]:
    """The node that each alias below `root` stands for, by the index at which the alias begins.

    It is the nearest one before it with that anchor. Raises YamlFault if there is none.
    """
    anchored: dict[str, Node] = {}
    targets: dict[int, Node] = {}
    for node in descendants(root):
        if not isinstance(node, AliasNode):
            anchored |= {node.anchor: node} if node.anchor is not None else {}
        elif node.name in anchored:
            targets[node.start.index] = anchored[node.name]
        else:
            raise YamlFault(
                f"alias *{node.name} has no anchor before it", node.start.line, node.start.column
            )
    return targets


def is_merge_key(key: Node) -> bool:
    """Whether `key` is the merge key `<<`: plain, or with its tag."""
    return isinstance(key, ScalarNode) and (
        key.tag == f"{_STANDARD}merge" or (key.value == "<<" and not key.style and key.tag is None)
    )


class _Constructor:
    """Nodes to plain Python data; MAX_EXPANDED limits the values that aliases and merges repeat."""

    def __init__(self, root: Node) -> None:
        self.root = root
        self.targets = alias_targets(root)
        self.left = sum(1 for _ in descendants(root)) + MAX_EXPANDED
        self.marks: dict[Path, Mark] = {(): root.start}

    def located(self) -> LocatedData:
        return LocatedData(value=self.build(self.root, (), 1), marks=self.marks)

    def spend(self, node: Node, depth: int) -> None:
        """Count a visit of a node; this also ends an alias inside of its own anchor."""
        self.left -= 1
        if self.left < 0 or depth > MAX_DEPTH:
            raise YamlLimit("aliases expand to too many values", node.start.line, node.start.column)

    def build(self, node: Node, path: Path, depth: int) -> object:
        self.spend(node, depth)
        if isinstance(node, AliasNode):
            return self.build(self.targets[node.start.index], path, depth + 1)
        if isinstance(node, ScalarNode):
            return _value(node)
        if isinstance(node, SequenceNode):
            return [
                self.place(item, item, (*path, index), depth)
                for index, item in enumerate(node.items)
            ]
        return {
            name: self.place(key, value, (*path, name), depth)
            for name, (key, value) in self.entries(node, depth).items()
        }

    def place(self, positioned: Node, node: Node, path: Path, depth: int) -> object:
        self.marks[path] = positioned.start
        return self.build(node, path, depth + 1)

    def entries(self, node: MappingNode, depth: int) -> dict[str, tuple[Node, Node]]:
        """Key and value by name: the mapping's own in order, then those of its merge keys."""
        own: dict[str, tuple[Node, Node]] = {}
        for key, value in node.pairs:
            self.spend(key, depth)
            name = self.name(key)
            if name in own:
                raise YamlFault(
                    f"key {name!r} stands twice in one mapping", key.start.line, key.start.column
                )
            own[name] = key, value
        added = [self.merged(value, depth + 1) for key, value in own.values() if is_merge_key(key)]
        own = {name: pair for name, pair in own.items() if not is_merge_key(pair[0])}
        for entries in added:
            own = {**own, **{name: pair for name, pair in entries.items() if name not in own}}
        return own

    def merged(self, node: Node, depth: int) -> dict[str, tuple[Node, Node]]:
        """The entries of a `<<`: of a mapping, or of a list of mappings, whose earlier ones win."""
        self.spend(node, depth)
        target = self.resolve(node)
        if isinstance(target, MappingNode):
            return self.entries(target, depth + 1)
        if not isinstance(target, SequenceNode):
            raise YamlFault(
                "a merge key needs a mapping or a list of mappings",
                node.start.line,
                node.start.column,
            )
        found: dict[str, tuple[Node, Node]] = {}
        for item in target.items:
            found = {**self.merged(item, depth + 1), **found}
        return found

    def resolve(self, node: Node) -> Node:
        return self.targets[node.start.index] if isinstance(node, AliasNode) else node

    def name(self, key: Node) -> str:
        target = self.resolve(key)
        if not isinstance(target, ScalarNode):
            raise YamlFault("a mapping's key must be a scalar", key.start.line, key.start.column)
        return target.value


_TYPES: dict[str, type] = {"null": type(None), "bool": bool, "int": int, "float": float}


def _value(node: ScalarNode) -> object:
    """A scalar's value by its tag, else by its text.

    A scalar with an unknown tag is text, a timestamp stays as written.
    """
    if node.tag is None:
        return node.value if node.style else resolve_plain(node.value)
    kind = node.tag.removeprefix(_STANDARD)
    if kind == "binary":
        return _binary(node)
    if kind not in _TYPES:
        return node.value
    value = resolve_plain(node.value)
    if kind == "float" and isinstance(value, int) and not isinstance(value, bool):
        value = with_text(float(value), node.value)
    if not isinstance(value, _TYPES[kind]) or (kind == "int" and isinstance(value, bool)):
        raise YamlFault(f"{node.value!r} is not a valid {kind}", node.start.line, node.start.column)
    return value


def _binary(node: ScalarNode) -> str:
    try:
        return base64.b64decode("".join(node.value.split()), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError) as fault:
        raise YamlFault(
            "!!binary is not text in base64", node.start.line, node.start.column
        ) from fault
