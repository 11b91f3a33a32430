"""Requests to one registry: authorised, redirected by hand, and free of network faults other than the registry family's.

How many bytes of manifests and of lists one registry may send in a run: they are kept in memory, and each one's own limit bounds no sum of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from threading import Lock
from urllib.parse import urljoin

from towline.errors import RegistryError, TransportError
from towline.http.client import Transport
from towline.http.messages import BodySender, HttpRequest, Response, origin
from towline.http.redirects import MAX_REGISTRY_REDIRECTS, absolute_url, is_redirect, may_follow
from towline.limits import MIB, amount
from towline.record import replace
from towline.registry import errors
from towline.registry.auth.policy import is_docker_hub
from towline.registry.auth.tokens import Authorizer, choose_challenge, repository_of
from towline.secret import Login

MANIFEST_BYTES = 128 * MIB  # some ten thousand of the usual ones


class ManifestAllowance:
    """What is left for one registry; shared by threads."""

    def __init__(self, whose: str, where: str) -> None:
        self._whose, self._where = whose, where
        self._left = MANIFEST_BYTES
        self._lock = Lock()

    def take(self, body: bytes) -> None:
        """Count what has come; raises RegistryError where it is too much."""
        with self._lock:
            self._left -= len(body)
            over = self._left < 0
        if over:
            raise RegistryError(
                f"the {self._whose} sends more than {amount(MANIFEST_BYTES)} of manifests and lists of what"
                " refers to images",
                where=self._where,
                hint=(
                    "copy fewer images in one step; where they are few, see what is in that"
                    " repository"
                ),
            )


# a long upload begins with a token that does not end at once
_LARGE, _MARGIN = 64 * 1024 * 1024, 20.0


class RegistrySession:
    """The way to one registry in its role; shared by threads."""

    def __init__(
        self, party: errors.Endpoint, transport: Transport, *, allow_plain_http: bool
    ) -> None:
        self.party = party
        self.transport = transport
        self._allow_plain_http = allow_plain_http
        self._auths = {party.login: self._authorizer(party.login)}
        self._logins: dict[str, Login | None] = {}
        self.base = party.base
        self._origin = origin(self.base)
        self._asking = Lock()
        self._demanded: list[str] | None = None

    def scope(self, repository: str) -> str:
        """What a token must permit for work in `repository`: pulling, and pushing as well on a target."""
        return f"repository:{self.name(repository)}:{'pull,push' if self.party.role == 'target' else 'pull'}"

    def url(self, repository: str, rest: str) -> str:
        """The absolute URL of something in `repository`."""
        return f"{self.base}/v2/{self.name(repository)}/{rest}"

    def on_this_host(self, base: str, link: str) -> str:
        """The absolute URL of a Link header, which may not lead to another host; raises RegistryError."""
        url = _joined(base, link)
        if _shown(url) != self._origin:
            raise RegistryError(
                f"the {self.party} goes on at another host: {_shown(url)}",
                where=str(self.party.registry),
            )
        return url

    def name(self, repository: str) -> str:
        """The repository as the registry calls it: Docker Hub's own images have a prefix."""
        return (
            f"library/{repository}"
            if is_docker_hub(self.party.registry.host) and "/" not in repository
            else repository
        )

    def log_in(self, logins: Mapping[str, Login | None]) -> None:
        """Work in each of these repositories with its own login, in all others with the party's; told before the first request."""
        self._logins.update({self.name(repository): login for repository, login in logins.items()})
        self._auths.update(
            {login: self._authorizer(login) for login in set(logins.values()) - self._auths.keys()}
        )

    def want(self, repositories: Iterable[str]) -> None:
        """Let one token of each login cover its work in all of these; told before the first request."""
        wanted: dict[Authorizer, list[str]] = {}
        for repository in repositories:
            scope = self.scope(repository)
            wanted.setdefault(self._auth((scope,)), []).append(scope)
        for auth, scopes in wanted.items():
            auth.want(scopes)

    def party_of(self, repository: str) -> errors.Endpoint:
        """The party as it works in `repository`: with the login for that."""
        return self._auth((self.scope(repository),)).party

    def _authorizer(self, login: Login | None) -> Authorizer:
        return Authorizer(
            replace(self.party, login=login),
            self.transport,
            allow_plain_http=self._allow_plain_http,
        )

    def _auth(self, scopes: tuple[str, ...]) -> Authorizer:
        """Who logs in for a request: the first of its scopes is for the repository that it is about."""
        return self._auths[
            self._logins.get(repository_of(next(iter(scopes), "")), self.party.login)
        ]

    def send(self, request: HttpRequest, scopes: tuple[str, ...]) -> Response:
        """Send it; answers 401 once, follows redirects.

        Raises RegistryUnreachable, CredentialError, RegistryError.

        The status is the caller's to judge; `url` of the response is the one that has answered.
        """
        try:
            return self._followed(request, self._authorised(request, scopes), scopes)
        except TransportError as fault:
            raise errors.unreachable(self.party, fault) from fault

    def moved(self, request: HttpRequest, response: Response) -> str:
        """Where an answer redirects a request to, empty where it does not; raises RegistryError where that may not be followed."""
        location = response.headers.get("Location", "")
        if not location or not is_redirect(response.status, request.method):
            return ""
        url = absolute_url(location, request.url, self.party.registry)
        if not self.follows(url):
            response.close()
            raise RegistryError(
                f"the {self.party} redirects to where it may not: {_shown(url)}",
                where=str(self.party.registry),
            )
        return url

    def follows(self, url: str) -> bool:
        """Whether a URL that an answer has named may be asked: it is one, and leads to where the registry may send us."""
        try:
            return bool(origin(url)) and may_follow(url, self.party.registry)
        except TransportError:
            return False

    def named_by(self, url: str) -> str:
        """`named_by` of what an answer from `url` names: empty for the registry's own origin, which alone gets a credential where it says so itself."""
        where = origin(url)
        return "" if where == self._origin else where

    def begin(self, request: HttpRequest, size: int | None, scopes: tuple[str, ...]) -> BodySender:
        """Begin to send a body of `size` bytes (None: chunked), once: what comes back is the caller's to judge, 401 too.

        Raises RegistryUnreachable, CredentialError.
        """
        home = self._at_home(request)
        try:
            if home and (size is None or size >= _LARGE):
                self._auth(scopes).fresh(scopes, _MARGIN)
            sent = (
                _with(request, self._auth(scopes).header(scopes))
                if home
                else replace(request, named_by=self._origin)
            )
            return self.transport.begin(sent, size)
        except TransportError as fault:
            raise errors.unreachable(self.party, fault) from fault

    def forget(self, request: HttpRequest, response: Response, scopes: tuple[str, ...]) -> None:
        """Use the token no more that was refused (401) to an upload.

        What another host wants is not asked for: it gets no credential.
        """
        if self._at_home(request):
            self._auth(scopes).renew(response.headers.get_all("WWW-Authenticate") or [], scopes)

    def _authorised(self, request: HttpRequest, scopes: tuple[str, ...]) -> Response:
        if not self._at_home(request):
            return self.transport.request(replace(request, named_by=self._origin))
        auth = self._auth(scopes)
        sent = auth.header(scopes)
        response = self.transport.request(_with(request, sent))
        # a login is there, and nobody has asked for it
        unasked = response.status == 403 and sent is None and auth.party.login is not None
        if response.status != 401 and not unasked:
            return response
        headers = response.headers.get_all("WWW-Authenticate") or []
        if choose_challenge(headers) is None:
            with ExitStack() as unclosed:
                unclosed.callback(response.close)
                headers = self._at_the_door()
                unclosed.pop_all()
        if unasked and not headers:
            return response
        diagnosis = errors.read_error(response)
        if header := auth.brought(headers, scopes, sent):
            response = self.transport.request(_with(request, header))
            if response.status != 401:
                return response
            headers, sent = response.headers.get_all("WWW-Authenticate") or headers, header
            diagnosis = errors.read_error(response)
        header = auth.answer(headers, scopes, sent)
        if header is None:
            raise errors.login_refused(auth.party, _doing(request), diagnosis.text)
        return self._last_try(_with(request, header), auth.party)

    def _at_the_door(self) -> list[str]:
        """What the registry demands at `/v2/`, where some say it and nowhere else (distribution-spec 1.1, end-1; Docker's token specification).

        Asked once: an answer of 200 or 401 stands for the whole session.
        """
        with self._asking:
            if self._demanded is not None:
                return self._demanded
            with self.transport.request(
                HttpRequest(method="GET", url=f"{self.base}/v2/")
            ) as response:
                demanded = (
                    (response.headers.get_all("WWW-Authenticate") or [])
                    if response.status == 401
                    else []
                )
                self._demanded = demanded if response.status in (200, 401) else None
            return demanded

    def _at_home(self, request: HttpRequest) -> bool:
        """Whether a credential may go with it: not to another host that the registry named, nor back here by the word of one."""
        return not request.named_by and origin(request.url) == self._origin

    def _last_try(self, request: HttpRequest, party: errors.Endpoint) -> Response:
        response = self.transport.request(request)
        if response.status == 401:
            raise errors.login_refused(party, _doing(request), errors.read_error(response).text)
        return response

    def _followed(
        self, request: HttpRequest, response: Response, scopes: tuple[str, ...]
    ) -> Response:
        """Storage behind a redirect, or another place of the API: a new origin gets no Authorization, nor does any after it."""
        for hop in range(MAX_REGISTRY_REDIRECTS + 1):
            url = self.moved(request, response)
            if not url:
                response.url = request.url
                return response
            response.close()
            if hop == MAX_REGISTRY_REDIRECTS:
                break
            request = replace(
                request, url=url, named_by=request.named_by or self.named_by(request.url)
            )
            response = self._authorised(request, scopes)
        raise RegistryError(
            f"the {self.party} redirects more than {MAX_REGISTRY_REDIRECTS} times",
            where=str(self.party.registry),
        )


def _with(request: HttpRequest, authorization: str | None) -> HttpRequest:
    if authorization is None:
        return request
    headers: Mapping[str, str] = {**request.headers, "Authorization": authorization}
    return replace(request, headers=headers)


def _doing(request: HttpRequest) -> str:
    return f"({request.method} {request.url.partition('?')[0].partition('/v2/')[2]})"


def _joined(base: str, location: str) -> str:
    try:
        return urljoin(base, location).partition("#")[0]
    except ValueError:
        return ""


def _shown(url: str) -> str:
    try:
        return origin(url)
    except TransportError as fault:
        return str(fault)
