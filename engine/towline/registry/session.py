"""Authorised requests to one registry: logs in after 401, follows redirects, translates faults.

Network faults become errors of the registry family. The manifests and lists that one registry may
send in a run have a limit in bytes together: they are kept in memory, and the limit of a single one
does not bound their sum.
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
from towline.image import Repository
from towline.limits import MIB, amount
from towline.record import replace
from towline.registry import errors
from towline.registry.auth.policy import is_docker_hub
from towline.registry.auth.tokens import Authorizer, choose_challenge, repository_of
from towline.secret import Login

MANIFEST_BYTES = 128 * MIB  # some ten thousand usual manifests


class ManifestAllowance:
    """The bytes of manifests and lists that one registry may still send; shared by threads."""

    def __init__(self, whose: str, where: str) -> None:
        self._whose, self._where = whose, where
        self._left = MANIFEST_BYTES
        self._lock = Lock()

    def take(self, body: bytes) -> None:
        """Count a received body; raises RegistryError if the sum exceeds MANIFEST_BYTES."""
        with self._lock:
            self._left -= len(body)
            over = self._left < 0
        if over:
            raise RegistryError(
                f"the {self._whose} sends more than {amount(MANIFEST_BYTES)} of manifests and"
                " lists of referrers",
                where=self._where,
                hint=(
                    "copy fewer images in one step; if they are few, look at the contents of that"
                    " repository"
                ),
            )


# an upload of _LARGE bytes starts with a token that is valid for _MARGIN more seconds
_LARGE, _MARGIN = 64 * 1024 * 1024, 20.0


class RegistrySession:
    """Requests to one registry in its role; shared by threads."""

    def __init__(
        self, endpoint: errors.Endpoint, transport: Transport, *, allow_plain_http: bool
    ) -> None:
        self.endpoint = endpoint
        self.transport = transport
        self._allow_plain_http = allow_plain_http
        self._auths = {endpoint.login: self._authorizer(endpoint.login)}
        self._logins: dict[str, Login | None] = {}
        self.base = endpoint.base
        self._origin = origin(self.base)
        self._asking = Lock()
        self._demanded: list[str] | None = None

    def scope(self, repository: Repository) -> str:
        """The token scope for work in `repository`: pull, and on a target push as well."""
        actions = "pull,push" if self.endpoint.role == "target" else "pull"
        return f"repository:{self.name(repository)}:{actions}"

    def url(self, repository: Repository, rest: str) -> str:
        """The absolute URL of something in `repository`."""
        return f"{self.base}/v2/{self.name(repository)}/{rest}"

    def on_this_host(self, base: str, link: str) -> str:
        """The absolute URL of a Link header; raises RegistryError if it leads to another host."""
        url = _joined(base, link)
        if _origin_or_fault(url) != self._origin:
            raise RegistryError(
                f"the {self.endpoint} goes on at another host: {_origin_or_fault(url)}",
                where=str(self.endpoint.registry),
            )
        return url

    def name(self, repository: Repository) -> str:
        """The repository's name in the registry; Docker Hub's own images begin with library/."""
        is_official = is_docker_hub(self.endpoint.registry.host) and "/" not in repository.name
        return f"library/{repository.name}" if is_official else repository.name

    def log_in(self, logins: Mapping[Repository, Login | None]) -> None:
        """Use each of these repositories with its own login; called before the first request."""
        self._logins.update({self.name(repository): login for repository, login in logins.items()})
        self._auths.update(
            {login: self._authorizer(login) for login in set(logins.values()) - self._auths.keys()}
        )

    def want(self, repositories: Iterable[Repository]) -> None:
        """Let one token of each login cover these repositories; called before the first request."""
        wanted: dict[Authorizer, list[str]] = {}
        for repository in repositories:
            scope = self.scope(repository)
            wanted.setdefault(self._auth((scope,)), []).append(scope)
        for auth, scopes in wanted.items():
            auth.want(scopes)

    def endpoint_of(self, repository: Repository) -> errors.Endpoint:
        """The endpoint with the login for `repository`."""
        return self._auth((self.scope(repository),)).endpoint

    def _authorizer(self, login: Login | None) -> Authorizer:
        return Authorizer(
            replace(self.endpoint, login=login),
            self.transport,
            allow_plain_http=self._allow_plain_http,
        )

    def _auth(self, scopes: tuple[str, ...]) -> Authorizer:
        """The authorizer of a request; its first scope names the request's repository."""
        return self._auths[
            self._logins.get(repository_of(next(iter(scopes), "")), self.endpoint.login)
        ]

    def send(self, request: HttpRequest, scopes: tuple[str, ...]) -> Response:
        """Send a request; answers 401 once and follows redirects.

        The caller judges the status; `url` of the response is the URL that answered. Raises
        RegistryUnreachable, CredentialError, RegistryError.
        """
        try:
            return self._follow_redirects(request, self._authorised(request, scopes), scopes)
        except TransportError as fault:
            raise errors.unreachable(self.endpoint, fault) from fault

    def redirect_target(self, request: HttpRequest, response: Response) -> str:
        """The URL that an answer redirects the request to, or empty.

        Raises RegistryError if the redirect may not be followed.
        """
        location = response.headers.get("Location", "")
        if not location or not is_redirect(response.status, request.method):
            return ""
        url = absolute_url(location, request.url, self.endpoint.registry)
        if not self.follows(url):
            response.close()
            raise RegistryError(
                f"the {self.endpoint} redirects to a URL that may not be followed:"
                f" {_origin_or_fault(url)}",
                where=str(self.endpoint.registry),
            )
        return url

    def follows(self, url: str) -> bool:
        """Whether a URL from an answer is valid and may be requested."""
        try:
            return bool(origin(url)) and may_follow(url, self.endpoint.registry)
        except TransportError:
            return False

    def named_by(self, url: str) -> str:
        """`HttpRequest.named_by` of a URL in an answer from `url`; empty for the registry itself.

        Only URLs that the registry itself names get a credential.
        """
        where = origin(url)
        return "" if where == self._origin else where

    def begin(self, request: HttpRequest, size: int | None, scopes: tuple[str, ...]) -> BodySender:
        """Start a request with a body of `size` bytes (None: chunked), sent once.

        The caller judges the answer, 401 too. Raises RegistryUnreachable, CredentialError.
        """
        own_origin = self._is_own_origin(request)
        try:
            if own_origin and (size is None or size >= _LARGE):
                self._auth(scopes).ensure_lifetime(scopes, _MARGIN)
            sent = (
                _with_authorization(request, self._auth(scopes).header(scopes))
                if own_origin
                else replace(request, named_by=self._origin)
            )
            return self.transport.begin(sent, size)
        except TransportError as fault:
            raise errors.unreachable(self.endpoint, fault) from fault

    def forget(self, request: HttpRequest, response: Response, scopes: tuple[str, ...]) -> None:
        """Drop the token that an upload was refused with (401), and get a new one.

        Nothing is done for another host, which gets no credential.
        """
        if self._is_own_origin(request):
            self._auth(scopes).renew(response.headers.get_all("WWW-Authenticate") or [], scopes)

    def _authorised(self, request: HttpRequest, scopes: tuple[str, ...]) -> Response:
        if not self._is_own_origin(request):
            return self.transport.request(replace(request, named_by=self._origin))
        auth = self._auth(scopes)
        sent = auth.header(scopes)
        response = self.transport.request(_with_authorization(request, sent))
        # the registry refused an anonymous request without asking for the login that we have
        unasked = response.status == 403 and sent is None and auth.endpoint.login is not None
        if response.status != 401 and not unasked:
            return response
        headers = response.headers.get_all("WWW-Authenticate") or []
        if choose_challenge(headers) is None:
            with ExitStack() as unclosed:
                unclosed.callback(response.close)
                headers = self._challenge_of_base()
                unclosed.pop_all()
        if unasked and not headers:
            return response
        diagnosis = errors.read_error(response)
        header = auth.held_header(headers, scopes, sent)
        if header is None and sent is None:
            header = auth.answer(headers, scopes, sent)
        if header is not None:  # it may expire before its use, so it is not the last try
            response = self.transport.request(_with_authorization(request, header))
            if response.status != 401:
                return response
            headers, sent = response.headers.get_all("WWW-Authenticate") or headers, header
            diagnosis = errors.read_error(response)
        header = auth.answer(headers, scopes, sent)
        if header is None:
            raise errors.login_refused(auth.endpoint, _described(request), diagnosis.text)
        return self._last_try(_with_authorization(request, header), auth.endpoint)

    def _challenge_of_base(self) -> list[str]:
        """The login that the registry demands at `/v2/`, where some registries state it alone.

        Asked once: an answer of 200 or 401 counts for the whole session. Source: distribution-spec
        1.1, end-1; Docker's token specification.
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

    def _is_own_origin(self, request: HttpRequest) -> bool:
        """Whether the request may carry a credential: only to the registry's origin.

        A URL that another host named does not count, even if it leads back to the registry.
        """
        return not request.named_by and origin(request.url) == self._origin

    def _last_try(self, request: HttpRequest, endpoint: errors.Endpoint) -> Response:
        response = self.transport.request(request)
        if response.status == 401:
            raise errors.login_refused(
                endpoint, _described(request), errors.read_error(response).text
            )
        return response

    def _follow_redirects(
        self, request: HttpRequest, response: Response, scopes: tuple[str, ...]
    ) -> Response:
        """The answer after redirects; from the first other origin on, no Authorization is sent."""
        for hop in range(MAX_REGISTRY_REDIRECTS + 1):
            url = self.redirect_target(request, response)
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
            f"the {self.endpoint} redirects more than {MAX_REGISTRY_REDIRECTS} times",
            where=str(self.endpoint.registry),
        )


def _with_authorization(request: HttpRequest, authorization: str | None) -> HttpRequest:
    if authorization is None:
        return request
    headers: Mapping[str, str] = {**request.headers, "Authorization": authorization}
    return replace(request, headers=headers)


def _described(request: HttpRequest) -> str:
    return f"({request.method} {request.url.partition('?')[0].partition('/v2/')[2]})"


def _joined(base: str, location: str) -> str:
    try:
        return urljoin(base, location).partition("#")[0]
    except ValueError:
        return ""


def _origin_or_fault(url: str) -> str:
    try:
        return origin(url)
    except TransportError as fault:
        return str(fault)
