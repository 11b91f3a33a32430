"""The parts that two renderings share, and whether a value of the repository has them."""

from __future__ import annotations

import pytest
import yaml

from towline.gitops.helm.fixed_parts import (
    contents,
    decode_base64,
    has_fixed_contents,
    has_fixed_text,
    is_reordered,
)


def node(text: str) -> yaml.Node:
    found = yaml.compose(text, Loader=yaml.SafeLoader)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("first", "second", "old", "fitting"),
    [
        ("a-Xx1-b", "a-Yy2-b", "a-Zz3-b", True),
        ("a1-Xx-bb", "a1-Yy-bb", "a1-Zz-cc", False),
        ("https://Xx1@h/app:2.0", "https://Yy2@h/app:2.0", "https://Zz3@h/app:1.0", False),
        ("redis://:Xx@h:6379/1", "redis://:Yy@h:6379/1", "redis://:Zz@h:6379/0", False),
        ("12:30", "12:31", "08:15", True),
        ("12:30 UTC", "12:31 UTC", "12:30 CET", False),
        ("b a", "a b", "b a", True),
        ("b a c", "a b c", "b a", False),
        ("Xx/+y==", "Yyz", "Zz+z", True),
        ("same", "same", "same", True),
    ],
)
def test_a_value_fits_if_it_has_what_the_others_have_in_common(
    first: str, second: str, old: str, fitting: object
) -> None:
    assert has_fixed_text(first, second, old) is fitting


PEM = "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n"
RANDOM_PARTS = [
    ("1796043901", "1796143901", "1796143902"),
    ("2026-10-01T10:00:00Z", "2026-11-30T13:05:01Z", "2026-11-30T13:05:02Z"),
    ("2026-10-01 10:00:00.25 +0000", "2026-11-30 13:05:01.5 +0000", "2026-12-01 12:06:02.75 +2301"),
    ("2026/10/01", "2026/11/14", "2026/11/15"),
    ("09:08", "10:11", "11:10"),
    ("Aaaa1111", "Bbbb2222", "Cccc3333"),
    ("ab+c/d==", "ef/gh==", "ij+k+l=="),
    (
        PEM.format("MIIA\nSAME\nab+c"),
        PEM.format("MIIB\nSAME\nd/ef"),
        PEM.format("MIIC\nSAME\ng+/h"),
    ),
]


@pytest.mark.parametrize(
    ("around_old", "around_new", "fitting"),
    [
        ("2.0-{}", "2.0-{}", True),
        ("2.0-{}", "2.1-{}", False),
        ("{}-2.0", "{}-2.0", True),
        ("{}-2.0", "{}-2.1", False),
        ("2.0-{}-2.0", "2.0-{}-2.0", True),
        ("2.0-{}-2.0", "2.1-{}-2.1", False),
        ("2.0-{}-2.0", "2.0-{}-2.1", False),
        ("a: 1\nb: {}\nc: 1", "a: 1\nb: {}\nc: 2", False),
        ("a: 1\nb: {}\nc: 1", "a: 1\nb: {}\nc: 1\nd: 1", False),
        ("20251111/{}", "20261111/{}", False),
        ("a <{}> b", "a <{}] b", False),
        ("a, {}", "a; {}", False),
    ],
)
@pytest.mark.parametrize("parts", RANDOM_PARTS, ids=lambda parts: parts[0][:6].strip("-"))
def test_a_change_on_any_side_of_a_random_part_is_seen(
    parts: tuple[str, str, str], around_old: str, around_new: str, fitting: object
) -> None:
    old, first, second = (
        around.format(part)
        for around, part in zip((around_old, around_new, around_new), parts, strict=True)
    )
    assert has_fixed_text(first, second, old) is fitting


def test_a_change_between_two_random_parts_is_seen() -> None:
    assert has_fixed_text("Aa1-2.0-Bb2", "Cc3-2.0-Dd4", "Ee5-2.0-Ff6")
    assert not has_fixed_text("Aa1-2.1-Bb2", "Cc3-2.1-Dd4", "Ee5-2.0-Ff6")
    assert not has_fixed_text("Aa1 > Bb2", "Cc3 > Dd4", "Ee5 < Ff6")
    assert not has_fixed_text("a: a+b\n2.1\nb: c/d/e", "a: f\n2.1\nb: g", "a: h+i\n2.0\nb: j/k")


def test_a_fixed_time_or_number_is_no_random_one() -> None:
    assert not has_fixed_text(
        "2026.12.01-1796143901", "2026.12.01-1796143902", "2026.11.01-1796043901"
    )
    assert not has_fixed_text("20261201-Aa1", "20261201-Bb2", "20261101-Cc3")
    assert not has_fixed_text("b2v1796143901", "b2v1796143902", "b1v1796043901")
    assert not has_fixed_text("1.5, 2", "2, 1.5", "1.4, 2")


def test_texts_in_base64_are_compared_by_what_they_hold() -> None:
    assert decode_base64("YTE=", "YjI=") == ["a1", "b2"]
    assert decode_base64("YTE=", "no base64") == ("YTE=", "no base64")
    assert decode_base64("YQpi", "Ywlk") == ["a\nb", "c\td"]
    assert decode_base64("AAA=", "YjI=") == ("AAA=", "YjI=")


def test_lists_and_texts_can_hold_the_same_in_another_order() -> None:
    assert is_reordered(node("[a, {b: 1}]"), node("[{b: 1}, a]"))
    assert is_reordered(node("a,b"), node("b,a"))
    assert not any(
        is_reordered(node(one), node(other))
        for one, other in (
            ("[a]", "[a]"),
            ("[a]", "[b]"),
            ("a", "[a]"),
            ("{a: 1}", "{b: 1}"),
            ("a,b", "a,b"),
        )
    )
    assert contents(node("[a, a]")) != contents(node("[a]"))
    assert contents(node("{a: 1, b: 2}")) == contents(node("{b: 2, a: 1}"))


@pytest.mark.parametrize(
    ("first", "second", "old", "fitting"),
    [
        ("{Aa1: 1, x: 1}", "{Bb2: 1, x: 1}", "{Cc3: 1, x: 1}", True),
        ("{Aa1: 2, x: 1}", "{Bb2: 2, x: 1}", "{Cc3: 1, x: 1}", False),
        ("{Aa1: 1, x: 1}", "{Bb2: 1, x: 1}", "{Cc3: 1, x: 1, gone: 1}", False),
        ("{Aa1: 1, x: 1}", "{Bb2: 1, x: 1}", "{Cc3: 1}", False),
        ("{Aa1: 1}", "{Bb2: 1, Cc3: 1}", "{Dd4: 1, Ee5: 1, Ff6: 1}", True),
        ("[Aa1, x]", "[x, Bb2]", "[x, Cc3]", True),
        ("[Aa1, x]", "[x, Bb2]", "[x, Cc3, gone]", False),
    ],
)
def test_a_list_or_map_fits_if_it_has_what_the_others_have_in_common(
    first: str, second: str, old: str, fitting: object
) -> None:
    assert has_fixed_contents(node(first), node(second), node(old)) is fitting
