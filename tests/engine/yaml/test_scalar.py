from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from towline.yaml import marks
from towline.yaml.scalar import is_typed, rewrite_scalar, write_scalar

NUMBERS = [
    "1.10",
    "010",
    "72225e2",
    "0x10",
    "2024-1-1",
    "2001-12-14 21:59:43",
    "7e12345",
    "1" * 500,
    "1e999",
    "+.5",
    "1.",
    "1.20",
    "1e3",
    "0123",
    "0800",
    "12:30:45",
    "1:30",
    "0x1F",
    "0o17",
    "1_000",
    "12345678",
    "1234567e8",
    "2020-01-01",
    ".5",
    "-1",
    "+1",
]
WORDS = [
    "on",
    "Off",
    "yes",
    "NO",
    "y",
    "N",
    "true",
    "False",
    "null",
    "~",
    "",
    ".inf",
    ".NaN",
    "<<",
    "=",
]
TEXTS = [
    "2024-1-1-a",
    "7e12345f",
    "app",
    "host.example:5000/a/b:1.2.3@sha256:00ff",
    "v1.20",
    "1.2.3",
    "a b",
    "a=b",
    "sha256:12",
    "/x",
    "latest",
    "1.2.3-rc.1+4",
    "--image=a/b:1",
    "-c",
]
QUOTED = [
    "a: b",
    "a #b",
    "- a",
    "*a",
    "&a",
    "!a",
    "@a",
    "{a}",
    "a,b",
    "it's",
    'say "x"',
    " a",
    "a ",
    "a:",
    "é",
    "a\nb",
    "a\tb",
    "\x07",
    "\x85",
    "\ufeff",
    "😀",
    "%a",
    "a\\b",
    "---",
]


@pytest.mark.parametrize("text", [*NUMBERS, *WORDS])
def test_what_some_parser_takes_for_something_else_is_quoted(text: str) -> None:
    assert is_typed(text)
    assert write_scalar(text) == f'"{text}"'


@pytest.mark.parametrize("text", TEXTS)
def test_what_is_text_for_every_parser_stays_plain(text: str) -> None:
    assert not is_typed(text)
    assert write_scalar(text) == text


@pytest.mark.parametrize("text", QUOTED)
@pytest.mark.parametrize("style", ["", "'", '"'])
def test_other_text_is_quoted_and_means_the_same(text: str, style: str) -> None:
    written = write_scalar(text, style)
    assert written[0] in "'\""
    assert yaml.safe_load(f"[{written}]") == [text]


def test_a_style_is_kept_where_it_can_hold_the_text() -> None:
    assert [
        write_scalar("a", "'"),
        write_scalar("it's", "'"),
        write_scalar("a\n", "'"),
        write_scalar('"', '"'),
    ] == [
        "'a'",
        "'it''s'",
        '"a\\n"',
        '"\\""',
    ]


@given(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20), st.sampled_from(["", "'", '"'])
)
def test_any_text_is_written_on_one_line_and_read_again(text: str, style: str) -> None:
    written = write_scalar(text, style)
    assert len(written.splitlines()) <= 1
    assert [yaml.safe_load(f"k: {written}\n"), marks.load_located(f"{{k: {written}}}").value] == [
        {"k": text},
        {"k": text},
    ]


@pytest.mark.parametrize(
    ("block", "value", "expected"),
    [
        ("|\n  old\n", "new", "|-\n  new\n"),
        (">+ # why\n   old\n   text\n\n\n", "new", ">- # why\n   new\n\n\n"),
        ("|2-\n   old", "new", "|-\n   new"),
        ("|\r\n  old\r\n", "new", "|-\r\n  new\r\n"),
        ("|-\n\n    old  \n", "new", "|-\n    new\n"),
        ("| # why\n  old\n", "a\nb", '"a\\nb" # why\n'),
        ("|\n  old\n", " new", '" new"\n'),
        ("|\n", "new", "new\n"),
        ("|\n  old\n", "", '""\n'),
        ("|\n  old\n", "1.20", "|-\n  1.20\n"),
    ],
)
def test_a_block_scalar_keeps_its_style_indentation_and_what_follows(
    block: str, value: str, expected: str
) -> None:
    (document,) = marks.parse("k: " + block)
    assert isinstance(document.root, marks.MappingNode)
    old = document.root.pairs[0][1]
    assert isinstance(old, marks.ScalarNode)
    assert rewrite_scalar(value, old, block) == expected
    assert yaml.safe_load("k: " + expected) == {"k": value}
