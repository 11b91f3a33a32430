"""What hvac sends its requests by, instead of `requests`: the engine's own transport, with its retries, deadlines and caps.

hvac's client, logged in: the token of a login is renewed once it is forgotten, and given back on every way out.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import hvac
from hvac.exceptions import Forbidden, InvalidPath, VaultError

from towline.console import Console
from towline.errors import CredentialError, TransportError, VaultUnreachable
from towline.http.client import Transport
from towline.http.connection import Network
from towline.http.messages import OWN_AUTHORITY_HINT, HttpRequest, UntrustedCertificate
from towline.literals import from_json
from towline.printable import words
from towline.record import frozen
from towline.retry import Clock, Deadline, poll_attempts
from towline.vault.logins import APP_ROLE, JWT, KUBERNETES, METHODS, TOKEN, VaultLogin

_BODY = 8 * 1024 * 1024
_SECONDS = 180.0
_SETTLING = 15.0  # seconds in which another one of several servers takes over


@frozen
class VaultResponse:
    """As much of `requests.Response` as hvac looks at."""

    status_code: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def ok(self) -> bool:
        """Whether it was done."""
        return 200 <= self.status_code < 300

    @property
    def text(self) -> str:
        """The body as a text."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body as data; raises ValueError."""
        return from_json(self.body)


class VaultTransport:
    """As much of `requests.Session` as hvac calls, over the engine's transport; raises VaultUnreachable, and CredentialError for a redirect."""

    verify = cert = proxies = None

    def __init__(
        self, host: str, *, network: Network, clock: Clock, hide: Callable[[str], None]
    ) -> None:
        self.host = host
        self._transport = Transport(clock=clock, read=30.0, network=network, hide=hide)
        self._deadline = Deadline.after(_SECONDS, clock)

    def request(
        self,
        *,
        method: str,
        url: str,
        headers: Mapping[str, str],
        json: Any = None,
        **_others: object,
    ) -> VaultResponse:
        """Send it and give the whole answer.

        A redirect is not followed: of several servers one that stands by does not forward requests
        for a moment.
        """
        answer = VaultResponse(status_code=0, headers={}, body=b"")
        for _ in self.moments(_SETTLING):
            answer = self._once(_request(method, url, headers, json))
            if not 300 <= answer.status_code < 400:
                break
        else:
            raise CredentialError(
                f"Vault at {self.host} sends the request to another place, and a login does not"
                " follow",
                where="vaultServerUrl",
                hint="name the server that answers by itself, or let the standby forward requests",
            )
        if answer.status_code >= 500 or answer.status_code == 429:
            raise self._unreachable(
                f"cannot answer: it is sealed, down, or too busy (HTTP {answer.status_code})"
            )
        return answer

    def _once(self, request: HttpRequest) -> VaultResponse:
        if not self._deadline.left:
            raise self._unreachable(
                f"takes longer than {_SECONDS:.0f} seconds for all that is asked"
            )
        try:
            with self._transport.request(request) as response:
                return VaultResponse(
                    status_code=response.status,
                    headers=dict(response.headers),
                    body=response.read_capped(_BODY),
                )
        except UntrustedCertificate as fault:
            raise VaultUnreachable(
                f"Vault at {self.host} cannot be reached: {fault}",
                where=self.host,
                hint=OWN_AUTHORITY_HINT,
            ) from fault
        except TransportError as fault:
            raise self._unreachable(f"cannot be reached: {fault}") from fault

    def moments(self, seconds: float) -> Iterator[None]:
        """Now, and again after pauses, for so many seconds: for what may need a moment."""
        return poll_attempts(self._transport.clock, seconds=seconds, sleep=self._transport.wait)

    def rest(self, seconds: float) -> None:
        """Wait so long."""
        self._transport.wait(seconds)

    def hurry(self, seconds: float) -> None:
        """What is asked from now on takes at most so long, whatever time was used up before: for what clears away."""
        self._transport.close()
        self._transport = self._transport.afresh(seconds)
        self._deadline = Deadline.after(seconds, self._transport.clock)

    def close(self) -> None:
        """Close the connections."""
        self._transport.__exit__(None, None, None)

    def _unreachable(self, what: str) -> VaultUnreachable:
        return VaultUnreachable(f"Vault at {self.host} {what}", where=self.host)


def _request(method: str, url: str, headers: Mapping[str, str], data: Any) -> HttpRequest:
    body = b"" if data is None else json.dumps(data).encode()
    # A log-in may be sent twice: at worst that leaves a token which ends by itself. A token that is
    # given back is gone the second time.
    return HttpRequest(
        method=method.upper(),
        url=url,
        headers={**headers, "Content-Type": "application/json"} if body else headers,
        body=body,
        repeatable=url.endswith(("/login", "/revoke-self")),
    )


_T = TypeVar("_T")
_OVER = object()
_NEWS = 3.0  # seconds after which all servers have heard of what is new
_SETTING_UP = 5.0  # seconds for a store that changes its version
_LAST = 20.0  # seconds in which a token is given back, however long the rest has taken


class VaultAccess:
    """A server between log-in and log-out, to be asked by `client`; a token that was given to us stays valid at the end."""

    def __init__(
        self,
        url: str,
        login: VaultLogin,
        *,
        console: Console,
        network: Network | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.host = urlsplit(url).netloc
        self.login, self._method = login, METHODS[login.method]
        self._console, self._clock = console, clock or Clock()
        self._session = VaultTransport(
            self.host, network=network or Network(), clock=self._clock, hide=console.hide
        )
        self.client: Any = hvac.Client(
            url=url, token="", namespace=login.namespace or None, session=self._session
        )
        self._ours = login.method != TOKEN  # to be given back
        self._began, self._ends = -math.inf, math.inf
        self._renewals = 1
        self._works: bool | None = None

    def __enter__(self) -> Self:
        try:
            self._log_in()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def answered(self) -> None:
        """Vault has let us read something: should it forget the token from now on, another login is worth it."""
        self._renewals = 1

    def moments(self) -> Iterator[None]:
        """Now, and again after pauses, for what may need a moment."""
        return self._session.moments(_SETTING_UP)

    def knows_us(self) -> bool:
        """Whether Vault says that it knows the token; one without the policy `default` may be known all the same.

        Raises VaultUnreachable.
        """
        with contextlib.suppress(VaultError), self.spoken():
            self.client.auth.token.lookup_self()
            return True
        return False

    def ask(self, once: Callable[[], _T]) -> _T:
        """What `once` asks the client for; asked again while a server of several that stands by may not have heard of the token yet.

        Raises VaultError, CredentialError, VaultUnreachable.
        """
        pauses = self._pauses()
        while True:
            try:
                with self.spoken():
                    return once()
            except Forbidden:
                if next(pauses, _OVER) is _OVER:
                    raise

    def _pauses(self) -> Iterator[None]:
        """While the token is new, if it is a server that stands by."""
        left = self._began + _NEWS - self._clock.now()
        if left > 0 and not self._active():
            yield from itertools.islice(self._session.moments(left), 1, None)

    def _active(self) -> bool:
        """Whether it is the server that works, and none that stands by."""
        if self._works is None:
            with contextlib.suppress(VaultError), self.spoken():
                status = self.client.sys.read_leader_status()
                self._works = bool(status.get("is_self") or not status.get("ha_enabled"))
        return self._works is True

    def renewed(self) -> bool:
        """Log in once more, where that can be done; False where it cannot, or was of no use before.

        Raises CredentialError, VaultUnreachable.
        """
        if self.login.method == TOKEN or not self._renewals:
            return False
        self._renewals -= 1
        before, ends = self.client.token, self._ends
        self.client.token = None
        try:
            self._log_in()
        except BaseException as fault:
            self.client.token = before  # to be given back
            if not isinstance(fault, CredentialError) or isinstance(fault, VaultUnreachable):
                raise
            if self._clock.now() < ends:  # it has time left: so it is not the token that is refused
                return False
            raise
        with self._token(before), contextlib.suppress(VaultError, CredentialError), self.spoken():
            self.client.auth.token.revoke_self()
        return True

    @contextlib.contextmanager
    def spoken(self) -> Iterator[None]:
        """For hvac, which takes the shape of an answer for granted: another one is no answer of Vault's.

        Raises CredentialError.
        """
        try:
            yield
        except (AttributeError, KeyError, TypeError, ValueError) as fault:
            raise self.fault(
                "does not answer as Vault does", hint="check vaultServerUrl"
            ) from fault

    def fault(self, what: str, *, hint: str) -> CredentialError:
        """What Vault does, at this host, with this login."""
        return CredentialError(f"Vault at {self.host} {what}", where=self.login.origin, hint=hint)

    def _log_in(self) -> None:
        login, name = self.login, self._method.name
        proof = login.proof()
        self._console.hide(proof)
        # who is refused several times, because nobody has heard of them yet, is locked out
        if login.fresh and not self._active():
            self._session.rest(_NEWS)
        try:
            with self.spoken():
                answer = self._method.enter(self.client, login, proof)
                if answer:
                    self._took(answer["auth"])
        except InvalidPath as fault:
            hint = (
                "check vaultServerUrl, vaultNamespace and vaultAuthMount: the login is for"
                f" auth/{login.mount}"
            )
            raise self.fault(f"has no {name} login{vault_message(fault)}", hint=hint) from None
        except VaultError as fault:
            role = (
                f" with the role {login.role!r}" if login.role and login.method != APP_ROLE else ""
            )
            hint = (
                f"check {login.origin}: it may have expired, or be for another server; it logs in"
                f" at auth/{login.mount}{role}"
            )
            hint += (
                ""
                if login.role or login.method not in (JWT, KUBERNETES)
                else ", and vaultAuthRole names no role"
            )
            raise self.fault(f"refuses the {name} login{vault_message(fault)}", hint=hint) from None

    def _took(self, auth: dict[str, Any]) -> None:
        if auth.get("mfa_requirement"):
            raise self.fault(
                f"wants a second factor for the {self._method.name} login",
                hint="let the role log in without one: nobody is here who could show it",
            )
        # which cannot be revoked; it ends by itself, soon
        self._ours = auth.get("token_type") != "batch"
        self._began = self._clock.now()
        self._ends = self._began + (float(auth.get("lease_duration") or 0) or math.inf)

    @contextlib.contextmanager
    def _token(self, token: str) -> Iterator[None]:
        """Speak by another token."""
        own, self.client.token = self.client.token, token
        try:
            yield
        finally:
            self.client.token = own

    def _close(self) -> None:
        """Revoke the token that the login gave, never one that was given to us: its owner may need it on."""
        try:
            if self._ours and self.client.token:
                self._ours = False
                self._session.hurry(_LAST)
                with self.spoken():
                    self.client.auth.token.revoke_self()
        except (VaultError, CredentialError) as fault:
            self._console.warn(
                f"Vault at {self.host} did not take back the token of the {self._method.name}"
                f" login, which ends by itself later ({type(fault).__name__})"
            )
        finally:
            self._session.close()


def vault_message(fault: Exception) -> str:
    """Vault's own words, as far as they are fit for a line, behind a colon."""
    text = words(str(fault.args[0] if fault.args else "") or "", 200)
    return f": {text}" if text else ""
