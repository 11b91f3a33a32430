from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest

from tests.missing import lack
from towline.errors import ConfigError, MachineError
from towline.pipeline.sealing import seal, unseal

KEY = base64.b64encode(b"k" * 32).decode()
CONTEXT = ("team/app", "7", "https://jenkins.example/7", "0f" * 16)
SECRET = '"hunter2\\n\u00e4\U0001f600$HOME"'
ENVIRON = {"PATH": os.environ["PATH"]}


def without_library(monkeypatch: pytest.MonkeyPatch) -> None:
    lack(monkeypatch, "cryptography", "towline.pipeline.cipher_library")


@pytest.fixture(params=["library", "openssl"])
def sealed(request: pytest.FixtureRequest) -> str:
    """The secret, sealed by either program."""
    with pytest.MonkeyPatch.context() as changed:
        if request.param == "openssl":
            without_library(changed)
        return seal(SECRET, KEY, CONTEXT, ENVIRON)


def test_the_library_opens_what_either_has_sealed(sealed: str) -> None:
    assert unseal(sealed, KEY, CONTEXT, {}) == SECRET


def test_openssl_opens_what_either_has_sealed(sealed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    without_library(monkeypatch)
    assert unseal(sealed, KEY, CONTEXT, ENVIRON) == SECRET


def test_no_form_of_the_secret_is_in_it_and_no_two_are_alike(sealed: str) -> None:
    assert "hunter2" not in sealed
    assert b"hunter2" not in base64.urlsafe_b64decode(sealed)
    assert sealed != seal(SECRET, KEY, CONTEXT, ENVIRON)


@pytest.mark.parametrize("length", [0, 1, 15, 16, 17, 100_000])
def test_a_text_of_any_length_can_be_sealed(length: int) -> None:
    assert unseal(seal("x" * length, KEY, CONTEXT, {}), KEY, CONTEXT, {}) == "x" * length


def test_another_key_does_not_open_it(sealed: str) -> None:
    assert unseal(sealed, f"{KEY}x", CONTEXT, {}) is None


@pytest.mark.parametrize(
    "other",
    [
        (*CONTEXT[:3], "1f" * 16),
        ("team/app", "8", *CONTEXT[2:]),
        ("team/app7", "", *CONTEXT[2:]),
        CONTEXT[:3],
    ],
)
def test_another_build_or_handle_does_not_open_it(sealed: str, other: tuple[str, ...]) -> None:
    assert unseal(sealed, KEY, other, {}) is None


def test_a_changed_byte_is_seen_before_anything_is_decrypted(sealed: str) -> None:
    data = base64.urlsafe_b64decode(sealed)
    for at in (0, 9, 20, len(data) - 33, len(data) - 1):
        changed = bytes([*data[:at], data[at] ^ 1, *data[at + 1 :]])
        assert unseal(base64.urlsafe_b64encode(changed).decode(), KEY, CONTEXT, {}) is None


@pytest.mark.parametrize("text", ["", "x", "not base64!", "AAAA", "A" * 100])
def test_what_nobody_has_sealed_does_not_open(text: str) -> None:
    assert unseal(text, KEY, CONTEXT, {}) is None


@pytest.mark.parametrize("key", ["", "short", "x" * 31, f"{'x' * 31}\n"])
def test_a_short_key_is_refused_and_never_shown(key: str) -> None:
    with pytest.raises(ConfigError, match="fewer than 32 characters") as caught:
        seal(SECRET, key, CONTEXT, {})
    assert "openssl rand -base64 32" in caught.value.hint


def test_a_line_feed_behind_the_key_does_not_matter(sealed: str) -> None:
    assert unseal(sealed, f"{KEY}\n", CONTEXT, {}) == SECRET


def test_a_machine_that_cannot_encrypt_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    without_library(monkeypatch)
    with pytest.raises(MachineError, match="neither the library cryptography nor") as caught:
        seal(SECRET, KEY, CONTEXT, {"PATH": ""})
    assert "put `openssl` on the agent's PATH" in caught.value.hint


def test_no_key_is_an_argument_of_openssl(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    without_library(monkeypatch)
    program = tmp_path / "openssl"
    program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/words\nexec /usr/bin/openssl "$@"\n')
    program.chmod(0o755)
    sealed = seal(SECRET, KEY, CONTEXT, {"PATH": str(tmp_path)})
    words = (tmp_path / "words").read_text()
    assert words.split()[-2:] == ["-pass", "env:TOWLINE_PASSWORD"]
    assert KEY not in words
    assert unseal(sealed, KEY, CONTEXT, {"PATH": str(tmp_path)}) == SECRET
