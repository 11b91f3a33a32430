from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towline.config.values import RepeatedValue, join_texts, parse_text, repeated_key
from towline.literals import text_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a,b", ["a", "b"]),
        (" a , b,\nc,", ["a", "b", "c"]),
        ('"a,b",c', ["a,b", "c"]),
        ('["a", "b,c"]', ["a", "b,c"]),
        ("[]", []),
        ("p[name=a,b].c,d[0]", ["p[name=a,b].c", "d[0]"]),
        ("[::1]:5000,[::1]", ["[::1]:5000", "[::1]"]),
        ("[::1]", ["[::1]"]),
        ("[::1],[::2]", ["[::1]", "[::2]"]),
        ("a[b,c", ["a[b", "c"]),
        ("{{ x }},{y,z}", ["{{ x }}", "{y", "z}"]),
    ],
)
def test_a_list_is_json_or_has_commas(text: str, expected: list[str]) -> None:
    assert parse_text("list", text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("k=v,k2=v2", {"k": "v", "k2": "v2"}),
        ("k=v=w", {"k": "v=w"}),
        ("p[name=image.tag].value=tag", {"p[name=image.tag].value": "tag"}),
        ("p[name=a,b].value=x,q[0]=y", {"p[name=a,b].value": "x", "q[0]": "y"}),
        ("a[b=c][d=e]=f[g=h]", {"a[b=c][d=e]": "f[g=h]"}),
        (
            '{"p[name=image.tag].value": "tag", "b": "c=d,e"}',
            {"p[name=image.tag].value": "tag", "b": "c=d,e"},
        ),
        ("{}", {}),
        ("k=", {"k": ""}),
        (" k = v , k2 =v2 ", {"k": "v", "k2": "v2"}),
    ],
)
def test_a_map_is_json_or_has_equals_signs(text: str, expected: dict[str, str]) -> None:
    assert parse_text("map", text) == expected


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("map", "k"),
        ("map", "=v"),
        ("map", "k=v, =v"),
        ("map", "k=v,k2"),
        ("map", "p[name=x]"),
        ("map", '{"a": "x=y"'),
        ("map", '["a=b"]'),
        ("map", "[a=b]"),
        ("list", "[a, b]"),
        ("list", "[a:1, b:2]"),
        ("list", "['a', 'b']"),
        ("list", "[a]"),
        ("object", "a=b"),
        ("objects", '{"a": 1}'),
        ("object", "[1]"),
    ],
)
def test_what_is_neither_stays_the_text_and_fits_nothing(kind: str, text: str) -> None:
    assert parse_text(kind, text) == text


@pytest.mark.parametrize(
    ("kind", "text", "key"),
    [
        ("map", '{"a": "1", "b": "2", "a": "3"}', "a"),
        ("map", "a=1,b=2,a=3", "a"),
        ("map", "a=1, a =2", "a"),
        ("map", "p[name=x,y].z=1,p[name=x,y].z=2", "p[name=x,y].z"),
        ("object", '{"x": {"a": 1, "a": 1}}', "a"),
        ("objects", '[{"filePath": "a"}, {"filePath": "b", "filePath": "c"}]', "filePath"),
        ("list", '[{"a": 1, "a": 2}]', "a"),
    ],
)
def test_a_key_that_occurs_twice_fits_nothing_since_one_of_its_values_would_be_lost(
    kind: str, text: str, key: str
) -> None:
    assert (parse_text(kind, text), repeated_key(text)) == (text, key)


@pytest.mark.parametrize(
    "text",
    ["a=1,b=1", '{"a": {"b": 1}, "b": {"a": 1}}', "p[name=a,name=a].x=1", "a", "", "{", '"a'],
)
def test_no_key_occurs_twice(text: str) -> None:
    assert repeated_key(text) == ""


def test_maps_of_anything_come_as_json() -> None:
    assert parse_text("objects", '[{"filePath": "a.yaml"}]') == [{"filePath": "a.yaml"}]
    assert parse_text("object", '{"a": {"b": [1]}}') == {"a": {"b": [1]}}


def test_a_number_in_json_is_the_text_that_is_written() -> None:
    found = parse_text("map", '{"tag": 1.10}')
    assert isinstance(found, dict)
    assert text_of(found["tag"]) == "1.10"


@pytest.mark.parametrize(
    ("kind", "text"), [("string", "a,b"), ("integer", "3"), ("boolean", "true"), ("", "[1]")]
)
def test_other_kinds_are_their_text(kind: str, text: str) -> None:
    assert parse_text(kind, text) == text
    assert join_texts(kind, ["x", text]) == text


def test_a_flag_that_is_repeated_has_all_that_was_given() -> None:
    assert join_texts("list", ["a,b", '["c,d"]', "e"]) == ["a", "b", "c,d", "e"]
    assert join_texts("map", ["a=b,c=d", '{"e": "f", "c": "d"}', "a=b"]) == {
        "a": "b",
        "c": "d",
        "e": "f",
    }
    assert join_texts("map", ['{"a": 1.10}', '{"a": 1.10}']) == {"a": 1.1}
    assert join_texts("map", ["a=b", "wrong"]) == "wrong"


@pytest.mark.parametrize(
    ("kind", "texts", "key", "values"),
    [
        ("map", ["a=1", "b=1", "a=2"], "a", ("1", "2")),
        ("map", ["a=1,b=2", '{"b": "3"}'], "b", ("2", "3")),
        ("map", ["a=", "a=1"], "a", ("", "1")),
        ("map", ['{"a": 1.10}', '{"a": 1.1}'], "a", (1.1, 1.1)),
        ("map", ['{"a": 1}', '{"a": true}'], "a", (1, True)),
        ("object", ['{"a": {"b": 1}}', '{"a": {"c": 1}}'], "a", ({"b": 1}, {"c": 1})),
    ],
)
def test_a_key_that_is_given_twice_has_one_value(
    kind: str, texts: list[str], key: str, values: tuple[object, object]
) -> None:
    with pytest.raises(RepeatedValue) as caught:
        join_texts(kind, texts)
    assert (caught.value.key, caught.value.values) == (key, values)


@given(st.lists(st.text(min_size=1)))
def test_a_list_as_json_is_itself(items: list[str]) -> None:
    assert parse_text("list", json.dumps(items)) == items


@given(st.dictionaries(st.text(), st.text()))
def test_a_map_as_json_is_itself(items: dict[str, str]) -> None:
    assert parse_text("map", json.dumps(items)) == items
