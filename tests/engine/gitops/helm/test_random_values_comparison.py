from __future__ import annotations

import pytest
import yaml

from towline.gitops.helm.random_values import contents, decode_base64, has_fixed_words, is_reordered


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
    assert has_fixed_words(first, second, old) is fitting


def test_texts_in_base64_are_compared_by_what_they_hold() -> None:
    assert decode_base64("YTE=", "YjI=") == ["a1", "b2"]
    assert decode_base64("YTE=", "no base64") == ("YTE=", "no base64")
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
