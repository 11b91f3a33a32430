"""Claims and a GitHub App's private key in, a signed JSON web token out (RFC 7519, RS256).

The library PyJWT signs if it is installed with cryptography (extra `github-app`), else the
program `openssl`.
"""

from __future__ import annotations

import contextlib
import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path

from towline import dispatch
from towline.errors import CredentialError, MachineError
from towline.limits import ProcessLimits
from towline.private_folder import PrivateFolder
from towline.process import Overrun, find, run

# GitHub's keys have 2048 bits: 1.7 kB in PEM. cryptography tests a key's primes before it signs,
# which takes 4 s for 8192 bits and 47 s for 16384 (12.6 kB), and nothing can interrupt it.
_LONGEST_KEY = 8 * 1024
_SECONDS = 60


def signed(
    claims: Mapping[str, object], key: str, *, origin: str, environ: Mapping[str, str]
) -> str:
    """Claims and an RSA key in PEM (`origin`: where the key came from) to a token.

    Raises CredentialError (the key cannot sign) and MachineError (nothing here signs).
    """
    pem = key.encode(errors="replace")
    token = _token(claims, pem, environ) if len(pem) <= _LONGEST_KEY else None
    if token is None:
        raise CredentialError(
            "the private key of the GitHub App cannot sign",
            where=origin,
            hint=(
                "expected the RSA key that GitHub lets you download as a .pem file, without a"
                " passphrase"
            ),
        )
    return token


def _token(claims: Mapping[str, object], pem: bytes, environ: Mapping[str, str]) -> str | None:
    """A signed token, or None if the key cannot sign."""
    try:
        library = dispatch.part("jwt_library")
    except ImportError:  # PyJWT or cryptography is not installed, or cannot be loaded here
        return _by_openssl(claims, pem, environ)
    token: str | None = library.sign(claims, pem)
    return token


def _by_openssl(claims: Mapping[str, object], pem: bytes, environ: Mapping[str, str]) -> str | None:
    text = ".".join(
        _part(json.dumps(part).encode()) for part in ({"alg": "RS256", "typ": "JWT"}, claims)
    )
    signature = _signature(text.encode(), pem, environ)
    return f"{text}.{_part(signature)}" if signature else None


def _part(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _signature(text: bytes, pem: bytes, environ: Mapping[str, str]) -> bytes:
    """The signature of a text, empty if the key cannot sign; raises MachineError.

    openssl reads the key from its standard input; a file holds only the text, which is not secret.
    """
    program = find("openssl", environ)
    if not program:
        raise MachineError(
            "nothing on this machine signs for a GitHub App: neither the libraries PyJWT and"
            " cryptography nor an openssl program on PATH are installed",
            hint=(
                "install Towline with the extra `github-app`, or put `openssl` on the agent's PATH"
            ),
        )
    with contextlib.closing(PrivateFolder(environ)) as private:
        file = Path(private.path, "claims")
        file.write_bytes(text)
        try:
            done = run(
                [program, "dgst", "-sha256", "-sign", "/dev/stdin", str(file)],
                environment={"LC_ALL": "C"},
                stdin=pem,
                limits=ProcessLimits(seconds=_SECONDS),
            )
        except Overrun as fault:
            raise MachineError(f"openssl exceeded its {fault.limit}") from fault
    return b"" if done.code else done.out
