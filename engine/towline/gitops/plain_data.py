"""Pure. The documents of a YAML file as maps, lists and texts, each text as it is written: a tag `1.10` is no number; and what stands at a path of keys."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import yaml

from towline.errors import RenderError
from towline.gitops.nesting import deeper
from towline.gitops.source import masked

_DEEP = 900  # levels; Python itself knows a thousand


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
def load(data: bytes) -> list[Any] | None:
    """The documents of a file, to read only: one after the other ask of the same; None where they cannot be read, as those of a chart's template."""
    return _documents(data)


def mapping(data: bytes) -> dict[str, Any]:
    """The first document of a file, to read only; empty where it cannot be read, or is no map."""
    documents = load(data) or [None]
    return documents[0] if isinstance(documents[0], dict) else {}


def at(values: Any, *path: object) -> Any:
    """What maps have at a path of keys; None where nothing is."""
    for key in path:
        values = values.get(key) if isinstance(values, Mapping) else None
    return values


def text_at(values: Any, *path: object) -> str:
    """The text at a path; empty where none is."""
    found = at(values, *path)
    return found if isinstance(found, str) else ""


def map_at(values: Any, *path: object) -> Mapping[str, Any]:
    """The map at a path; empty where none is."""
    found = at(values, *path)
    return found if isinstance(found, Mapping) else {}


def list_at(values: Any, *path: object) -> list[Any]:
    """The list at a path; empty where none is."""
    found = at(values, *path)
    return found if isinstance(found, list) else []


def maps_at(values: Any, *path: object) -> list[dict[str, Any]]:
    """The maps in the list at a path."""
    return [one for one in list_at(values, *path) if isinstance(one, dict)]


def texts_at(values: Any, *path: object) -> dict[str, str]:
    """The texts in the map at a path, by their keys."""
    return {key: text for key, text in map_at(values, *path).items() if isinstance(text, str)}


def load_template(data: bytes) -> list[Any] | None:
    """As `load`, of a chart's template with words in place of `{{ }}`."""
    try:
        return _documents(masked("", data.decode()))
    except (ValueError, RenderError):
        return None


def _documents(text: bytes | str) -> list[Any] | None:
    if deeper(text if isinstance(text, str) else text.decode("utf-8", "replace"), _DEEP):
        return None
    try:
        found = [
            document for document in yaml.load_all(text, Loader=_Loader) if document is not None
        ]
    except (yaml.YAMLError, ValueError, RecursionError):
        return None
    return None if _too_deep(found) else found


def _too_deep(root: list[Any]) -> bool:
    """Whether aliases make of it more levels than are read, or a circle, which no tool takes."""
    levels: dict[int, int] = {}
    above = set[int]()
    waiting: list[tuple[Any, bool]] = [(root, False)]
    while waiting:
        node, done = waiting.pop()
        if not isinstance(node, dict | list) or id(node) in levels:
            continue
        below = list(node.values() if isinstance(node, dict) else node)
        if done:
            above.discard(id(node))
            levels[id(node)] = 1 + max((levels.get(id(one), 0) for one in below), default=0)
            if levels[id(node)] > _DEEP:
                return True
        elif id(node) in above:
            return True
        else:
            above.add(id(node))
            waiting += [(node, True), *((one, False) for one in below)]
    return False
