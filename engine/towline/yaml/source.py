"""Pure.

A YAML file read for editing: its text, its documents with positions, and Helm's `{{ }}` masked, so
that a chart's template can be read, too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise

from towline.errors import RenderError
from towline.literals import load_json
from towline.record import frozen
from towline.yaml.documents import FILE_LIMITS, YamlDocuments
from towline.yaml.marks import BREAK, Mark, Node, ScalarNode, alias_targets

# Atomic, as all patterns here: the text is read once, forwards. A backslash outside of a literal is
# that of a YAML string around the template: "{{ f \"x\" }}".
# Not possessive: a `(?:a|b)*+` of CPython before 3.11.5 loses its place (python/cpython#106052),
# and Debian 12 has 3.11.2.
_LITERAL = r"""`[^`]*+`|"(?>(?:[^"\\\n]|\\[^\n])*)\""""
_TEMPLATE = re.compile(
    r"\{\{-?\s*+(?P<note>/\*)(?>(?:[^*]|\*(?!/))*)\*/\s*+-?\}\}"
    rf"""|\{{\{{(?>(?:[^"`}}\\]++|\\[^\n]?|{_LITERAL}|\}}(?!\}}))*)\}}\}}"""
)
_TEXT = re.compile(rf"\\[^\n]?|{_LITERAL}")
_VISIBLE = re.compile(r"[^\r\n]")
_LINE_END = re.compile(r"[\r\n]")
_ENDS = "\r\n\x85\u2028\u2029"
_DOCUMENT = re.compile(rf"[{_ENDS}](?:---|\.\.\.)\s")
_YAML_SIGN = re.compile(rf"[#{{}}]|:\s|[{_ENDS}] *-\s")
_COMMENT = re.compile(r"(?:^|[\s\ufeff])#")
# Text before a template that writes a line end first: key:{{ .a | nindent 2 }}
_OPEN = re.compile(r"""^ *(?:- +)*[^\s:#"']+:$|[:-][ \t]+[|>][-+0-9]{0,2}[ \t]*$""")
# The header of a block scalar, lines that are blank or have templates alone, and the indentation of
# the first line of content.
_LEADING = re.compile(
    r"""(?m)^(?P<indent> *+(?>(?:- ++)*))"""
    r"""(?P<key>(?:'[^'\r\n]*+'|"[^"\r\n]*+"|[^\s#](?:[^\r\n#]|(?<=[^ \t])#)*?)?:[ \t]++)?"""
    r"(?>(?:[&!][^\s]*+[ \t]++)*)[|>][-+]?[ \t]*+(?:(?<=[ \t])#[^\r\n]*+)?(?:\r\n|[\r\n])"
    r"(?P<blank>(?>(?:[ \t]*+(?:\r\n|[\r\n]))+))(?P<first> *+)(?=[^\s])"
)
_OBJECT = re.compile("\ufeff?[ \t\r\n]*[{\\[]")
_ESCAPE = re.compile(r"\\(?:u[0-9A-Fa-f]{4}|.)")
_HALF = re.compile(r"\\u[dD][89a-fA-F][0-9A-Fa-f]{2}")


@frozen
class YamlSource:
    """A YAML file: `masked` is `text` with other characters in place of templates.

    They are as many, so the positions of `documents` hold for both. `strict`: the file is JSON and
    stays JSON. `around` translates a position to the outer file if this is the text of a scalar.
    """

    name: str
    text: str
    masked: str
    documents: YamlDocuments
    strict: bool = False
    around: Callable[[Mark], str] | None = None

    @property
    def newline(self) -> str:
        """The first line end of the file."""
        found = BREAK.search(self.text)
        return found.group() if found else "\n"

    def where(self, mark: Mark) -> str:
        """`file:line:column` of a position."""
        return self.around(mark) if self.around else f"{self.name}:{mark.line}:{mark.column}"

    def line(self, mark: Mark) -> int:
        """The line of a position in the file."""
        return int(self.where(mark).rsplit(":", 2)[1])

    def written(self, node: ScalarNode) -> str:
        """The source of a scalar, quotes included."""
        return self.text[node.start.index : node.end.index]

    def shown(self, node: ScalarNode) -> str:
        """The value of a scalar, or its source if it has a template."""
        return (
            self.written(node) if self.templated(node.start.index, node.end.index) else node.value
        )

    def targets(self, root: Node | None) -> Mapping[int, Node]:
        """The targets of the aliases below a root, by where the aliases begin.

        A file without aliases is not walked through.
        """
        return alias_targets(root) if root is not None and self.documents.aliased else {}

    def templated(self, start: int, end: int) -> bool:
        """Whether there is a template between two positions."""
        return self.text[start:end] != self.masked[start:end]

    def line_end(self, index: int) -> int:
        """The end of the line that holds `index`, before its line end."""
        found = BREAK.search(self.text, index)
        return found.start() if found else len(self.text)


def read_source(name: str, data: bytes) -> YamlSource:
    """Parse the content of the file `name`; raises RenderError with file, line and column."""
    try:
        text = data.decode()
    except UnicodeDecodeError as fault:
        raise RenderError(
            f"{name} is not UTF-8", where=name, hint="save the file as UTF-8"
        ) from fault
    return parse_source(name, text)


def parse_source(name: str, text: str) -> YamlSource:
    """Parse the text of the file `name`; raises RenderError with file, line and column."""
    if len(text) > FILE_LIMITS.characters:
        raise RenderError(
            f"{name} is too large: longer than {FILE_LIMITS.characters} characters",
            where=f"{name}:1:1",
            hint="split the file",
        )
    hidden = mask_templates(name, text)
    strict = is_json(hidden) and ('"' in hidden or name.endswith(".json"))
    return YamlSource(
        name=name, text=text, masked=hidden, documents=YamlDocuments(name, hidden), strict=strict
    )


def is_json(text: str) -> bool:
    """Whether `text` is one object or list of JSON (RFC 8259)."""
    if not _OBJECT.match(text):
        return False
    try:
        load_json(
            text.removeprefix("\ufeff"), parse_int=str, parse_float=str, parse_constant=_no_number
        )
    except ValueError:
        return False
    return True


def _no_number(text: str) -> None:
    raise ValueError(text)


def mask_templates(name: str, text: str) -> str:
    """`text` with templates replaced by as many characters, line ends kept; raises RenderError.

    Templates alone on their lines become blanks, others a word. Escapes of JSON for halves of a
    character beyond U+FFFF become words, too, since YAML has no such escapes.
    """
    pieces, done = [], 0
    for group in _groups(text, _templates(name, text)):
        first, last = group[0].start(), group[-1].end()
        line = max(text.rfind("\n", done, first), text.rfind("\r", done, first), done - 1) + 1
        around = [text[line:first].removeprefix("\ufeff"), text[last : _line_end(text, last)]]
        around += [
            text[template.end() : following.start()] for template, following in pairwise(group)
        ]
        alone = not any(part.strip() for part in around[1:]) and (
            not around[0].strip() or _OPEN.search(around[0])
        )
        letter = " " if alone else "x"
        for template in group:
            pieces += [text[done : template.start()], _replace_by_letters(template.group(), letter)]
            done = template.end()
    hidden = _mask_leading(text, "".join([*pieces, text[done:]])) if done else text
    return _ESCAPE.sub(_mask_half, hidden) if _HALF.search(hidden) and is_json(hidden) else hidden


def _replace_by_letters(template: str, letter: str) -> str:
    """A template replaced by letters; its lines keep their indentation, which YAML reads."""
    lines = template.splitlines(keepends=True)
    indents = [len(line) - len(line.lstrip(" ")) for line in lines]
    return "".join(
        " " * indent + _VISIBLE.sub(letter, line[indent:])
        for indent, line in zip(indents, lines, strict=True)
    )


def _mask_half(found: re.Match[str]) -> str:
    return "x" * len(found.group()) if _HALF.match(found.group()) else found.group()


def _mask_leading(text: str, hidden: str) -> str:
    """`hidden` with a word for templates before the first line of content of a block scalar.

    Blank lines that are longer than the indentation of that line are not YAML. Such a line keeps
    its own indentation if the scalar can have it: to a program that does not know templates, it is
    the indentation of the scalar.
    """
    pieces, done = [], 0
    for found in _LEADING.finditer(hidden):
        parent = len(found["indent"]) - (0 if found["key"] else 2)
        first, last_indent, index = len(found["first"]), -1, found.start("blank")
        for line in found["blank"].splitlines(keepends=True) if first > parent else ():
            length, written = len(line.rstrip("\r\n")), text[index : index + len(line)]
            own_indent = len(written) - len(written.lstrip(" "))
            indent = (
                max(own_indent, last_indent)
                if last_indent >= 0
                else own_indent
                if parent < own_indent <= first
                else first
            )
            if written != line and length > indent:
                pieces += [hidden[done:index], " " * indent, "x" * (length - indent)]
                last_indent, done = indent, index + length
            index += len(line)
    return "".join([*pieces, hidden[done:]])


def _groups(text: str, found: Iterable[re.Match[str]]) -> Iterator[list[re.Match[str]]]:
    """Templates, grouped by the lines that they share."""
    group: list[re.Match[str]] = []
    for template in found:
        if group and _LINE_END.search(text, group[-1].end(), template.start()):
            yield group
            group = []
        group.append(template)
    if group:
        yield group


def _templates(name: str, text: str) -> Iterator[re.Match[str]]:
    """Every template, from the start; raises RenderError for one that is not closed or hides YAML.

    A last `{{` without any `}}` behind it is text.
    """
    done = line = 0
    while (start := text.find("{{", done)) >= 0:
        found = _TEMPLATE.match(text, start)
        if found is None and "}}" not in text[start:]:
            return
        line = _line_start(text, done, start) or line
        if found is None or (BREAK.search(found.group()) and _hides_yaml(found, text[line:start])):
            number = len(BREAK.findall(text, 0, start)) + 1
            raise RenderError(
                f"{{{{ in line {number} of {name} is not closed before other YAML follows",
                where=f"{name}:{number}:{start - line + 1}",
                hint="close it with }} in its line, or remove it",
            )
        yield found
        done = found.end()
        line = _line_start(text, start, done) or line


def _hides_yaml(found: re.Match[str], before: str) -> bool:
    """Whether a template of several lines swallows YAML.

    It does if it begins in a comment, crosses documents, or has YAML in it.
    """
    if _COMMENT.search(before) or _DOCUMENT.search(found.group()):
        return True
    return not found["note"] and _YAML_SIGN.search(_TEXT.sub("", found.group()[2:-2])) is not None


def _line_start(text: str, start: int, end: int) -> int:
    """Where the last line that begins between two positions begins; 0 if there is none."""
    return max((found.end() for found in BREAK.finditer(text, start, end)), default=0)


def _line_end(text: str, index: int) -> int:
    found = _LINE_END.search(text, index)
    return found.start() if found else len(text)
