"""Authorization headers for one registry: basic, or bearer tokens that are fetched and reused.

Docker's token specification (distribution/docs/spec/auth/token.md): GET
realm?service=...&scope=..., with the user's login in Basic. An identity token uses the OAuth2 form
(oauth.md), a POST, and the GET if a service does not support that.

Challenges in WWW-Authenticate (RFC 9110 section 11) are read leniently and in linear time.

Scopes are `repository:<name>:<action>,<action>` (distribution/docs/spec/auth/scope.md); one token
covers the scopes of the whole run.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import urlencode

from towline.errors import CredentialError, RegistryError, TransportError
from towline.http.client import Transport, read_with_retries
from towline.http.messages import HttpRequest, Response, origin
from towline.http.redirects import may_follow, may_log_in
from towline.literals import json_object
from towline.record import field, frozen
from towline.registry import errors
from towline.registry.auth.policy import basic_authorization, check_sending
from towline.registry.coding import decode_body
from towline.secret import BEARER, IDENTITY, Login

_HTTP_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - RFC 9110's name for a word
_GAP = re.compile(r"[ \t,]*")
_PARAMETER = re.compile(
    rf"({_HTTP_TOKEN})[ \t]*=[ \t]*(?:\"((?:[^\"\\]|\\.)*)\"|({_HTTP_TOKEN}))[ \t]*(?=,|$)"
)
_SCHEME = re.compile(rf"({_HTTP_TOKEN})(?=[ \t,]|$)")
_REST = re.compile(r"[^,\"]*(?:\"(?:[^\"\\]|\\.)*(?:\"|$)[^,\"]*)*(?:,|$)")
_LONGEST_HEADER = 16 * 1024


@frozen
class Challenge:
    """One way to log in: scheme and parameter names in lower case."""

    scheme: str
    parameters: Mapping[str, str]

    @property
    def scopes(self) -> tuple[str, ...]:
        """The scopes of a bearer challenge."""
        return tuple(self.parameters.get("scope", "").split())


def parse_challenges(header: str) -> tuple[Challenge, ...]:
    """Every challenge of one header in order; unreadable parts are left out."""
    text, found = header[:_LONGEST_HEADER], list[tuple[str, dict[str, str]]]()
    position = _end(_GAP, text, 0)
    while position < len(text):
        if found and (parameter := _PARAMETER.match(text, position)):
            name, quoted, plain = parameter.groups()
            found[-1][1].setdefault(
                name.lower(), plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            )
            position = parameter.end()
        elif scheme := _SCHEME.match(text, position):
            found.append((scheme[1].lower(), {}))
            position = scheme.end()
        else:
            position = max(_end(_REST, text, position), position + 1)
        position = _end(_GAP, text, position)
    return tuple(Challenge(scheme=scheme, parameters=parameters) for scheme, parameters in found)


def choose_challenge(headers: Iterable[str]) -> Challenge | None:
    """The challenge to answer: bearer with a realm, else basic; others (Negotiate) are ignored."""
    challenges = [challenge for header in headers for challenge in parse_challenges(header)]
    bearer = (
        entry for entry in challenges if entry.scheme == "bearer" and entry.parameters.get("realm")
    )
    return next(bearer, next((entry for entry in challenges if entry.scheme == "basic"), None))


def _end(pattern: re.Pattern[str], text: str, position: int) -> int:
    """Where `pattern` ends in `text`; if it does not match, the end of the text."""
    match = pattern.match(text, position)
    return match.end() if match else len(text)


Grants = frozenset[tuple[str, str]]


def grants(scopes: Iterable[str]) -> Grants:
    """Every (resource, action) of the scopes."""
    return frozenset(
        (scope.rpartition(":")[0], action)
        for scope in scopes
        for action in scope.rpartition(":")[2].split(",")
    )


def repository_of(scope: str) -> str:
    """The repository of a scope."""
    return scope.partition(":")[2].rpartition(":")[0]


def merge_scopes(*lists: Iterable[str]) -> tuple[str, ...]:
    """The scopes of all lists in order, without those that earlier ones grant; push scopes first.

    Some token services look at the first scope only (facts 3.1).
    """
    kept: list[str] = []
    granted: set[tuple[str, str]] = set()
    for scope in sorted((scope for scopes in lists for scope in scopes), key=_does_not_push):
        if not (own := grants([scope])) <= granted:
            kept.append(scope)
            granted |= own
    return tuple(kept)


def _does_not_push(scope: str) -> bool:
    return "push" not in scope.rpartition(":")[2].split(",")


_LIFETIME, _EARLY = 60.0, 10.0
_MOST_SCOPES = 40  # in one request: the length of a URL is limited
_TOKEN = re.compile(r"[\x21-\x7e]+")
# a token service with these statuses may accept another form, or fewer scopes
_OTHERWISE = frozenset({400, 403, 404, 405})
_REFUSED = frozenset({400, 401, 403})


@frozen
class BearerToken:
    """A bearer token, its grants, and when to stop using it, on the transport's clock."""

    text: str = field(repr=False)
    grants: Grants
    end: float

    @property
    def header(self) -> str:
        """The value of the Authorization header."""
        return f"Bearer {self.text}"


class Authorizer:
    """Answers the challenges of one registry; shared by threads, which share tokens."""

    def __init__(
        self, endpoint: errors.Endpoint, transport: Transport, *, allow_plain_http: bool
    ) -> None:
        self.endpoint = endpoint
        self._transport = transport
        self._allow_plain_http = allow_plain_http
        self._lock = threading.Lock()
        self._flights: dict[frozenset[str], threading.Lock] = {}
        self._challenge: Challenge | None = None
        self._wanted: tuple[str, ...] = ()
        self._tokens: list[BearerToken] = []  # the newest first

    def want(self, scopes: Iterable[str]) -> None:
        """Let the next token cover these scopes too.

        Called with all scopes of the run before the first request, it makes one token enough.
        """
        with self._lock:
            self._wanted = merge_scopes(self._wanted, scopes)

    def header(self, scopes: Iterable[str]) -> str | None:
        """The Authorization for `scopes`, or None while the registry has not asked for one.

        Raises as `answer` does.
        """
        challenge = self._challenge
        return None if challenge is None else self._header(challenge, tuple(scopes))

    def ensure_lifetime(self, scopes: Iterable[str], margin_seconds: float) -> None:
        """Get a token for `scopes` valid for `margin_seconds` more, if the service grants that.

        Called before a long upload. Raises as `answer` does.
        """
        challenge = self._challenge
        if (
            challenge is not None
            and challenge.scheme == "bearer"
            and not self._has_login_of(BEARER)
        ):
            self._token(challenge, tuple(scopes), margin=margin_seconds)

    def answer(self, headers: Iterable[str], scopes: Iterable[str], sent: str | None) -> str | None:
        """The Authorization for a second attempt after 401 with these WWW-Authenticate `headers`.

        None if there is no other one than `sent`. A refused token is followed by one for these
        scopes and those that the registry demands alone. Raises CredentialError, RegistryError,
        RegistryUnreachable (the token service).
        """
        challenge = choose_challenge(headers)
        needed = merge_scopes(scopes, challenge.scopes if challenge else ())
        with self._lock:
            self._drop(sent)
            held = self._held(grants(needed))
            if held is not None:
                return held.header  # another thread was faster
            if challenge is None:
                return None
            self._challenge = challenge
            refused = (sent or "").startswith("Bearer ")
            if refused and challenge.parameters.get("error") == "insufficient_scope":
                self._wanted = ()  # the service does not grant all of them in one token
        header = self._header(challenge, needed, narrow=refused)
        return None if header == sent else header

    def held_header(
        self, headers: Iterable[str], scopes: Iterable[str], sent: str | None
    ) -> str | None:
        """The Authorization that another thread has got since `sent` was used, or None.

        It may have expired in the meantime as well.
        """
        challenge = choose_challenge(headers)
        needed = merge_scopes(scopes, challenge.scopes if challenge else ())
        with self._lock:
            self._drop(sent)
            held = self._held(grants(needed))
        return held.header if held else None

    def renew(self, headers: Iterable[str], scopes: Iterable[str]) -> None:
        """Get a new token for `scopes` after one was refused to a request sent once.

        Raises as `answer` does.
        """
        needed = tuple(scopes)
        with self._lock:
            held = self._held(grants(needed))
        self.answer(headers, needed, held.header if held else None)

    def _header(
        self, challenge: Challenge, scopes: tuple[str, ...], *, narrow: bool = False
    ) -> str | None:
        registry = self.endpoint.registry
        if challenge.scheme == "basic":
            return (
                None if self._has_login_of(BEARER) else self._basic(registry.scheme, registry.host)
            )
        if self.endpoint.login is not None and self._has_login_of(BEARER):
            check_sending(
                self.endpoint.login,
                registry.scheme,
                registry.host,
                allow_plain_http=self._allow_plain_http,
            )
            return f"Bearer {self.endpoint.login.password}"
        return self._token(challenge, scopes, narrow=narrow).header

    def _token(
        self,
        challenge: Challenge,
        scopes: tuple[str, ...],
        *,
        narrow: bool = False,
        margin: float = 0.0,
    ) -> BearerToken:
        """A valid token, held or fetched; of threads that need the same one, one fetches."""
        with self._lock:
            all_scopes = merge_scopes([*scopes, *(() if narrow else self._wanted)][:_MOST_SCOPES])
            flight = self._flights.setdefault(frozenset(all_scopes), threading.Lock())
        with flight:
            with self._lock:
                held = self._held(grants(scopes), margin)
            if held is not None:
                return held
            token = self._fetch(challenge, list(dict.fromkeys((all_scopes, merge_scopes(scopes)))))
            with self._lock:
                self._tokens.insert(0, token)
            return token

    def _held(self, needed: Grants, margin: float = 0.0) -> BearerToken | None:
        now = self._transport.clock.now()
        self._tokens = [token for token in self._tokens if token.end > now]
        return next(
            (
                token
                for token in self._tokens
                if needed <= token.grants and token.end > now + margin
            ),
            None,
        )

    def _drop(self, sent: str | None) -> None:
        """Drop a refused token and all older ones."""
        at = next(
            (number for number, token in enumerate(self._tokens) if token.header == sent),
            len(self._tokens),
        )
        del self._tokens[at:]

    def _has_login_of(self, kind: str) -> bool:
        return self.endpoint.login is not None and self.endpoint.login.kind == kind

    def _basic(self, scheme: str, host: str) -> str | None:
        if self.endpoint.login is None:
            return None
        check_sending(self.endpoint.login, scheme, host, allow_plain_http=self._allow_plain_http)
        return basic_authorization(self.endpoint.login)

    def _fetch(self, challenge: Challenge, choices: Sequence[tuple[str, ...]]) -> BearerToken:
        """A token for the first of `choices` that the service grants.

        With an identity token, both request forms are tried in turn.
        """
        realm, registry = challenge.parameters["realm"], self.endpoint.registry
        where = _where(realm)
        if not where or not may_follow(realm, registry):
            raise CredentialError(
                f"the {self.endpoint} names a token service that may not be used"
                f" ({where or 'no URL'})",
                where=str(registry),
            )
        forms = (
            (self._oauth_request, self._token_request)
            if self._has_login_of(IDENTITY)
            else (self._token_request,)
        )
        attempts = [(form, scopes) for scopes in choices for form in forms]
        for number, (form, scopes) in enumerate(attempts, start=1):
            token = self._read(form(challenge, scopes), scopes, last=number == len(attempts))
            if token is not None:
                return token
        raise AssertionError("unreachable")

    def _token_request(self, challenge: Challenge, scopes: tuple[str, ...]) -> HttpRequest:
        headers = {"Accept": "application/json"}
        if self.endpoint.login is not None:
            headers["Authorization"] = self._permitted(
                challenge.parameters["realm"], self.endpoint.login
            )
        query = urlencode([*_service(challenge), *(("scope", scope) for scope in scopes)])
        url = challenge.parameters["realm"].partition("#")[0]
        return HttpRequest(
            method="GET",
            url=f"{url}{'&' if '?' in url else '?'}{query}",
            headers=headers,
            named_by=str(self.endpoint.registry),
        )

    def _oauth_request(self, challenge: Challenge, scopes: tuple[str, ...]) -> HttpRequest:
        """The request that exchanges the identity token for a bearer token, as a form body.

        A form keeps the identity token out of every URL.
        """
        login, url = self.endpoint.login, challenge.parameters["realm"].partition("#")[0]
        assert login is not None
        self._permitted(url, login)
        known = [
            ("grant_type", "refresh_token"),
            *_service(challenge),
            ("client_id", "towline"),
            ("scope", " ".join(scopes)),
        ]
        headers = {
            "Accept": "application/json",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        body = urlencode([*known, ("refresh_token", login.password)]).encode()
        return HttpRequest(
            method="POST",
            url=url,
            headers=headers,
            body=body,
            repeatable=True,
            named_by=str(self.endpoint.registry),
        )

    def _permitted(self, realm: str, login: Login) -> str:
        """The login for the realm; raises CredentialError if it must not go there."""
        scheme, _, host = _where(realm).partition("://")
        check_sending(login, scheme, host, allow_plain_http=self._allow_plain_http)
        if not may_log_in(realm, self.endpoint.registry):
            raise CredentialError(
                f"the {self.endpoint} asks {self.endpoint.user} to log in at {_where(realm)},"
                " which may not receive the password",
                where=str(self.endpoint.registry),
                hint="a token service must speak https, or be on the registry's own host",
            )
        return basic_authorization(login)

    def _read(
        self, request: HttpRequest, scopes: tuple[str, ...], *, last: bool
    ) -> BearerToken | None:
        """The token in the answer, or None if another form or choice is worth trying.

        Raises CredentialError, RegistryError, RegistryUnreachable.
        """
        asked = self._transport.clock.now()

        def read(response: Response) -> tuple[int, bytes] | None:
            if response.status in _OTHERWISE and not last:
                return None
            if response.status in _REFUSED:
                status = response.status if response.status == 403 else 401
                raise errors.error_for_status(
                    self.endpoint, status, "at its token service", errors.read_error(response).text
                )
            body = response.read_capped(errors.ERROR_BODY_LIMIT) if response.status == 200 else b""
            return response.status, decode_body(
                body, response.headers, limit=errors.ERROR_BODY_LIMIT, where=response.where
            )

        try:
            answer = read_with_retries(
                lambda: self._transport.request(request), read, self._transport
            )
        except TransportError as fault:
            raise errors.unreachable(self.endpoint, fault) from fault
        if answer is None:
            return None
        token = _parse(answer[1], asked, grants(scopes))
        if token is None:
            raise RegistryError(
                f"the token service of the {self.endpoint} answers {answer[0]} without a token",
                where=origin(request.url),
            )
        return token


def _service(challenge: Challenge) -> list[tuple[str, str]]:
    return (
        [("service", challenge.parameters["service"])]
        if challenge.parameters.get("service")
        else []
    )


def _parse(body: bytes, asked: float, granted: Grants) -> BearerToken | None:
    data = json_object(body) or {}
    text = data.get("token") or data.get("access_token")
    if not isinstance(text, str) or not _TOKEN.fullmatch(text):
        return None
    seconds = data.get("expires_in")
    lifetime = float(seconds) if isinstance(seconds, int) and 0 < seconds < 10**6 else _LIFETIME
    return BearerToken(text=text, grants=granted, end=asked + lifetime - min(_EARLY, lifetime / 2))


def _where(realm: str) -> str:
    """The realm's origin, or empty if the realm is not a URL."""
    try:
        return origin(realm)
    except TransportError:
        return ""
