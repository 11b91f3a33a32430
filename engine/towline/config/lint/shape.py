"""Pure.

Documents for lint: a configuration file whose shape may have faults.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from towline.config.documents import UNREAD_DOCUMENT, ConfigDocument
from towline.config.lint.findings import Finding, finding
from towline.config.schema import SETTING_SECTIONS
from towline.record import replace
from towline.yaml.marks import LocatedData

_BEHIND = ("", "second document")  # no key of a configuration stands there
_Path = tuple[str | int, ...]


def shape_document(
    name: str, located: LocatedData, *, trusted: bool = False
) -> tuple[ConfigDocument, tuple[Finding, ...]]:
    """A file as a document with its well-formed sections only, and a finding for each other one."""
    whole = ConfigDocument(name=name, trusted=trusted, content={}, marks=located.marks)
    found: list[Finding] = []
    if located.unread:
        whole = replace(whole, marks={**located.marks, _BEHIND: located.unread})
        made = finding("second-document", whole, _BEHIND, message=UNREAD_DOCUMENT)
        # Piper ignores it silently
        found.append(made if trusted else replace(made, level="warning"))
    content = dict(_map(located.value, whole, (), found))
    for section in SETTING_SECTIONS:
        inner = _map(content.get(section), whole, (section,), found)
        content[section] = (
            {key: _map(value, whole, (section, key), found) for key, value in inner.items()}
            if section != "general"
            else inner
        )
    return replace(whole, content=content), tuple(found)


def _map(
    value: Any, document: ConfigDocument, path: _Path, found: list[Finding]
) -> Mapping[str, Any]:
    if isinstance(value, dict):
        return value
    if value is not None:
        section = ".".join(map(str, path)) or "the configuration"
        kind = "a list" if isinstance(value, list) else "a text"
        found.append(
            finding(
                "not-a-map",
                document,
                path,
                message=f"{section} is {kind}, expected a map",
            )
        )
    return {}
