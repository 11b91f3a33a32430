"""The two signers for a GitHub App: the library if it is installed, else openssl."""

from __future__ import annotations

import pytest

from tests.missing import lack

LIBRARY, OPENSSL = "PyJWT", "openssl"
SIGNERS = (LIBRARY, OPENSSL)


def without_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a test run as on a machine without the extra `github-app`."""
    for package in ("jwt", "cryptography"):
        lack(monkeypatch, package, "towline.hosting.jwt_library")
