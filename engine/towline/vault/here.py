"""What this machine has to log in to Vault with: never from what a pull request can change."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

from towline.vault.logins import (
    ID_TOKEN_BEARER,
    ID_TOKEN_URL,
    JWT_FILE,
    PODS_FILE,
    SERVICE_ACCOUNT,
    VARIABLES,
)

service_account = Path(SERVICE_ACCOUNT)


def there(environ: Mapping[str, str]) -> frozenset[str]:
    """The variables of logins that are set, the file that a pod of Kubernetes has, and whether one of them names that."""
    found = {
        name
        for name in (*VARIABLES, ID_TOKEN_URL, ID_TOKEN_BEARER)
        if environ.get(name, "").strip()
    }
    with contextlib.suppress(OSError, ValueError, RuntimeError):  # a null byte, a link to itself
        service_account.stat()
        found.add(SERVICE_ACCOUNT)
        named = environ.get(JWT_FILE, "").strip()
        if named and Path(named).resolve().is_relative_to(service_account.parent.resolve()):
            found.add(PODS_FILE)
    return frozenset(found)
