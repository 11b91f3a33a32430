"""RSA keys by openssl, made once per test process, since making one takes a second."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from tests.fakes.authority import openssl


@dataclass(frozen=True, kw_only=True)
class RsaKey:
    """A key pair in PEM; `private` has the form that GitHub and `ssh-keygen -m PEM` give it."""

    private: str
    public: str


@functools.cache
def rsa_key(name: str = "", *, bits: int = 2048) -> RsaKey:
    """The key pair of this name; a new name gives a new pair."""
    private = openssl("genrsa", "-traditional", str(bits))
    return RsaKey(
        private=private.decode(), public=openssl("rsa", "-pubout", stdin=private).decode()
    )
