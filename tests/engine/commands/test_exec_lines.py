"""A secret that comes in two pieces is passed on as one line, so that it can be masked."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from towline.commands.exec import Lines


def handed(*pieces: bytes) -> list[str]:
    got: list[str] = []
    lines = Lines(got.append)
    for piece in pieces:
        lines.take(piece)
    lines.close()
    return got


def test_what_is_whole_is_handed_on_and_the_rest_at_the_end() -> None:
    assert handed(b"one\ntw", b"o\n", b"thr", b"ee") == ["one\n", "two\n", "three"]


def test_a_carriage_return_ends_a_line_as_well() -> None:
    assert handed(b"10 %\r20", b" %\r", b"done\r\n") == ["10 %\r", "20 %\r", "done\r\n"]


def test_what_is_no_text_is_replaced() -> None:
    assert handed(b"a\xff\n", b"\xc3", b"\xbc\n") == ["a\ufffd\n", "ü\n"]


@given(st.lists(st.text(alphabet="ab\n\r", max_size=6).map(str.encode), max_size=8))
def test_nothing_is_lost_and_no_piece_ends_within_a_line_but_the_last(pieces: list[bytes]) -> None:
    got = handed(*pieces)
    assert "".join(got).encode() == b"".join(pieces)
    assert all(text.endswith(("\n", "\r")) for text in got[:-1])


def test_a_line_without_end_is_left_out_and_what_comes_behind_it_is_not() -> None:
    got = handed(b"first\n" + b"x" * 700_000, b"y" * 700_000, b"z" * 700_000, b"z\nnext\nlast")
    assert got == ["first\n", "[a line of more than 1 MiB is left out]", "\nnext\n", "last"]
