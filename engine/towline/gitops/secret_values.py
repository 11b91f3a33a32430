"""Pure. Secrets in what is shown: each value of a Secret becomes a mark, the same one for the same value, so that a diff still tells what changes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import yaml

from towline.gitops.rendered import Path, at, documents, entries, replaced

_MASK = "****"
_SECRET = re.compile(r"\bkind['\"]?\s*:\s*['\"]?(?:Secret|List|SecretList)\b")
_FIELDS = ("data", "stringData")
_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


@dataclass
class Marks:
    """The marks of values that are not to be shown."""

    _known: dict[str, str] = field(default_factory=dict)

    def of(self, value: str) -> str:
        """The mark of a value."""
        return self._known.setdefault(value, f"{_MASK}{len(self._known) + 1}")


def shown(contents: Mapping[str, bytes], marks: Marks) -> dict[str, bytes]:
    """The files with marks in place of the values of their Secrets; those that hold none are left out."""
    found = {}
    for path, data in contents.items():
        text = data.decode(errors="replace")
        if _SECRET.search(text):
            found[path] = _shown(text, marks).encode()
    return {path: data for path, data in found.items() if data != contents[path]}


def _shown(text: str, marks: Marks) -> str:
    for one in documents(text):
        if not _SECRET.search(one.text):
            continue
        if one.root is None:
            text = text.replace(
                one.text, f"---\n# a Secret that cannot be read: {marks.of(one.text)}\n"
            )
            continue
        made = one
        for path, value in _values(one.root, ()):
            made = replaced(made, {path: ("", marks.of(value))})
        if any(not value.startswith(_MASK) for _, value in _values(made.root, ())):
            made = replace(
                made, text=f"---\n# a Secret that cannot be shown: {marks.of(one.text)}\n"
            )
        text = text.replace(one.text, made.text)
    return text


def _values(node: yaml.Node | None, path: Path) -> Iterator[tuple[Path, str]]:
    """The values of a Secret, or of the Secrets in a list, that hold something, with their places."""
    if node is None:
        return
    kind = at(node, ("kind",))
    if isinstance(kind, yaml.ScalarNode) and kind.value == "Secret":
        for name in _FIELDS:
            held = at(node, (name,))
            for key, value in entries(held).items() if held else ():
                if isinstance(value, yaml.ScalarNode) and value.value:
                    yield (*path, name, key), value.value
        applied = at(node, ("metadata", "annotations", _APPLIED))
        if isinstance(applied, yaml.ScalarNode):
            yield (*path, "metadata", "annotations", _APPLIED), applied.value
    items = at(node, ("items",))
    for number, item in enumerate(items.value if isinstance(items, yaml.SequenceNode) else ()):
        yield from _values(item, (*path, "items", number))
