"""Pure.

The documents of a YAML file as maps, lists and texts, each text as it is written: a tag `1.10` is
no number; and what stands at a path of keys.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import yaml

from towline.errors import RenderError
from towline.yaml.documents import is_nested_deeper
from towline.yaml.source import mask_templates

_DEEP = 900  # levels; Python itself knows a thousand
_MOST = 1_000_000  # entries of a map, those that merge keys bring into it one by one


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # libyaml where it is there
    """Knows merge keys and null, nothing else; what a tag says of a value is left out."""


def _plain(loader: Any, node: Any) -> Any:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    return (
        loader.construct_sequence(node, deep=True)
        if isinstance(node, yaml.SequenceNode)
        else loader.construct_scalar(node)
    )


_KNOWN = ("tag:yaml.org,2002:merge", "tag:yaml.org,2002:null")
_Loader.yaml_implicit_resolvers = {
    sign: kept
    for sign, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    if (kept := [one for one in known if one[0] in _KNOWN])
}
_Loader.yaml_constructors = {
    None: _plain,
    **{
        tag: made
        for tag, made in yaml.SafeLoader.yaml_constructors.items()
        if tag in {f"tag:yaml.org,2002:{kind}" for kind in ("null", "map", "seq", "str")}
    },
}


@lru_cache(maxsize=2)
def load_documents(data: bytes) -> list[Any] | None:
    """The documents of a file, to read only: one after the other ask of the same; None where they cannot be read, as those of a chart's template."""
    return _documents(data)


def first_mapping(data: bytes) -> dict[str, Any]:
    """The first document of a file, to read only; empty where it cannot be read, or is no map."""
    documents = load_documents(data) or [None]
    return documents[0] if isinstance(documents[0], dict) else {}


def value_at(values: Any, *path: object) -> Any:
    """What maps have at a path of keys; None where nothing is."""
    for key in path:
        values = values.get(key) if isinstance(values, Mapping) else None
    return values


def text_at(values: Any, *path: object) -> str:
    """The text at a path; empty where none is."""
    found = value_at(values, *path)
    return found if isinstance(found, str) else ""


def map_at(values: Any, *path: object) -> Mapping[str, Any]:
    """The map at a path; empty where none is."""
    found = value_at(values, *path)
    return found if isinstance(found, Mapping) else {}


def list_at(values: Any, *path: object) -> list[Any]:
    """The list at a path; empty where none is."""
    found = value_at(values, *path)
    return found if isinstance(found, list) else []


def maps_at(values: Any, *path: object) -> list[dict[str, Any]]:
    """The maps in the list at a path."""
    return [one for one in list_at(values, *path) if isinstance(one, dict)]


def texts_at(values: Any, *path: object) -> dict[str, str]:
    """The texts in the map at a path, by their keys."""
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
        below = node.items() if isinstance(node, dict) else enumerate(node)
        waiting += reversed([((*path, step), value) for step, value in below])


def load_template(data: bytes) -> list[Any] | None:
    """As `load`, of a chart's template with words in place of `{{ }}`."""
    try:
        return _documents(mask_templates("", data.decode()))
    except (ValueError, RenderError):
        return None


def _documents(text: bytes | str) -> list[Any] | None:
    if is_nested_deeper(text if isinstance(text, str) else text.decode("utf-8", "replace"), _DEEP):
        return None
    repeats = ("*" if isinstance(text, str) else b"*") in text  # type: ignore[operator]
    try:
        loader = _Loader(text)
        try:
            found = []
            while loader.check_node():
                node = loader.get_node()
                if repeats and _too_much(node):
                    return None
                found.append(loader.construct_document(node))
        finally:
            loader.dispose()
    except (yaml.YAMLError, ValueError, RecursionError):
        return None
    return [document for document in found if document is not None]


def _too_much(root: yaml.Node) -> bool:
    """Whether aliases make of it more levels than are read, merge keys a map of more entries, or it holds a circle, which no tool takes."""
    known: dict[int, tuple[int, int]] = {}  # levels, and entries of the map
    above = set[int]()
    waiting: list[tuple[yaml.Node, bool]] = [(root, False)]
    while waiting:
        node, done = waiting.pop()
        if not isinstance(node, yaml.CollectionNode) or id(node) in known:
            continue
        below = _children(node)
        if done:
            above.discard(id(node))
            levels = 1 + max((known.get(id(one), (0, 0))[0] for one in below), default=0)
            entries = sum(known.get(id(one), (0, 0))[1] for one in _merged(node))
            entries += len(node.value) if isinstance(node, yaml.MappingNode) else 0
            known[id(node)] = levels, entries
            if levels > _DEEP or (isinstance(node, yaml.MappingNode) and entries > _MOST):
                return True
        elif id(node) in above:
            return True
        else:
            above.add(id(node))
            waiting += [(node, True), *((one, False) for one in below)]
    return False


def _children(node: yaml.CollectionNode) -> list[yaml.Node]:
    """What a map or a list holds, keys too."""
    held: list[Any] = node.value
    return [one for pair in held for one in pair] if isinstance(node, yaml.MappingNode) else held


def _merged(node: yaml.CollectionNode) -> list[yaml.Node]:
    """What brings its entries into a map, or, if this is a list, into the map that merges the list."""
    held: list[Any] = node.value
    if isinstance(node, yaml.MappingNode):
        return [value for key, value in held if key.tag == _KNOWN[0]]
    return held
