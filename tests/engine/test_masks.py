"""A secret is masked in every form in which others may repeat it; other words stay.

Others are hosts, programs and formats.
"""

from __future__ import annotations

import base64
import html
import json
import textwrap
import threading
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest

from towline.masks import Masks
from towline.secret import MASK

SECRET = 'p@ss w/ör"d\\+1<&>'
LONG = "Tr0ub4dor-and-3-horses-staple"


def masked(text: str, *secrets: str) -> str:
    masks = Masks()
    for secret in secrets:
        masks.hide(secret)
    return masks.mask(text)


@pytest.mark.parametrize(
    "shown",
    [
        SECRET,
        quote(SECRET, safe=""),
        quote(SECRET),
        quote_plus(SECRET),
        quote(SECRET, safe="").lower(),
        json.dumps(SECRET)[1:-1],
        html.escape(SECRET),
        json.dumps(SECRET, ensure_ascii=False)[1:-1],
        base64.b64encode(SECRET.encode()).decode(),
        base64.urlsafe_b64encode(SECRET.encode()).decode().rstrip("="),
        SECRET.encode().hex(),
        SECRET.encode().hex().upper(),
        SECRET.upper(),
        SECRET.replace(" ", "\t"),
        SECRET.replace(" ", "  "),
        SECRET.replace("ö", "?"),
        SECRET.replace("ö", "\ufffd"),
        SECRET.replace("ö", " "),
    ],
)
def test_forms_of_a_secret(shown: str) -> None:
    assert masked(f"before {shown} after", SECRET).replace("=", "") == f"before {MASK} after"


@pytest.mark.parametrize("before", ["", "x", "xy", "robot:", "a-user:"])
def test_base64_wherever_the_secret_stands_in_it(before: str) -> None:
    encoded = base64.b64encode(f"{before}{LONG}:more".encode()).decode()
    left = masked(encoded, LONG)
    assert MASK in left
    # the signs that hold others' bits, too
    assert len(left.replace(MASK, "")) <= len(base64.b64encode(f"{before}:more".encode())) + 4


@pytest.mark.parametrize(
    ("secret", "shown"),
    [
        ("two  blanks\tand a tab", "two blanks and a tab"),
        ("pass\u200bword\x07of-the-team", "password of-the-team"),
        ("pass\U0001f600word-of-the-team", "pass?word-of-the-team"),
        ("pass\U0001f600word-of-the-team", "pass\\U0001f600word-of-the-team"),
    ],
)
def test_signs_that_got_lost_on_the_way(secret: str, shown: str) -> None:
    assert masked(f"it was {shown}.", secret) == f"it was {MASK}."


def test_the_lines_of_a_long_secret_are_masked_one_by_one() -> None:
    assert (
        masked("line-one-of-it, short1, {, line three", "line-one-of-it\nshort1\n{\nline three")
        == f"{MASK}, {MASK}, {{, {MASK}"
    )


@pytest.mark.parametrize(
    ("secret", "text", "shown"),
    [
        ("abc", "the password was abc.", f"the password was {MASK}."),
        ("abc", "abcd xabc ab_abc_", f"abcd xabc ab_{MASK}_"),
        ("abcd", "xabcdx", f"x{MASK}x"),
        ("ABCD", "abcd", "abcd"),
        ("x", "x marks it", "x marks it"),
        ("--", "a -- b", "a -- b"),
        ("", "all", "all"),
        ("  \n", "a  \nb", "a  \nb"),
    ],
)
def test_short_secrets_count_as_whole_words(secret: str, text: str, shown: str) -> None:
    assert masked(text, secret) == shown


def test_secrets_that_overlap_become_one_mask() -> None:
    assert masked("abcdefgh abcd", "abcd", "abcdefgh", "cdefgh", "gh abc") == MASK
    assert masked("abcdefgh, abcd", "abcd", "cdefgh") == f"{MASK}, {MASK}"


def test_a_text_whose_small_letters_are_longer_is_masked_all_the_same() -> None:
    assert masked(f"İ {LONG}", LONG) == f"İ {MASK}"


@pytest.mark.parametrize("secret", ["пароль", "密码密码", "äaää", "ключ1"])
def test_a_secret_in_another_script_leaves_other_words_alone(secret: str) -> None:
    """With what may stand for a letter that was lost, nothing at all would be such a secret."""
    masks = Masks()
    masks.hide(secret)
    assert (
        masks.mask(f"a line of 1 word? {secret} and more") == f"a line of 1 word? {MASK} and more"
    )


@pytest.mark.parametrize("end", [b"", b"\n"])
@pytest.mark.parametrize(
    "write",
    [
        base64.encodebytes,
        lambda data: "\n".join(textwrap.wrap(base64.b64encode(data).decode(), 64)).encode(),
    ],
)
def test_base64_in_lines_is_masked_line_by_line(
    write: Callable[[bytes], bytes], end: bytes
) -> None:
    masks = Masks()
    masks.hide(LONG * 5)
    lines = write(LONG.encode() * 5 + end).decode().splitlines()
    assert len(lines) > 1
    assert [masks.mask(f"  {line}") for line in lines] == [f"  {MASK}"] * len(lines)


def test_other_threads_may_hide_while_one_looks() -> None:
    """A copy masks each token from its first request on, in several threads."""
    masks = Masks()
    masks.hide("the-first-secret")

    def hide() -> None:
        for number in range(400):
            masks.hide(f"token {number} ü")
            masks.hide(f"{number:03}")

    threads = [threading.Thread(target=hide) for _ in range(2)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert masks.mask("it is the-first-secret") == "it is ****"
    assert masks.mask("token 399 ü") == "****"
