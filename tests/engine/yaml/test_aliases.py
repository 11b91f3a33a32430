from __future__ import annotations

import pytest

from towline.yaml.aliases import anchors_lost, dependent_aliases, is_key, merged_value, path_of
from towline.yaml.edit import path_text
from towline.yaml.marks import (
    MappingNode,
    Node,
    Path,
    ScalarNode,
    SequenceNode,
    alias_targets,
    descendants,
    parse,
)

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
        assert isinstance(node, MappingNode)
        node = next(
            value for key, value in node.pairs if isinstance(key, ScalarNode) and key.value == part
        )
    return node


@pytest.mark.parametrize(
    ("text", "path", "expected"),
    [
        ("a: &a {k: 1, l: 2}\nb: {<<: *a, k: 3}\n", ("a", "k"), []),
        ("a: &a {k: 1, l: 2}\nb: {<<: *a, k: 3}\n", ("a", "l"), ["b.<<"]),
        ("a: &a {k: 1, l: 2}\nb: {<<: *a, k: 3}\n", ("a",), ["b.<<"]),
        ("a: &a {k: 1}\nb: {k: 3, <<: *a}\n", ("a", "k"), ["b.<<"]),  # kubectl reads the later one
        (
            "a: &a {k: 1}\nb: {<<: [*a, {k: 2}], k: 3}\nc: &c {<<: *a}\nd: {<<: *c, k: 2}\n",
            ("a", "k"),
            ["c.<<"],
        ),
        ("a: &a {k: &k {l: 1}}\nb: {<<: *a, k: {<<: *k, l: 2}}\n", ("a", "k", "l"), []),
        ("a: &a {k: &k {l: 1}}\nb: {<<: *a, k: {<<: *k}}\n", ("a", "k", "l"), ["b.k.<<"]),
        ("a: &a\n  k: 1\nb:\n  <<: *a\n  k: 2\nc: *a\n", ("a", "k"), ["c"]),
    ],
)
def test_a_merge_key_whose_mapping_has_the_key_itself_is_no_user(
    text: str, path: Path, expected: list[str]
) -> None:
    root = root_of(text)
    assert [
        path_text(place) for place, _ in dependent_aliases(root, at(root, *map(str, path)))
    ] == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (("a", "image"), ["b", "c.image", "d.<<", "g[0]", "g[1]", "key"]),
        (("a", "other"), ["b", "d.<<", "g[0]"]),
        (("a",), ["b", "d.<<", "g[0]"]),
        (("d", "e", "f"), ["g[0]"]),
        (("c",), []),
        (("g",), []),
    ],
)
def test_the_users_of_a_place_are_those_of_all_that_it_stands_in(
    path: tuple[str, ...], expected: list[str]
) -> None:
    root = root_of(TEXT)
    assert [path_text(place) for place, _ in dependent_aliases(root, at(root, *path))] == expected


def test_a_name_that_is_given_twice_has_the_users_behind_it() -> None:
    root = root_of("a: &x 1\nb: *x\nc: &x 2\nd: *x\n")
    assert [path_text(place) for place, _ in dependent_aliases(root, at(root, "a"))] == ["b"]
    assert [path_text(place) for place, _ in dependent_aliases(root, at(root, "c"))] == ["d"]


def test_an_anchor_without_a_value_has_users_too() -> None:
    root = root_of("a: &x\nb: *x\n")
    assert [path_text(place) for place, _ in dependent_aliases(root, at(root, "a"))] == ["b"]


def test_aliases_that_turn_in_a_circle_end() -> None:
    root = root_of("a: &a [*a, &b {c: *a, d: 1}]\ne: *b\n")
    items = at(root, "a")
    assert isinstance(items, SequenceNode)
    assert [path_text(place) for place, _ in dependent_aliases(root, items.items[1])] == [
        "a[0]",
        "a[1].c",
        "e",
    ]


@pytest.mark.parametrize(
    ("path", "lost"), [(("a",), True), (("d",), True), (("c",), False), (("g",), False)]
)
def test_what_is_removed_takes_its_anchors_along(path: tuple[str, ...], lost: bool) -> None:
    root = root_of(TEXT)
    assert anchors_lost(root, at(root, *path)) == lost


def test_an_anchor_that_only_what_is_removed_uses_is_not_missed() -> None:
    root = root_of("a: {b: &x 1, c: *x}\n")
    assert not anchors_lost(root, at(root, "a"))


def scalar(root: Node, value: str) -> Node:
    return next(
        node for node in descendants(root) if isinstance(node, ScalarNode) and node.value == value
    )


@pytest.mark.parametrize(
    ("value", "path"), [("one", ("a", "image")), ("two", ("d", "e", "f")), ("key", ("key",))]
)
def test_a_node_stands_at_its_own_path(value: str, path: Path) -> None:
    root = root_of(TEXT)
    assert path_of(root, scalar(root, value)) == path


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a: &a old\nb: *a\n", False),
        ("a: &a old\nb: {*a : 1}\n", True),
        ("&a old: 1\nb: *a\n", True),
        ("a: &a old\n&b c: *a\nd: *b\n", False),
    ],
)
def test_a_text_is_a_key_by_an_alias_or_by_itself(text: str, found: bool) -> None:
    root = root_of(text)
    assert is_key(root, scalar(root, "old")) is found


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("<<: {k: x}", "x"),
        ("k: own", None),
        ("<<: [{a: 1}, {k: x}, {k: y}]", "x"),
        ("a: &a {<<: {k: x}}\n<<: *a", "x"),
        ("a: &a [{k: x}]\n<<: *a", "x"),
        ("a: &a x\n<<: {k: *a}", "x"),
        ("<<: {k: own, <<: {k: x}}", "own"),
        ("a: &a {<<: *a, b: 1}\n<<: [*a, *a]", None),
        ("<<: text", None),
        ("'<<': {k: x}", None),
    ],
)
def test_the_first_that_a_merge_key_brings_in_counts(text: str, says: str | None) -> None:
    root = root_of(text)
    assert isinstance(root, MappingNode)
    found = merged_value(root.pairs, "k", alias_targets(root))
    assert (found.value if isinstance(found, ScalarNode) else None) == says
