from __future__ import annotations

import pytest

from towline.errors import ConfigError, RenderError
from towline.yaml.marks import Path, ScalarNode
from towline.yaml.paths import Selector, check_missing, find_matches, parse_dotted
from towline.yaml.source import read_source


def found(text: str, dotted: str) -> list[tuple[int, Path, int]]:
    return [
        (place.document, place.path, len(place.missing))
        for place in find_matches(read_source("x.yaml", text.encode()), parse_dotted(dotted))
    ]


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("a", ("a",)),
        ("a.b-c.d_1", ("a", "b-c", "d_1")),
        (r"a\.b.c", ("a.b", "c")),
        ("a[0].b", ("a", 0, "b")),
        ("a[0][12]", ("a", 0, 12)),
        ("a[name=x.y/z].b", ("a", Selector(key="name", text="x.y/z"), "b")),
        ("a[k=]", ("a", Selector(key="k", text=""))),
        ("é b.c", ("é b", "c")),
        ("[1].b", (1, "b")),
        ("[k=x][0]", (Selector(key="k", text="x"), 0)),
    ],
)
def test_a_path_is_keys_indexes_and_selectors(text: str, steps: tuple[object, ...]) -> None:
    assert parse_dotted(text) == steps


@pytest.mark.parametrize(
    "text", ["", ".", "a.", ".a", "a..b", "[]", "[0]a", "a[", "a[x]", "a[0]b", "a]", "a[0", "a\\"]
)
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a path"):
        parse_dotted(text)


@pytest.mark.parametrize(
    ("text", "dotted", "path"),
    [
        ("a: {b: {c: 1}}", "a.b.c", ("a", "b", "c")),
        ("a.b: 1", "a.b", ("a.b",)),
        ("a: {b: 1}\na.b: 2", "a.b", ("a", "b")),
        ("a: {b: 1}\na.b: 2", r"a\.b", ("a.b",)),
        ("a: {x: 1}\na.b: {c: 2}", "a.b.c", ("a.b", "c")),
        ("a: [{n: x}, {n: y, v: 1}]", "a[n=y].v", ("a", 1, "v")),
        ("a: [[1, 2]]", "a[0][1]", ("a", 0, 1)),
    ],
)
def test_a_path_leads_to_its_place(text: str, dotted: str, path: Path) -> None:
    assert found(text, dotted) == [(0, path, 0)]


def test_of_several_documents_all_that_have_it_count_else_the_one_that_comes_nearest() -> None:
    assert found("a: 1\n---\nb: {c: 1}\n---\na: 2\n", "a") == [(0, ("a",), 0), (2, ("a",), 0)]
    assert found("a: 1\n---\nb: {c: 1}\n", "b.d") == [(1, ("b",), 1)]
    assert found("# nothing\n", "a") == []
    with pytest.raises(ConfigError, match="in no document"):
        found("a: 1\n---\nb: 1\n", "c")


def test_an_alias_on_the_way_is_left_to_the_edit_to_refuse() -> None:
    assert found("x: &x {b: 1}\na: *x\n", "a.b") == [(0, ("a", "b"), 0)]


def test_an_alias_is_followed_where_that_is_wanted() -> None:
    source = read_source(
        "x.yaml", b"x: &x {b: 1, c: &c [{n: one, v: &v 2}]}\na: *x\nd: *c\ne: *v\n"
    )
    for text in ("a.b", "d[n=one].v", "d[0].v", "e"):
        (place,) = find_matches(source, parse_dotted(text), follow=True)
        assert (place.missing, type(place.node)) == ((), ScalarNode)
    (place,) = find_matches(source, parse_dotted("a.new"), follow=True)
    assert (place.path, place.missing) == (("a",), ("new",))


def test_two_items_that_fit_are_refused() -> None:
    with pytest.raises(RenderError, match="2 items fit") as caught:
        found("a: [{n: x}, {n: x}]", "a[n=x].v")
    assert caught.value.where == "x.yaml:1:13"


@pytest.mark.parametrize(
    ("text", "dotted", "says"),
    [
        ("a: [1]", "a[3]", "an item"),
        ("a: [{n: x}]", "a[n=y].v", "an item"),
        ("a: [1]", "a.b", "an item"),
        ("a: text", "a.b", "leads through a, which holds a text"),
        ("text", "a.b", "leads through the top of the file, which holds a text"),
        ("images: {tag: 1}", "image.tag", "did you mean 'images'"),
        ("image: {tags: 1}", "image.tag", "did you mean 'tags'"),
        ("image: {tag: 1}", "image.tga", "did you mean 'tag'"),
        ("x: &b {i: {t: 1}}\na:\n  <<: *b\n  c: 1\n", "a.i.t", "merge key"),
    ],
)
def test_a_key_is_not_added_where_that_is_probably_not_meant(
    text: str, dotted: str, says: str
) -> None:
    source = read_source("x.yaml", text.encode())
    (place,) = find_matches(source, parse_dotted(dotted))
    with pytest.raises((ConfigError, RenderError)) as caught:
        check_missing(place, dotted)
    assert says in f"{caught.value.message} {caught.value.hint}"
    assert caught.value.where.startswith("x.yaml:")


def test_keys_that_may_be_added_are_named() -> None:
    source = read_source("x.yaml", b"a: {b: 1}\n")
    (place,) = find_matches(source, parse_dotted("a.image.tag"))
    assert check_missing(place, "a.image.tag") == ("image", "tag")
    assert not isinstance(place.node, ScalarNode)
