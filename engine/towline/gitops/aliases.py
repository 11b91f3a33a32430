"""Pure. What aliases share: whose meaning changes along with a place of a YAML file, and what is to become of it (facts/gitops.md section 4.5)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from towline.yaml_marks import Alias, Mapping, Node, Path, Scalar, Sequence, aliases

REFUSE, ALL, OWN = "refuse", "all", "own"


def silent(_text: str) -> None:
    """Nobody listens."""


@dataclass(frozen=True, kw_only=True)
class Sharing:
    """What an edit does about aliases: refuses, changes the text that they stand for and so `all` of them, or writes the `own` value where one stands.

    `say` is told what a change reaches besides.
    """

    policy: str = REFUSE
    say: Callable[[str], None] = silent


REFUSING = Sharing()


def users(root: Node, changed: Node) -> tuple[tuple[Path, Alias], ...]:
    """The aliases below `root`, with their paths, that would say something else if what stands at `changed` did; also by way of each other."""
    targets = aliases(root)
    places, reached = {changed.start.index}, set[int]()
    while more := {index for index, target in targets.items() if any(_holds(target, place) for place in places)} - reached:
        reached |= more
        places = more
    return tuple((path, alias) for path, alias in _below(root, ()) if alias.start.index in reached) if reached else ()


def anchors_lost(root: Node, removed: Node) -> bool:
    """Whether an alias elsewhere stands for something inside of `removed`."""
    return any(_holds(removed, target.start.index) and not _holds(removed, index) for index, target in aliases(root).items())


def _holds(node: Node, place: int) -> bool:
    return node.start.index <= place < max(node.end.index, node.start.index + 1)


def _below(node: Node, path: Path) -> Iterator[tuple[Path, Alias]]:
    """Every alias with its path, that of its pair where it is a key."""
    if isinstance(node, Alias):
        yield path, node
    for key, value in node.pairs if isinstance(node, Mapping) else ():
        place = (*path, key.value) if isinstance(key, Scalar) else path
        yield from (*_below(key, place), *_below(value, place))
    for number, item in enumerate(node.items if isinstance(node, Sequence) else ()):
        yield from _below(item, (*path, number))
