r"""Pure.

Dotted paths, `spec.values.image.tag` or `parameters[name=image.tag].value`, and where they lead in
a YAML file.

A part is a key, `[0]` an index, `[key=text]` the item of a list that has this text at the key. A
dot inside of a key is written `\.`; without the backslash a literal dotted key is found, too, if
the nested one does not exist (facts/gitops.md section 4.5). A path may lead on into a text that is
itself YAML or JSON.
"""

from __future__ import annotations

import re
from collections import abc

from towline.errors import ConfigError, RenderError
from towline.record import compact, frozen
from towline.suggest import CUTOFF_KEY, close, swapped
from towline.yaml.aliases import resolve_alias
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
from towline.yaml.source import YamlSource
from towline.yaml.splice import Value

_PART = re.compile(
    r"\[(?P<index>[0-9]{1,6})\]"
    r"|\[(?P<key>[^\[\]=]+)=(?P<text>[^\[\]]*)\]"
    r"|(?P<dot>^|\.)?(?P<name>(?:[^\\.\[\]]|\\.)+)"
)


@frozen
class Selector:
    """The item of a list whose `key` has the value `text`."""

    key: str
    text: str


PathStep = str | int | Selector


@frozen
class PathMatch:
    """The node that a path leads to in document `document` of `source`, or leads closest to.

    `path` is the part of the path that exists, up to `node`; `missing` are the steps after it.
    `inside` are the texts of the file that the path leads through: `source` is then the last of
    them, as a file of its own.
    """

    source: YamlSource
    document: int
    path: Path
    node: Node
    missing: tuple[PathStep, ...]
    inside: tuple[tuple[int, Path], ...] = ()

    def edit(self, value: Value | None, *below: str, after: str = "") -> ValueEdit:
        """The edit that puts `value` at the place, or at a key below it."""
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
            f"{text!r} is not a path into a file",
            hint=(
                r"expected keys with dots between them, a\.b for a key with a dot, [0] or"
                r" [key=text] for an item"
            ),
        )
    return tuple(steps)


def find_matches(
    source: YamlSource, steps: tuple[PathStep, ...], *, follow: bool = False, optional: bool = False
) -> list[PathMatch]:
    """The matches of `steps` in all documents, else the closest match.

    With `follow` also through aliases. With `optional` all closest matches if there are several.
    Raises ConfigError and RenderError.
    """
    matches = [
        match
        for search, root in _searches(source, (), through=follow)
        for match in search.follow(root, (), steps)
    ]
    complete = [match for match in matches if not match.missing]
    if complete or not matches:
        return complete
    least = min(len(match.missing) for match in matches)
    near = [match for match in matches if len(match.missing) == least]
    if len(near) > 1 and not optional:
        raise ConfigError(
            f"{_steps_text(steps)} is in no document of {source.name}, and could be added to"
            f" {len(near)} of them",
            where=source.name,
            hint="write it into the document that it belongs to",
        )
    return near


def _searches(
    source: YamlSource, inside: tuple[tuple[int, Path], ...], *, through: bool
) -> abc.Iterator[tuple[_PathSearch, Node]]:
    """A search for each document with content, and its root."""
    for number, document in enumerate(source.documents):
        if document.root:
            yield (
                _PathSearch(source, number, source.targets(document.root), inside, through=through),
                document.root,
            )


@compact
class _PathSearch:
    source: YamlSource
    document: int
    targets: abc.Mapping[int, Node]
    inside: tuple[tuple[int, Path], ...]
    through: bool

    def follow(self, node: Node, path: Path, steps: tuple[PathStep, ...]) -> list[PathMatch]:
        """The matches of `steps`: whole ones, or else the closest.

        Of a nested and a literal dotted key, the closer match counts; if both are as close, the
        nested key. There are several matches only if the path leads into a text with several
        documents.
        """
        if self.through:
            node = resolve_alias(node, self.targets)
        if isinstance(node, AliasNode):  # an edit refuses it, with the alias's position
            return [
                self._match(
                    node, (*path, *(step for step in steps if not isinstance(step, Selector))), ()
                )
            ]
        candidates = [[self._match(node, path, steps)]]
        if steps:
            found = [
                *self._keys(node, path, steps),
                *self._items(node, path, steps),
                *self._matches_in_text(node, path, steps),
            ]
            candidates = [*filter(None, found), *candidates]
        return min(candidates, key=lambda matches: len(matches[0].missing))

    def _match(self, node: Node, path: Path, missing: tuple[PathStep, ...]) -> PathMatch:
        return PathMatch(
            source=self.source,
            document=self.document,
            path=path,
            node=node,
            missing=missing,
            inside=self.inside,
        )

    def _matches_in_text(
        self, node: Node, path: Path, steps: tuple[PathStep, ...]
    ) -> list[list[PathMatch]]:
        """Matches inside of a text that is YAML or JSON.

        A single line of prose may look like YAML, so there at least one step must be found.
        """
        text = embedded_text(self.source, node)
        if text is None:
            return []
        try:
            inner = text.read()
        except RenderError:
            return []
        if not all(
            isinstance(document.root, MappingNode | SequenceNode | None)
            for document in inner.documents
        ):
            return []
        matches = [
            match
            for search, root in _searches(
                inner, (*self.inside, (self.document, path)), through=self.through
            )
            for match in search.follow(root, (), steps)
        ]
        least = min((len(match.missing) for match in matches), default=0)
        closest = [match for match in matches if len(match.missing) == least]
        if least < len(steps) or text.node.style in "|>" or "\n" in inner.text:
            return [closest]
        roots = (document.root for document in inner.documents)
        is_flow = any(root.flow for root in roots if isinstance(root, MappingNode | SequenceNode))
        return [closest] if is_flow else []

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
                f"{len(chosen)} items fit {_steps_text(steps[:1])}",
                where=where,
                hint="name an item by its number, [0]",
            )
        return [self.follow(items[number], (*path, number), steps[1:]) for number in chosen]

    def _text(self, item: Node, key: str) -> str | None:
        """The text at a key of an item, also behind an alias: it only selects the item."""
        value = resolved_value(self.source, item, key, self.targets)
        return value.value if isinstance(value, ScalarNode) else None


def check_missing(match: PathMatch, wanted: str) -> tuple[str, ...]:
    """The missing keys of a match for the path `wanted`, if it is safe to add them.

    Raises ConfigError and RenderError.
    """
    source, first = match.source, match.missing[0]
    where = source.where(match.node.start)
    pairs = match.node.pairs if isinstance(match.node, MappingNode) else ()
    keys = [key.value for key, _ in pairs if isinstance(key, ScalarNode)]
    if not all(isinstance(step, str) for step in match.missing) or isinstance(
        match.node, SequenceNode
    ):
        raise ConfigError(
            f"{wanted} leads to an item that is not in {source.name}",
            where=where,
            hint="add it first, then its value can be set",
        )
    if isinstance(match.node, ScalarNode) and match.node.value not in ("", "~", "null"):
        through = path_text(match.path) if match.path else "the top of the file"
        raise ConfigError(
            f"{wanted} leads through {through}, which holds a text{_unread(source, match.node)}",
            where=where,
            hint="correct the path",
        )
    if near := close(str(first), keys, cutoff=CUTOFF_KEY) or swapped(str(first), keys):
        raise ConfigError(
            f"{wanted} is not in {source.name}",
            where=where,
            hint=f"did you mean {near!r}? else add {first!r} to the file first",
        )
    if len(match.missing) > 1 and any(is_merge_key(key) for key, _ in pairs):
        raise RenderError(
            f"{first!r} may come from a merge key, which a key of its own would hide",
            where=where,
            hint=f"write {first!r} out there",
        )
    return tuple(map(str, match.missing))


def _unread(source: YamlSource, node: ScalarNode) -> str:
    """Why a text of several lines is not read as YAML; empty if it is."""
    text = embedded_text(source, node)
    try:
        if text and "\n" in text.text:
            text.read()
    except RenderError as fault:
        return f" ({fault.message})".replace(f"{source.name} is", "it is")
    return ""


def _steps_text(steps: tuple[PathStep, ...]) -> str:
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
