"""Session with a Vault server: hvac's requests over the engine's transport, login and logout.

`VaultTransport` takes the place of `requests`, with the engine's retries, deadlines and caps.
`VaultAccess` logs in, renews a forgotten token, and revokes the token in the end.
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

_LARGEST_ANSWER = 8 * 1024 * 1024
_SESSION_SECONDS = 180.0
_STANDBY_SECONDS = 15.0  # seconds in which another server of a cluster takes over


@frozen
class VaultResponse:
    """The part of `requests.Response` that hvac uses."""

    status_code: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def ok(self) -> bool:
        """Whether the status means success."""
        return 200 <= self.status_code < 300

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body as data; raises ValueError."""
        return from_json(self.body)


class VaultTransport:
    """The part of `requests.Session` that hvac uses, over the engine's transport.

    Raises VaultUnreachable, and CredentialError for a redirect.
    """

    verify = cert = proxies = None

    def __init__(
        self, host: str, *, network: Network, clock: Clock, hide: Callable[[str], None]
    ) -> None:
        self.host = host
        self._transport = Transport(clock=clock, read=30.0, network=network, hide=hide)
        self._deadline = Deadline.after(_SESSION_SECONDS, clock)

    def request(
        self,
        *,
        method: str,
        url: str,
        headers: Mapping[str, str],
        json: Any = None,
        **_others: object,
    ) -> VaultResponse:
        """Send a request and return the whole answer.

        A redirect is not followed, but the request is repeated for some seconds, since a standby
        server may need a moment until it forwards requests.
        """
        answer = VaultResponse(status_code=0, headers={}, body=b"")
        for _ in self.poll_attempts(_STANDBY_SECONDS):
            answer = self._once(_request(method, url, headers, json))
            if not 300 <= answer.status_code < 400:
                break
        else:
            raise CredentialError(
                f"Vault at {self.host} redirects the request, and a login does not follow"
                " redirects",
                where="vaultServerUrl",
                hint="name the server that answers itself, or let the standby forward requests",
            )
        if answer.status_code >= 500 or answer.status_code == 429:
            raise self._unreachable(
                f"cannot answer: it is sealed, down, or too busy (HTTP {answer.status_code})"
            )
        return answer

    def _once(self, request: HttpRequest) -> VaultResponse:
        if not self._deadline.left:
            raise self._unreachable(
                f"takes longer than {_SESSION_SECONDS:.0f} seconds for all requests together"
            )
        try:
            with self._transport.request(request) as response:
                return VaultResponse(
                    status_code=response.status,
                    headers=dict(response.headers),
                    body=response.read_capped(_LARGEST_ANSWER),
                )
        except UntrustedCertificate as fault:
            raise VaultUnreachable(
                f"Vault at {self.host} cannot be reached: {fault}",
                where=self.host,
                hint=OWN_AUTHORITY_HINT,
            ) from fault
        except TransportError as fault:
            raise self._unreachable(f"cannot be reached: {fault}") from fault

    def poll_attempts(self, seconds: float) -> Iterator[None]:
        """Yield at once and then after each pause, for `seconds` in all."""
        return poll_attempts(self._transport.clock, seconds=seconds, sleep=self._transport.wait)

    def pause(self, seconds: float) -> None:
        """Wait `seconds`."""
        self._transport.wait(seconds)

    def limit_rest(self, seconds: float) -> None:
        """Limit the clean-up requests that follow to `seconds`, whatever time was used before."""
        self._transport.close()
        self._transport = self._transport.short_lived(seconds)
        self._deadline = Deadline.after(seconds, self._transport.clock)

    def close(self) -> None:
        """Close the connections."""
        self._transport.__exit__(None, None, None)

    def _unreachable(self, problem: str) -> VaultUnreachable:
        return VaultUnreachable(f"Vault at {self.host} {problem}", where=self.host)


def _request(method: str, url: str, headers: Mapping[str, str], data: Any) -> HttpRequest:
    body = b"" if data is None else json.dumps(data).encode()
    # A login may be sent twice: at worst that leaves a token which expires. A revocation may be
    # sent twice too: the token is gone the second time.
    return HttpRequest(
        method=method.upper(),
        url=url,
        headers={**headers, "Content-Type": "application/json"} if body else headers,
        body=body,
        repeatable=url.endswith(("/login", "/revoke-self")),
    )


_T = TypeVar("_T")
_NO_MORE_PAUSES = object()
_NEW_TOKEN_SECONDS = 3.0  # seconds after which all servers of a cluster know a new token
_UPGRADE_SECONDS = 5.0  # seconds for a store that is upgraded
_REVOKE_SECONDS = 20.0  # seconds to revoke the token, however long the rest has taken


class VaultAccess:
    """A Vault server between log-in and log-out; `client` is hvac's client, logged in.

    A token that was given to us stays valid at the end.
    """

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
        self._ours = login.method != TOKEN  # revoked at the end
        self._token_begins, self._token_ends = -math.inf, math.inf
        self._renewals = 1
        self._known_active: bool | None = None

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

    def note_success(self) -> None:
        """Record a successful read: if Vault forgets the token later, one new login is tried."""
        self._renewals = 1

    def poll_attempts(self) -> Iterator[None]:
        """Yield at once and then after each pause, while a store may still be set up."""
        return self._session.poll_attempts(_UPGRADE_SECONDS)

    def knows_token(self) -> bool:
        """Whether Vault says that it knows the token; raises VaultUnreachable.

        A token without the policy `default` may be valid although Vault does not say so.
        """
        with contextlib.suppress(VaultError), self.shape_checked():
            self.client.auth.token.lookup_self()
            return True
        return False

    def ask(self, once: Callable[[], _T]) -> _T:
        """The result of `once`, called again while a standby server may not know the new token yet.

        Raises VaultError, CredentialError, VaultUnreachable.
        """
        pauses = self._pauses()
        while True:
            try:
                with self.shape_checked():
                    return once()
            except Forbidden:
                if next(pauses, _NO_MORE_PAUSES) is _NO_MORE_PAUSES:
                    raise

    def _pauses(self) -> Iterator[None]:
        """Pauses while the token is new, if the server is a standby."""
        left = self._token_begins + _NEW_TOKEN_SECONDS - self._clock.now()
        if left > 0 and not self._active():
            yield from itertools.islice(self._session.poll_attempts(left), 1, None)

    def _active(self) -> bool:
        """Whether the server is the active one, and not a standby."""
        if self._known_active is None:
            with contextlib.suppress(VaultError), self.shape_checked():
                status = self.client.sys.read_leader_status()
                self._known_active = bool(status.get("is_self") or not status.get("ha_enabled"))
        return self._known_active is True

    def log_in_again(self) -> bool:
        """Log in once more; False if that is not possible, or did not help before.

        Raises CredentialError, VaultUnreachable.
        """
        if self.login.method == TOKEN or not self._renewals:
            return False
        self._renewals -= 1
        before, ends = self.client.token, self._token_ends
        self.client.token = None
        try:
            self._log_in()
        except BaseException as fault:
            self.client.token = before  # revoked at the end
            if not isinstance(fault, CredentialError) or isinstance(fault, VaultUnreachable):
                raise
            if self._clock.now() < ends:  # not expired: so Vault did not refuse the token
                return False
            raise
        with (
            self._token(before),
            contextlib.suppress(VaultError, CredentialError),
            self.shape_checked(),
        ):
            self.client.auth.token.revoke_self()
        return True

    @contextlib.contextmanager
    def shape_checked(self) -> Iterator[None]:
        """Turn errors of hvac about the shape of an answer into CredentialError.

        hvac takes the shape for granted: another one is not an answer of Vault.
        """
        try:
            yield
        except (AttributeError, KeyError, TypeError, ValueError) as fault:
            raise self.fault(
                "does not answer as Vault does", hint="check vaultServerUrl"
            ) from fault

    def fault(self, problem: str, *, hint: str) -> CredentialError:
        """The error for a `problem` with Vault, with its host and the login's origin."""
        return CredentialError(
            f"Vault at {self.host} {problem}", where=self.login.origin, hint=hint
        )

    def _log_in(self) -> None:
        login, name = self.login, self._method.name
        proof = login.proof()
        self._console.hide(proof)
        # Vault locks out a login after several refusals, even a new one that one server lacks yet
        if login.fresh and not self._active():
            self._session.pause(_NEW_TOKEN_SECONDS)
        try:
            with self.shape_checked():
                answer = self._method.enter(self.client, login, proof)
                if answer:
                    self._accept(answer["auth"])
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

    def _accept(self, auth: dict[str, Any]) -> None:
        if auth.get("mfa_requirement"):
            raise self.fault(
                f"requires a second factor for the {self._method.name} login",
                hint="let the role log in without one: nobody is present to give it",
            )
        # a batch token cannot be revoked; it expires soon
        self._ours = auth.get("token_type") != "batch"
        self._token_begins = self._clock.now()
        self._token_ends = self._token_begins + (float(auth.get("lease_duration") or 0) or math.inf)

    @contextlib.contextmanager
    def _token(self, token: str) -> Iterator[None]:
        """Use another token during the block."""
        own, self.client.token = self.client.token, token
        try:
            yield
        finally:
            self.client.token = own

    def _close(self) -> None:
        """Revoke the token of the login; never one given to us, which its owner may still need."""
        try:
            if self._ours and self.client.token:
                self._ours = False
                self._session.limit_rest(_REVOKE_SECONDS)
                with self.shape_checked():
                    self.client.auth.token.revoke_self()
        except (VaultError, CredentialError) as fault:
            self._console.warn(
                f"Vault at {self.host} did not revoke the token of the {self._method.name}"
                f" login, which expires later ({type(fault).__name__})"
            )
        finally:
            self._session.close()


def vault_message(fault: Exception) -> str:
    """A colon and Vault's own text, made fit for one line; empty if there is no text."""
    text = words(str(fault.args[0] if fault.args else "") or "", 200)
    return f": {text}" if text else ""
