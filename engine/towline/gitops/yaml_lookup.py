"""Pure.

Look-ups in a parsed YAML file: the texts of a map, the resource that a path belongs to, and the
keys that may hold an image.
"""

from __future__ import annotations

from collections import abc
from collections.abc import Iterator

from towline.yaml.aliases import merged_mappings, resolve_alias
from towline.yaml.edit import path_text
from towline.yaml.marks import MappingNode, Node, Path, ScalarNode, SequenceNode, is_merge_key
from towline.yaml.plain_scalar import resolve_plain
from towline.yaml.source import YamlSource

_IMAGE_KEYS = ("tag", "repository")


def map_texts(source: YamlSource, document: int, path: Path) -> dict[str, str]:
    """The texts of the map at a path, with those that merge keys bring in; null is an empty text.

    There are none if the path leads to something else than a map.
    """
    node, targets = _node_at(source, document, path)
    if not isinstance(node, MappingNode):
        return {}
    own = {
        key.value: resolve_alias(value, targets)
        for key, value in node.pairs
        if isinstance(key, ScalarNode)
    }
    merged: dict[str, Node | None] = {}
    for mapping in merged_mappings(node.pairs, targets):
        for key, value in mapping.pairs:
            if isinstance(key, ScalarNode) and not is_merge_key(key):
                merged.setdefault(key.value, resolve_alias(value, targets))
    return {
        key: _text(source, value)
        for key, value in (merged | own).items()
        if isinstance(value, ScalarNode)
    }


def scalar_text(source: YamlSource, document: int, path: Path) -> str:
    """The text at a path; empty if there is none."""
    return map_texts(source, document, path[:-1]).get(str(path[-1]), "")


def document_texts(source: YamlSource, document: int) -> Iterator[tuple[Path, str]]:
    """Each text of a document with its path.

    A text that aliases repeat comes once, where it is written.
    """
    root = source.documents[document].root
    for path, node in _scalars_below(root, ()) if root else ():
        yield path, _text(source, node)


def _text(source: YamlSource, node: ScalarNode) -> str:
    text = source.shown(node)
    is_null = not node.style and node.tag is None and resolve_plain(text) is None
    return "" if is_null else text


def line_at(source: YamlSource, document: int, path: Path) -> str:
    """`file:line` of the node at a path; empty if there is no node."""
    node, _ = _node_at(source, document, path)
    return source.where(node.start) if node else ""


def resource_at(source: YamlSource, document: int, path: Path) -> str:
    """`kind/namespace/name`, or `kind/name`, of the innermost resource around a path.

    Empty for none.
    """
    for length in range(len(path), -1, -1):
        kind = map_texts(source, document, path[:length]).get("kind", "")
        metadata = map_texts(source, document, (*path[:length], "metadata"))
        name, namespace = metadata.get("name", ""), metadata.get("namespace", "")
        if kind and name:
            return f"{kind}/{namespace}/{name}" if namespace else f"{kind}/{name}"
    return ""


def image_key_paths(source: YamlSource) -> list[str]:
    """Dotted paths of texts whose key names an image, tag or repository: imageName, webTag."""
    roots = [document.root for document in source.documents if document.root]
    paths = dict.fromkeys(path_text(path) for root in roots for path, _ in _scalars_below(root, ()))
    return [path for path in paths if is_image_key(path.rpartition(".")[2])]


def is_image_key(key: str) -> bool:
    """Whether the name of a key says that it holds an image or a part of an image."""
    lower = key.lower()
    return lower.endswith(_IMAGE_KEYS) or ("image" in lower and "pull" not in lower)


def _scalars_below(node: Node, path: Path) -> Iterator[tuple[Path, ScalarNode]]:
    if isinstance(node, ScalarNode):
        yield path, node
    for key, value in node.pairs if isinstance(node, MappingNode) else ():
        if isinstance(key, ScalarNode):
            yield from _scalars_below(value, (*path, key.value))
    for number, item in enumerate(node.items if isinstance(node, SequenceNode) else ()):
        yield from _scalars_below(item, (*path, number))


def _node_at(
    source: YamlSource, document: int, path: Path
) -> tuple[Node | None, abc.Mapping[int, Node]]:
    """The node at a path with aliases followed, and the node of each alias of its document."""
    node: Node | None = source.documents[document].root
    targets = source.targets(node)
    for part in path:
        node = _child(resolve_alias(node, targets), part)
    return resolve_alias(node, targets), targets


def _child(node: Node | None, part: str | int) -> Node | None:
    if isinstance(node, MappingNode):
        return next(
            (
                value
                for key, value in node.pairs
                if isinstance(key, ScalarNode) and key.value == part
            ),
            None,
        )
    return (
        node.items[part]
        if isinstance(node, SequenceNode) and isinstance(part, int) and part < len(node.items)
        else None
    )
