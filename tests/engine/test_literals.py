from __future__ import annotations

import copy
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towline.literals import (
    RepeatedKey,
    WrittenDate,
    from_json,
    json_object,
    json_value,
    load_json,
    text_of,
    usual_spelling,
    with_text,
)
from towline.yaml.marks import load_located


@pytest.mark.parametrize(
    "text",
    [
        "1.10",
        "010",
        "72225e2",
        "1_000",
        "0o10",
        "0x1F",
        "0b11",
        "+1",
        "-0",
        "1.0",
        "1.",
        ".5",
        "1e3",
        "5.00",
        "1.20.0e1",
        "0800",
        "-1_0.50",
    ],
)
def test_a_number_of_yaml_knows_how_it_is_written(text: str) -> None:
    value = load_located(f"a: [{text}]").value["a"][0]  # type: ignore[index]
    assert (value if isinstance(value, str) else text_of(value)) == text


@pytest.mark.parametrize(
    ("text", "read"),
    [("1.10", 1.1), ("010", 8), ("72225e2", 7222500.0), ("1_000", 1000), ("0o10", 8), ("0x1F", 31)],
)
def test_it_is_the_number_that_piper_reads_all_the_same(text: str, read: float) -> None:
    value = load_located(text).value
    assert value == read
    assert json.dumps(value) == json.dumps(read)


def test_texts_and_truth_values_stay_what_they_are() -> None:
    assert load_located("[1:30, 2024-01-01, yes, on, true, 1.2.3, null]").value == [
        "1:30",
        "2024-01-01",
        "yes",
        "on",
        True,
        "1.2.3",
        None,
    ]


@pytest.mark.parametrize(
    ("text", "usual"), [("1.0", "1"), ("1", "1"), ("1e21", "1e+21"), ("1.5", "1.5"), ("-0.0", "0")]
)
def test_other_readers_keep_the_usual_spelling_of_a_number(text: str, usual: str) -> None:
    assert usual_spelling(float(text) if set(text) & set(".e") else int(text)) == usual


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("2024-01-01", "2024-01-01T00:00:00Z"),
        ("2001-1-1", "2001-01-01T00:00:00Z"),
        ("2000-02-29", "2000-02-29T00:00:00Z"),
        ("2024-12-31", "2024-12-31T00:00:00Z"),
        ("2024-01-01 10:20:30", "a time"),
        ("2024-01-01T10:20:30Z", "a time"),
    ],
)
def test_a_date_is_its_text_and_knows_what_piper_takes_it_for(text: str, read: str) -> None:
    value = load_located(text).value
    assert isinstance(value, WrittenDate)
    assert (str(value), value.read, json.dumps(value)) == (text, read, f'"{text}"')
    assert type(str(value)) is str


@pytest.mark.parametrize(
    "text",
    [
        "2024-02-30",
        "2023-02-29",
        "1900-02-29",
        "2024-13-01",
        "2024-00-01",
        "2024-01-32",
        "24-01-01",
        "2024-01",
        "12:30:45",
        "'2024-01-01'",
        "v2024-01-01",
    ],
)
def test_a_text_that_is_not_a_date_stays_a_plain_text(text: str) -> None:
    assert type(load_located(text).value) is str


def test_numbers_of_json_know_it_too() -> None:
    data = from_json('{"a": [1.10, 20240101, 1E3, -0], "b": true}')
    assert [text_of(number) for number in data["a"]] == ["1.10", "20240101", "1E3", "-0"]
    assert data == {"a": [1.1, 20240101, 1000.0, 0], "b": True}


def test_a_copy_knows_it_too() -> None:
    value = load_located("1.10").value
    assert text_of(copy.deepcopy(value)) == "1.10"  # type: ignore[arg-type]


@given(st.integers() | st.floats(allow_nan=False))
def test_a_number_in_its_usual_spelling_is_a_plain_number(value: float) -> None:
    assert type(with_text(value, usual_spelling(value))) is type(value)
    assert with_text(value, "x") == value


def test_nan_keeps_its_spelling() -> None:
    value = load_located(".nan").value
    assert isinstance(value, float)
    assert math.isnan(value)
    assert text_of(value) == ".nan"


def test_json_in_which_a_key_occurs_twice_is_a_fault_at_any_depth() -> None:
    with pytest.raises(RepeatedKey, match="'b' stands twice"):
        from_json('{"a": [{"b": 1, "c": {"b": 1}, "b": 1}]}')


DEEP = "[" * 200_000


@pytest.mark.parametrize("text", ["", "{", "x", DEEP, b"\xff", '{"a": 1} 2'])
def test_a_text_that_is_not_json_has_no_value(text: str | bytes) -> None:
    assert json_value(text) is None
    assert json_object(text) is None
    for read in (load_json, from_json):
        with pytest.raises(ValueError):
            read(text)


def test_json_may_be_an_object_or_something_else() -> None:
    assert json_object(b'{"a": [1.10]}') == {"a": [1.1]}
    assert (json_value("[1]"), json_object("[1]"), json_object("null")) == ([1], None, None)
