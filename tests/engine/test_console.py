"""Log lines say what happened, where, and what to do next, and have no secret in any form."""

from __future__ import annotations

import base64
import io
import json
from urllib.parse import quote

import pytest

from towline.console import QUIET, VERBOSE, Console
from towline.errors import ConfigError, Refusal
from towline.secret import MASK


def said(*secrets: str, text: str) -> str:
    stream = io.StringIO()
    console = Console(stream)
    for secret in secrets:
        console.hide(secret)
    console.say(text)
    return stream.getvalue()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environ", "line"),
    [
        ({}, "\r\x1b[2K\x1b[33mwarning:\x1b[0m a"),
        ({"NO_COLOR": "1"}, "\r\x1b[2Kwarning: a"),
        ({"TERM": "dumb"}, "warning: a"),
    ],
)
def test_colours_are_for_terminals_that_want_them(environ: dict[str, str], line: str) -> None:
    stream = Terminal()
    Console(stream, environ).warn("a")
    assert stream.getvalue() == f"{line}\n"


def test_a_warning_and_a_note_come_once() -> None:
    stream = io.StringIO()
    console = Console(stream)
    for _ in range(3):
        console.warn("a")
        console.note("b")
    assert stream.getvalue() == "warning: a\nnote: b\n"


@pytest.mark.parametrize(
    ("level", "text"),
    [
        ("", "say\nwarning: warn\nnote: note\nerror: fail\n  next:  mend it\n"),
        (QUIET, "warning: warn\nerror: fail\n  next:  mend it\n"),
        (VERBOSE, "say\n  detail\nwarning: warn\nnote: note\nerror: fail\n  next:  mend it\n"),
    ],
)
def test_the_level_chooses_the_lines_of_the_log(level: str, text: str) -> None:
    stream = io.StringIO()
    console = Console(stream)
    console.level = level
    console.say("say")
    console.detail("detail")
    console.warn("warn")
    console.note("note")
    console.fail(ConfigError("fail", hint="mend it"))
    assert stream.getvalue() == text


SECRET = 'p@ss w/ör"d\\+1'


@pytest.mark.parametrize(
    "shown",
    [
        SECRET,
        quote(SECRET, safe=""),
        quote(SECRET),
        "p%40ss+w%2F%C3%B6r%22d%5C%2B1",
        json.dumps(SECRET),
        json.dumps(SECRET, ensure_ascii=False),
        base64.b64encode(SECRET.encode()).decode(),
        base64.b64encode(SECRET.encode()).decode().rstrip("="),
    ],
)
def test_a_secret_is_masked_in_every_form_that_it_may_take(shown: str) -> None:
    line = said(SECRET, text=f"before {shown} after")
    assert line.replace(f'"{MASK}"', MASK).rstrip("\n=") == f"before {MASK} after"


def test_a_secret_inside_another_does_not_uncover_the_rest() -> None:
    assert said("abcd", "abcdefgh", "cdef", text="abcdefgh abcd") == f"{MASK} {MASK}\n"


@pytest.mark.parametrize("secret", ["hunter2hunter2\n", "hunt\r\n"])
def test_a_secret_with_a_line_feed_is_masked_without_it(secret: str) -> None:
    assert said(secret, text=f"password {secret.strip()}.") == f"password {MASK}.\n"


def test_a_key_of_several_lines_is_masked_line_by_line() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBg\nkqhki\n-----END KEY-----\n"
    assert said(key, text="cannot parse 'MIIEvQIBADANBg'") == f"cannot parse '{MASK}'\n"


@pytest.mark.parametrize("short", ["", "a", "--", "  \n", "a\nb"])
def test_a_text_too_short_for_a_secret_is_not_masked_inside_words(short: str) -> None:
    assert said(short, text="abc a b c") == "abc a b c\n"


def test_a_secret_that_is_not_unicode_is_masked_too() -> None:
    assert said("caf\udce9caf\udce9", text="it is caf\udce9caf\udce9") == f"it is {MASK}\n"


def test_a_fault_is_shown_with_its_place_and_the_next_action() -> None:
    stream = io.StringIO()
    console = Console(stream)
    console.hide("hunter2hunter2")
    console.fail(ConfigError("no hunter2hunter2", where="config.yml:3", hint="write it"))
    assert stream.getvalue().splitlines() == [
        f"error: no {MASK}",
        "  where: config.yml:3",
        "  next:  write it",
    ]


def test_a_fault_without_place_leaves_that_line_out() -> None:
    stream = io.StringIO()
    Console(stream).fail(ConfigError("no"))
    assert stream.getvalue() == "error: no\n  next:  correct it there\n"


def test_a_warning_says_that_it_is_one() -> None:
    stream = io.StringIO()
    Console(stream).warn("two names")
    assert stream.getvalue() == "warning: two names\n"


def test_a_word_only_called_a_secret_is_masked_except_in_audit_lines() -> None:
    stream = io.StringIO()
    console = Console(stream)
    console.hide("evil.example", real=False)
    console.hide("hunter2hunter2")
    text = "hunter2hunter2 goes to evil.example"
    refusal, other = Refusal(text, where=text, hint=text), ConfigError(text, hint=text)
    for tell in (console.say, console.say_audit, console.warn_audit):
        tell(text)
    console.warn_of(refusal, f"1 {text}")
    console.warn_of(other, f"2 {text}")
    console.fail(refusal)
    console.fail(other)
    kept, lost = f"{MASK} goes to evil.example", f"{MASK} goes to {MASK}"
    assert stream.getvalue().splitlines() == [
        lost,
        kept,
        f"warning: {kept}",
        f"warning: 1 {kept}",
        f"warning: 2 {lost}",
        f"error: {kept}",
        f"  where: {kept}",
        f"  next:  {kept}",
        f"error: {lost}",
        f"  next:  {lost}",
    ]


def test_a_word_called_a_secret_may_be_a_real_secret_as_well() -> None:
    for first in (True, False):
        console = Console(io.StringIO())
        console.hide("hunter2hunter2", real=first)
        console.hide("hunter2hunter2", real=not first)
        assert console.audit("hunter2hunter2") == MASK
