"""Pure.

The proof of an edit: the new text is parsed, and has the values of the old text except for the
wanted changes.

Outside of the splices both texts have the same characters, so their events must be the same, too,
in value and in style. Events are compared instead of trees: that costs a fraction of reading the
file (tests/bench/edits.py).
"""

from __future__ import annotations

import json
from collections import abc, deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, pairwise
from typing import Any

from towline.errors import RenderError
from towline.record import compact, frozen, replace
from towline.yaml.documents import FILE_LIMITS
from towline.yaml.embedded import embedded_text
from towline.yaml.marks import (
    Event,
    MappingNode,
    Mark,
    Node,
    ScalarNode,
    YamlFault,
    children,
    descendants,
    parse,
    parse_events,
)
from towline.yaml.marks import SequenceNode as Items
from towline.yaml.scalar import is_typed
from towline.yaml.source import YamlSource, is_json, mask_templates
from towline.yaml.splice import Value

_EVENTS_AT_ONCE = 10_000


@frozen
class EventPatch:
    """A wanted change: the events from number `first` to before `last` become `events`.

    In `events`, the style of a scalar says how it is read: as `text` or `typed`. If `text` is
    given, the scalar keeps its style and has the characters `text` in the file, templates included.
    """

    first: int
    last: int
    events: tuple[Event, ...] = ()
    text: str | None = None


def node_replaced(node: Node, value: Value) -> EventPatch:
    """A node that becomes `value`; a text keeps anchor and tag of the node."""
    if isinstance(node, ScalarNode) and isinstance(value, str):
        return EventPatch(
            first=node.number,
            last=node.number + 1,
            events=(Event("scalar", value, "text", node.anchor, node.tag),),
        )
    return EventPatch(first=node.number, last=_number_after(node), events=_events(value))


def text_rewritten(node: ScalarNode, text: str) -> EventPatch:
    """A scalar whose embedded YAML or JSON was edited."""
    return EventPatch(
        first=node.number,
        last=node.number + 1,
        events=(Event("scalar", "", node.style, node.anchor, node.tag),),
        text=text,
    )


def pair_removed(key: Node, value: Node) -> EventPatch:
    """A removed pair of a mapping."""
    return EventPatch(first=key.number, last=_number_after(value))


def entry_inserted(parent: MappingNode | Items, number: int, key: str, value: Value) -> EventPatch:
    """A new pair, or item if `key` is empty, behind pair or item `number` (-1: none yet)."""
    values = (
        [value for _, value in parent.pairs] if isinstance(parent, MappingNode) else parent.items
    )
    event_number = parent.number + 1 if number < 0 else _number_after(values[number])
    return EventPatch(
        first=event_number,
        last=event_number,
        events=(*(_events(key) if key else ()), *_events(value)),
    )


def is_proven(source: YamlSource, patches: Sequence[EventPatch], text: str) -> bool:
    """Whether `text` has the values of `source` with the patches made, and no other change.

    In a JSON file, a JSON parser must find so, too.
    """
    try:
        after = _After(text, mask_templates(source.name, text))
        return _proven(source, patches, after)
    except (YamlFault, RenderError):
        return False


@compact
class _After:
    """The file after the edit, as `YamlSource` has it before."""

    text: str
    masked: str


def _proven(source: YamlSource, patches: Sequence[EventPatch], after: _After) -> bool:
    """Compare the parts of the file; a part without a patch must have the same characters."""
    before, starts = source.documents, source.documents.starts_in(after.masked)
    if len(starts) != len(before.starts):
        return False
    for part, (start, end) in enumerate(pairwise((*starts, len(after.masked)))):
        first, last = before.numbers[part], before.numbers[part + 1]
        own_patches = [
            replace(patch, first=patch.first - first, last=patch.last - first)
            for patch in patches
            if first <= patch.first < last
        ]
        if not own_patches and before.piece(part) != after.masked[start:end]:
            return False
        if own_patches and not _is_part_proven(
            source, _EditedPart(before.events(part), own_patches, start, end), after
        ):
            return False
    return True


@compact
class _EditedPart:
    """The events of a part before the edit, its patches, and its position after the edit."""

    events: Iterable[Event]
    patches: Sequence[EventPatch]
    start: int
    end: int


def _is_part_proven(source: YamlSource, part: _EditedPart, after: _After) -> bool:
    """Whether a part has the same events as before the edit, except for its patches."""
    piece = after.masked[part.start : part.end]
    if source.strict and not (is_json(piece) and _is_json_alike(piece)):
        return False
    before, new_events_left = iter(part.events), parse_events(piece, limits=FILE_LIMITS)
    done = number = 0
    for patch in dict.fromkeys(sorted(part.patches, key=lambda patch: (patch.first, patch.last))):
        if not _are_equal(before, new_events_left, patch.first - done):
            return False
        number += patch.first - done
        new_events = tuple(islice(new_events_left, len(patch.events)))
        if patch.text is None and tuple(map(_reading, new_events)) != patch.events:
            return False
        if patch.text is not None and not (
            new_events[0]._replace(value="") == patch.events[0]
            and _has_text(source, part, number, patch.text, after=after)
        ):
            return False
        deque(islice(before, patch.last - patch.first), maxlen=0)
        done, number = patch.last, number + len(patch.events)
    return _are_equal(before, new_events_left, FILE_LIMITS.characters)


def _are_equal(first: Iterator[Event], second: Iterator[Event], count: int) -> bool:
    """Whether the next events of both, at most `count`, are equal.

    They are compared in large groups, which takes a fraction of the time.
    """
    for start in range(0, count, _EVENTS_AT_ONCE):
        size = min(count - start, _EVENTS_AT_ONCE)
        group, other_group = list(islice(first, size)), list(islice(second, size))
        if group != other_group or len(group) < size:
            return group == other_group
    return True


def _is_json_alike(text: str) -> bool:
    """Whether JSON and YAML parsers read the same; numbers and literals are compared as written."""
    root = json.loads(
        text.removeprefix("\ufeff"), object_pairs_hook=tuple, parse_int=_Word, parse_float=_Word
    )
    inner = (
        event
        for event in parse_events(text, limits=FILE_LIMITS)
        if not event.kind.startswith(("Stream", "Document"))
    )
    events = (
        Event(event.kind, event.value, "text" if event.style == '"' else "") for event in inner
    )
    return _are_equal(_events_of_json(root), events, FILE_LIMITS.characters)


class _Word(str):
    """A number of JSON as it is written."""

    __slots__ = ()


_WORDS = {True: "true", False: "false", None: "null"}


def _events_of_json(value: Any) -> Iterator[Event]:
    """The events of a YAML parser for JSON data, in which objects are tuples of pairs."""
    if isinstance(value, tuple):
        yield Event("MappingStartEvent")
        for pair in value:
            yield from (event for part in pair for event in _events_of_json(part))
        yield Event("MappingEndEvent")
    elif isinstance(value, list):
        yield Event("SequenceStartEvent")
        for item in value:
            yield from _events_of_json(item)
        yield Event("SequenceEndEvent")
    else:
        yield Event(
            "scalar",
            str(value) if isinstance(value, str) else _WORDS[value],
            "" if isinstance(value, _Word | bool | None) else "text",
        )


def _has_text(
    source: YamlSource, part: _EditedPart, number: int, text: str, *, after: _After
) -> bool:
    """Whether the scalar that is event `number` of a part has the characters `text`."""
    documents = parse(
        after.masked[part.start : part.end], begin=Mark(part.start, 1, 1), limits=FILE_LIMITS
    )
    nodes = (node for document in documents if document.root for node in descendants(document.root))
    node = next((node for node in nodes if node.number == number), None)
    found = (
        embedded_text(replace(source, text=after.text, masked=after.masked), node) if node else None
    )
    return found is not None and found.text == text


def _reading(event: Event) -> Event:
    """An event without its style; of a scalar, the style says whether it is always text.

    That is, text for every version of YAML.
    """
    if event.kind != "scalar":
        return event._replace(style="")
    return event._replace(
        style="typed" if not event.style and not event.tag and is_typed(event.value) else "text"
    )


def _events(value: Value) -> tuple[Event, ...]:
    """The events of a value, without styles."""
    if isinstance(value, str):
        return (Event("scalar", value, "text"),)
    if isinstance(value, abc.Mapping):
        return (
            Event("MappingStartEvent"),
            *(event for pair in value.items() for text in pair for event in _events(text)),
            Event("MappingEndEvent"),
        )
    return (
        Event("SequenceStartEvent"),
        *(event for entry in value for event in _events(entry)),
        Event("SequenceEndEvent"),
    )


def _number_after(node: Node) -> int:
    """The number of the first event behind a node: a collection has an end event of its own."""
    if not isinstance(node, MappingNode | Items):
        return node.number + 1
    below = children(node)
    return (_number_after(below[-1]) if below else node.number + 1) + 1
