"""Pure.

One tree of YAML events with positions: configuration errors name file:line, surgical edits find
their characters.

The tree is built on PyYAML's libyaml parser, or on its Python parser where libyaml is missing; both
give the same tree. `parse` keeps the text as written; `load` reads the first document as Piper does
(go-yaml 3: facts/configuration.md sections 1.6 and 12).
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
MAX_LOADED = 100_000  # nodes of what is read as configuration, every key of which is looked at
MAX_DEPTH = 100
MAX_EXPANDED = 100_000

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# YAML 1.1, section 4.1; compiled once, which takes longer than all our own
_UNPRINTABLE = yaml.reader.Reader.NON_PRINTABLE
BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")  # YAML 1.1, section 4.2

_BLANK = "[ \t\r\n\x85\u2028\u2029]"
# Atomic: a comment that could end anywhere would be tried to end everywhere, which takes for ever.
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
    """A place in a text: `index` counts characters from 0 (a byte order mark is one), `line` and `column` from 1.

    One number holds all three, since a large file has millions of places.
    """

    __slots__ = ()

    def __new__(cls, index: int, line: int, column: int) -> Self:  # noqa: D102
        return int.__new__(cls, column << 64 | line << 32 | index)

    def __repr__(self) -> str:
        return f"Mark({self.index}, {self.line}, {self.column})"

    @property
    def index(self) -> int:
        """Characters before it."""
        return self & 0xFFFFFFFF

    @property
    def line(self) -> int:
        """Its line."""
        return self >> 32 & 0xFFFFFFFF

    @property
    def column(self) -> int:
        """Its column."""
        return self >> 64


START = Mark(0, 1, 1)


@compact
class ScalarNode:
    """A scalar; `start` to `end` is its own source, quotes or block header included, without anchor and tag; `style` is '' where plain.

    `number` is that of the node's first event in the whole text, as `outline` counts them.
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
    """Pairs in their order; a block mapping ends where its last value ends."""

    pairs: tuple[tuple[Node, Node], ...]
    flow: bool
    start: Mark
    end: Mark
    anchor: str | None
    tag: str | None
    number: int


@compact
class SequenceNode:
    """Items in their order; a block sequence ends where its last item ends."""

    items: tuple[Node, ...]
    flow: bool
    start: Mark
    end: Mark
    anchor: str | None
    tag: str | None
    number: int


@compact
class AliasNode:
    """A use (`*name`) of an anchor."""

    name: str
    start: Mark
    end: Mark
    number: int


class Event(NamedTuple):
    """What a YAML parser says of one place: its `kind` (libyaml's name), and what a scalar or the start of a collection is; no position."""

    kind: str
    value: str = ""
    style: str = ""
    anchor: str | None = None
    tag: str | None = None


Node = ScalarNode | MappingNode | SequenceNode | AliasNode
Path = tuple[str | int, ...]


@compact
class DocumentNode:
    """One document of a stream, from `---` where that is written; `root` is None where nothing stands in it."""

    root: Node | None
    start: Mark
    end: Mark


@frozen
class LocatedData:
    """Plain Python data, and where each mapping entry (its key) and each list item stands, by its path from the root `()`.

    `unread`: where something stands behind the first document; None if nothing does.
    """

    value: object
    marks: abc.Mapping[Path, Mark]
    unread: Mark | None = None


class YamlFault(ValueError):
    """A text that is no YAML or goes over a limit; the caller knows the file and says so (`line` and `column` count from 1)."""

    def __init__(self, problem: str, line: int, column: int) -> None:
        super().__init__(f"{problem} (line {line}, column {column})")
        self.problem, self.line, self.column = problem, line, column


class YamlLimit(YamlFault):
    """A text that goes over a limit."""


class YamlLimits(NamedTuple):
    """How many characters and nodes a text may have."""

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
    """Every document of `text` with positions, and its outline into `events`; raises YamlFault, YamlLimit where a limit on size, nodes or depth is exceeded.

    Where `text` is a part of another one, it begins there at `begin`, and with event `number`.
    """
    composer = _Composer(text, events, begin=begin, limits=limits)
    composer.number += number
    return tuple(composer.documents())


def parse_events(
    text: str, *, begin: Mark = START, limits: YamlLimits | None = None
) -> Iterator[Event]:
    """Every event of `text` without its position: two texts with the same outline say the same, in the same styles; raises YamlFault."""
    return (_event(event) for event in _Composer(text, begin=begin, limits=limits).stream)


def _event(event: Any) -> Event:
    if type(event) is yaml.ScalarEvent:
        return Event("scalar", event.value, event.style or "", event.anchor, event.tag)
    style = "flow" if getattr(event, "flow_style", None) else ""
    return Event(
        type(event).__name__, "", style, getattr(event, "anchor", None), getattr(event, "tag", None)
    )


def load_located(text: str) -> LocatedData:
    """Read the first document of `text` as plain Python data in Piper's dialect; an empty one is None; raises YamlFault.

    Of what follows that, `unread` says where it begins. yes/no/on/off and dates stay text; keys are
    text as written; duplicate keys fail; aliases and `<<` are expanded.
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
    """Where the next of `documents` that holds something begins, or what is none; None if neither follows."""
    try:
        return next((document.start for document in documents if document.root is not None), None)
    except YamlFault as fault:
        return Mark(0, fault.line, fault.column)


class _Composer:
    """Events of one text to nodes; recursion is bounded by MAX_DEPTH."""

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
        self.nodes, self.number, self.events = 0, -1, events  # the number is that of the last event
        self.limits = limits or YamlLimits(MAX_CHARACTERS, MAX_NODES)
        if len(text) > self.limits.characters:
            raise YamlLimit(f"longer than {self.limits.characters} characters", 1, 1)
        # nor a byte order mark inside of the text
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
            place, begin = fault.problem_mark or fault.context_mark, fault.context_mark
            began = (
                f" {fault.context}, which begins on line {begin.line + self.line}"
                if place and begin and begin.line < place.line
                else ""
            )
            line, column = (place.line, place.column) if place else (0, 0)
            raise YamlFault(
                f"{fault.problem or 'not YAML'}{began}", line + self.line, column + 1
            ) from fault
        # the Python parser lets escapes beyond Unicode fall through
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

    def mark(self, place: Any) -> Mark:
        return Mark(place.index + self.shift, place.line + self.line, place.column + 1)

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
        # not reached: the parser closes what it opened
        raise YamlFault("ends inside a collection", 1, 1)

    def scalar(self, event: Any) -> ScalarNode:
        start, end = self.mark(event.start_mark), self.mark(event.end_mark)
        if event.anchor is not None or event.tag is not None:
            start = self.skip_properties(event.start_mark, event.end_mark)
        return ScalarNode(
            event.value, event.tag, event.style or "", start, end, event.anchor, self.number
        )

    def skip_properties(self, start: Any, end: Any) -> Mark:
        """Where a scalar's own source begins: the parser's position is that of its anchor or tag."""
        found = _PROPERTIES.match(self.text, start.index, end.index)
        return self.advance(self.mark(start), found.end() - start.index if found else 0)

    def pairs(self, nodes: list[Node]) -> Iterator[tuple[Node, Node]]:
        """Keys with their values; an empty value stands right behind its colon, which only the Python parser says of flow mappings too."""
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
            place = self.advance(key.end, colon.end() - end if colon else 0)
            yield key, ScalarNode("", None, "", place, place, None, value.number)

    def advance(self, start: Mark, length: int) -> Mark:
        index = start.index - self.shift
        lines = BREAK.split(self.text[index : index + length])
        column = len(lines[-1]) + (start.column if len(lines) == 1 else 1)
        return Mark(start.index + length, start.line + len(lines) - 1, column)


def children(node: Node) -> tuple[Node, ...]:
    """List the nodes directly below `node` in their order, keys included."""
    if isinstance(node, MappingNode):
        return tuple(child for pair in node.pairs for child in pair)
    return node.items if isinstance(node, SequenceNode) else ()


def descendants(root: Node) -> Iterator[Node]:
    """Walk `root` and every node below it as they stand in the text."""
    yield root
    for child in children(root):
        yield from descendants(child)


def alias_targets(root: Node) -> dict[int, Node]:
    """For every alias below `root`, by the index it starts at, the node it stands for: the nearest before it; raises YamlFault where there is none."""
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
    """Whether `key` is the merge key `<<`: plain, or tagged so."""
    return isinstance(key, ScalarNode) and (
        key.tag == f"{_STANDARD}merge" or (key.value == "<<" and not key.style and key.tag is None)
    )


class _Constructor:
    """Nodes to plain Python data; what aliases and merge keys multiply is bounded by MAX_EXPANDED."""

    def __init__(self, root: Node) -> None:
        self.root = root
        self.targets = alias_targets(root)
        self.left = sum(1 for _ in descendants(root)) + MAX_EXPANDED
        self.marks: dict[Path, Mark] = {(): root.start}

    def located(self) -> LocatedData:
        return LocatedData(value=self.build(self.root, (), 1), marks=self.marks)

    def spend(self, node: Node, depth: int) -> None:
        """Count one visit; an alias inside its own anchor ends here too."""
        self.left -= 1
        if self.left < 0 or depth > MAX_DEPTH:
            raise YamlLimit("aliases expand to too much", node.start.line, node.start.column)

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

    def place(self, at: Node, node: Node, path: Path, depth: int) -> object:
        self.marks[path] = at.start
        return self.build(node, path, depth + 1)

    def entries(self, node: MappingNode, depth: int) -> dict[str, tuple[Node, Node]]:
        """Key and value by name: the mapping's own in their order, then what its merge keys add."""
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
        """Entries that a `<<` brings in: from a mapping, or from a list of them, where the earlier wins."""
        self.spend(node, depth)
        target = self.targets[node.start.index] if isinstance(node, AliasNode) else node
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

    def name(self, key: Node) -> str:
        target = self.targets[key.start.index] if isinstance(key, AliasNode) else key
        if not isinstance(target, ScalarNode):
            raise YamlFault("a mapping's key must be a scalar", key.start.line, key.start.column)
        return target.value


_TYPES: dict[str, type] = {"null": type(None), "bool": bool, "int": int, "float": float}


def _value(node: ScalarNode) -> object:
    """Resolve a scalar by its tag, else by its text; an unknown tag makes it text, a timestamp stays as written."""
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
        raise YamlFault(f"{node.value!r} is no {kind}", node.start.line, node.start.column)
    return value


def _binary(node: ScalarNode) -> str:
    try:
        return base64.b64decode("".join(node.value.split()), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError) as fault:
        raise YamlFault(
            "!!binary holds no text in base64", node.start.line, node.start.column
        ) from fault
