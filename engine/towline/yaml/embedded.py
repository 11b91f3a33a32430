"""Pure.

YAML or JSON inside of a text of a YAML file, edited as a file of its own; each character of the
text has a position in the outer file.

Examples are Argo CD's `helm.values`, the `values.yaml` of a ConfigMap, an inline patch of
kustomize, and a manifest in a template of another one. Block scalars keep their lines, quoted texts
their escapes. The characters are compared with what the parser read; if they differ, the text is
not edited.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator

from yaml.scanner import Scanner

from towline.errors import RenderError
from towline.record import compact, frozen, replace
from towline.yaml.marks import BREAK, Mark, Node, ScalarNode
from towline.yaml.scalar import TEXT_TAGS, write_scalar
from towline.yaml.source import YamlSource, parse_source
from towline.yaml.splice import Splice

_HEADER = re.compile(r"[|>][-+0-9]*(?:[ \t]+#[^\r\n]*)?[ \t]*")
_ESCAPE = re.compile(r"\\(?:x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|.)")
_QUOTE = re.compile("''")


@compact
class _Piece:
    """Characters `shown` of a text, at `start` to `end` of the file; the parser gives `read`."""

    read: str
    shown: str
    start: int
    end: int


@frozen
class EmbeddedText:
    """The text of a scalar of `source`, with the position of each of its pieces.

    `indent` is the indentation of the lines of a block scalar.
    """

    source: YamlSource
    node: ScalarNode
    text: str
    offsets: tuple[int, ...]
    pieces: tuple[_Piece, ...]
    indent: str

    def read(self) -> YamlSource:
        """The text as a file of its own with positions of the outer file; raises RenderError."""
        return replace(parse_source(self.source.name, self.text), around=self.where)

    def where(self, mark: Mark) -> str:
        """`file:line:column` of a position in the text."""
        index = self._index_in_file(mark.index)
        before = self.source.text[self.node.start.index : index]
        lines = BREAK.split(before)
        column = len(lines[-1]) + (1 if lines[1:] else self.node.start.column)
        return self.source.where(Mark(index, self.node.start.line + len(lines) - 1, column))

    def outward(self, splice: Splice) -> Splice:
        """A change of the text as a change of the file.

        Raises RenderError if the style of the scalar cannot hold it.
        """
        start, end, text = (
            self._index_in_file(splice.start),
            self._index_in_file(splice.end),
            splice.text,
        )
        if self.node.style == '"':
            return Splice(start=start, end=end, text=write_scalar(text, '"')[1:-1])
        if self.node.style == "'":
            if not text.isprintable():
                raise RenderError(
                    "a text in single quotes cannot hold another line",
                    where=self.source.where(self.node.start),
                    hint="write it as a block scalar, with | behind the key",
                )
            return Splice(start=start, end=end, text=text.replace("'", "''"))
        return self._splice_lines(splice, start, end)

    def _splice_lines(self, splice: Splice, start: int, end: int) -> Splice:
        """A change in a block scalar: whole lines with indentation, else single characters."""
        begins_line = self._begins_line(splice.start)
        ends_line = self._begins_line(splice.end) and (
            splice.text.endswith("\n") or (begins_line and not splice.text)
        )
        first, *further = splice.text.split("\n")
        if begins_line and ends_line:
            start, first = self._line(start), self.indent + first if first else ""
        lines = [
            first,
            *(self.indent + line if line else "" for line in further[:-1]),
            *("" if ends_line else self.indent + line for line in further[-1:]),
        ]
        return Splice(
            start=start,
            end=self._line(end) if ends_line else end,
            text=self.source.newline.join(lines),
        )

    def _begins_line(self, index: int) -> bool:
        return self.text[index - 1 : index] == "\n" if index else True

    def _line(self, index: int) -> int:
        """The start of the line of the file that holds `index`."""
        return max(
            (
                found.end()
                for found in BREAK.finditer(self.source.text, self.node.start.index, index)
            ),
            default=index,
        )

    def _index_in_file(self, index: int) -> int:
        """The index in the file of an index in the text.

        Raises RenderError if one character of the file stands for several of the text there.
        """
        number = bisect_right(self.offsets, index) - 1
        piece, offset = self.pieces[number], index - self.offsets[number]
        if offset == len(piece.shown):
            return piece.end
        if offset and len(piece.shown) != piece.end - piece.start:
            raise RenderError(
                "the text is folded there",
                where=self.source.where(self.node.start),
                hint="write it as a block scalar, with | behind the key",
            )
        return piece.start + offset


def embedded_text(source: YamlSource, node: Node) -> EmbeddedText | None:
    """The text of a quoted or block scalar with its positions.

    None for other nodes, and if the positions of the characters cannot be told.
    """
    if (
        not isinstance(node, ScalarNode)
        or not node.style
        or node.tag not in TEXT_TAGS
        or not node.value.strip()
    ):
        return None
    indent = _indent(source, node) if node.style in "|>" else 0
    if indent < 0 or (node.style == ">" and source.templated(node.start.index, node.end.index)):
        return None
    pieces = [
        piece
        for piece in {"|": _literal, ">": _folded}.get(node.style, _quoted)(source, node, indent)
        if piece.shown or piece.read
    ]
    if "".join(piece.read for piece in pieces).rstrip("\n") != node.value.rstrip("\n"):
        return None
    # The header of a block scalar says how many line ends at the end belong to the text.
    line_ends = len(node.value) - len(node.value.rstrip("\n"))
    while (
        node.style in "|>"
        and len(pieces) > line_ends
        and all(piece.shown == "\n" for piece in pieces[-line_ends - 1 :])
    ):
        pieces.pop()
    offsets = [0]
    for piece in pieces:
        offsets.append(offsets[-1] + len(piece.shown))
    return EmbeddedText(
        source=source,
        node=node,
        text="".join(piece.shown for piece in pieces),
        offsets=tuple(offsets[:-1]),
        pieces=tuple(pieces),
        indent=" " * indent,
    )


def _lines(source: YamlSource, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Start, end without line end, and next line's start, of the lines between two positions."""
    while start < end:
        found = BREAK.search(source.masked, start, end)
        yield start, found.start() if found else end, found.end() if found else end
        start = found.end() if found else end


def _body(source: YamlSource, node: ScalarNode) -> list[tuple[int, int, int]]:
    """The lines of a block scalar below its header."""
    header = _HEADER.match(source.masked, node.start.index, node.end.index)
    found = BREAK.match(source.masked, header.end()) if header else None
    return list(_lines(source, found.end(), node.end.index)) if found else []


def _blanks(text: str, start: int, end: int) -> int:
    return len(text[start:end]) - len(text[start:end].lstrip(" "))


def _indent(source: YamlSource, node: ScalarNode) -> int:
    """The indentation of a block scalar; -1 if it cannot be told.

    It is that of the first line that is not empty, without the blanks that belong to the text.
    """
    value = next(line for line in node.value.split("\n") if line.strip())
    first = next(
        (line for line in _body(source, node) if source.masked[line[0] : line[1]].strip()), None
    )
    return (
        _blanks(source.masked, first[0], first[1]) - _blanks(value, 0, len(value)) if first else -1
    )


def _literal(source: YamlSource, node: ScalarNode, indent: int) -> Iterator[_Piece]:
    lines = [
        (start + min(indent, _blanks(source.text, start, end)), start, end)
        for start, end, _ in _body(source, node)
    ]
    for number, (begin, start, end) in enumerate(lines):
        yield _Piece(
            source.masked[min(start + indent, end) : end], source.text[begin:end], begin, end
        )
        following = lines[number + 1][0] if number + 1 < len(lines) else node.end.index
        if end < node.end.index:
            ending = source.text[end] if source.text[end] in "\u2028\u2029" else "\n"
            yield _Piece(ending, ending, end, following)


def _folded(source: YamlSource, node: ScalarNode, indent: int) -> Iterator[_Piece]:
    """Pieces of a folded scalar: a blank joins lines, unless indented or beside empty ones."""
    last, empty, after_indented = -1, 0, True
    for start, end, _ in _body(source, node):
        begin = start + indent
        if begin >= end:
            empty += 1
            continue
        indented = source.text[begin] in " \t"
        joined = "\n" * (empty + 1) if after_indented or indented else "\n" * empty or " "
        if last >= 0:
            yield _Piece(joined, joined, last, begin)
        yield _Piece(source.masked[begin:end], source.text[begin:end], begin, end)
        last, empty, after_indented = end, 0, indented
    if 0 <= last < node.end.index:
        yield _Piece("\n", "\n", last, node.end.index)


def _quoted(source: YamlSource, node: ScalarNode, _indent: int) -> Iterator[_Piece]:
    double, last, empty, joined = node.style == '"', -1, 0, " "
    lines = list(_lines(source, node.start.index + 1, node.end.index - 1))
    for number, (start, end, _) in enumerate(lines):
        line = source.masked[start:end]
        begin = start + (len(line) - len(line.lstrip(" \t")) if number else 0)
        stop = end - (len(line) - len(line.rstrip(" \t")) if number + 1 < len(lines) else 0)
        if begin >= stop and 0 < number < len(lines) - 1:
            empty += 1
            continue
        if last >= 0:
            yield _Piece("\n" * empty or joined, "\n" * empty or joined, last, begin)
        line = source.masked[begin:stop]
        # A backslash before the line end escapes the line end.
        escaped = double and number + 1 < len(lines) and (len(line) - len(line.rstrip("\\"))) % 2
        yield from _unquoted(source, begin, stop - escaped, double=double)
        last, empty, joined = stop - escaped, 0, "" if escaped else " "


def _unquoted(source: YamlSource, start: int, end: int, *, double: bool) -> Iterator[_Piece]:
    """Pieces of one line of a quoted text; each escape is a piece."""
    done = start
    for found in (_ESCAPE if double else _QUOTE).finditer(source.masked, start, end):
        if done < found.start():
            yield _Piece(
                source.masked[done : found.start()],
                source.text[done : found.start()],
                done,
                found.start(),
            )
        read = _escaped(found.group()) if double else "'"
        yield _Piece(read, read, found.start(), found.end())
        done = found.end()
    if done < end:
        yield _Piece(source.masked[done:end], source.text[done:end], done, end)


def _escaped(text: str) -> str:
    """The characters that an escape in double quotes stands for."""
    kind, digits = text[1], text[2:]
    if kind in Scanner.ESCAPE_CODES:
        return chr(int(digits, 16))
    return str(Scanner.ESCAPE_REPLACEMENTS.get(kind, ""))
