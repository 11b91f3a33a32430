from __future__ import annotations

import math

import pytest

from towline.yaml.plain_scalar import resolve_plain


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("yes", "yes"),
        ("No", "No"),
        ("on", "on"),
        ("y", "y"),
        ("true", True),
        ("True", True),
        ("FALSE", False),
        ("tRUE", "tRUE"),
        ("null", None),
        ("~", None),
        ("NULL", None),
        ("nUll", "nUll"),
        ("", None),
        ("12", 12),
        ("-12", -12),
        ("+12", 12),
        ("0o17", 15),
        ("0755", 493),
        ("-0755", -493),
        ("0800", 800),
        ("-0899", -899),
        ("0o9", "0o9"),
        ("1__0", 10),
        ("0x1F", 31),
        ("0b101", 5),
        ("-0b1", -1),
        ("0", 0),
        ("00", 0),
        ("_1", "_1"),
        ("18446744073709551615", 2**64 - 1),
        ("18446744073709551616", 2.0**64),
        ("1.10", 1.1),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("-1.5e-3", -0.0015),
        ("1e999", "1e999"),
        ("1" * 500, "1" * 500),
        (".", "."),
        ("-", "-"),
        (".inf", math.inf),
        ("-.Inf", -math.inf),
        (".infinity", ".infinity"),
        ("2020-01-01", "2020-01-01"),
        ("2001-12-14T21:59:43Z", "2001-12-14T21:59:43Z"),
        ("12:30:45", "12:30:45"),
        ("1.2.3", "1.2.3"),
        ("sha256:12", "sha256:12"),
        ("²", "²"),
    ],
)
def test_a_plain_scalar_means_what_piper_takes_it_for(text: str, expected: object) -> None:
    found = resolve_plain(text)
    assert found == expected
    assert {type(expected), bool} & set(type(found).__mro__) == {type(expected)}
