"""Pure.

Versions in files: the version that a project's descriptor has, for each kind of descriptor.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from towline.config.documents import read_yaml
from towline.config.schema import as_text
from towline.errors import ConfigError

_TABLES = ("project", "tool.poetry")  # of pyproject.toml
_VERSION = re.compile(r"[0-9A-Za-z][^\s${}<>]*")
_XML = re.compile(r"<!--.*?-->|<(/?)([\w:.-]+)[^<>]*?(/?)>", re.DOTALL)
_ASSIGNED = re.compile(
    r"""^[ \t]*([\w.-]+)[ \t]*:?[=:][ \t]*["']?([^"'#\r\n]*?)["']?[ \t]*(?:#.*)?$"""
)
_HEADER = re.compile(r"^[ \t]*\[([^\]]+)\]")
_CALLED = re.compile(r"""\bversion[ \t]*:?=[ \t]*["']([^"']+)["']""")


def version_in(path: str, text: str, *, field: str = "", section: str = "") -> str:
    """The version in the text of a file, by the kind of file that its path says; empty for none.

    `field` is the name that the version has in the file, `section` the part of the file that has
    it; by default they are the usual ones of such a file.
    """
    found = next(_versions(path, text, field or "version", section), "")
    return found if _VERSION.fullmatch(found) else ""


def _versions(path: str, text: str, field: str, section: str) -> Iterator[str]:
    name = path.rpartition("/")[2]
    if name.endswith(".xml"):
        yield from _in_xml(text)
    elif name.endswith((".json", ".yaml", ".yml")):
        yield from _in_data(text, path, field)
    elif name.endswith((".py", ".sbt")):
        yield from _CALLED.findall(text)
    elif name.endswith(".toml"):
        yield from _assigned(text, field, (section,) if section else _TABLES)
    elif name.endswith((".properties", ".cfg", ".ini")):
        yield from _assigned(text, field, (section,))
    else:
        yield text.strip().partition("\n")[0].strip()


def _in_xml(text: str) -> Iterator[str]:
    """The version of a Maven project, else that of its parent; properties are put in."""
    found: dict[tuple[str, ...], str] = {}
    path: list[str] = []
    start = 0
    for tag in _XML.finditer(text):
        if tag[2] is None:
            continue
        if tag[1]:
            found.setdefault(tuple(path), text[start : tag.start()].strip())
            del path[-1:]
        elif not tag[3]:
            path.append(tag[2])
        start = tag.end()
    for place in (("project", "version"), ("project", "parent", "version")):
        if place in found:
            yield re.sub(
                r"\$\{([\w.-]+)\}",
                lambda name: found.get(("project", "properties", name[1]), name[0]),
                found[place],
            )


def _in_data(text: str, path: str, field: str) -> Iterator[str]:
    """The value of a field of a JSON or YAML file; a `/` or `.` in its name leads into a map."""
    try:
        value = json.loads(text) if path.endswith(".json") else read_yaml(text, path).value
    except (ValueError, ConfigError, RecursionError):
        return
    whole = value.get(field) if isinstance(value, dict) else None
    if whole is None:
        for key in re.split(r"[/.]", field):
            value = value.get(key) if isinstance(value, dict) else None
        whole = value
    if isinstance(whole, str | int | float) and not isinstance(whole, bool):
        yield as_text(whole)


def _assigned(text: str, field: str, sections: tuple[str, ...]) -> Iterator[str]:
    """The values that lines `field = value` give in one of the sections, "" for before any."""
    section = ""
    for line in text.splitlines():
        if header := _HEADER.match(line):
            section = header[1].strip()
        elif (found := _ASSIGNED.match(line)) and found[1] == field and section in sections:
            yield found[2]
