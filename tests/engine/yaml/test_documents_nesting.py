from __future__ import annotations

import pytest

from towline.yaml.documents import is_nested_deeper


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        ("a: b\n", 1),
        ("a: [1, {b: [2]}]\n", 4),
        ("a:\n- b:\n  - c\n", 4),
        ("- - - - a\n", 4),
        ("? - a\n: b\n", 2),
        (f"a: '{'[' * 500}'\n", 1),
        ("[" * 300 + "]" * 300, 300),
        ("- " * 300 + "a\n", 300),
        ("\n".join(" " * number + "a:" for number in range(300)), 300),
        ("a:\n  " + "x" * 5000 + "\n", 1),
        ("a: |\n" + " " * 400 + "x\n", 1),
    ],
)
def test_levels_are_counted_where_there_may_be_many(text: str, levels: int) -> None:
    assert not is_nested_deeper(text, levels)
    assert is_nested_deeper(text, levels - 1) or levels < 300


@pytest.mark.parametrize("text", ["[" * 100_000, "- " * 100_000 + "x", "{a: " * 100_000])
def test_what_no_stack_could_hold_is_found_without_one(text: str) -> None:
    assert is_nested_deeper(text, 200)
