"""Pure. The ways to log in to Vault, in one table: what each is called, where Vault has it, and what it is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class VaultLogin:
    """Who logs in, by a `method` of METHODS at its `mount`; `origin` says where that comes from.

    `proof` gives the secret that shows it (a token, the secret id of an AppRole, a JWT), afresh for
    each login; `role` is the role there, an AppRole's by its id. Secrets are read in `namespace`.
    """

    method: str
    origin: str
    proof: Callable[[], str] = field(repr=False)
    role: str = field(default="", repr=False)
    mount: str = ""
    namespace: str = ""


@dataclass(frozen=True, kw_only=True)
class Method:
    """A way to log in: its `name` in words, its usual mount, and how hvac's `client` does it."""

    name: str
    mount: str
    enter: Callable[[Any, VaultLogin, str], Any]


def _token(client: Any, login: VaultLogin, proof: str) -> Any:
    """Nothing is asked: the token was given to us, and stays valid at the end."""
    del login
    client.token = proof


def _app_role(client: Any, login: VaultLogin, proof: str) -> Any:
    return client.auth.approle.login(login.role, secret_id=proof, mount_point=login.mount)


TOKEN, APP_ROLE = "token", "approle"
METHODS = {
    TOKEN: Method(name="token", mount="", enter=_token),
    APP_ROLE: Method(name="AppRole", mount="approle", enter=_app_role),
}


def method_of(login: VaultLogin) -> Method:
    """The method of a login."""
    return METHODS[login.method]
