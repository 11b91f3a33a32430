"""Pure.

The documents of a YAML file as mappings, lists and texts, each text as it is written (a tag `1.10`
is not a number), and lookups by a path of keys.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import yaml

from towline.errors import RenderError
from towline.yaml.documents import is_nested_deeper
from towline.yaml.source import mask_templates

_MOST_LEVELS = 900  # Python's own limit on recursion is a thousand
_MOST_ENTRIES = 1_000_000  # of a mapping, with the entries that each of its merge keys brings in


# libyaml, if it is installed.
class _PlainLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Resolves merge keys and null only; tags are ignored."""


def _construct_plain(loader: Any, node: Any) -> Any:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    return (
        loader.construct_sequence(node, deep=True)
        if isinstance(node, yaml.SequenceNode)
        else loader.construct_scalar(node)
    )


_KNOWN = ("tag:yaml.org,2002:merge", "tag:yaml.org,2002:null")
_PlainLoader.yaml_implicit_resolvers = {
    first: [resolver for resolver in resolvers if resolver[0] in _KNOWN]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_PlainLoader.yaml_constructors = {
    None: _construct_plain,
    **{
        tag: made
        for tag, made in yaml.SafeLoader.yaml_constructors.items()
        if tag in {f"tag:yaml.org,2002:{kind}" for kind in ("null", "map", "seq", "str")}
    },
}


@lru_cache(maxsize=2)
def load_documents(data: bytes) -> list[Any] | None:
    """The documents of a file, to read only; None if it cannot be read, as a chart's template.

    The result is cached, since several callers ask for the same file.
    """
    return _documents(data)


def first_mapping(data: bytes) -> dict[str, Any]:
    """The first document of a file, to read only; empty if it is not a readable mapping."""
    documents = load_documents(data) or [None]
    return documents[0] if isinstance(documents[0], dict) else {}


def value_at(values: Any, *path: object) -> Any:
    """The value at a path of keys; None if there is none."""
    for key in path:
        values = values.get(key) if isinstance(values, Mapping) else None
    return values


def text_at(values: Any, *path: object) -> str:
    """The text at a path of keys; empty if there is none."""
    found = value_at(values, *path)
    return found if isinstance(found, str) else ""


def map_at(values: Any, *path: object) -> Mapping[str, Any]:
    """The mapping at a path of keys; empty if there is none."""
    found = value_at(values, *path)
    return found if isinstance(found, Mapping) else {}


def list_at(values: Any, *path: object) -> list[Any]:
    """The list at a path of keys; empty if there is none."""
    found = value_at(values, *path)
    return found if isinstance(found, list) else []


def maps_at(values: Any, *path: object) -> list[dict[str, Any]]:
    """The mappings in the list at a path of keys."""
    return [item for item in list_at(values, *path) if isinstance(item, dict)]


def texts_at(values: Any, *path: object) -> dict[str, str]:
    """The texts in the mapping at a path of keys, by their keys."""
    return {key: text for key, text in map_at(values, *path).items() if isinstance(text, str)}


def texts_below(root: Any) -> Iterator[tuple[tuple[Any, ...], str]]:
    """Each text below plain data, in order, with its path of keys and list indexes.

    A map or list that aliases repeat is read once, where it comes first.
    """
    seen: set[int] = set()
    waiting: list[tuple[tuple[Any, ...], Any]] = [((), root)]
    while waiting:
        path, node = waiting.pop()
        if isinstance(node, str):
            yield path, node
        if not isinstance(node, dict | list) or id(node) in seen:
            continue
        seen.add(id(node))
        children = node.items() if isinstance(node, dict) else enumerate(node)
        waiting += reversed([((*path, step), value) for step, value in children])


def load_template(data: bytes) -> list[Any] | None:
    """As `load_documents`, for a chart's template: words stand in place of `{{ }}`."""
    try:
        return _documents(mask_templates("", data.decode()))
    except (ValueError, RenderError):
        return None


def _documents(text: bytes | str) -> list[Any] | None:
    if is_nested_deeper(
        text if isinstance(text, str) else text.decode("utf-8", "replace"), _MOST_LEVELS
    ):
        return None
    repeats = ("*" if isinstance(text, str) else b"*") in text  # type: ignore[operator]
    try:
        loader = _PlainLoader(text)
        try:
            found = []
            while loader.check_node():
                node = loader.get_node()
                if repeats and _is_too_large(node):
                    return None
                found.append(loader.construct_document(node))
        finally:
            loader.dispose()
    except (yaml.YAMLError, ValueError, RecursionError):
        return None
    return [document for document in found if document is not None]


def _is_too_large(root: yaml.Node) -> bool:
    """Whether a document is too deep, too large or circular with its aliases expanded.

    That is: more levels than are read, merge keys that make a mapping of more entries than are
    read, or an alias inside of its own anchor, which no tool accepts.
    """
    sizes: dict[int, tuple[int, int]] = {}  # levels, and entries of the map
    open_nodes = set[int]()
    waiting: list[tuple[yaml.Node, bool]] = [(root, False)]
    while waiting:
        node, done = waiting.pop()
        if not isinstance(node, yaml.CollectionNode) or id(node) in sizes:
            continue
        children = _children(node)
        if done:
            open_nodes.discard(id(node))
            levels = 1 + max((sizes.get(id(child), (0, 0))[0] for child in children), default=0)
            entries = sum(sizes.get(id(child), (0, 0))[1] for child in _merged(node))
            entries += len(node.value) if isinstance(node, yaml.MappingNode) else 0
            sizes[id(node)] = levels, entries
            if levels > _MOST_LEVELS or (
                isinstance(node, yaml.MappingNode) and entries > _MOST_ENTRIES
            ):
                return True
        elif id(node) in open_nodes:
            return True
        else:
            open_nodes.add(id(node))
            waiting += [(node, True), *((child, False) for child in children)]
    return False


def _children(node: yaml.CollectionNode) -> list[yaml.Node]:
    """The nodes of a mapping or a list, keys included."""
    contents: list[Any] = node.value
    if isinstance(node, yaml.MappingNode):
        return [child for pair in contents for child in pair]
    return contents


def _merged(node: yaml.CollectionNode) -> list[yaml.Node]:
    """The values of a mapping's merge keys; for a list that a mapping merges, the list's items."""
    contents: list[Any] = node.value
    if isinstance(node, yaml.MappingNode):
        return [value for key, value in contents if key.tag == _KNOWN[0]]
    return contents
