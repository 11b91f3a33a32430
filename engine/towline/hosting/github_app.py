"""Access to one repository as a GitHub App: a token of its installation, while a block runs.

GitHub's documentation: "Generating a JSON Web Token (JWT) for a GitHub App"; REST API, "Apps" and
"Installations".
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeGuard
from urllib.parse import quote, urlsplit

from towline.errors import (
    ConfigError,
    CredentialError,
    GitError,
    GitUnreachable,
    TowlineError,
    TransportError,
)
from towline.hosting.json_web_token import signed
from towline.http.client import Transport
from towline.http.messages import HttpRequest
from towline.literals import json_object
from towline.printable import words
from towline.record import field, frozen

USER = "x-access-token"
_LARGEST_ANSWER = 1024 * 1024
# seconds of a JWT's life before and after now: clocks differ, and GitHub allows ten minutes
_BACK, _AHEAD = 60, 540
_OWNER, _NAME = (
    re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*"),
    re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._-]+"),
)
_TOKEN = re.compile(r"[\x21-\x7e]+")


@frozen
class GithubApp:
    """An App by its id and its private key in PEM; `origin` is where they came from."""

    id: str
    key: str = field(repr=False)
    origin: str


@frozen
class AppRepository:
    """The repository `name` of `owner`, on the GitHub server whose API is at `api`."""

    api: str
    owner: str
    name: str

    @property
    def path(self) -> str:
        """The repository's path below the API."""
        return f"/repos/{quote(self.owner)}/{quote(self.name)}"


def app_repository(url: str, api: str = "") -> AppRepository:
    """The repository of an http(s) URL.

    Without `api` it is the API of the URL's host: api.github.com, else /api/v3 there. Raises
    ConfigError.
    """
    parts = urlsplit(url)
    owner, _, name = parts.path.strip("/").removesuffix(".git").partition("/")
    if not _OWNER.fullmatch(owner) or not _NAME.fullmatch(name):
        raise ConfigError(
            "authenticationMode githubApp needs a repository on a GitHub server, which this URL"
            " does not name",
            where=url,
            hint="expected https://host/owner/name.git",
        )
    own = (
        f"{parts.scheme}://api.github.com"
        if parts.netloc in ("github.com", "www.github.com")
        else f"{parts.scheme}://{parts.netloc}/api/v3"
    )
    return AppRepository(api=api.rstrip("/") or own, owner=owner, name=name)


@contextlib.contextmanager
def installation_token(
    app: GithubApp,
    repository: AppRepository,
    *,
    transport: Transport,
    environ: Mapping[str, str],
    warn: Callable[[str], None],
) -> Iterator[str]:
    """A token that may write the contents of this repository alone, revoked after the block.

    Raises CredentialError (the App is refused, not installed, or may not write), ConfigError,
    GitError, GitUnreachable, MachineError.
    """
    api = _Api(app, repository, transport)
    jwt = _jwt(app, transport.clock.wall(), environ)
    installation = _number(api.ask("GET", f"{repository.path}/installation", jwt), api)
    wanted = {"repositories": [repository.name], "permissions": {"contents": "write"}}
    token: object = None
    try:
        token = api.ask(
            "POST", f"/app/installations/{installation}/access_tokens", jwt, wanted
        ).get("token")
        if not _is_token(token):
            raise api.strange()
        yield token
    finally:
        if _is_token(token):
            try:
                api.ask("DELETE", "/installation/token", token)
            except TowlineError as fault:
                warn(
                    "the GitHub App's token could not be revoked; it expires within an"
                    f" hour ({fault.message})"
                )


def _is_token(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and _TOKEN.fullmatch(value) is not None


class _Api:
    """Requests to GitHub's API; a redirect is an error."""

    def __init__(self, app: GithubApp, repository: AppRepository, transport: Transport) -> None:
        self._app, self._repository, self._transport = app, repository, transport
        self.host = urlsplit(repository.api).netloc

    def ask(self, method: str, path: str, credential: str, body: Any = None) -> Mapping[str, Any]:
        """The JSON object of an answer, empty if there is none; raises as `installation_token`."""
        headers = {
            "Authorization": f"Bearer {credential}",
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
            "User-Agent": "towline",
            **({"Content-Type": "application/json"} if body else {}),
        }
        # A second token, if the answer to the first is lost, does no harm: nobody knows the first,
        # and it expires.
        request = HttpRequest(
            method=method,
            url=self._repository.api + path,
            headers=headers,
            body=json.dumps(body).encode() if body else b"",
            repeatable=True,
        )
        try:
            with self._transport.request(request) as response:
                status, data = response.status, response.read_capped(_LARGEST_ANSWER)
        except TransportError as fault:
            raise GitUnreachable(
                f"GitHub's API at {self.host} cannot be reached: {fault}",
                where=self._repository.api,
                hint=(
                    "check the network, the proxy and githubAppApiUrl, or run the step again later"
                ),
            ) from fault
        answer = _object(data)
        if not 200 <= status < 300:
            raise self._fault(status, _reply(answer.get("message")))
        return answer

    def strange(self) -> GitError:
        """The error for an answer that is not in the form of GitHub's API."""
        return GitError(
            f"{self.host} does not answer as GitHub's API does",
            where=self._repository.api,
            hint="check githubAppApiUrl",
        )

    def _fault(self, status: int, reply: str) -> TowlineError:
        app, api = self._app, self._repository.api
        repository = f"{self._repository.owner}/{self._repository.name}"
        answer = f" (HTTP {status}{reply})"
        if 300 <= status < 400:
            return ConfigError(
                f"{self.host} redirects, which is not followed{answer}",
                where=api,
                hint="set githubAppApiUrl to the address that answers itself",
            )
        if status in (401, 403):
            return CredentialError(
                f"{self.host} refused the GitHub App {app.id}{answer}",
                where=api,
                hint=(
                    f"id and key come from {app.origin}; check that they belong together, and that"
                    " this machine's clock is right"
                ),
            )
        if status == 404:
            return CredentialError(
                f"the GitHub App {app.id} is not installed for {repository}, or there is no such"
                f" repository{answer}",
                where=api,
                hint="install the App for this repository, or correct serverUrl",
            )
        if status == 422:
            return CredentialError(
                f"the GitHub App {app.id} may not write to {repository}{answer}",
                where=api,
                hint=(
                    "give the App the repository permission Contents: Read and write, and accept it"
                    " in the installation"
                ),
            )
        if status == 429 or status >= 500:
            return GitUnreachable(
                f"GitHub's API at {self.host} cannot answer{answer}",
                where=api,
                hint="run the step again later",
            )
        return GitError(f"{self.host} did not take the request{answer}", where=api)


def _number(answer: Mapping[str, Any], api: _Api) -> int:
    number = answer.get("id")
    if not isinstance(number, int):
        raise api.strange()
    return number


def _object(data: bytes) -> Mapping[str, Any]:
    return json_object(data) or {}


def _reply(text: object) -> str:
    """A colon and the host's message on one line, or an empty text without a message."""
    return f": {words(text, 200)}" if isinstance(text, str) and text.strip() else ""


def _jwt(app: GithubApp, now: float, environ: Mapping[str, str]) -> str:
    """The JWT by which the App itself asks the API; raises CredentialError, MachineError."""
    claims = {"iat": int(now) - _BACK, "exp": int(now) + _AHEAD, "iss": app.id}
    return signed(claims, app.key, origin=app.origin, environ=environ)
