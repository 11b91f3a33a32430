from __future__ import annotations

import pytest

from towline.gitops.aliases import anchors_lost, users
from towline.gitops.document import spell
from towline.yaml_marks import Mapping, Node, Scalar, Sequence, parse

TEXT = """\
a: &a {image: &i one, other: x}
b: *a
c: {image: *i}
d: &d
  <<: *a
  e: {f: two}
g: [*d, *i]
&k key: *i
h: *k
"""


def root_of(text: str) -> Node:
    root = parse(text)[0].root
    assert root is not None
    return root


def at(node: Node, *path: str) -> Node:
    for part in path:
        assert isinstance(node, Mapping)
        node = next(value for key, value in node.pairs if isinstance(key, Scalar) and key.value == part)
    return node


@pytest.mark.parametrize(("path", "expected"), [
    (("a", "image"), ["b", "c.image", "d.<<", "g[0]", "g[1]", "key"]),
    (("a", "other"), ["b", "d.<<", "g[0]"]),
    (("a",), ["b", "d.<<", "g[0]"]),
    (("d", "e", "f"), ["g[0]"]),
    (("c",), []),
    (("g",), []),
])
def test_the_users_of_a_place_are_those_of_all_that_it_stands_in(path: tuple[str, ...], expected: list[str]) -> None:
    root = root_of(TEXT)
    assert [spell(place) for place, _ in users(root, at(root, *path))] == expected


def test_a_name_that_is_given_twice_has_the_users_behind_it() -> None:
    root = root_of("a: &x 1\nb: *x\nc: &x 2\nd: *x\n")
    assert [spell(place) for place, _ in users(root, at(root, "a"))] == ["b"]
    assert [spell(place) for place, _ in users(root, at(root, "c"))] == ["d"]


def test_an_anchor_without_a_value_has_users_too() -> None:
    root = root_of("a: &x\nb: *x\n")
    assert [spell(place) for place, _ in users(root, at(root, "a"))] == ["b"]


def test_aliases_that_turn_in_a_circle_end() -> None:
    root = root_of("a: &a [*a, &b {c: *a, d: 1}]\ne: *b\n")
    items = at(root, "a")
    assert isinstance(items, Sequence)
    assert [spell(place) for place, _ in users(root, items.items[1])] == ["a[0]", "a[1].c", "e"]


@pytest.mark.parametrize(("path", "lost"), [(("a",), True), (("d",), True), (("c",), False), (("g",), False)])
def test_what_is_removed_takes_its_anchors_along(path: tuple[str, ...], lost: bool) -> None:  # noqa: FBT001
    root = root_of(TEXT)
    assert anchors_lost(root, at(root, *path)) == lost


def test_an_anchor_that_only_what_is_removed_uses_is_not_missed() -> None:
    root = root_of("a: {b: &x 1, c: *x}\n")
    assert not anchors_lost(root, at(root, "a"))
