"""Pure.

Entries of flow collections, `{a: b}` and `[a]`, and of JSON, in the layout of those that stand
beside them.
"""

from __future__ import annotations

import re
from collections import abc
from dataclasses import dataclass, replace

from towline.gitops.scalar import write
from towline.gitops.source import Source
from towline.yaml_marks import Mapping, Node, Scalar, Sequence

Value = str | abc.Mapping[str, "Value"] | tuple[abc.Mapping[str, "Value"], ...]

_COMMA = re.compile(r"[ \t]*,[ \t]*")
_LINE = re.compile(r"(?:[ \t]*,[ \t]*|)((?:\r\n|[\r\n])[ \t]*)")
_COLON = re.compile(r"[ \t]*:[ \t]*")
_STEP = re.compile(r"[\[{](?:\r\n|[\r\n])([ \t]+)")


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How entries are written: whether as JSON, what stands between them and between key and value.

    Entries in lines of their own begin with `line`, and those below them with as much and `step`.
    """

    json: bool = False
    comma: str = ", "
    colon: str = ": "
    line: str = ""
    step: str = ""

    def text(self, value: Value) -> str:
        """A text, or a collection with its brackets, that stands in a line of this layout."""
        if isinstance(value, str):
            return write(value, '"' if self.json else "")
        below = replace(self, line=self.line + self.step) if self.line else self
        if isinstance(value, abc.Mapping):
            return self._closed("{", [below.pair(key, inner) for key, inner in value.items()], "}")
        return self._closed("[", [below.text(entry) for entry in value], "]")

    def pair(self, key: str, value: Value) -> str:
        """A key with its value."""
        return write(key, '"' if self.json else "") + self.colon + self.text(value)

    def _closed(self, opening: str, entries: list[str], closing: str) -> str:
        if not self.line:
            return opening + self.comma.join(entries) + closing
        return (
            opening
            + ",".join(self.line + self.step + entry for entry in entries)
            + self.line
            + closing
        )


def layout(source: Source, parent: Mapping | Sequence) -> Layout:
    """The layout of the entries of a collection."""
    pairs = parent.pairs if isinstance(parent, Mapping) else [(item, item) for item in parent.items]
    places = [
        parent.start.index + 1,
        *(place.index for first, last in pairs for place in (first.start, last.end)),
    ]
    # of two, the last is the one to be like
    gaps = [source.text[end:start] for end, start in zip(places[::2], places[1::2], strict=False)][
        -2:
    ]
    json = as_json(source, parent)
    colon = _colon(source, parent, json=json)
    found = _LINE.fullmatch(gaps[-1]) if gaps else None
    if found and parent.flow:
        step = _STEP.search(source.text)
        return Layout(
            json=json, colon=colon, line=found.group(1), step=step.group(1) if step else "  "
        )
    comma = (
        gaps[-1] if len(gaps) > 1 and _COMMA.fullmatch(gaps[-1]) else "," if colon == ":" else ", "
    )
    return Layout(json=json, comma=comma, colon=colon)


def as_json(source: Source, parent: Node) -> bool:
    """Whether what stands in a collection is written as JSON: in a file that is JSON or called so, and beside keys that all are as JSON has them."""
    if source.strict or not isinstance(parent, Mapping | Sequence) or not parent.flow:
        return source.strict
    keys = [key for key, _ in parent.pairs] if isinstance(parent, Mapping) else []
    return source.name.endswith(".json") or (
        bool(keys) and all(isinstance(key, Scalar) and key.style == '"' for key in keys)
    )


def _colon(source: Source, parent: Mapping | Sequence, *, json: bool) -> str:
    """What stands between key and value of the last pair, where the two may be as near."""
    if not isinstance(parent, Mapping) or not parent.pairs:
        return ": "
    key, value = parent.pairs[-1]
    found = source.text[key.end.index : value.start.index]
    return found if _COLON.fullmatch(found) and (json or found[-1] != ":") else ": "
