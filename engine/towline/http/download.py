"""Default documents over http(s): a token goes to its own host only, over https or to this machine, and never behind a redirect (facts 1.1).

What a pull request can change names hosts outside alone, but for those that a trusted layer, or a
token of the agent, names too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urldefrag, urljoin, urlsplit

from towline import host_patterns
from towline.errors import ConfigError, TransportError
from towline.http.addresses import AddressPolicy
from towline.http.client import Transport
from towline.http.connection import Network
from towline.http.messages import HttpRequest, origin
from towline.http.proxy import Proxies
from towline.http.redirects import may_follow
from towline.image import Registry, is_loopback
from towline.literals import json_value
from towline.record import replace
from towline.retry import Clock, Deadline

TOKENS_VARIABLE = "PIPER_gitHubTokens"
_LARGEST = 8 * 1024 * 1024
_SECONDS = 60.0
_REDIRECTS = 5
_MOVED = frozenset({301, 302, 303, 307, 308})
_ANSWERS = "correct the URL, or see whether its host answers"
_INSIDE = f"{_ANSWERS}; one in a private network has to stand in defaultHosts of a trusted layer"
_FORMAT = (
    'expected a JSON list such as ["github.example.com:TOKEN", "github.example.com:8443:TOKEN"]'
)


def fetch(
    url: str,
    environ: Mapping[str, str],
    *,
    where: str,
    clock: Clock | None = None,
    inside: Sequence[str] | None = None,
) -> str:
    """The text at `url`, as `fetch_bytes` gets it; raises ConfigError also where it is not UTF-8."""
    try:
        return fetch_bytes(url, environ, where=where, clock=clock, inside=inside).decode("utf-8")
    except UnicodeDecodeError as fault:
        raise ConfigError(
            f"{display_url(url)} is not UTF-8", where=where, hint="give the URL of a YAML file"
        ) from fault


def fetch_bytes(
    url: str,
    environ: Mapping[str, str],
    *,
    where: str,
    clock: Clock | None = None,
    inside: Sequence[str] | None = None,
) -> bytes:
    """What is at `url`, at most 8 MiB, within a minute, with the token and through the proxy that `environ` has for its host.

    `where` is the line that asks for it. If a pull request can change that line, `inside` are the
    hosts that may lie in a private network all the same. Raises ConfigError, never naming a token
    or a query.
    """
    clock, outside = clock or Clock(), False
    try:
        token = _token(url, parse_tokens(environ.get(TOKENS_VARIABLE, "")), where)
        outside = inside is not None and not token and not _named(url, inside)
        network = Network(proxies=Proxies(environ), reach=AddressPolicy(outside=outside))
        with Transport(
            clock=_until(Deadline.after(_SECONDS, clock)), read=20.0, network=network
        ) as transport:
            return get_bytes(
                transport,
                HttpRequest(method="GET", url=url, headers=_headers(url, token)),
                where,
                largest=_LARGEST,
            )
    except TransportError as fault:
        raise ConfigError(
            f"{display_url(url)} cannot be read: {fault}",
            where=where,
            hint=_INSIDE if outside else _ANSWERS,
        ) from fault


def _named(url: str, hosts: Sequence[str]) -> bool:
    """Whether one of `hosts` is that of the URL; raises TransportError for a URL that is none."""
    scheme, _, host = origin(url).partition("://")
    return host_patterns.matches_any(hosts, host, scheme)


def display_url(url: str) -> str:
    """A URL for people: without user, password, query and fragment, any of which may be secret."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "the URL"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def parse_tokens(text: str) -> Mapping[str, str]:
    """`["host:token", "host:port:token"]` to tokens by host; raises ConfigError that shows none of them."""
    entries = json_value(text) if text.strip() else []
    if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
        raise ConfigError(
            f"{TOKENS_VARIABLE} is no list of texts", where=TOKENS_VARIABLE, hint=_FORMAT
        )
    found = {}
    for number, entry in enumerate(entries, start=1):
        host, _, token = entry.rpartition(":")
        if not host or not token or "/" in host or not token.isprintable() or " " in token:
            raise ConfigError(
                f"entry {number} of {TOKENS_VARIABLE} is not host:token",
                where=TOKENS_VARIABLE,
                hint=_FORMAT,
            )
        found[host.lower().removesuffix(":443")] = token
    return found


def _token(url: str, tokens: Mapping[str, str], where: str) -> str:
    """The token for the host of `url`, empty where there is none; raises ConfigError where it would go over plain http."""
    scheme, _, host = origin(url).partition("://")
    token = tokens.get(host, "")
    if token and scheme != "https" and not is_loopback(host):
        raise ConfigError(
            f"the token of {host} would go over plain http", where=where, hint="write https"
        )
    return token


def get_bytes(transport: Transport, request: HttpRequest, where: str, *, largest: int) -> bytes:
    """What a GET brings, at most `largest` bytes; its headers go to its own host alone, not behind a redirect.

    Raises ConfigError and TransportError.
    """
    known, request = (
        bool(request.headers),
        replace(request, named_by=request.named_by or origin(request.url)),
    )
    for _ in range(_REDIRECTS + 1):
        url = request.url
        with transport.request(replace(request, url=urldefrag(url).url)) as response:
            if response.status == 200:
                return response.read_capped(largest, seconds=_SECONDS)
            if response.status not in _MOVED:
                how = (
                    "correct the URL or its host's token"
                    if known
                    else f"correct the URL, or give a token for its host in {TOKENS_VARIABLE}"
                )
                raise ConfigError(
                    f"{display_url(url)} answers {response.status}", where=where, hint=how
                )
            request = replace(
                request, url=_onward(url, response.headers.get("Location") or "", where), headers={}
            )
    raise ConfigError(
        f"{display_url(request.url)} redirects more than {_REDIRECTS} times",
        where=where,
        hint="give the URL that it ends at",
    )


def _headers(url: str, token: str) -> Mapping[str, str]:
    """What a code host needs to be asked for a file's own text."""
    if not token:
        return {}
    asset = "releases/assets" in urlsplit(url).path
    return {
        "Authorization": f"token {token}",
        "Accept": "application/octet-stream" if asset else "application/vnd.github.v3.raw",
    }


def _onward(url: str, location: str, where: str) -> str:
    """Where a redirect leads; raises ConfigError for one that goes from https to http or into a private network."""
    scheme, _, host = origin(url).partition("://")
    try:
        target = urljoin(url, location)
    except ValueError:
        target = ""
    if not location or not may_follow(target, Registry(scheme=scheme, host=host)):
        raise ConfigError(
            f"{display_url(url)} redirects to where Towline does not follow",
            where=where,
            hint="give the URL that it ends at",
        )
    return target


def _until(deadline: Deadline) -> Clock:
    """The deadline's clock, on which no pause between two attempts goes beyond the deadline."""
    clock = deadline.clock

    def sleep(seconds: float) -> None:
        if seconds >= deadline.left:
            raise TransportError(f"no answer that helps within {_SECONDS:.0f} seconds", where="")
        clock.sleep(seconds)

    return Clock(now=clock.now, wall=clock.wall, sleep=sleep, uniform=clock.uniform)
