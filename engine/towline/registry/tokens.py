"""The Authorization header for one registry: basic, or a bearer token that is fetched once per set of scopes and kept while it lives.

Docker's token specification (distribution/docs/spec/auth/token.md): GET realm?service=...&scope=..., with the user's login in Basic.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import urlencode

from towline.errors import CredentialError, RegistryError, TransportError
from towline.exchange import HttpRequest, origin
from towline.image import Registry
from towline.registry import faults
from towline.registry.challenge import Challenge, choose
from towline.registry.credentials import basic, check_sending
from towline.registry.hosts import may_follow, may_log_in
from towline.transport import Transport

_LIFETIME, _EARLY = 60.0, 10.0
_TOKEN = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, kw_only=True)
class Token:
    """A bearer token and when to stop using it, on the transport's clock."""

    text: str = field(repr=False)
    end: float


class Authorizer:
    """Answers the challenges of one registry; shared by threads, which wait for one another's token."""

    def __init__(self, party: faults.Party, transport: Transport, *, allow_plain_http: bool) -> None:
        self._party = party
        self._transport = transport
        self._allow_plain_http = allow_plain_http
        self._lock = threading.Lock()
        self._challenge: Challenge | None = None
        self._tokens: dict[frozenset[str], Token] = {}

    def header(self, scopes: Iterable[str]) -> str | None:
        """The Authorization for a request that needs `scopes`; None while the registry has not asked for any. Raises like `answer`."""
        with self._lock:
            return None if self._challenge is None else self._header(self._challenge, tuple(scopes))

    def answer(self, headers: Iterable[str], scopes: Iterable[str], sent: str | None) -> str | None:
        """The Authorization for a second try after 401 with these WWW-Authenticate `headers`; None where there is nothing else than what was `sent`.

        Raises CredentialError, RegistryError, RegistryUnreachable (the token service).
        """
        with self._lock:
            needed = tuple(scopes)
            token = self._tokens.get(frozenset(needed))
            if token is not None and sent != f"Bearer {token.text}":
                return f"Bearer {token.text}"  # another thread has been faster
            challenge = choose(headers)
            if challenge is None or (challenge.scheme == "basic" and self._party.login is None):
                return None
            self._tokens.pop(frozenset(needed), None)
            self._challenge = challenge
            header = self._header(challenge, needed)
            return None if header == sent else header

    def renew(self, headers: Iterable[str], scopes: Iterable[str]) -> None:
        """Bring a new token, since the one for `scopes` was refused with these `headers` by a request that cannot be sent again. Raises like `answer`."""
        needed = tuple(scopes)
        with self._lock:
            self._tokens.pop(frozenset(needed), None)
        self.answer(headers, needed, None)

    def _header(self, challenge: Challenge, scopes: tuple[str, ...]) -> str | None:
        if challenge.scheme == "basic":
            return self._basic(self._party.registry.scheme, self._party.registry.host)
        key = frozenset(scopes)
        token = self._tokens.get(key)
        if token is None or token.end <= self._transport.clock.now():
            token = self._tokens[key] = self._fetch(challenge, _merged(scopes, challenge.scopes))
        return f"Bearer {token.text}"

    def _basic(self, scheme: str, host: str) -> str | None:
        if self._party.login is None:
            return None
        check_sending(self._party.login, scheme, host, allow_plain_http=self._allow_plain_http)
        return basic(self._party.login)

    def _fetch(self, challenge: Challenge, scopes: tuple[str, ...]) -> Token:
        realm, registry = challenge.parameters["realm"], self._party.registry
        where = _where(realm)
        if not where or not may_follow(realm, registry):
            raise CredentialError(f"the {self._party} names a token service that may not be asked ({where or 'no URL'})", where=str(registry))
        headers = {"Accept": "application/json"}
        if self._party.login is not None:
            headers["Authorization"] = self._permitted(realm, registry)
        service = [("service", challenge.parameters["service"])] if challenge.parameters.get("service") else []
        query = urlencode([*service, *(("scope", scope) for scope in scopes)])
        url = realm.partition("#")[0]
        return self._read(HttpRequest(method="GET", url=f"{url}{'&' if '?' in url else '?'}{query}", headers=headers))

    def _permitted(self, realm: str, registry: Registry) -> str:
        """The login for the realm, where the registry may be trusted with naming it."""
        scheme, _, host = _where(realm).partition("://")
        header = self._basic(scheme, host)
        if header is None or not may_log_in(realm, registry):
            raise CredentialError(
                f"the {self._party} asks {self._party.user} to log in at {_where(realm)}, which may not receive the password",
                where=str(registry), hint="a token service must speak https, or be on the registry's own host",
            )
        return header

    def _read(self, request: HttpRequest) -> Token:
        asked = self._transport.clock.now()
        try:
            with self._transport.request(request) as response:
                if response.status in (400, 401, 403):
                    raise faults.refused(self._party, "at its token service", faults.diagnose(response).text)
                body = response.read_capped(faults.BODY) if response.status == 200 else b""
        except TransportError as fault:
            raise faults.unreachable(self._party, fault) from fault
        token = _parse(body, asked)
        if token is None:
            raise RegistryError(f"the token service of the {self._party} answers {response.status} without a token", where=origin(request.url))
        return token


def _parse(body: bytes, asked: float) -> Token | None:
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return None
    text = (data.get("token") or data.get("access_token")) if isinstance(data, dict) else None
    if not isinstance(text, str) or not _TOKEN.fullmatch(text):
        return None
    seconds = data.get("expires_in")
    lifetime = float(seconds) if isinstance(seconds, int) and 0 < seconds < 10**6 else _LIFETIME
    return Token(text=text, end=asked + lifetime - _EARLY)


def _merged(ours: tuple[str, ...], demanded: tuple[str, ...]) -> tuple[str, ...]:
    """Our scopes first (some services look at the first only), then those demanded for a name that ours do not cover."""
    covered = {(scope.rpartition(":")[0], action) for scope in ours for action in scope.rpartition(":")[2].split(",")}
    wanted = [(scope, {(scope.rpartition(":")[0], action) for action in scope.rpartition(":")[2].split(",")}) for scope in demanded]
    return ours + tuple(scope for scope, parts in wanted if not parts <= covered)


def _where(realm: str) -> str:
    """The realm's origin, empty where it is no URL."""
    try:
        return origin(realm)
    except TransportError:
        return ""
