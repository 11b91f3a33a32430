"""Pure.

What aliases share: whose meaning changes along with a place of a YAML file, and what is to become
of it (facts/gitops.md section 4.5).
"""

from __future__ import annotations

from collections import abc
from collections.abc import Callable, Iterator

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
    """What an edit does about aliases: refuses, changes the text that they stand for and so `all` of them, or writes the `own` value where one stands.

    `say` is told what a change reaches besides.
    """

    policy: str = REFUSE
    say: Callable[[str], None] = silent


REFUSE_ALIASES = AliasPolicy()


def dependent_aliases(root: Node, changed: Node) -> tuple[tuple[Path, AliasNode], ...]:
    """The aliases below `root`, with their paths, that would say something else if what stands at `changed` did; also by way of each other.

    A merge key whose mapping has the changed key itself does not.
    """
    targets, own = alias_targets(root), _own(root)
    # where, and the key by which a merge key brings it in
    places: set[tuple[int, str | None]] = {(changed.start.index, None)}
    reached = set[tuple[int, str | None]]()
    while (
        more := {
            (index, key if index in own else None)
            for place, merging in places
            for index, target in targets.items()
            if _holds(target, place)
            for key in [_key(target, place, merging)]
            if key not in own.get(index, ())
        }
        - reached
    ):
        reached |= more
        places = more
    indexes = {index for index, _ in reached}
    return (
        tuple((path, alias) for path, alias in _below(root, ()) if alias.start.index in indexes)
        if reached
        else ()
    )


def _own(root: Node) -> dict[int, frozenset[str]]:
    """For each alias that a merge key takes, the keys of its mapping behind the merge key: they win for every parser."""
    found: dict[int, frozenset[str]] = {}
    for node in descendants(root):
        pairs = node.pairs if isinstance(node, MappingNode) else ()
        for number, (key, value) in enumerate(pairs):
            if is_merge_key(key):
                own = frozenset(
                    key.value for key, _ in pairs[number + 1 :] if isinstance(key, ScalarNode)
                )
                found |= {
                    one.start.index: own
                    for one in (value.items if isinstance(value, SequenceNode) else (value,))
                    if isinstance(one, AliasNode)
                }
    return found


def _key(node: Node, place: int, merging: str | None) -> str | None:
    """The key of a mapping in whose value a place is: of what a merge key brings in, that of the other mapping; None where it has none."""
    pairs = node.pairs if isinstance(node, MappingNode) else ()
    found = next(
        (key for key, value in pairs if isinstance(key, ScalarNode) and _holds(value, place)), None
    )
    return (
        None
        if not isinstance(found, ScalarNode)
        else merging
        if is_merge_key(found)
        else found.value
    )


def path_of(root: Node, wanted: Node) -> Path:
    """Where a node below `root` stands itself."""
    return next((path for path, node in _nodes(root, ()) if node is wanted), ())


def is_key(root: Node, place: Node) -> bool:
    """Whether what stands at `place`, or an alias of it, is a key of a mapping."""
    indexes = {
        place.start.index,
        *(alias.start.index for _, alias in dependent_aliases(root, place)),
    }
    return any(
        key.start.index in indexes
        for node in descendants(root)
        if isinstance(node, MappingNode)
        for key, _ in node.pairs
    )


def resolve_alias(node: Node | None, targets: abc.Mapping[int, Node]) -> Node | None:
    """A node, or what it stands for where it is an alias. `targets` is what aliases stand for."""
    return targets[node.start.index] if isinstance(node, AliasNode) else node


def merged_value(
    pairs: abc.Sequence[tuple[Node, Node]], key: str, targets: abc.Mapping[int, Node]
) -> Node | None:
    """What the first of the merge keys among `pairs` that has `key` brings in; None where none does.

    `targets` is what aliases stand for.
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
    """The mappings that the merge keys among `pairs` bring in, also by way of each other; of two that have a key the first one counts."""
    left, seen = [value for name, value in reversed(pairs) if is_merge_key(name)], set[int]()
    while left:
        found = resolve_alias(left.pop(), targets)
        if found is None or found.start.index in seen:
            continue
        seen.add(found.start.index)
        if isinstance(found, SequenceNode):
            left += reversed(found.items)
        elif isinstance(found, MappingNode):
            yield found
            left += [value for name, value in reversed(found.pairs) if is_merge_key(name)]


def anchors_lost(root: Node, removed: Node) -> bool:
    """Whether an alias elsewhere stands for something inside of `removed`."""
    return any(
        _holds(removed, target.start.index) and not _holds(removed, index)
        for index, target in alias_targets(root).items()
    )


def _holds(node: Node, place: int) -> bool:
    return node.start.index <= place < max(node.end.index, node.start.index + 1)


def _below(node: Node, path: Path) -> Iterator[tuple[Path, AliasNode]]:
    """Every alias with its path."""
    yield from (
        (place, found) for place, found in _nodes(node, path) if isinstance(found, AliasNode)
    )


def _nodes(node: Node, path: Path) -> Iterator[tuple[Path, Node]]:
    """Every node with its path, that of its pair where it is a key."""
    yield path, node
    for key, value in node.pairs if isinstance(node, MappingNode) else ():
        place = (*path, key.value) if isinstance(key, ScalarNode) else path
        yield from (*_nodes(key, place), *_nodes(value, place))
    for number, item in enumerate(node.items if isinstance(node, SequenceNode) else ()):
        yield from _nodes(item, (*path, number))
