"""Pure.

How a text is written as a YAML scalar (facts/gitops.md section 4.5): plain if every parser reads it
as text, else quoted.
"""

from __future__ import annotations

import json
import re

import yaml

from towline.yaml.marks import (
    BREAK,
    ScalarNode,
)
from towline.yaml.plain_scalar import resolve_plain

_PLAIN = re.compile(
    r"(?:--?(?=[A-Za-z]))?[A-Za-z0-9_./](?:[A-Za-z0-9_./@+=~-]|:(?!\s|$)| (?=[A-Za-z0-9_./]))*"
)
# Numbers of the core schema, however large (YAML 1.2.2, section 10.3.2), and dates with one digit
# for a month or a day, as go-yaml takes them.
_OTHER_TYPES = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
    r"|0o[0-7]+|0x[0-9a-fA-F]+|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
    r"|[0-9]{4}-[0-9][0-9]?-[0-9][0-9]?(?:[Tt \t].*)?"
)
_LETTERS = frozenset("yYnN")
TEXT_TAGS = (None, "!", "tag:yaml.org,2002:str")  # tags of a scalar that is or may be a text
_ESCAPED = re.compile("[\x7f-\xa0\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
_BLOCK = re.compile(r"([|>])[-+0-9]*([ \t]+#[^\r\n]*)?[ \t]*")


def is_typed(text: str) -> bool:
    """Whether a YAML 1.1 or 1.2 parser reads the plain scalar `text` as something other than text.

    Examples: 1.20, 1e3, 0123, 12:30:45, on, null. 7e12345 is too large for go-yaml, but a number
    for others.
    """
    resolvers = yaml.SafeLoader.yaml_implicit_resolvers.get(text[:1], [])
    return (
        not isinstance(resolve_plain(text), str)
        or text in _LETTERS
        or _OTHER_TYPES.fullmatch(text) is not None
        or any(pattern.match(text) for _, pattern in resolvers)
    )


def scalar_text(node: ScalarNode) -> str:
    """The text of a scalar; empty if it is null."""
    return (
        "" if not node.style and not node.tag and resolve_plain(node.value) is None else node.value
    )


def write_scalar(value: str, style: str = "") -> str:
    """`value` as a scalar on one line in the quoting `style` ('' is plain).

    If the style cannot hold the value, it is in double quotes.
    """
    if style == "" and _PLAIN.fullmatch(value) and not is_typed(value):
        return value
    if style == "'" and value.isprintable():
        return "'" + value.replace("'", "''") + "'"
    return _ESCAPED.sub(
        lambda found: f"\\u{ord(found.group()):04x}", json.dumps(value, ensure_ascii=False)
    )


def rewrite_scalar(value: str, old: ScalarNode, source: str) -> str:
    """`value` as a scalar in the style of `old`, whose own text is `source`.

    The text behind the last line of a block scalar stays.
    """
    header = _BLOCK.match(source)
    if old.style not in ("|", ">") or not header:
        return write_scalar(value, old.style)
    content = source[header.end() :].rstrip()
    rest = source[header.end() + len(content) :]
    tail = rest[len(rest) - len(rest.lstrip(" \t")) :]
    comment = header.group(2) or ""
    if not content or value != value.strip() or not value.isprintable() or not value:
        return write_scalar(value) + comment + tail
    newline = BREAK.match(source, header.end())
    line_end = newline.group() if newline else ""
    return f"{header.group(1)}-{comment}{line_end}{_indent(content)}{value}{tail}"


def _indent(content: str) -> str:
    """The indentation of the first line that is not empty."""
    line = next(line for line in BREAK.split(content) if line.strip())
    return line[: len(line) - len(line.lstrip(" "))]


def holds_text(node: ScalarNode, value: str) -> bool:
    """Whether every parser reads the scalar as the text `value`."""
    return node.value == value and bool(node.style or node.tag or not is_typed(value))
