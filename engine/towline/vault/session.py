"""What hvac sends its requests by, instead of `requests`: the engine's own transport, with its retries, deadlines and caps."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from towline.connections import Network
from towline.errors import CredentialError, TransportError, VaultUnreachable
from towline.exchange import OWN_AUTHORITY, HttpRequest, UntrustedCertificate
from towline.retry import Clock, Deadline, moments
from towline.transport import Transport
from towline.written import from_json

_BODY = 8 * 1024 * 1024
_SECONDS = 180.0
_SETTLING = 15.0  # seconds in which another one of several servers takes over


@dataclass(frozen=True, kw_only=True)
class Answer:
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
        try:
            return from_json(self.body)
        except RecursionError:
            raise ValueError("nested too deeply") from None


class Session:
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
    ) -> Answer:
        """Send it and give the whole answer.

        A redirect is not followed: of several servers one that stands by does not forward requests
        for a moment.
        """
        answer = Answer(status_code=0, headers={}, body=b"")
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

    def _once(self, request: HttpRequest) -> Answer:
        if not self._deadline.left:
            raise self._unreachable(
                f"takes longer than {_SECONDS:.0f} seconds for all that is asked"
            )
        try:
            with self._transport.request(request) as response:
                return Answer(
                    status_code=response.status,
                    headers=dict(response.headers),
                    body=response.read_capped(_BODY),
                )
        except UntrustedCertificate as fault:
            raise VaultUnreachable(
                f"Vault at {self.host} cannot be reached: {fault}",
                where=self.host,
                hint=OWN_AUTHORITY,
            ) from fault
        except TransportError as fault:
            raise self._unreachable(f"cannot be reached: {fault}") from fault

    def moments(self, seconds: float) -> Iterator[None]:
        """Now, and again after pauses, for so many seconds: for what may need a moment."""
        return moments(self._transport.clock, seconds=seconds, sleep=self._transport.wait)

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
