from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from towline.config.schema import TYPES
from towline.config.values import EXPECTED, HOW_TO_WRITE, ZERO, coerce
from towline.yaml.plain_scalar import resolve_plain

json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        ("text", "string", "text"),
        (300, "string", "300"),
        (-3, "string", "-3"),
        (1.1, "string", "1.1"),
        (1.0, "string", "1"),
        (1e3, "string", "1000"),
        (20240101, "string", "20240101"),
        (1234567.5, "string", "1234567.5"),
        (2.0**53 - 1, "string", "9007199254740991"),
        (2**63, "string", "9223372036854775808"),
        (True, "boolean", True),
        ("TRUE", "boolean", True),
        ("False", "boolean", False),
        (5, "integer", 5),
        (5.0, "integer", 5),
        ("300", "integer", 300),
        ("-7", "integer", -7),
        ([], "list", []),
        (["a", 1, 1.5], "list", ["a", "1", "1.5"]),
        ({}, "map", {}),
        ({"a": "b", "c": 1}, "map", {"a": "b", "c": "1"}),
        ({"a": [1, {}]}, "object", {"a": [1, {}]}),
        ([{"a": 1}], "objects", [{"a": 1}]),
        (resolve_plain("1.10"), "string", "1.10"),
        (resolve_plain("010"), "string", "010"),
        (resolve_plain("1.0"), "string", "1.0"),
        (resolve_plain("18446744073709551617"), "string", "18446744073709551617"),
        (resolve_plain("0x1F"), "integer", 31),
        ([resolve_plain("1_000"), resolve_plain("72225e2")], "list", ["1_000", "72225e2"]),
        ({"a": resolve_plain("0o10")}, "map", {"a": "0o10"}),
    ],
)
def test_a_value_becomes_what_its_parameter_is(value: object, kind: str, expected: object) -> None:
    found = coerce(value, kind)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (True, "string"),
        ([], "string"),
        ({}, "string"),
        (1e21, "string"),
        (float("18446744073709551617"), "string"),
        (2.0**53, "string"),
        (float("20240101123456789012"), "integer"),
        (1e-9, "string"),
        (math.inf, "string"),
        (math.nan, "string"),
        ("yes", "boolean"),
        ("1", "boolean"),
        (1, "boolean"),
        ("", "boolean"),
        (5.5, "integer"),
        (True, "integer"),
        ("5.0", "integer"),
        ("x", "integer"),
        ("9" * 5000, "integer"),
        (math.inf, "integer"),
        ("a,b", "list"),
        ({}, "list"),
        ([["a"]], "list"),
        ([True], "list"),
        ("a=b", "map"),
        ([], "map"),
        ({"a": {}}, "map"),
        ([], "object"),
        ({}, "objects"),
        ([{}, "a"], "objects"),
    ],
)
def test_a_value_that_would_lose_or_gain_something_does_not_fit(value: object, kind: str) -> None:
    with pytest.raises(ValueError):
        coerce(value, kind)


@settings(deadline=None)
@given(json, st.sampled_from(TYPES))
def test_what_fits_once_fits_again_and_stays(value: object, kind: str) -> None:
    try:
        fitted = coerce(value, kind)
    except ValueError:
        return
    assert coerce(fitted, kind) == fitted
    assert type(fitted) is type(ZERO[kind])


@settings(deadline=None)
@given(
    st.integers()
    | st.floats(allow_nan=False, allow_infinity=False).filter(
        lambda number: 1e-4 <= abs(number) < 1e15
    )
)
def test_a_number_as_text_is_still_that_number(number: float) -> None:
    assert float(str(coerce(number, "string"))) == pytest.approx(number, rel=1e-15)


def test_every_type_has_an_empty_value_that_fits_and_words_for_people() -> None:
    for kind in TYPES:
        assert coerce(ZERO[kind], kind) == ZERO[kind]
        assert EXPECTED[kind]
        assert HOW_TO_WRITE[kind]
