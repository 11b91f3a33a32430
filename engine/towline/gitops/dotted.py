r"""Pure. Dotted paths of a configuration, `spec.values.image.tag` or `parameters[name=image.tag].value`, and where they lead in a YAML file.

A part is a key, `[0]` an index, `[key=text]` the item of a list that has it. A dot inside of a key is written `\.`; without that a literal dotted key is
found too, where the nested one is not there (facts/gitops.md section 4.5).
"""

from __future__ import annotations

import re
from collections import abc
from dataclasses import dataclass

from towline.errors import ConfigError, RenderError
from towline.gitops.document import own_value, spell
from towline.gitops.source import Source
from towline.suggest import close
from towline.yaml_marks import Alias, Mapping, Node, Path, Scalar, Sequence, aliases, is_merge

_PART = re.compile(r"\[(?P<index>[0-9]{1,6})\]|\[(?P<key>[^\[\]=]+)=(?P<text>[^\[\]]*)\]|(?P<dot>^|\.)?(?P<name>(?:[^\\.\[\]]|\\.)+)")


@dataclass(frozen=True, kw_only=True)
class Selector:
    """The item of a list whose `key` is `text`."""

    key: str
    text: str


Step = str | int | Selector


@dataclass(frozen=True, kw_only=True)
class Place:
    """How far a path leads in document `document`: `path` is there and is `node`, `missing` is not."""

    document: int
    path: Path
    node: Node
    missing: tuple[Step, ...]


def parse_dotted(text: str) -> tuple[Step, ...]:
    """A dotted path to its parts; raises ConfigError."""
    steps: list[Step] = []
    done = 0
    for found in _PART.finditer(text):
        if found.start() != done or (found["name"] and found["dot"] is None):
            break
        done = found.end()
        if found["name"]:
            steps.append(re.sub(r"\\(.)", r"\1", found["name"]))
        else:
            steps.append(int(found["index"]) if found["index"] else Selector(key=found["key"], text=found["text"]))
    if not steps or done != len(text) or text[0] in ".[":
        raise ConfigError(f"{text!r} is no path into a file",
                          hint=r"expected keys with dots between them, a\.b for a key with a dot, [0] or [key=text] for an item")
    return tuple(steps)


def find(source: Source, steps: tuple[Step, ...], *, follow: bool = False) -> list[Place]:
    """Every document's place that `steps` lead to whole, with `follow` by way of aliases; else the one that they lead farthest in.

    Raises ConfigError and RenderError.
    """
    places = [_Walk(source, number, aliases(document.root) if "*" in source.masked else {}, through=follow).follow(document.root, (), steps)
              for number, document in enumerate(source.documents) if document.root]
    whole = [place for place in places if not place.missing]
    if whole or not places:
        return whole
    least = min(len(place.missing) for place in places)
    near = [place for place in places if len(place.missing) == least]
    if len(near) > 1:
        raise ConfigError(f"{_spelled(steps)} is in no document of {source.name}, and could be added to {len(near)} of them", where=source.name,
                          hint="write it into the one that it belongs to")
    return near


@dataclass(frozen=True)
class _Walk:
    source: Source
    document: int
    targets: abc.Mapping[int, Node]
    through: bool

    def follow(self, node: Node, path: Path, steps: tuple[Step, ...]) -> Place:
        """As far as it goes; of a nested and a literal dotted key the one that goes farther, the nested one where both do."""
        if isinstance(node, Alias) and self.through:
            node = self.targets[node.start.index]
        here = Place(document=self.document, path=path, node=node, missing=steps)
        if isinstance(node, Alias):  # an edit refuses it, and says where the alias stands
            return Place(document=self.document, path=(*path, *(step for step in steps if not isinstance(step, Selector))), node=node, missing=())
        if not steps:
            return here
        return min([*self._keys(node, path, steps), *self._items(node, path, steps), here], key=lambda place: len(place.missing))

    def _keys(self, node: Node, path: Path, steps: tuple[Step, ...]) -> list[Place]:
        found: list[Place] = []
        for length in range(1, len(steps) + 1 if isinstance(node, Mapping) else 0):
            if not isinstance(steps[length - 1], str):
                break
            key = ".".join(map(str, steps[:length]))
            value = own_value(self.source, node, key, self.targets)
            found += [self.follow(value, (*path, key), steps[length:])] if value is not None else []
        return found

    def _items(self, node: Node, path: Path, steps: tuple[Step, ...]) -> list[Place]:
        items, first = (node.items if isinstance(node, Sequence) else ()), steps[0]
        if isinstance(first, Selector):
            chosen = [number for number, item in enumerate(items) if self._text(item, first.key) == first.text]
        else:
            chosen = [first] if isinstance(first, int) and first < len(items) else []
        if len(chosen) > 1:
            where = self.source.where(items[chosen[1]].start)
            raise RenderError(f"{len(chosen)} items fit {_spelled(steps[:1])}", where=where, hint="name an item by its number, [0]")
        return [self.follow(items[number], (*path, number), steps[1:]) for number in chosen]

    def _text(self, item: Node, key: str) -> str | None:
        value = self._behind(own_value(self.source, self._behind(item), key, self.targets))
        return value.value if isinstance(value, Scalar) else None

    def _behind(self, node: Node | None) -> Node | None:
        """What an alias stands for: an item is recognised by it, whether it may be changed or not."""
        return self.targets[node.start.index] if isinstance(node, Alias) else node


def check_missing(source: Source, place: Place, wanted: str) -> tuple[str, ...]:
    """The keys that are missing for a path called `wanted`, where it is safe to add them; raises ConfigError and RenderError."""
    first, where = place.missing[0], source.where(place.node.start)
    there = [key.value for key, _ in place.node.pairs if isinstance(key, Scalar)] if isinstance(place.node, Mapping) else []
    if not all(isinstance(step, str) for step in place.missing) or isinstance(place.node, Sequence):
        raise ConfigError(f"{wanted} leads to an item that is not in {source.name}", where=where, hint="add it first, then its value can be set")
    if isinstance(place.node, Scalar) and place.node.value not in ("", "~", "null"):
        raise ConfigError(f"{wanted} leads through {spell(place.path)}, which holds a text", where=where, hint="correct the path")
    if near := close(str(first), there, cutoff=0.8):
        raise ConfigError(f"{wanted} is not in {source.name}", where=where, hint=f"did you mean {near!r}? else add {first!r} to the file first")
    if len(place.missing) > 1 and isinstance(place.node, Mapping) and any(is_merge(key) for key, _ in place.node.pairs):
        raise RenderError(f"{first!r} may come from a merge key, which a key of its own would hide", where=where, hint=f"write {first!r} out there")
    return tuple(map(str, place.missing))


def _spelled(steps: tuple[Step, ...]) -> str:
    parts = [f"[{step.key}={step.text}]" if isinstance(step, Selector) else f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps]
    return "".join(parts).removeprefix(".")
