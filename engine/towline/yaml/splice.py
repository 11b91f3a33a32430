"""Pure.

The characters of a YAML file that change for one edit (facts/gitops.md section 4.5).

They are replaced, inserted and deleted in the style of the YAML around them. Entries of flow
collections, `{a: b}` and `[a]`, and of JSON have the layout of the entries beside them.
"""

from __future__ import annotations

import re
from collections import abc

from towline.errors import RenderError
from towline.record import frozen, replace
from towline.yaml.marks import (
    BREAK,
    AliasNode,
    MappingNode,
    Node,
    ScalarNode,
    SequenceNode,
    descendants,
)
from towline.yaml.plain_scalar import resolve_plain
from towline.yaml.scalar import TEXT_TAGS, holds_text, rewrite_scalar, write_scalar
from towline.yaml.source import YamlSource

Value = str | abc.Mapping[str, "Value"] | tuple[abc.Mapping[str, "Value"], ...]

_COMMA = re.compile(r"[ \t]*,[ \t]*")
_LINE = re.compile(r"(?:[ \t]*,[ \t]*|)((?:\r\n|[\r\n])[ \t]*)")
_COLON = re.compile(r"[ \t]*:[ \t]*")
_STEP = re.compile(r"[\[{](?:\r\n|[\r\n])([ \t]+)")


@frozen
class FlowLayout:
    """How entries are written: as JSON or not, and what separates entries, and key and value.

    Entries on lines of their own begin with `line`, nested ones with `line` and `step`.
    """

    json: bool = False
    comma: str = ", "
    colon: str = ": "
    line: str = ""
    step: str = ""

    def text(self, value: Value) -> str:
        """A text, or a collection with its brackets, as it stands in a line of this layout."""
        if isinstance(value, str):
            return write_scalar(value, '"' if self.json else "")
        below = replace(self, line=self.line + self.step) if self.line else self
        if isinstance(value, abc.Mapping):
            return self._closed("{", [below.pair(key, inner) for key, inner in value.items()], "}")
        return self._closed("[", [below.text(entry) for entry in value], "]")

    def pair(self, key: str, value: Value) -> str:
        """A key with its value."""
        return write_scalar(key, '"' if self.json else "") + self.colon + self.text(value)

    def _closed(self, opening: str, entries: list[str], closing: str) -> str:
        if not self.line:
            return opening + self.comma.join(entries) + closing
        return (
            opening
            + ",".join(self.line + self.step + entry for entry in entries)
            + self.line
            + closing
        )


def flow_layout(source: YamlSource, parent: MappingNode | SequenceNode) -> FlowLayout:
    """The layout of the entries of a collection."""
    pairs = (
        parent.pairs if isinstance(parent, MappingNode) else [(item, item) for item in parent.items]
    )
    positions = [
        parent.start.index + 1,
        *(position.index for first, last in pairs for position in (first.start, last.end)),
    ]
    # The texts between the last entries; a new entry follows the last one.
    gaps = [
        source.text[end:start] for end, start in zip(positions[::2], positions[1::2], strict=False)
    ][-2:]
    json = is_json_style(source, parent)
    colon = _colon(source, parent, json=json)
    line_match = _LINE.fullmatch(gaps[-1]) if gaps else None
    if line_match and parent.flow:
        step = _STEP.search(source.text)
        return FlowLayout(
            json=json, colon=colon, line=line_match.group(1), step=step.group(1) if step else "  "
        )
    comma = (
        gaps[-1] if len(gaps) > 1 and _COMMA.fullmatch(gaps[-1]) else "," if colon == ":" else ", "
    )
    return FlowLayout(json=json, comma=comma, colon=colon)


def is_json_style(source: YamlSource, parent: Node) -> bool:
    """Whether entries of a collection are written as JSON.

    They are if the file is JSON, if its name ends in .json, or if all keys are in double quotes.
    """
    if source.strict or not isinstance(parent, MappingNode | SequenceNode) or not parent.flow:
        return source.strict
    keys = [key for key, _ in parent.pairs] if isinstance(parent, MappingNode) else []
    return source.name.endswith(".json") or (
        bool(keys) and all(isinstance(key, ScalarNode) and key.style == '"' for key in keys)
    )


def _colon(source: YamlSource, parent: MappingNode | SequenceNode, *, json: bool) -> str:
    """The text between key and value of the last pair, if a new pair may have the same."""
    if not isinstance(parent, MappingNode) or not parent.pairs:
        return ": "
    key, value = parent.pairs[-1]
    found = source.text[key.end.index : value.start.index]
    return found if _COLON.fullmatch(found) and (json or found[-1] != ":") else ": "


_BLANK = re.compile("(?:[ \t\r\n\x85\u2028\u2029]|(?<=[ \t\r\n])#[^\r\n]*)*")
_DASHES = re.compile(r"[ \t]*(?:-[ \t]+)+")


@frozen
class Splice:
    """A change of a text: the characters from `start` to `end` become `text`."""

    start: int
    end: int
    text: str


def replacement(
    source: YamlSource, node: Node, value: str, *, quoted: bool = False
) -> Splice | None:
    """The change that gives a scalar another text, or writes a text in place of an alias.

    None if the scalar has that text already. With `quoted`, a plain scalar becomes double-quoted.
    Raises RenderError.
    """
    if isinstance(node, AliasNode):
        return Splice(start=node.start.index, end=node.end.index, text=write_scalar(value))
    if not isinstance(node, ScalarNode) or node.tag not in TEXT_TAGS:
        raise RenderError(
            "the value to be changed is not a text",
            where=source.where(node.start),
            hint="make it a text without a tag",
        )
    start, end = node.start.index, node.end.index
    blank = _BLANK.match(source.masked, end) if start == end else None
    if source.templated(start, blank.end() if blank else end):
        if source.strict and "{{" not in source.written(node):
            raise RenderError(
                f"{source.written(node)} has escapes that YAML does not have",
                where=source.where(node.start),
                hint="write the characters themselves",
            )
        raise RenderError(
            f"{source.written(node) or 'the value'} is a template",
            where=source.where(node.start),
            hint="change the value that the template takes",
        )
    if holds_text(node, value) and (node.style or not quoted):
        return None
    text = (
        write_scalar(value, '"')
        if quoted and not node.style
        else rewrite_scalar(value, node, source.written(node))
    )
    glued = start == end and source.text[start - 1 : start] not in (" ", "\t", "\n", "\r", "")
    return Splice(start=start, end=end, text=" " + text if glued else text)


def filling(source: YamlSource, parent: MappingNode, number: int, value: Value) -> Splice:
    """The change that gives a value to a key without one, or a mapping to a key with an empty one.

    Raises RenderError if the key has a value.
    """
    key, node = parent.pairs[number]
    if (
        isinstance(value, abc.Mapping)
        and isinstance(node, MappingNode)
        and source.text[node.start.index : node.end.index] == "{}"
    ):
        return Splice(
            start=node.start.index,
            end=node.end.index,
            text=_value_layout(source, parent).text(value),
        )
    if (
        not isinstance(node, ScalarNode)
        or node.style
        or node.tag
        or node.anchor
        or resolve_plain(node.value) is not None
    ):
        kind = "map" if isinstance(value, abc.Mapping) else "list"
        raise RenderError(
            "the key to be filled has a value already",
            where=source.where(node.start),
            hint=f"make it a {kind}",
        )
    if node.value or parent.flow:
        return Splice(
            start=node.start.index,
            end=node.end.index,
            text=" " * (not node.value) + _value_layout(source, parent).text(value),
        )
    return _insert_below(
        source, node.end.index, _block(value, key.start.column - 1, _offset(source))
    )


def _value_layout(source: YamlSource, parent: MappingNode) -> FlowLayout:
    """The layout of a value beside a key of `parent`: that of JSON, else on one line."""
    return flow_layout(source, parent) if parent.flow else FlowLayout()


def insertion(
    source: YamlSource, parent: MappingNode | SequenceNode, number: int, key: str, value: Value
) -> Splice:
    """The change that inserts `key: value`, or an item, behind pair or item `number`.

    `number` is -1 if there is none yet. Raises RenderError.
    """
    ends = (
        [pair[1].end.index for pair in parent.pairs]
        if isinstance(parent, MappingNode)
        else [item.end.index for item in parent.items]
    )
    if parent.flow:
        index, style = ends[number] if ends else parent.end.index - 1, flow_layout(source, parent)
        commented = (
            "#" in source.text[index : source.line_end(index)]
        )  # a comment stays on its line
        before = (
            "" if not ends else f",{style.line}" if style.line and not commented else style.comma
        )
        return Splice(
            start=index,
            end=index,
            text=before + (style.pair(key, value) if key else style.text(value)),
        )
    if isinstance(parent, SequenceNode):
        gap = parent.items[0].start.index - parent.start.index - 1
        return _insert_below(
            source,
            ends[number],
            _block(
                (value,) if isinstance(value, abc.Mapping) else value,
                parent.start.column - 1,
                0,
                max(gap, 1),
            ),
        )
    indent = parent.pairs[0][0].start.column - 1
    head = " " * indent + write_scalar(key) + ":"
    lines = (
        [f"{head} {write_scalar(value)}"]
        if isinstance(value, str)
        else [head, *_block(value, indent, _offset(source))]
    )
    return _insert_below(source, ends[number], lines)


def deletion(source: YamlSource, parent: MappingNode, number: int) -> Splice:
    """The change that removes a key with its value, in a block mapping as whole lines.

    Raises RenderError.
    """
    key, value = parent.pairs[number]
    start, end = key.start.index, value.end.index
    following = parent.pairs[number + 1][0].start.index if number + 1 < len(parent.pairs) else None
    if parent.flow:
        return _delete_between(
            source,
            (parent.pairs[number - 1][1].end.index if number else None, start),
            (end, following),
        )
    line = _line_start(source.text, start)
    if source.text[line:start].strip(" \ufeff"):
        return _delete_first(source, key, value, following)
    line += source.text.startswith("\ufeff", line)
    return _delete_lines(
        source.text, line, end if _at_line_start(source.text, end) else source.line_end(end)
    )


def _delete_between(
    source: YamlSource, before: tuple[int | None, int], after: tuple[int, int | None]
) -> Splice:
    """Remove a pair of a flow mapping with the comma before it, else with the one behind it.

    No comment may be lost.
    """
    (previous, start), (end, following) = before, after
    if previous is not None and "#" not in source.text[previous:start]:
        return Splice(start=previous, end=end, text="")
    if following is not None and "#" not in source.text[end:following]:
        return Splice(start=start, end=following, text="")
    if previous is None and following is None:
        return Splice(start=start, end=end, text="")
    raise RenderError(
        f"comments stand before and behind {source.text[start:end]!r}",
        where=source.name,
        hint="write the comments on lines of their own",
    )


def _delete_first(source: YamlSource, key: Node, value: Node, following: int | None) -> Splice:
    """Remove a key on the line of a list's dash; comments between it and the next key stay."""
    text, start, end = source.text, key.start.index, value.end.index
    dashes = text[_line_start(text, start) : start]
    if following is None or not _DASHES.fullmatch(dashes):
        raise RenderError(
            "a key cannot be removed from its line",
            where=source.where(key.start),
            hint="write the key on a line of its own",
        )
    last = end if _at_line_start(text, end) else source.line_end(end)
    if "#" in text[last:following]:
        return Splice(start=start - len(dashes) + len(dashes.rstrip()), end=last, text="")
    return Splice(start=start, end=following, text="")


def _delete_lines(text: str, start: int, end: int) -> Splice:
    """Remove lines with their line end; at the end of the file, with the line end before them."""
    if end > start and _at_line_start(text, end):
        return Splice(start=start, end=end, text="")
    if found := BREAK.match(text, end):
        return Splice(start=start, end=found.end(), text="")
    return Splice(
        start=start - (2 if text[:start].endswith("\r\n") else 1) if start else 0, end=end, text=""
    )


def _insert_below(source: YamlSource, index: int, lines: abc.Sequence[str]) -> Splice:
    """Insert lines below the line of the value that ends at `index`, and below its comment."""
    if _at_line_start(source.text, index):
        return Splice(start=index, end=index, text="".join(line + source.newline for line in lines))
    end = source.line_end(index)
    return Splice(start=end, end=end, text="".join(source.newline + line for line in lines))


def _block(value: Value, indent: int, offset: int, gap: int = 1) -> list[str]:
    """Entries as lines of a block list: `offset` deeper than `indent`, `gap` blanks per dash.

    A mapping becomes lines of a block mapping.
    """
    if isinstance(value, str):
        return [f"{' ' * (indent + offset)}-{' ' * gap}{write_scalar(value)}"]
    lines: list[str] = []
    if isinstance(value, abc.Mapping):
        for key, inner in value.items():
            head = f"{' ' * (indent + 2)}{write_scalar(key)}:"
            lines += (
                [f"{head} {write_scalar(inner)}"]
                if isinstance(inner, str)
                else [head, *_block(inner, indent + 2, offset)]
            )
        return lines
    for entry in value:
        dash = " " * (indent + offset) + "-" + " " * gap
        for number, (key, text) in enumerate(entry.items()):
            lines.append(
                (" " * len(dash) if number else dash)
                + f"{write_scalar(key)}: {FlowLayout().text(text)}"
            )
    return lines


def _offset(source: YamlSource) -> int:
    """How much deeper than its key a list is indented: as in the first list of the file.

    Without a list it stands as deep as its key, as kustomize writes.
    """
    for document in source.documents:
        for node in descendants(document.root) if document.root else ():
            for key, value in node.pairs if isinstance(node, MappingNode) else ():
                if (
                    isinstance(value, SequenceNode)
                    and not value.flow
                    and value.start.line > key.start.line
                ):
                    return max(value.start.column - key.start.column, 0)
    return 0


def _at_line_start(text: str, index: int) -> bool:
    return text[index - 1 : index] in ("\n", "\r", "\x85", "\u2028", "\u2029") if index else True


def _line_start(text: str, index: int) -> int:
    return max(text.rfind(end, 0, index) for end in "\n\r\x85\u2028\u2029") + 1
