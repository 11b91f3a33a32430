"""A secret text sealed under a key, so that it may stand where others can read it.

The form is that of `openssl enc` (AES-256-CBC under PBKDF2, "Salted__" and the salt in front) with
an HMAC-SHA256 over it and over its context, in base64. The library cryptography seals if it is
installed, else the program `openssl`; either opens what the other has sealed.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence

from towline import dispatch
from towline.errors import ConfigError, MachineError
from towline.limits import ProcessLimits
from towline.process import Overrun, find, run

_SHORTEST_KEY = 32
_TAG = 32
_SECONDS = 60
_PASSWORD = "TOWLINE_PASSWORD"  # noqa: S105 - the name of a variable


def seal(text: str, key: str, context: Sequence[str], environ: Mapping[str, str]) -> str:
    """A text to its sealed form; `context` says where it belongs, and is needed to open it again.

    Raises ConfigError (the key is too short) and MachineError (nothing on this machine seals).
    """
    password, signing = _keys(key)
    sealed = _cipher(text.encode(), password, environ, opens=False)
    return urlsafe_b64encode(sealed + _tag(sealed, signing, context)).decode()


def unseal(sealed: str, key: str, context: Sequence[str], environ: Mapping[str, str]) -> str | None:
    """The text in its sealed form; None if it is of another key or context, or was changed.

    Raises ConfigError (the key is too short) and MachineError (nothing on this machine opens it).
    """
    password, signing = _keys(key)
    try:
        data = urlsafe_b64decode(sealed.encode())
    except ValueError:
        return None
    body, tag = data[:-_TAG], data[-_TAG:]
    if not hmac.compare_digest(_tag(body, signing, context), tag):
        return None
    return _cipher(body, password, environ, opens=True).decode()


def _keys(key: str) -> tuple[str, bytes]:
    """The password for the cipher and the key of the tag, which are made from one key."""
    secret = key.strip().encode()
    if len(secret) < _SHORTEST_KEY:
        raise ConfigError(
            f"the key of stateKeyCredentialsId has fewer than {_SHORTEST_KEY} characters",
            hint="store the output of `openssl rand -base64 32` in the Jenkins credential",
        )
    return _hmac(secret, b"encrypt").hex(), _hmac(secret, b"authenticate")


def _hmac(key: bytes, data: bytes) -> bytes:
    return hmac.new(key, data, hashlib.sha256).digest()


def _tag(body: bytes, key: bytes, context: Sequence[str]) -> bytes:
    parts = (*(part.encode(errors="replace") for part in context), body)
    return _hmac(key, b"".join(len(part).to_bytes(8, "big") + part for part in parts))


def _cipher(data: bytes, password: str, environ: Mapping[str, str], *, opens: bool) -> bytes:
    """Data encrypted, or decrypted if `opens`; raises MachineError if openssl fails."""
    try:
        library = dispatch.part("cipher_library")
    except ImportError:  # cryptography is not installed, or cannot be loaded here
        return _by_openssl(data, password, environ, opens=opens)
    done: bytes = (library.decrypt if opens else library.encrypt)(data, password)
    return done


def _by_openssl(data: bytes, password: str, environ: Mapping[str, str], *, opens: bool) -> bytes:
    program = find("openssl", environ)
    if not program:
        raise MachineError(
            "nothing on this machine encrypts: neither the library cryptography nor an openssl"
            " program on PATH is installed",
            hint=(
                "install Towline with the extra `github-app`, which brings cryptography, or put"
                " `openssl` on the agent's PATH"
            ),
        )
    words = ("enc", "-aes-256-cbc", "-pbkdf2", "-iter", "10000", "-md", "sha256")
    try:
        done = run(
            [program, *words, *(["-d"] if opens else []), "-pass", f"env:{_PASSWORD}"],
            environment={"LC_ALL": "C", _PASSWORD: password},
            stdin=data,
            limits=ProcessLimits(seconds=_SECONDS),
        )
    except Overrun as fault:
        raise MachineError(f"openssl exceeded its {fault.limit}") from fault
    if done.code:
        raise MachineError(
            f"openssl ended with exit code {done.code}",
            hint="see `openssl version` on the agent: it has to know -pbkdf2 (1.1.1 or newer)",
        )
    return done.out
