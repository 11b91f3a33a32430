from __future__ import annotations

import pytest

from towline.pipeline.cipher_library import decrypt, encrypt


def test_it_opens_what_it_has_made() -> None:
    made = encrypt(b"hunter2", "password")
    assert made.startswith(b"Salted__")
    assert (len(made), decrypt(made, "password")) == (32, b"hunter2")


def test_anything_else_is_an_error() -> None:
    with pytest.raises(ValueError, match="block length"):
        decrypt(b"Salted__12345678short", "password")
