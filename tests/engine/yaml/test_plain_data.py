from __future__ import annotations

import pytest

from towline.yaml.plain_data import (
    first_mapping,
    list_at,
    load_documents,
    load_template,
    map_at,
    maps_at,
    text_at,
    texts_at,
    texts_below,
    value_at,
)


@pytest.mark.parametrize(
    ("text", "documents"),
    [
        (
            "tag: 1.10\nother: 0x1F\nday: 2026-01-02\non: yes\nnone: ~\nempty:\n",
            [
                {
                    "tag": "1.10",
                    "other": "0x1F",
                    "day": "2026-01-02",
                    "on": "yes",
                    "none": None,
                    "empty": None,
                }
            ],
        ),
        ("a: 1\n---\n---\n- b\n", [{"a": "1"}, ["b"]]),
        (
            "x: &x {a: 1, b: 2}\ny: {<<: *x, b: 3}\n",
            [{"x": {"a": "1", "b": "2"}, "y": {"a": "1", "b": "3"}}],
        ),
        (
            "x: !Sub ${a}\ny: !!int 010\nz: !thing {a: b}\n",
            [{"x": "${a}", "y": "010", "z": {"a": "b"}}],
        ),
        ('{"a": null, "b": 1.50}', [{"a": None, "b": "1.50"}]),
    ],
)
def test_every_text_is_as_it_is_written(text: str, documents: list[object]) -> None:
    assert load_documents(text.encode()) == documents


NESTED = "".join(
    f"a{n}: &a{n} {'[' * 100}{f'*a{n - 1}' if n else ''}{']' * 100}\n" for n in range(10)
).encode()


MERGED = "".join(
    f"a{n}: &a{n} {{{f'<<: [*a{n - 1}, *a{n - 1}]' if n else 'x: y'}}}\n" for n in range(60)
).encode()


@pytest.mark.parametrize(
    "data",
    [
        MERGED,
        b"a: [",
        b"\xff",
        b"{{ if .x }}\na: b\n",
        b"? {a: b}\n: c\n",
        b"a: &a {b: *a}\n",
        b"&a [*a]\n",
        NESTED,
    ],
)
def test_what_cannot_be_read_is_none(data: bytes) -> None:
    assert load_documents(data) is None


def test_a_template_is_read_with_words_in_its_place() -> None:
    documents = load_template(b"{{- if .x }}\na: {{ .Values.a }}:1\nb: c/d:2\n{{- end }}\n")
    assert documents is not None
    assert documents[0]["b"] == "c/d:2"
    assert load_template(b"a: {{\nb: }}c\n") is None
    assert load_template(b"\xff") is None


def test_what_aliases_repeat_is_read() -> None:
    assert load_documents(b"a: &a [x]\nb: [*a, *a]\n") == [{"a": ["x"], "b": [["x"], ["x"]]}]


def test_what_aliases_multiply_is_read() -> None:
    lists = "".join(f"a{n}: &a{n} [{f'*a{n - 1}, *a{n - 1}' if n else 'x'}]\n" for n in range(60))
    read = first_mapping(lists.encode())
    assert read["a59"][0] is read["a59"][1] is read["a58"]


def test_the_first_document_is_a_map_or_nothing() -> None:
    assert first_mapping(b"a: 1\n---\nb: 2\n") == {"a": "1"}
    assert [first_mapping(data) for data in (b"", b"- a\n", b"a: [")] == [{}, {}, {}]


def test_a_path_leads_to_a_text_a_map_or_a_list_and_else_to_nothing() -> None:
    values = {"a": {"b": "c", "d": ["e", {"f": "g"}], "n": None}}
    assert (
        value_at(values, "a", "n") is value_at(values, "a", "b", "c") is value_at(None, "a") is None
    )
    assert text_at(values, "a", "b") == "c"
    assert text_at(values, "a", "b", "c") == text_at(values, "a") == text_at(["a"], "a") == ""
    assert map_at(values) == values
    assert map_at(values, "a", "b") == map_at(values, "x") == {}
    assert list_at(values, "a", "d") == ["e", {"f": "g"}]
    assert maps_at(values, "a", "d") == [{"f": "g"}]
    assert list_at(values, "a") == maps_at("a") == []
    assert texts_at(values, "a") == {"b": "c"}
    assert texts_at(values, "a", "b") == {}


def test_each_text_comes_once_and_in_order_with_its_path() -> None:
    documents = load_documents(b"a: &a [x, {b: y}]\nc: *a\nd: z\n---\nw\n")
    assert list(texts_below(documents)) == [
        ((0, "a", 0), "x"),
        ((0, "a", 1, "b"), "y"),
        ((0, "d"), "z"),
        ((1,), "w"),
    ]
