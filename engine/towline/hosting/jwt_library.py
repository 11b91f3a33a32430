"""JSON web tokens signed by PyJWT and cryptography (extra `github-app`), for a GitHub App."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from jwt import PyJWTError, encode


def sign(claims: Mapping[str, object], pem: bytes) -> str | None:
    """Claims and a key in PEM to a token signed by RS256; None if it is not an RSA key that signs.

    The libraries' own errors end here: their texts may quote signs of the key.
    """
    try:
        key = load_pem_private_key(pem, password=None)
        if not isinstance(key, RSAPrivateKey):
            return None
        # Newer versions of PyJWT warn of keys below 2048 bits; GitHub itself refuses them.
        with warnings.catch_warnings(action="ignore"):
            return encode(dict(claims), key, algorithm="RS256")
    except (ValueError, TypeError, UnsupportedAlgorithm, PyJWTError):
        return None
