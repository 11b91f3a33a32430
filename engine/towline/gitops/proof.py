"""Pure. The proof of an edit: the new text is parsed, and says what the old one said but for the places that were to change.

Outside of the splices both texts are the same characters, so their events must be the same too, in value and in style. Events are compared and no trees:
that costs a fraction of reading the file (tests/bench/edits.py).
"""

from __future__ import annotations

import json
from collections import abc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from towline.errors import RenderError
from towline.gitops.embedded import text_of
from towline.gitops.flow import Value
from towline.gitops.scalar import typed
from towline.gitops.source import Source, is_json, masked, parsed
from towline.yaml_marks import Event, Mapping, Node, Scalar, YamlFault, children, descendants, outline
from towline.yaml_marks import Sequence as Items


@dataclass(frozen=True, kw_only=True)
class Patch:
    """The events from number `first` to before `last` become `events`, in which a scalar's style stands for how it is read: as `text` or `typed`.

    With `text`, a scalar keeps its style, and has the characters `text` in the file, templates included.
    """

    first: int
    last: int
    events: tuple[Event, ...] = ()
    text: str | None = None


def replaced(node: Node, value: Value) -> Patch:
    """A node that becomes `value`; a text keeps anchor and tag of the one before."""
    if isinstance(node, Scalar) and isinstance(value, str):
        return Patch(first=node.number, last=node.number + 1, events=(Event("scalar", value, "text", node.anchor, node.tag),))
    return Patch(first=node.number, last=_behind(node), events=_events(value))


def rewritten(node: Scalar, text: str) -> Patch:
    """A scalar whose YAML or JSON was edited where it stands."""
    return Patch(first=node.number, last=node.number + 1, events=(Event("scalar", "", node.style, node.anchor, node.tag),), text=text)


def removed(key: Node, value: Node) -> Patch:
    """A pair that is no more."""
    return Patch(first=key.number, last=_behind(value))


def inserted(parent: Mapping | Items, number: int, key: str, value: Value) -> Patch:
    """A new pair, or an item where there is no key, behind pair or item `number` (-1: there is none yet)."""
    below = [value for _, value in parent.pairs] if isinstance(parent, Mapping) else parent.items
    place = parent.number + 1 if number < 0 else _behind(below[number])
    return Patch(first=place, last=place, events=(*(_events(key) if key else ()), *_events(value)))


def proven(source: Source, patches: Sequence[Patch], text: str) -> bool:
    """Whether `text` says what `source` says with the patches made, and nothing else; of JSON, to a parser of JSON too."""
    old, hidden = source.events, ""
    try:
        found = parsed(source.name, text) if any(patch.text is not None for patch in patches) else None
        hidden = found.masked if found else masked(source.name, text)
        new = found.events if found else tuple(outline(hidden))
    except (YamlFault, RenderError):
        return False
    if source.strict and not (is_json(hidden) and _read_alike(hidden, new)):
        return False
    done = there = 0
    for patch in sorted(patches, key=lambda patch: (patch.first, patch.last)):
        kept = there + patch.first - done
        behind = kept + len(patch.events)
        if old[done : patch.first] != new[there:kept]:
            return False
        if not _holds(found, kept, patch) if found and patch.text is not None else tuple(map(_meant, new[kept:behind])) != patch.events:
            return False
        done, there = patch.last, behind
    return old[done:] == new[there:]


def _read_alike(text: str, events: tuple[Event, ...]) -> bool:
    """Whether a parser of JSON reads what a parser of YAML does; numbers and words as they are written."""
    root = json.loads(text.removeprefix("\ufeff"), object_pairs_hook=tuple, parse_int=_Word, parse_float=_Word)
    inner = [event for event in events if not event.kind.startswith(("Stream", "Document"))]
    return list(_events_of_json(root)) == [Event(one.kind, one.value, "text" if one.style == '"' else "") for one in inner]


class _Word(str):
    """A number of JSON as it is written."""

    __slots__ = ()


_WORDS = {True: "true", False: "false", None: "null"}


def _events_of_json(value: Any) -> Iterator[Event]:
    """What a parser of YAML says of JSON; objects are tuples of pairs."""
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
        yield Event("scalar", str(value) if isinstance(value, str) else _WORDS[value], "" if isinstance(value, _Word | bool | None) else "text")


def _holds(source: Source, number: int, patch: Patch) -> bool:
    """Whether the scalar of an event is in the style of before, and its characters are the wanted ones."""
    nodes = (node for document in source.documents if document.root for node in descendants(document.root))
    node = next((node for node in nodes if node.number == number), None)
    text = text_of(source, node) if node else None
    return text is not None and text.text == patch.text and source.events[number]._replace(value="") == patch.events[0]


def _meant(event: Event) -> Event:
    """An event without its style, but for whether a scalar is text whatever version of YAML reads it."""
    if event.kind != "scalar":
        return event._replace(style="")
    return event._replace(style="typed" if not event.style and not event.tag and typed(event.value) else "text")


def _events(value: Value) -> tuple[Event, ...]:
    """What entries say, without styles."""
    if isinstance(value, str):
        return (Event("scalar", value, "text"),)
    if isinstance(value, abc.Mapping):
        return Event("MappingStartEvent"), *(event for pair in value.items() for text in pair for event in _events(text)), Event("MappingEndEvent")
    return Event("SequenceStartEvent"), *(event for entry in value for event in _events(entry)), Event("SequenceEndEvent")


def _behind(node: Node) -> int:
    """The number of the first event behind a node: a collection has an end of its own."""
    if not isinstance(node, Mapping | Items):
        return node.number + 1
    below = children(node)
    return (_behind(below[-1]) if below else node.number + 1) + 1
