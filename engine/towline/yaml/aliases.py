"""Pure.

Aliases of a YAML file: which of them repeat a node that an edit changes, and whether the edit may
do so (facts/gitops.md section 4.5).
"""

from __future__ import annotations

from collections import abc
from collections.abc import Callable, Iterator
from typing import overload

from towline.console import silent
from towline.record import frozen
from towline.yaml.marks import (
    AliasNode,
    MappingNode,
    Node,
    Path,
    ScalarNode,
    SequenceNode,
    alias_targets,
    descendants,
    is_merge_key,
)

REFUSE, ALL, OWN = "refuse", "all", "own"


@frozen
class AliasPolicy:
    """How an edit treats aliases of the node that it changes.

    `policy` is REFUSE, ALL (change the anchored text, and with it all aliases) or OWN (write a
    value in place of the one alias). `say` gets a note on each other value that an edit changes.
    """

    policy: str = REFUSE
    say: Callable[[str], None] = silent


REFUSE_ALIASES = AliasPolicy()


def dependent_aliases(root: Node, changed: Node) -> tuple[tuple[Path, AliasNode], ...]:
    """All aliases under `root` (with paths) whose value depends on `changed`.

    They may depend on it through other aliases. An alias of a merge key does not depend on it if
    the mapping that merges has the changed key itself.
    """
    targets, own_keys = alias_targets(root), _keys_over_merged(root)
    # The index of a node, and the key by which a merge key brings it in.
    frontier: set[tuple[int, str | None]] = {(changed.start.index, None)}
    reached = set[tuple[int, str | None]]()
    while frontier:
        found = set[tuple[int, str | None]]()
        for index, merging in frontier:
            for alias_index, target in targets.items():
                if not _contains(target, index):
                    continue
                key = _key_of_value(target, index, merging)
                if key not in own_keys.get(alias_index, ()):
                    found.add((alias_index, key if alias_index in own_keys else None))
        frontier = found - reached
        reached |= frontier
    if not reached:
        return ()
    indexes = {alias_index for alias_index, _ in reached}
    return tuple(
        (path, alias) for path, alias in _aliases_below(root, ()) if alias.start.index in indexes
    )


def _keys_over_merged(root: Node) -> dict[int, frozenset[str]]:
    """For each alias of a merge key, the later keys of its mapping: every parser prefers them."""
    found: dict[int, frozenset[str]] = {}
    for node in descendants(root):
        pairs = node.pairs if isinstance(node, MappingNode) else ()
        for number, (key, value) in enumerate(pairs):
            if not is_merge_key(key):
                continue
            later = [name.value for name, _ in pairs[number + 1 :] if isinstance(name, ScalarNode)]
            merged = value.items if isinstance(value, SequenceNode) else (value,)
            for node_merged in merged:
                if isinstance(node_merged, AliasNode):
                    found[node_merged.start.index] = frozenset(later)
    return found


def _key_of_value(node: Node, index: int, merging: str | None) -> str | None:
    """The key of a mapping whose value holds the place `index`; None if there is no such key.

    For a value of a merge key, it is the key of the merged mapping (`merging`).
    """
    for key, value in node.pairs if isinstance(node, MappingNode) else ():
        if isinstance(key, ScalarNode) and _contains(value, index):
            return merging if is_merge_key(key) else key.value
    return None


def path_of(root: Node, wanted: Node) -> Path:
    """The path of a node below `root`."""
    return next((path for path, node in _nodes(root, ()) if node is wanted), ())


def is_key(root: Node, changed: Node) -> bool:
    """Whether a node, or an alias of it, is a key of a mapping."""
    aliases = dependent_aliases(root, changed)
    indexes = {changed.start.index, *(alias.start.index for _, alias in aliases)}
    return any(
        key.start.index in indexes
        for node in descendants(root)
        if isinstance(node, MappingNode)
        for key, _ in node.pairs
    )


@overload
def resolve_alias(node: Node, targets: abc.Mapping[int, Node]) -> Node: ...
@overload
def resolve_alias(node: None, targets: abc.Mapping[int, Node]) -> None: ...
@overload
def resolve_alias(node: Node | None, targets: abc.Mapping[int, Node]) -> Node | None: ...
def resolve_alias(node: Node | None, targets: abc.Mapping[int, Node]) -> Node | None:
    """The node that an alias stands for; another node itself; `targets` from `alias_targets`."""
    return targets[node.start.index] if isinstance(node, AliasNode) else node


def merged_value(
    pairs: abc.Sequence[tuple[Node, Node]], key: str, targets: abc.Mapping[int, Node]
) -> Node | None:
    """The value that the merge keys among `pairs` bring in for `key`; None if they do not have it.

    The first merge key that has it counts. `targets` as `alias_targets` gives it.
    """
    values = (
        value
        for node in merged_mappings(pairs, targets)
        for name, value in node.pairs
        if isinstance(name, ScalarNode) and name.value == key
    )
    return resolve_alias(next(values, None), targets)


def merged_mappings(
    pairs: abc.Sequence[tuple[Node, Node]], targets: abc.Mapping[int, Node]
) -> Iterator[MappingNode]:
    """The mappings that the merge keys among `pairs` bring in, also by their own merge keys.

    If two of them have a key, the first one counts.
    """
    waiting, seen = [value for name, value in reversed(pairs) if is_merge_key(name)], set[int]()
    while waiting:
        found = resolve_alias(waiting.pop(), targets)
        if found.start.index in seen:
            continue
        seen.add(found.start.index)
        if isinstance(found, SequenceNode):
            waiting += reversed(found.items)
        elif isinstance(found, MappingNode):
            yield found
            waiting += [value for name, value in reversed(found.pairs) if is_merge_key(name)]


def anchors_lost(root: Node, removed: Node) -> bool:
    """Whether an alias elsewhere stands for a node inside of `removed`."""
    return any(
        _contains(removed, target.start.index) and not _contains(removed, index)
        for index, target in alias_targets(root).items()
    )


def _contains(node: Node, index: int) -> bool:
    return node.start.index <= index < max(node.end.index, node.start.index + 1)


def _aliases_below(node: Node, path: Path) -> Iterator[tuple[Path, AliasNode]]:
    """Every alias below a node with its path."""
    yield from (
        (alias_path, found)
        for alias_path, found in _nodes(node, path)
        if isinstance(found, AliasNode)
    )


def _nodes(node: Node, path: Path) -> Iterator[tuple[Path, Node]]:
    """Every node below a node with its path; a key has the path of its pair."""
    yield path, node
    for key, value in node.pairs if isinstance(node, MappingNode) else ():
        child_path = (*path, key.value) if isinstance(key, ScalarNode) else path
        yield from (*_nodes(key, child_path), *_nodes(value, child_path))
    for number, item in enumerate(node.items if isinstance(node, SequenceNode) else ()):
        yield from _nodes(item, (*path, number))
