"""Pure.

How much a YAML document comes to where every alias is replaced by what it stands for, as whoever
walks through its data meets it.
"""

from __future__ import annotations

import math

import yaml


def expanded(root: yaml.Node) -> float:
    """The nodes of a composed document, each as often as aliases repeat it; infinite where one holds itself."""
    sizes: dict[int, float] = {}
    above = set[int]()
    waiting: list[tuple[yaml.Node, bool]] = [(root, False)]
    while waiting:
        node, done = waiting.pop()
        below = _below(node)
        if done:
            above.discard(id(node))
            sizes[id(node)] = 1 + sum(sizes[id(one)] for one in below)
        elif id(node) in above:
            return math.inf
        elif id(node) not in sizes:
            above.add(id(node))
            waiting += [(node, True), *((one, False) for one in below)]
    return sizes[id(root)]


def _below(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [one for pair in node.value for one in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []
