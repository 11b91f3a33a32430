"""JSON web tokens for a login at Vault: from a variable, a file, or GitHub Actions.

They are read anew for each login. Only a text with the shape of a JWT is ever sent: a wrong
path does not give away the content of another file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import quote, urlsplit

from towline.errors import ConfigError, CredentialError, TransportError
from towline.files import in_workspace, misfit
from towline.http.client import Transport
from towline.http.connection import Network
from towline.http.messages import HttpRequest
from towline.http.proxy import Proxies
from towline.image import is_loopback
from towline.literals import from_json
from towline.printable import words
from towline.vault.logins import ID_TOKEN_BEARER, ID_TOKEN_URL

_LARGEST_TOKEN = 1024 * 1024
_JWT = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)


def checked_jwt(text: str, where: str) -> str:
    """The token in a text without surrounding space; raises CredentialError if it is not a JWT."""
    token = text.strip()
    if len(token) > _LARGEST_TOKEN or not _JWT.fullmatch(token):
        raise CredentialError(
            "the token for the login at Vault is not a JSON web token",
            where=where,
            hint="expected three parts in base64url with dots between them",
        )
    return token


def from_file(path: Path, *, where: str, folder: Path) -> str:
    """The token in a file.

    Raises ConfigError for a file in the workspace `folder`, CredentialError for one without a
    token.
    """
    try:
        if in_workspace(path, folder):
            raise ConfigError(
                f"{path} lies in the workspace, where a pull request can change it",
                where=where,
                hint="keep the token's file outside of the workspace and give its whole path",
            )
        why = misfit(path, _LARGEST_TOKEN)
        if not why:
            return checked_jwt(path.read_text("ascii", "replace"), where)
    except (OSError, ValueError) as fault:
        why = f"cannot be read: {(getattr(fault, 'strerror', '') or type(fault).__name__).lower()}"
    raise CredentialError(
        f"the token's file {path} {why}", where=where, hint="correct the path, or its permissions"
    )


def from_github(environ: Mapping[str, str], audience: str, hide: Callable[[str], None]) -> str:
    """An id token of the workflow's run for this audience alone; raises CredentialError."""
    url = environ[ID_TOKEN_URL]
    if urlsplit(url).scheme != "https" and not is_loopback(urlsplit(url).netloc):
        raise _refused("would be asked for an id token over plain http")
    url += f"{'&' if '?' in url else '?'}audience={quote(audience, safe='')}"
    headers = {"Authorization": f"Bearer {environ[ID_TOKEN_BEARER]}", "Accept": "application/json"}
    try:
        with (
            Transport(network=Network(proxies=Proxies(environ)), read=30.0, hide=hide) as transport,
            transport.request(HttpRequest(method="GET", url=url, headers=headers)) as response,
        ):
            status, body = response.status, response.read_capped(_LARGEST_TOKEN)
    except TransportError as fault:
        raise _refused(f"cannot be asked for an id token: {fault}") from fault
    try:
        value = from_json(body)["value"] if status == 200 else None
    except (KeyError, TypeError, ValueError):
        value = None
    if not isinstance(value, str):
        raise _refused(f"gives no id token (HTTP {status})")
    return checked_jwt(value, ID_TOKEN_URL)


def _refused(problem: str) -> CredentialError:
    return CredentialError(
        f"GitHub Actions {words(problem, 200)}",
        where=ID_TOKEN_URL,
        hint="the job needs `permissions: {id-token: write}`",
    )
