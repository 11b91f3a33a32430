"""Pure.

Rendered manifests, split into documents and compared as YAML readers see them; and the resources
and containers that a new rendering no longer has.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import yaml

from towline.gitops.manifest_images import pods_in_documents
from towline.record import frozen, replace
from towline.suggest import close
from towline.yaml.documents import is_nested_deeper
from towline.yaml.plain_data import load_documents, text_at

_RENDERED = b"# Source: "  # Helm writes it before each document
_LONGEST_NAME = 100
_MOST_COMPARED = 50  # names; each is compared with all new ones


def removed_resources(old: bytes, new: bytes) -> list[str]:
    """The resources (`kind/name`) and containers of `old` that `new` does not have.

    In a rendering, a resource that another one of its kind and with a like name replaces is not
    removed: a Job that is named after its version. The result is empty if a file cannot be read.
    """
    before, after = load_documents(old), load_documents(new)
    if before is None or after is None or old == new:
        return []
    resources, new_resources = dict.fromkeys(_resources(before)), dict.fromkeys(_resources(after))
    removed = [resource for resource in resources if resource not in new_resources]
    if _RENDERED in old and len(removed) <= _MOST_COMPARED:
        removed = _without_renamed(
            removed, [resource for resource in new_resources if resource not in resources]
        )
    return [f"{kind}/{name}"[:_LONGEST_NAME] for kind, name in removed] + _removed_containers(
        before, after
    )


def _resources(documents: list[Any]) -> list[tuple[str, str]]:
    """Kind and name of each resource; a name in several namespaces gets a number."""
    found = dict.fromkeys(key for document in documents for key in _resource_keys(document))
    counted = Counter[tuple[str, str]]()
    named = list[tuple[str, str]]()
    for kind, name, _ in found:
        counted[kind, name] += 1
        number = counted[kind, name]
        named.append((kind, name if number == 1 else f"{name} ({number})"))
    return named


def _resource_keys(document: Any) -> Iterator[tuple[str, str, str]]:
    """Kind, name and namespace of a resource, or of the resources in a List."""
    if not isinstance(document, dict):
        return
    if isinstance(listed := document.get("items"), list):
        for item in listed:
            yield from _resource_keys(item)
        return
    kind, name = text_at(document, "kind"), text_at(document, "metadata", "name")
    if kind and name:
        yield kind, name, text_at(document, "metadata", "namespace")


def _without_renamed(
    removed: list[tuple[str, str]], added: list[tuple[str, str]]
) -> list[tuple[str, str]]:
    """The resources of `removed` that no resource of `added` replaces."""
    candidates = list(added)
    remaining = []
    for kind, name in removed:
        replacement = close(name, [other for other_kind, other in candidates if other_kind == kind])
        if replacement:
            candidates.remove((kind, replacement))
        else:
            remaining.append((kind, name))
    return remaining


def _removed_containers(before: list[Any], after: list[Any]) -> list[str]:
    """The containers that are removed from pods that stay."""
    containers_after: dict[str, set[str]] = {}
    for pod in pods_in_documents(after):
        containers_after.setdefault(pod.owner, set()).update(name for name, _ in pod.images)
    containers = [(pod.owner, name) for pod in pods_in_documents(before) for name, _ in pod.images]
    return [
        f"container {name} of {owner}"[:_LONGEST_NAME]
        for owner, name in dict.fromkeys(containers)
        if name not in containers_after.get(owner, {name})
    ]


Path = tuple[str | int, ...]
"""The keys and list indexes that lead to a node; it is empty for the root."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_SEPARATOR = re.compile(r"^---(?=\s|$)", re.MULTILINE)
_SOURCE = re.compile(r"^# Source: (.+?)\s*$", re.MULTILINE)
_DEEPEST = 200  # levels; reading and comparing take stack for each


@frozen
class Identity:
    """The API version, kind, namespace and name of the resource in a document."""

    api: str
    kind: str
    namespace: str
    name: str


@frozen
class RenderedDocument:
    """One document of a rendering: `text` from its separator up to the next one.

    `head` is an empty document before it that names its template.
    """

    text: str
    head: str = ""

    @cached_property
    def root(self) -> yaml.Node | None:
        """The YAML nodes of the document.

        None for an empty document, and for one that is handled as a text only: it is not YAML,
        repeats nodes by aliases, or is nested too deep.
        """
        if is_nested_deeper(self.text, _DEEPEST):
            return None
        try:
            # Some versions of Helm cut blank lines off.
            found = yaml.compose(self.text.rstrip() + "\n", Loader=_LOADER)
        except (yaml.YAMLError, ValueError):
            return None
        return None if found is None or ("*" in self.text and _repeats(found)) else found

    @property
    def empty(self) -> bool:
        """Whether the document has nothing but separators, comments and blank lines."""
        return not any(
            line.strip() and not line.startswith(("#", "---")) for line in self.text.splitlines()
        )

    @cached_property
    def source(self) -> str:
        """The template of the document, which Helm notes before it."""
        found = _SOURCE.search(self.head + self.text)
        return found[1] if found else ""

    @cached_property
    def identity(self) -> Identity:
        """The identity of the resource in the document."""
        api, kind, namespace, name = (
            _text(self.root, *path)
            for path in (
                ("apiVersion",),
                ("kind",),
                ("metadata", "namespace"),
                ("metadata", "name"),
            )
        )
        return Identity(api=api, kind=kind, namespace=namespace, name=name)

    @property
    def shown(self) -> str:
        """Kind and name for people, with the template."""
        name = f"{self.identity.kind} {self.identity.name}".strip() or "a document"
        return f"{name} ({self.source})" if self.source else name


def split_documents(text: str) -> list[RenderedDocument]:
    """The documents of a stream in their order, without those that have no content."""
    found = split_stream(text)
    heads = [
        "",
        *(document.text if document.empty and document.source else "" for document in found),
    ]
    return [
        replace(document, head="" if document.source else head)
        for document, head in zip(found, heads, strict=False)
        if not document.empty
    ]


def split_stream(text: str) -> list[RenderedDocument]:
    """A stream cut at its separators, with the empty documents."""
    starts = sorted({0, *(found.start() for found in _SEPARATOR.finditer(text))})
    return [
        RenderedDocument(text=text[start:end])
        for start, end in zip(starts, [*starts[1:], len(text)], strict=True)
    ]


def pair_documents(
    before: Iterable[RenderedDocument], after: Sequence[RenderedDocument]
) -> list[RenderedDocument | None]:
    """For each document of `after` its partner in `before` with the same identity, or None.

    Each partner is taken once, in order. Documents with the same text are not parsed: most of a
    large rendering does not change.
    """
    texts = defaultdict[str, deque[RenderedDocument]](deque)
    for document in before:
        texts[document.text.rstrip()].append(document)
    found = [
        texts[key].popleft() if texts.get(key := document.text.rstrip()) else None
        for document in after
    ]
    unpaired = defaultdict[Identity, deque[RenderedDocument]](deque)
    for document in (document for same_text in texts.values() for document in same_text):
        unpaired[document.identity].append(document)
    return [
        partner
        or (
            unpaired[document.identity].popleft()
            if unpaired and unpaired.get(document.identity)
            else None
        )
        for document, partner in zip(after, found, strict=True)
    ]


def is_equal(document: RenderedDocument, other: RenderedDocument) -> bool:
    """Whether two documents mean the same to YAML readers.

    Comments, blank lines and the kind of quotes do not count.
    """
    if document.text.rstrip() == other.text.rstrip():
        return True
    return (
        document.root is not None
        and other.root is not None
        and next(differences(document.root, other.root), None) is None
    )


def differences(node: yaml.Node | None, other: yaml.Node | None, path: Path = ()) -> Iterator[Path]:
    """The paths at which two nodes differ: the deepest paths that cover all differences.

    A list of another length, and a map with other keys, differs as a whole.
    """
    if isinstance(node, yaml.MappingNode) and isinstance(other, yaml.MappingNode):
        both_entries = _entries(node), _entries(other)
        if list(both_entries[0]) != list(both_entries[1]) and set(both_entries[0]) != set(
            both_entries[1]
        ):
            yield path
            return
        for key, child in both_entries[0].items():
            yield from differences(child, both_entries[1][key], (*path, key))
    elif (
        isinstance(node, yaml.SequenceNode)
        and isinstance(other, yaml.SequenceNode)
        and len(node.value) == len(other.value)
    ):
        if _is_reordered_list(node, other):
            yield path
            return
        for index, (left, right) in enumerate(zip(node.value, other.value, strict=True)):
            yield from differences(left, right, (*path, index))
    elif not (
        isinstance(node, yaml.ScalarNode)
        and isinstance(other, yaml.ScalarNode)
        and _scalar(node) == _scalar(other)
    ):
        yield path


def node_at(root: yaml.Node | None, path: Path) -> yaml.Node | None:
    """The node at `path`, or None."""
    node = root
    for part in path:
        if isinstance(node, yaml.MappingNode):
            node = _entries(node).get(str(part))
        elif (
            isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value)
        ):
            node = node.value[part]
        else:
            return None
    return node


def as_data(value: object) -> object:
    """A node as maps, lists and texts; a text as it is."""
    if isinstance(value, yaml.MappingNode):
        return {key: as_data(child) for key, child in _entries(value).items()}
    if isinstance(value, yaml.SequenceNode):
        return [as_data(child) for child in value.value]
    return value.value if isinstance(value, yaml.ScalarNode) else value


def with_values(
    document: RenderedDocument, wanted: Mapping[Path, tuple[str, object]]
) -> RenderedDocument:
    """The document with other values at these paths.

    Each value is its text as written elsewhere (empty: nowhere), and its node or text. A value that
    does not read as it should afterwards is not written.
    """
    for path, (written, value) in wanted.items():
        node = node_at(document.root, path)
        if node is None:
            continue
        start, end = node.start_mark.index, node.end_mark.index
        line_end = "\n" if document.text[start:end].endswith("\n") else ""
        for text in (written, json.dumps(as_data(value), ensure_ascii=False) + line_end):
            changed = replace(document, text=document.text[:start] + text + document.text[end:])
            if (
                text
                and set(differences(document.root, changed.root)) <= {path}
                and as_data(node_at(changed.root, path)) == as_data(value)
            ):
                document = changed
                break
    return document


def comparable(node: yaml.Node) -> object:
    """A node as a hashable value, equal for nodes that mean the same to YAML readers."""
    if isinstance(node, yaml.MappingNode):
        return frozenset((key, comparable(value)) for key, value in _entries(node).items())
    if isinstance(node, yaml.SequenceNode):
        return tuple(comparable(value) for value in node.value)
    return _scalar(node)


def mapping_entries(node: yaml.Node) -> Mapping[str, yaml.Node]:
    """The values of a mapping by key; empty for another node."""
    return _entries(node) if isinstance(node, yaml.MappingNode) else {}


def list_items(node: yaml.Node) -> Sequence[yaml.Node]:
    """The items of a list; empty for another node."""
    return node.value if isinstance(node, yaml.SequenceNode) else ()


def _entries(node: yaml.MappingNode) -> dict[str, yaml.Node]:
    return {
        key.value if isinstance(key, yaml.ScalarNode) else repr(comparable(key)): value
        for key, value in node.value
    }


def _is_reordered_list(node: yaml.SequenceNode, other: yaml.SequenceNode) -> bool:
    """Whether two lists have the same items in another order."""
    left, right = (
        [comparable(child) for child in node.value],
        [comparable(child) for child in other.value],
    )
    return left != right and Counter(left) == Counter(right)


def _scalar(node: yaml.Node) -> tuple[bool, str, str]:
    """Whether a scalar is plain, its tag and its value.

    Readers of YAML 1.1 and 1.2 read some plain words differently, and all quoted words alike.
    """
    return isinstance(node, yaml.ScalarNode) and not node.style, node.tag, node.value


def _text(root: yaml.Node | None, *path: str) -> str:
    node = node_at(root, path)
    return node.value if isinstance(node, yaml.ScalarNode) else ""


def _repeats(root: yaml.Node) -> bool:
    """Whether a node occurs more than once; such a document can be endless."""
    seen, waiting = set[int](), [root]
    while waiting:
        node = waiting.pop()
        if isinstance(node, yaml.CollectionNode):
            if id(node) in seen:
                return True
            seen.add(id(node))
            waiting += (
                [child for pair in node.value for child in pair]
                if isinstance(node, yaml.MappingNode)
                else node.value
            )
    return False
