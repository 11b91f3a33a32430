"""Pure.

How a text is written as a YAML scalar: plain where every parser reads it as text, else in quotes
(facts/gitops.md section 4.5).
"""

from __future__ import annotations

import json
import re

import yaml

from towline.yaml_marks import BREAK, Scalar
from towline.yaml_plain import plain

_PLAIN = re.compile(
    r"(?:--?(?=[A-Za-z]))?[A-Za-z0-9_./](?:[A-Za-z0-9_./@+=~-]|:(?!\s|$)| (?=[A-Za-z0-9_./]))*"
)
# Numbers of the core schema, however large (YAML 1.2.2, section 10.3.2), and dates with one digit
# for a month or a day, as go-yaml takes them.
_OTHERS = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|0o[0-7]+|0x[0-9a-fA-F]+|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
    r"|[0-9]{4}-[0-9][0-9]?-[0-9][0-9]?(?:[Tt \t].*)?"
)
_LETTERS = frozenset("yYnN")
TEXT_TAGS = (None, "!", "tag:yaml.org,2002:str")  # those of a scalar that is a text, or may be one
_ESCAPED = re.compile("[\x7f-\xa0\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
_BLOCK = re.compile(r"([|>])[-+0-9]*([ \t]+#[^\r\n]*)?[ \t]*")


def typed(text: str) -> bool:
    """Whether a parser of YAML 1.1 or 1.2 reads the plain scalar `text` as something else than text: 1.20, 1e3, 0123, 12:30:45, on, null.

    7e12345, too large for go-yaml, is a number for others.
    """
    old = yaml.SafeLoader.yaml_implicit_resolvers.get(text[:1], [])
    return (
        not isinstance(plain(text), str)
        or text in _LETTERS
        or _OTHERS.fullmatch(text) is not None
        or any(pattern.match(text) for _, pattern in old)
    )


def said(node: Scalar) -> str:
    """The text of a scalar; empty where it is null."""
    return "" if not node.style and not node.tag and plain(node.value) is None else node.value


def write(value: str, style: str = "") -> str:
    """Write `value` as a scalar on one line in the quoting `style` ('' is plain), in double quotes where that style cannot hold it."""
    if style == "" and _PLAIN.fullmatch(value) and not typed(value):
        return value
    if style == "'" and value.isprintable():
        return "'" + value.replace("'", "''") + "'"
    return _ESCAPED.sub(
        lambda found: f"\\u{ord(found.group()):04x}", json.dumps(value, ensure_ascii=False)
    )


def rewrite(value: str, old: Scalar, source: str) -> str:
    """Write `value` in the style of `old`, whose own text is `source`: what follows the last line of a block scalar stays."""
    header = _BLOCK.match(source)
    if old.style not in ("|", ">") or not header:
        return write(value, old.style)
    content = source[header.end() :].rstrip()
    rest = source[header.end() + len(content) :]
    tail = rest[len(rest) - len(rest.lstrip(" \t")) :]
    comment = header.group(2) or ""
    if not content or value != value.strip() or not value.isprintable() or not value:
        return write(value) + comment + tail
    newline = BREAK.match(source, header.end())
    return f"{header.group(1)}-{comment}{newline.group() if newline else ''}{_indent(content)}{value}{tail}"


def _indent(content: str) -> str:
    """The blanks before the first line that holds something."""
    line = next(line for line in BREAK.split(content) if line.strip())
    return line[: len(line) - len(line.lstrip(" "))]
