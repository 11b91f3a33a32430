"""Pure. A YAML file read for editing: its text, its documents with positions, and Helm's `{{ }}` masked so that a chart's template can be read too."""

from __future__ import annotations

import re
from dataclasses import dataclass

from towline.errors import RenderError
from towline.yaml_marks import BREAK, Document, Mark, Scalar, YamlFault, aliases, parse

_TEMPLATE = re.compile(
    r"""\{\{-?\s*/\*.*?\*/\s*-?\}\}|\{\{(?:"(?:[^"\\\n]|\\[^\n])*+"|`[^`]*+`|[^"`}]|\}(?!\}))*+\}\}""", re.DOTALL)
_LINE = re.compile(r"[^\r\n]*")


@dataclass(frozen=True, kw_only=True)
class Source:
    """`masked` is `text` with every template replaced by as many other characters; positions of `documents` hold for both."""

    name: str
    text: str
    masked: str
    documents: tuple[Document, ...]

    @property
    def newline(self) -> str:
        """The line end that the file uses first."""
        found = BREAK.search(self.text)
        return found.group() if found else "\n"

    def where(self, mark: Mark) -> str:
        """`file:line:column` of a place."""
        return f"{self.name}:{mark.line}:{mark.column}"

    def written(self, node: Scalar) -> str:
        """A scalar's own characters, quotes included."""
        return self.text[node.start.index : node.end.index]

    def shown(self, node: Scalar) -> str:
        """A scalar's value, or its characters where a template stands in them."""
        return self.written(node) if self.templated(node.start.index, node.end.index) else node.value

    def templated(self, start: int, end: int) -> bool:
        """Whether a template stands between two places."""
        return self.text[start:end] != self.masked[start:end]

    def line_end(self, index: int) -> int:
        """Where the line of `index` ends, before its line end."""
        found = BREAK.search(self.text, index)
        return found.start() if found else len(self.text)


def read(name: str, data: bytes) -> Source:
    """Parse the content of the file `name`; raises RenderError with file, line and column."""
    try:
        text = data.decode()
    except UnicodeDecodeError as fault:
        raise RenderError(f"{name} is not UTF-8", where=name, hint="save the file as UTF-8") from fault
    masked = _TEMPLATE.sub(_mask, text) if "{{" in text else text
    try:
        documents = parse(masked)
        for document in documents:
            if document.root and "*" in masked:
                aliases(document.root)
    except YamlFault as fault:
        raise RenderError(f"{name} is not YAML: {fault.problem}", where=f"{name}:{fault.line}:{fault.column}", hint="correct the file") from fault
    return Source(name=name, text=text, masked=masked, documents=documents)


def _mask(found: re.Match[str]) -> str:
    """As many characters, line ends kept: blanks where nothing but templates stands on the line, else a word."""
    text, start = found.string, found.start()
    line_start = max(text.rfind("\n", 0, start), text.rfind("\r", 0, start)) + 1
    after = _LINE.match(text, found.end())
    around = text[line_start:start] + (after.group() if after else "")
    alone = not _TEMPLATE.sub("", around.removeprefix("\ufeff")).strip()
    return re.sub(r"[^\r\n]", " " if alone else "x", found.group())
