"""Login methods of Vault in one table: what each needs, where Vault mounts it, how it logs in.

The credentials are the machine's: they never come from what a pull request can change.
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
PODS_FILE = f"{JWT_FILE}={SERVICE_ACCOUNT}"  # available if the variable names the pod's file
VARIABLES = (TOKEN_VARIABLE, ROLE_ID, SECRET_ID, JWT_VARIABLE, JWT_FILE)  # used for Vault only
SECRETS = (TOKEN_VARIABLE, ROLE_ID, SECRET_ID, JWT_VARIABLE)


@frozen
class VaultLogin:
    """A login by a `method` of METHODS at its `mount`; `origin` says where its parts come from.

    `proof` returns the secret (a token, an AppRole's secret id, a JWT), anew for each login, from
    one of the method's sources; `role` is Vault's role, for an AppRole its id. Secrets are read in
    `namespace`. `fresh`: the proof was made just now, and not every server of a cluster may know
    it. `pods`: the proof is the token of a pod's service account.
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
    """A login method: its `name` for people, its usual mount, and how hvac's `client` uses it.

    One of `sources` must be available in full: variables, or a file of the machine by its path.
    """

    name: str
    mount: str
    sources: tuple[tuple[str, ...], ...]
    enter: Callable[[Any, VaultLogin, str], Any]


def _token(client: Any, login: VaultLogin, proof: str) -> Any:
    """Use the given token; nothing is asked, and the token stays valid afterwards."""
    del login
    client.token = proof


def _app_role(client: Any, login: VaultLogin, proof: str) -> Any:
    return client.auth.approle.login(login.role, secret_id=proof, mount_point=login.mount)


def _jwt(client: Any, login: VaultLogin, proof: str) -> Any:
    return client.auth.jwt.jwt_login(login.role, proof, path=login.mount)


def _kubernetes(client: Any, login: VaultLogin, proof: str) -> Any:
    return client.auth.kubernetes.login(login.role, proof, mount_point=login.mount)


METHODS = {  # in order of precedence
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
    """The key of a method, and the available source of METHODS for it."""

    method: str
    source: tuple[str, ...]


def first_login(
    available: Collection[str], *, method: str = "", role: str = ""
) -> ChosenLogin | None:
    """The first method of the table with an `available` source; of `method` alone if it is set.

    An identity that the machine has anyway (a pod, a workflow's run) is used only if a method or a
    role is set.
    """
    for name in [method] if method else METHODS:
        for source in METHODS[name].sources:
            if set(source) <= set(available) and (method or role or set(source) <= set(VARIABLES)):
                return ChosenLogin(method=name, source=source)
    return None


def app_role_halves(available: Collection[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The set and the missing variable of an AppRole if exactly one is set, else nothing."""
    held = tuple(name for name in (ROLE_ID, SECRET_ID) if name in available)
    lacking = tuple(name for name in (ROLE_ID, SECRET_ID) if name not in available)
    return (held, lacking) if held and lacking else ((), ())


def describe_sources(method: str) -> str:
    """The sources of a login method, for hints."""
    return ", or ".join(" and ".join(source) for source in METHODS[method].sources)


service_account = Path(SERVICE_ACCOUNT)


def available_sources(environ: Mapping[str, str]) -> frozenset[str]:
    """The set login variables and the file of a Kubernetes pod.

    PODS_FILE is among them if a variable names that file.
    """
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
