"""Pure.

Hides the values of Secrets in a diff: each becomes a mark, and the same value the same mark, so the
diff still shows what changes. A document whose values cannot be told apart is hidden as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import yaml

from towline.gitops.helm.manifests import (
    Path,
    RenderedDocument,
    as_data,
    list_items,
    mapping_entries,
    node_at,
    split_stream,
    with_values,
)
from towline.record import field, mutable, replace
from towline.secret import MASK

_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_KINDS = ("Secret", "SecretGenerator")
_SHOWN_KEYS = (
    "apiVersion",
    "kind",
    "type",
    "immutable",
    "group",
    "version",
)  # shown if the value is a scalar
_NAME_KEYS = ("name", "namespace", "valuesKey", "targetPath", "optional", "key", "behavior")
_ESCAPED = r"kind\W+\"[^\"\n]{0,99}\\|\\[xuU][^\"\n]{0,99}\"\s*:|stringData|secretGenerator"
_WORD = re.compile(rf"(?:\b|\\[nrt])Secret(?:List|Generator)?\b|{_ESCAPED}")
_SECRET_IN_TEXT = re.compile(
    rf"kind\W+(?:\w+\W+){{0,6}}[nrt]?Secret(?:List|Generator)?\b|{_ESCAPED}"
)
_DATA = re.compile(r"[\"'\s]/(?:data|stringData)\b|\b(?:data|stringData)[\"']?\s*:|\\[xuU]")
_OPERATION = re.compile(r"\bop\W+(?:add|replace|test|copy|move)\b")
_PATCH_TARGET = re.compile(r"\btarget\b")
_PATCH = re.compile(r"\bpatch(?:es)?\b|\bjsonOp\b")
_MOST_VALUES = 300  # of one document, which is read anew for each
_COMMENT = re.compile(r"#(?! Source: \S+/templates/\S+$).*$", re.MULTILINE)

# Which values below a node are hidden: those of a Secret, without names; all; those that may belong
# to a Secret, in a patch of an unknown kind, and in a patch that names its kind; and few, in a
# patch of another kind.
_SECRET_VALUES, _ALL_VALUES, _DOUBTFUL_PATCH, _PATCH_WITH_KIND, _OTHER_PATCH = (
    "secret",
    "all",
    "doubted",
    "naming",
    "other",
)


@mutable
class Marks:
    """The marks of hidden values."""

    _known: dict[str, str] = field(default_factory=dict)

    def of(self, value: str) -> str:
        """The mark of `value`."""
        return self._known.setdefault(value, f"{MASK}{len(self._known) + 1}")

    def is_mark(self, text: str) -> bool:
        """Whether `text` is a mark, or empty."""
        return not text or text in self._known.values()


def mask_secrets(contents: Mapping[str, bytes], marks: Marks) -> dict[str, bytes]:
    """The files with marks for the values of their Secrets; a file without any is left out."""
    found = {}
    for path, content in contents.items():
        text = content.decode(errors="replace")
        if "\0" in text:  # for example UTF-16
            found[path] = f"# not shown, since it is not text: {marks.of(text)}\n".encode()
        elif _may_have_secret(text):
            found[path] = "".join(
                _masked_text(document, marks) for document in split_stream(text)
            ).encode()
    return {
        path: masked
        for path, masked in found.items()
        if masked != contents[path].decode(errors="replace").encode()
    }


def _masked_text(document: RenderedDocument, marks: Marks) -> str:
    """The text of a document with marks for hidden values."""
    if not _may_have_secret(document.text):
        return document.text
    if document.empty:
        return _COMMENT.sub(lambda found: f"# {marks.of(found[0])}", document.text)
    if document.root is None or not _has_plain_keys(document.root):
        return f"---\n# a Secret that cannot be read: {marks.of(document.text)}\n"
    masked, hidden = document, list(_hidden(document.root, ()))
    for path, value in hidden[:_MOST_VALUES]:
        masked = with_values(masked, {path: ("", marks.of(value))})
    commented = "\n".join(_COMMENT.findall(document.text))
    if hidden or _SECRET_IN_TEXT.search(commented):
        text = _COMMENT.sub(lambda found: f"# {marks.of(found[0])}", masked.text)
        masked = _without_change(masked, text)
    if masked.root is None or not all(
        marks.is_mark(value) for _, value in _hidden(masked.root, ())
    ):
        return f"---\n# a Secret that cannot be shown: {marks.of(document.text)}\n"
    return masked.text


def _without_change(document: RenderedDocument, text: str) -> RenderedDocument:
    """`document` with this text, and empty if the text reads as other data."""
    masked = replace(document, text=text)
    same = (
        masked.root is not None
        and document.root is not None
        and as_data(masked.root) == as_data(document.root)
    )
    return masked if same else replace(document, text="")


def _may_have_secret(text: str) -> bool:
    """Whether the text may contain a Secret, or a patch of one, which need not name its kind."""
    is_patch = _OPERATION.search(text) or (_PATCH_TARGET.search(text) and _PATCH.search(text))
    return bool(_WORD.search(text) or (is_patch and _DATA.search(text)))


def _hidden(node: yaml.Node | None, path: Path, hiding: str = "") -> Iterator[tuple[Path, str]]:
    """Path and text of each hidden value: those of Secrets, and texts that contain one."""
    if isinstance(node, yaml.ScalarNode):
        if node.value and (
            hiding in (_SECRET_VALUES, _ALL_VALUES) or _contains_secret(node.value, hiding)
        ):
            yield path, node.value
        return
    for number, item in enumerate(list_items(node) if node else ()):
        yield from _hidden(item, (*path, number), hiding)
    entries = mapping_entries(node) if node else {}
    if hiding != _ALL_VALUES and (_text(node, "kind") in _KINDS or "stringData" in entries):
        hiding = _SECRET_VALUES
    for key, value in entries.items():
        yield from _hidden(value, (*path, key), _hiding_below(entries, key, hiding))


def _contains_secret(text: str, hiding: str) -> bool:
    """Whether a text contains a Secret, or a patch of one."""
    if _SECRET_IN_TEXT.search(text) or (
        hiding in (_DOUBTFUL_PATCH, _PATCH_WITH_KIND) and _WORD.search(text)
    ):
        return True
    patches = hiding == _DOUBTFUL_PATCH or (hiding != _OTHER_PATCH and _OPERATION.search(text))
    return bool(patches and _DATA.search(text))


def _hiding_below(entries: Mapping[str, yaml.Node], key: str, hiding: str) -> str:
    """Which values below a key are hidden; below a patch, its target decides."""
    if hiding == _SECRET_VALUES:
        shown = key in (*_SHOWN_KEYS, *_NAME_KEYS) and isinstance(entries[key], yaml.ScalarNode)
        return "" if key == "metadata" or shown else _ALL_VALUES
    if (
        hiding == _ALL_VALUES
        or key == _APPLIED
        or (key == "value" and hiding != _OTHER_PATCH and _is_data_operation(entries))
    ):
        return _ALL_VALUES
    if key == "secretGenerator" or (key == "items" and _value(entries.get("kind")) == "SecretList"):
        return _SECRET_VALUES
    if isinstance(entries.get("target"), yaml.MappingNode):
        if key == "target":
            return hiding
        return _hiding_of_patch(mapping_entries(entries["target"]).get("kind"))
    return _PATCH_WITH_KIND if key in ("patch", "patchesStrategicMerge") else hiding


def _is_data_operation(entries: Mapping[str, yaml.Node]) -> bool:
    """Whether a mapping is an operation of a JSON patch on a Secret's data, or on all of it."""
    first = _value(entries.get("path")).split("/")[1:2]
    return "op" in entries and "path" in entries and first in ([], [""], ["data"], ["stringData"])


def _hiding_of_patch(kind: yaml.Node | None) -> str:
    """Which values of a patch with this target kind are hidden.

    kustomize reads the kind as a pattern, and a missing one as any.
    """
    text = _value(kind)
    if text in _KINDS:
        return _ALL_VALUES
    return _OTHER_PATCH if re.fullmatch(r"\w+", text) else _DOUBTFUL_PATCH


def _value(node: yaml.Node | None) -> str:
    return node.value if isinstance(node, yaml.ScalarNode) else ""


def _text(node: yaml.Node | None, *path: str) -> str:
    return _value(node_at(node, path))


def _has_plain_keys(node: yaml.Node) -> bool:
    """Whether each key is unique, and a text that contains no Secret itself."""
    if isinstance(node, yaml.MappingNode):
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        return (
            len(set(keys)) == len(node.value)
            and "<<" not in keys  # a merged map may make a Secret of this one
            and not any(
                "\n" in key or ("kind" in key and _SECRET_IN_TEXT.search(key)) for key in keys
            )
            and all(_has_plain_keys(value) for _, value in node.value)
        )
    return all(_has_plain_keys(item) for item in list_items(node))
