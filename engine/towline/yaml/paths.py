r"""Pure.

Dotted paths of a configuration, `spec.values.image.tag` or `parameters[name=image.tag].value`, and
where they lead in a YAML file.

A part is a key, `[0]` an index, `[key=text]` the item of a list that has it. A dot inside of a key
is written `\.`; without that a literal dotted key is found too, where the nested one is not there
(facts/gitops.md section 4.5). A path leads on into a text that is YAML or JSON itself.
"""

from __future__ import annotations

import re
from collections import abc

from towline.errors import ConfigError, RenderError
from towline.record import compact, frozen
from towline.suggest import CUTOFF_KEY, close, swapped
from towline.yaml.edit import ValueEdit, path_text, resolved_value, value_without_merge
from towline.yaml.embedded import embedded_text
from towline.yaml.marks import (
    AliasNode,
    MappingNode,
    Node,
    Path,
    ScalarNode,
    SequenceNode,
    is_merge_key,
)
from towline.yaml.scalar import Value
from towline.yaml.source import YamlSource

_PART = re.compile(
    r"\[(?P<index>[0-9]{1,6})\]|\[(?P<key>[^\[\]=]+)=(?P<text>[^\[\]]*)\]|(?P<dot>^|\.)?(?P<name>(?:[^\\.\[\]]|\\.)+)"
)


@frozen
class Selector:
    """The item of a list whose `key` is `text`."""

    key: str
    text: str


PathStep = str | int | Selector


@frozen
class PathMatch:
    """How far a path leads in document `document` of `source`: `path` is there and is `node`, `missing` is not.

    `inside` are the texts of the file that it leads through: then `source` is the last of them, as
    a file of its own.
    """

    source: YamlSource
    document: int
    path: Path
    node: Node
    missing: tuple[PathStep, ...]
    inside: tuple[tuple[int, Path], ...] = ()

    def edit(self, value: Value | None, *below: str, after: str = "") -> ValueEdit:
        """The edit that gives `value` to the place, or to a key below it."""
        return ValueEdit(
            document=self.document,
            path=(*self.path, *below),
            value=value,
            after=after,
            inside=self.inside,
        )


def parse_dotted(text: str) -> tuple[PathStep, ...]:
    """A dotted path to its parts; raises ConfigError."""
    steps: list[PathStep] = []
    done = 0
    for found in _PART.finditer(text):
        if found.start() != done or (found["name"] and found["dot"] is None):
            break
        done = found.end()
        if found["name"]:
            steps.append(re.sub(r"\\(.)", r"\1", found["name"]))
        else:
            steps.append(
                int(found["index"])
                if found["index"]
                else Selector(key=found["key"], text=found["text"])
            )
    if not steps or done != len(text) or text[0] == ".":
        raise ConfigError(
            f"{text!r} is no path into a file",
            hint=(
                r"expected keys with dots between them, a\.b for a key with a dot, [0] or"
                r" [key=text] for an item"
            ),
        )
    return tuple(steps)


def find_matches(
    source: YamlSource, steps: tuple[PathStep, ...], *, follow: bool = False, optional: bool = False
) -> list[PathMatch]:
    """Every document's place that `steps` lead to whole, with `follow` by way of aliases; else the one that they lead farthest in.

    With `optional` all of those, if they are several. Raises ConfigError and RenderError.
    """
    places = [
        place
        for walk, root in _walks(source, (), through=follow)
        for place in walk.follow(root, (), steps)
    ]
    whole = [place for place in places if not place.missing]
    if whole or not places:
        return whole
    least = min(len(place.missing) for place in places)
    near = [place for place in places if len(place.missing) == least]
    if len(near) > 1 and not optional:
        raise ConfigError(
            f"{_spelled(steps)} is in no document of {source.name}, and could be added to"
            f" {len(near)} of them",
            where=source.name,
            hint="write it into the one that it belongs to",
        )
    return near


def _walks(
    source: YamlSource, inside: tuple[tuple[int, Path], ...], *, through: bool
) -> abc.Iterator[tuple[_Walk, Node]]:
    """A walk for each document with content, and its root."""
    for number, document in enumerate(source.documents):
        if document.root:
            yield (
                _Walk(source, number, source.targets(document.root), inside, through=through),
                document.root,
            )


@compact
class _Walk:
    source: YamlSource
    document: int
    targets: abc.Mapping[int, Node]
    inside: tuple[tuple[int, Path], ...]
    through: bool

    def follow(self, node: Node, path: Path, steps: tuple[PathStep, ...]) -> list[PathMatch]:
        """As far as it goes; of a nested and a literal dotted key the one that goes farther, the nested one where both do.

        Several places only in documents of one text.
        """
        if isinstance(node, AliasNode) and self.through:
            node = self.targets[node.start.index]
        if isinstance(node, AliasNode):  # an edit refuses it, and says where the alias stands
            return [
                self._place(
                    node, (*path, *(step for step in steps if not isinstance(step, Selector))), ()
                )
            ]
        ways = (
            [
                *self._keys(node, path, steps),
                *self._items(node, path, steps),
                *self._text_of(node, path, steps),
            ]
            if steps
            else []
        )
        return min(
            [*(way for way in ways if way), [self._place(node, path, steps)]],
            key=lambda way: len(way[0].missing),
        )

    def _place(self, node: Node, path: Path, missing: tuple[PathStep, ...]) -> PathMatch:
        return PathMatch(
            source=self.source,
            document=self.document,
            path=path,
            node=node,
            missing=missing,
            inside=self.inside,
        )

    def _text_of(
        self, node: Node, path: Path, steps: tuple[PathStep, ...]
    ) -> list[list[PathMatch]]:
        """Into a text that is YAML or JSON: a single line of prose may look like it, so there at least one step must be found."""
        text = embedded_text(self.source, node)
        if text is None:
            return []
        try:
            inner = text.read()
        except RenderError:
            return []
        if not all(
            isinstance(one.root, MappingNode | SequenceNode | None) for one in inner.documents
        ):
            return []
        places = [
            place
            for walk, root in _walks(
                inner, (*self.inside, (self.document, path)), through=self.through
            )
            for place in walk.follow(root, (), steps)
        ]
        least = min((len(place.missing) for place in places), default=0)
        sure = (
            text.node.style in "|>"
            or "\n" in inner.text
            or any(
                one.root.flow
                for one in inner.documents
                if isinstance(one.root, MappingNode | SequenceNode)
            )
        )
        return (
            [[place for place in places if len(place.missing) == least]]
            if least < len(steps) or sure
            else []
        )

    def _keys(self, node: Node, path: Path, steps: tuple[PathStep, ...]) -> list[list[PathMatch]]:
        found: list[list[PathMatch]] = []
        for length in range(1, len(steps) + 1 if isinstance(node, MappingNode) else 0):
            if not isinstance(steps[length - 1], str):
                break
            key = ".".join(map(str, steps[:length]))
            value = value_without_merge(self.source, node, key, self.targets)
            found += [self.follow(value, (*path, key), steps[length:])] if value is not None else []
        return found

    def _items(self, node: Node, path: Path, steps: tuple[PathStep, ...]) -> list[list[PathMatch]]:
        items, first = (node.items if isinstance(node, SequenceNode) else ()), steps[0]
        if isinstance(first, Selector):
            chosen = [
                number
                for number, item in enumerate(items)
                if self._text(item, first.key) == first.text
            ]
        else:
            chosen = [first] if isinstance(first, int) and first < len(items) else []
        if len(chosen) > 1:
            where = self.source.where(items[chosen[1]].start)
            raise RenderError(
                f"{len(chosen)} items fit {_spelled(steps[:1])}",
                where=where,
                hint="name an item by its number, [0]",
            )
        return [self.follow(items[number], (*path, number), steps[1:]) for number in chosen]

    def _text(self, item: Node, key: str) -> str | None:
        """A text of an item, which is recognised by it behind an alias too, whether that may be changed or not."""
        value = resolved_value(self.source, item, key, self.targets)
        return value.value if isinstance(value, ScalarNode) else None


def check_missing(place: PathMatch, wanted: str) -> tuple[str, ...]:
    """The keys that are missing for a path called `wanted`, where it is safe to add them; raises ConfigError and RenderError."""
    source, first = place.source, place.missing[0]
    where = source.where(place.node.start)
    there = (
        [key.value for key, _ in place.node.pairs if isinstance(key, ScalarNode)]
        if isinstance(place.node, MappingNode)
        else []
    )
    if not all(isinstance(step, str) for step in place.missing) or isinstance(
        place.node, SequenceNode
    ):
        raise ConfigError(
            f"{wanted} leads to an item that is not in {source.name}",
            where=where,
            hint="add it first, then its value can be set",
        )
    if isinstance(place.node, ScalarNode) and place.node.value not in ("", "~", "null"):
        through = path_text(place.path) if place.path else "the top of the file"
        raise ConfigError(
            f"{wanted} leads through {through}, which holds a text{_unread(source, place.node)}",
            where=where,
            hint="correct the path",
        )
    if near := close(str(first), there, cutoff=CUTOFF_KEY) or swapped(str(first), there):
        raise ConfigError(
            f"{wanted} is not in {source.name}",
            where=where,
            hint=f"did you mean {near!r}? else add {first!r} to the file first",
        )
    if (
        len(place.missing) > 1
        and isinstance(place.node, MappingNode)
        and any(is_merge_key(key) for key, _ in place.node.pairs)
    ):
        raise RenderError(
            f"{first!r} may come from a merge key, which a key of its own would hide",
            where=where,
            hint=f"write {first!r} out there",
        )
    return tuple(map(str, place.missing))


def _unread(source: YamlSource, node: ScalarNode) -> str:
    """Why a text of several lines is not read as YAML, empty if it is."""
    text = embedded_text(source, node)
    try:
        if text and "\n" in text.text:
            text.read()
    except RenderError as fault:
        return f" ({fault.message})".replace(f"{source.name} is", "it is")
    return ""


def _spelled(steps: tuple[PathStep, ...]) -> str:
    parts = [
        (
            f"[{step.key}={step.text}]"
            if isinstance(step, Selector)
            else f"[{step}]"
            if isinstance(step, int)
            else f".{step}"
        )
        for step in steps
    ]
    return "".join(parts).removeprefix(".")
