from __future__ import annotations

import math

import pytest
import yaml

from towline.gitops.validate import expanded_size


def composed(text: str) -> yaml.Node:
    node = yaml.compose(text)
    assert node
    return node


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("a", 1),
        ("[a, b]", 3),
        ("{a: b}", 3),
        ("[&a [x], *a]", 5),
        ("[&a {k: v}, *a, *a]", 10),
        ("[&a [&b [x], *b], *a, *b]", 13),
        ("&a [*a]", math.inf),
        ("{a: &a {b: {c: *a}}}", math.inf),
        ("&a {*a : 1}", math.inf),
    ],
)
def test_each_node_counts_as_often_as_it_is_met(text: str, size: float) -> None:
    assert expanded_size(composed(text)) == size


def test_many_levels_are_counted_at_once() -> None:
    text = "&a0 [x]"
    for level in range(1, 90):
        text = f"&a{level} [{text}, *a{level - 1}]"
    assert expanded_size(composed(text)) == 3 * 2**89 - 1
