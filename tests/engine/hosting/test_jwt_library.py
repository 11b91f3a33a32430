"""Keys in PyJWT and cryptography; test_json_web_token.py has them beside openssl."""

from __future__ import annotations

import warnings

import jwt
import pytest

from tests.fakes.authority import openssl
from tests.fakes.rsa_keys import rsa_key
from towline.hosting.jwt_library import sign

CLAIMS = {"iat": 1700000000, "exp": 1700000600, "iss": "4711"}


def test_the_library_itself_reads_what_it_signed() -> None:
    made = rsa_key()
    token = sign(CLAIMS, made.private.encode())
    assert token is not None
    read = jwt.decode(token, made.public, algorithms=["RS256"], options={"verify_exp": False})
    assert read == CLAIMS


def test_a_short_key_signs_and_no_warning_reaches_the_log() -> None:
    with warnings.catch_warnings(record=True, action="always") as told:
        assert sign(CLAIMS, rsa_key(bits=1024).private.encode())
    assert told == []


@pytest.mark.parametrize(
    "words",
    [
        ("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"),
        ("genpkey", "-algorithm", "ed25519"),
        ("genpkey", "-algorithm", "X25519"),
    ],
)
def test_a_key_of_another_kind_signs_nothing(words: tuple[str, ...]) -> None:
    assert sign(CLAIMS, openssl(*words)) is None


def test_claims_that_the_library_refuses_sign_nothing() -> None:
    assert sign({"iss": 1}, rsa_key().private.encode()) is None
