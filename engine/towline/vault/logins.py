"""The ways to log in to Vault, in one table: what each needs, where Vault has it, and what it is told.

What this machine has to log in to Vault with: never from what a pull request can change.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from towline.record import field, frozen

TOKEN, APP_ROLE, JWT, KUBERNETES = "token", "approle", "jwt", "kubernetes"
TOKEN_VARIABLE, ROLE_ID, SECRET_ID = (
    "PIPER_vaultToken",
    "PIPER_vaultAppRoleID",
    "PIPER_vaultAppRoleSecretID",
)
JWT_VARIABLE, JWT_FILE = "PIPER_vaultJwt", "PIPER_vaultJwtFile"
ID_TOKEN_URL, ID_TOKEN_BEARER = "ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"
SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount/token"
PODS_FILE = f"{JWT_FILE}={SERVICE_ACCOUNT}"  # that there is, where the variable names it
VARIABLES = (TOKEN_VARIABLE, ROLE_ID, SECRET_ID, JWT_VARIABLE, JWT_FILE)  # that are set for Vault
SECRETS = (TOKEN_VARIABLE, ROLE_ID, SECRET_ID, JWT_VARIABLE)


@frozen
class VaultLogin:
    """Who logs in, by a `method` of METHODS at its `mount`; `origin` says where that comes from.

    `proof` gives the secret that shows it (a token, the secret id of an AppRole, a JWT), afresh for
    each login, from one of the method's sources; `role` is the role there, an AppRole's by its id.
    Secrets are read in `namespace`. `fresh`: the proof was made just now, and not every one of
    several servers may have heard of it. `pods`: it is the token of a pod's service account.
    """

    method: str
    origin: str
    source: tuple[str, ...] = ()
    proof: Callable[[], str] = field(default=str, repr=False)
    role: str = field(default="", repr=False)
    mount: str = ""
    namespace: str = ""
    fresh: bool = False
    pods: bool = False


@frozen
class Method:
    """A way to log in: its `name` in words, its usual mount, and how hvac's `client` does it.

    One of `sources` has to be there whole: variables, or a file of the machine by its path.
    """

    name: str
    mount: str
    sources: tuple[tuple[str, ...], ...]
    enter: Callable[[Any, VaultLogin, str], Any]


def _token(client: Any, login: VaultLogin, proof: str) -> Any:
    """Nothing is asked: the token was given to us, and stays valid at the end."""
    del login
    client.token = proof


def _app_role(client: Any, login: VaultLogin, proof: str) -> Any:
    return client.auth.approle.login(login.role, secret_id=proof, mount_point=login.mount)


def _jwt(client: Any, login: VaultLogin, proof: str) -> Any:
    return client.auth.jwt.jwt_login(login.role, proof, path=login.mount)


def _kubernetes(client: Any, login: VaultLogin, proof: str) -> Any:
    return client.auth.kubernetes.login(login.role, proof, mount_point=login.mount)


METHODS = {  # in the order in which they are looked for
    TOKEN: Method(name="token", mount="", sources=((TOKEN_VARIABLE,),), enter=_token),
    APP_ROLE: Method(
        name="AppRole", mount="approle", sources=((ROLE_ID, SECRET_ID),), enter=_app_role
    ),
    JWT: Method(
        name="JWT",
        mount="jwt",
        sources=((JWT_VARIABLE,), (JWT_FILE,), (ID_TOKEN_URL, ID_TOKEN_BEARER)),
        enter=_jwt,
    ),
    KUBERNETES: Method(
        name="Kubernetes",
        mount="kubernetes",
        sources=((JWT_FILE,), (SERVICE_ACCOUNT,)),
        enter=_kubernetes,
    ),
}


@frozen
class ChosenLogin:
    """A method by its key, and the source of METHODS that is there for it."""

    method: str
    source: tuple[str, ...]


def first_login(there: Collection[str], *, method: str = "", role: str = "") -> ChosenLogin | None:
    """The first login of the table that is `there` whole, of `method` alone if one is wanted.

    What the machine is anyway (a pod, a workflow's run) logs in only where a method or role is set.
    """
    for name in [method] if method else METHODS:
        for source in METHODS[name].sources:
            if set(source) <= set(there) and (method or role or set(source) <= set(VARIABLES)):
                return ChosenLogin(method=name, source=source)
    return None


def app_role_halves(there: Collection[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Of an AppRole's variables those that are there and those that are not, if one is missing; else nothing."""
    held = tuple(name for name in (ROLE_ID, SECRET_ID) if name in there)
    lacking = tuple(name for name in (ROLE_ID, SECRET_ID) if name not in there)
    return (held, lacking) if held and lacking else ((), ())


def describe_sources(method: str) -> str:
    """What a login of this method needs, for hints."""
    return ", or ".join(" and ".join(source) for source in METHODS[method].sources)


service_account = Path(SERVICE_ACCOUNT)


def available_sources(environ: Mapping[str, str]) -> frozenset[str]:
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
