"""Pure.

Which characters of a YAML file change for one edit: replace, insert and delete, in the style of
what stands around (facts/gitops.md section 4.5).
"""

from __future__ import annotations

import re
from collections import abc
from dataclasses import dataclass

from towline.errors import RenderError
from towline.gitops.flow import Layout, Value, layout
from towline.gitops.scalar import TEXT_TAGS, rewrite, typed, write
from towline.gitops.source import Source
from towline.yaml_marks import BREAK, Alias, Mapping, Node, Scalar, Sequence, descendants
from towline.yaml_plain import plain

_BLANK = re.compile("(?:[ \t\r\n\x85\u2028\u2029]|(?<=[ \t\r\n])#[^\r\n]*)*")
_DASHES = re.compile(r"[ \t]*(?:-[ \t]+)+")


@dataclass(frozen=True, kw_only=True)
class Splice:
    """The characters from `start` to `end` become `text`."""

    start: int
    end: int
    text: str


def replacement(source: Source, node: Node, value: str, *, quoted: bool = False) -> Splice | None:
    """Change the characters of one scalar, or put it where an alias stands; None where it is that text already; raises RenderError.

    With `quoted` it stands in double quotes if it did in none.
    """
    if isinstance(node, Alias):
        return Splice(start=node.start.index, end=node.end.index, text=write(value))
    if not isinstance(node, Scalar) or node.tag not in TEXT_TAGS:
        raise RenderError(
            "what is to be changed is no text",
            where=source.where(node.start),
            hint="make it a text without a tag",
        )
    start, end = node.start.index, node.end.index
    blank = _BLANK.match(source.masked, end) if start == end else None
    if source.templated(start, blank.end() if blank else end):
        if source.strict and "{{" not in source.written(node):
            raise RenderError(
                f"{source.written(node)} has escapes that YAML does not know",
                where=source.where(node.start),
                hint="write the characters themselves",
            )
        raise RenderError(
            f"{source.written(node) or 'the value'} is a template",
            where=source.where(node.start),
            hint="change the value that it takes",
        )
    if says(node, value) and (node.style or not quoted):
        return None
    text = (
        write(value, '"')
        if quoted and not node.style
        else rewrite(value, node, source.written(node))
    )
    glued = start == end and source.text[start - 1 : start] not in (" ", "\t", "\n", "\r", "")
    return Splice(start=start, end=end, text=" " + text if glued else text)


def says(node: Scalar, value: str) -> bool:
    """Whether a scalar is the text `value` already, to every parser."""
    return node.value == value and bool(node.style or node.tag or not typed(value))


def filling(source: Source, parent: Mapping, number: int, value: Value) -> Splice:
    """Put entries where a key has no value yet, or a map into an empty one; raises RenderError where it has one."""
    key, node = parent.pairs[number]
    if (
        isinstance(value, abc.Mapping)
        and isinstance(node, Mapping)
        and source.text[node.start.index : node.end.index] == "{}"
    ):
        return Splice(
            start=node.start.index, end=node.end.index, text=_laid(source, parent).text(value)
        )
    if (
        not isinstance(node, Scalar)
        or node.style
        or node.tag
        or node.anchor
        or plain(node.value) is not None
    ):
        kind = "map" if isinstance(value, abc.Mapping) else "list"
        raise RenderError(
            "what is to be filled holds something already",
            where=source.where(node.start),
            hint=f"make it a {kind}",
        )
    if node.value or parent.flow:
        return Splice(
            start=node.start.index,
            end=node.end.index,
            text=" " * (not node.value) + _laid(source, parent).text(value),
        )
    return _below(source, node.end.index, _block(value, key.start.column - 1, _offset(source)))


def _laid(source: Source, parent: Mapping) -> Layout:
    """The layout of what is written beside a key of `parent`: that of JSON, else on one line."""
    return layout(source, parent) if parent.flow else Layout()


def insertion(
    source: Source, parent: Mapping | Sequence, number: int, key: str, value: Value
) -> Splice:
    """Insert `key: value`, or an item, behind pair or item `number` (-1: there is none yet); raises RenderError."""
    ends = (
        [pair[1].end.index for pair in parent.pairs]
        if isinstance(parent, Mapping)
        else [item.end.index for item in parent.items]
    )
    if parent.flow:
        place, style = ends[number] if ends else parent.end.index - 1, layout(source, parent)
        commented = "#" in source.text[place : source.line_end(place)]  # it stays in its line
        before = (
            "" if not ends else f",{style.line}" if style.line and not commented else style.comma
        )
        return Splice(
            start=place,
            end=place,
            text=before + (style.pair(key, value) if key else style.text(value)),
        )
    if isinstance(parent, Sequence):
        gap = parent.items[0].start.index - parent.start.index - 1
        return _below(
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
    head = " " * indent + write(key) + ":"
    lines = (
        [f"{head} {write(value)}"]
        if isinstance(value, str)
        else [head, *_block(value, indent, _offset(source))]
    )
    return _below(source, ends[number], lines)


def deletion(source: Source, parent: Mapping, number: int) -> Splice:
    """Remove a key with its value: whole lines in a block mapping; raises RenderError."""
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
    return _whole_lines(
        source.text, line, end if _at_line_start(source.text, end) else source.line_end(end)
    )


def _delete_between(
    source: Source, before: tuple[int | None, int], after: tuple[int, int | None]
) -> Splice:
    """Remove a pair of a flow mapping with the comma before it, else with the one behind it, wherever no comment is lost."""
    (previous, start), (end, following) = before, after
    if previous is not None and "#" not in source.text[previous:start]:
        return Splice(start=previous, end=end, text="")
    if following is not None and "#" not in source.text[end:following]:
        return Splice(start=start, end=following, text="")
    if previous is None and following is None:
        return Splice(start=start, end=end, text="")
    raise RenderError(
        f"a comment stands around {source.text[start:end]!r}",
        where=source.name,
        hint="write it on a line of its own",
    )


def _delete_first(source: Source, key: Node, value: Node, following: int | None) -> Splice:
    """Remove the key that shares its line with a list's dash; comments between it and the next key stay."""
    text, start, end = source.text, key.start.index, value.end.index
    dashes = text[_line_start(text, start) : start]
    if following is None or not _DASHES.fullmatch(dashes):
        raise RenderError(
            "a key cannot be removed from its line",
            where=source.where(key.start),
            hint="write it on a line of its own",
        )
    last = end if _at_line_start(text, end) else source.line_end(end)
    if "#" in text[last:following]:
        return Splice(start=start - len(dashes) + len(dashes.rstrip()), end=last, text="")
    return Splice(start=start, end=following, text="")


def _whole_lines(text: str, start: int, end: int) -> Splice:
    """From the start of a line to the end of one, with its line end or, at the end of the file, the one before."""
    if end > start and _at_line_start(text, end):
        return Splice(start=start, end=end, text="")
    if found := BREAK.match(text, end):
        return Splice(start=start, end=found.end(), text="")
    return Splice(
        start=start - (2 if text[:start].endswith("\r\n") else 1) if start else 0, end=end, text=""
    )


def _below(source: Source, index: int, lines: abc.Sequence[str]) -> Splice:
    """New lines below the one that holds what ends at `index`, its comment included."""
    if _at_line_start(source.text, index):
        return Splice(start=index, end=index, text="".join(line + source.newline for line in lines))
    end = source.line_end(index)
    return Splice(start=end, end=end, text="".join(source.newline + line for line in lines))


def _block(value: Value, indent: int, offset: int, gap: int = 1) -> list[str]:
    """Entries as lines of a block list, `offset` deeper than `indent`, with `gap` blanks behind each dash; one entry alone as lines of a mapping."""
    if isinstance(value, str):
        return [f"{' ' * (indent + offset)}-{' ' * gap}{write(value)}"]
    lines: list[str] = []
    if isinstance(value, abc.Mapping):
        for key, inner in value.items():
            head = f"{' ' * (indent + 2)}{write(key)}:"
            lines += (
                [f"{head} {write(inner)}"]
                if isinstance(inner, str)
                else [head, *_block(inner, indent + 2, offset)]
            )
        return lines
    for entry in value:
        dash = " " * (indent + offset) + "-" + " " * gap
        for number, (key, text) in enumerate(entry.items()):
            lines.append(
                (" " * len(dash) if number else dash) + f"{write(key)}: {Layout().text(text)}"
            )
    return lines


def _offset(source: Source) -> int:
    """How much deeper than their key the file's lists stand: as its first one, else not at all, as kustomize writes."""
    for document in source.documents:
        for node in descendants(document.root) if document.root else ():
            for key, value in node.pairs if isinstance(node, Mapping) else ():
                if (
                    isinstance(value, Sequence)
                    and not value.flow
                    and value.start.line > key.start.line
                ):
                    return max(value.start.column - key.start.column, 0)
    return 0


def _at_line_start(text: str, index: int) -> bool:
    return text[index - 1 : index] in ("\n", "\r", "\x85", "\u2028", "\u2029") if index else True


def _line_start(text: str, index: int) -> int:
    return max(text.rfind(end, 0, index) for end in "\n\r\x85\u2028\u2029") + 1
