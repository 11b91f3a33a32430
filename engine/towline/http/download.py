"""Downloads of default documents and certificates over http(s), with the tokens of the agent.

A token goes to its own host only, over https or to this machine, and never behind a redirect (facts
1.1). A configuration that a pull request can change may name public hosts only, and those internal
hosts that a trusted layer, or a token of the agent, names too.
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
from towline.http.redirects import MAX_DOWNLOAD_REDIRECTS, is_redirect, may_follow
from towline.image import Registry, is_loopback
from towline.literals import json_value
from towline.record import replace
from towline.retry import Clock, Deadline

TOKENS_VARIABLE = "PIPER_gitHubTokens"
_LARGEST_DOCUMENT = 8 * 1024 * 1024
_SECONDS = 60.0
_ANSWERS = "correct the URL, or check that its host answers"
_INSIDE = f"{_ANSWERS}; a host in a private network must be in defaultHosts of a trusted layer"
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
    """The text at `url`, fetched as by `fetch_bytes`; raises ConfigError if it is not UTF-8."""
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
    """The content of `url`: at most 8 MiB, within a minute, with the token and proxy of its host.

    `environ` holds tokens and proxies; `where` is the line that names the URL. If a pull request
    can change that line, `inside` lists the hosts that may be in a private network all the same.
    Raises ConfigError, never naming a token or a query.
    """
    clock, outside = clock or Clock(), False
    try:
        token = _token(url, parse_tokens(environ.get(TOKENS_VARIABLE, "")), where)
        outside = inside is not None and not token and not _named(url, inside)
        network = Network(proxies=Proxies(environ), address_policy=AddressPolicy(outside=outside))
        with Transport(
            clock=_until(Deadline.after(_SECONDS, clock)), read=20.0, network=network
        ) as transport:
            return get_bytes(
                transport,
                HttpRequest(method="GET", url=url, headers=_headers(url, token)),
                where,
                largest=_LARGEST_DOCUMENT,
            )
    except TransportError as fault:
        raise ConfigError(
            f"{display_url(url)} cannot be read: {fault}",
            where=where,
            hint=_INSIDE if outside else _ANSWERS,
        ) from fault


def _named(url: str, hosts: Sequence[str]) -> bool:
    """Whether `hosts` includes the URL's host; raises TransportError for an invalid URL."""
    scheme, _, host = origin(url).partition("://")
    return host_patterns.matches_any(hosts, host, scheme)


def display_url(url: str) -> str:
    """A URL for messages: without user, password, query and fragment, which may be secret."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "the URL"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def parse_tokens(text: str) -> Mapping[str, str]:
    """Tokens by host from `["host:token", "host:port:token"]`.

    Raises ConfigError that shows no token.
    """
    entries = json_value(text) if text.strip() else []
    if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
        raise ConfigError(
            f"{TOKENS_VARIABLE} is not a list of texts", where=TOKENS_VARIABLE, hint=_FORMAT
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
    """The token for the host of `url`, or empty.

    Raises ConfigError if it would go over plain http.
    """
    scheme, _, host = origin(url).partition("://")
    token = tokens.get(host, "")
    if token and scheme != "https" and not is_loopback(host):
        raise ConfigError(
            f"the token of {host} would go over plain http", where=where, hint="write https"
        )
    return token


def get_bytes(transport: Transport, request: HttpRequest, where: str, *, largest: int) -> bytes:
    """The body of a GET, at most `largest` bytes; the headers are not sent behind a redirect.

    Raises ConfigError and TransportError.
    """
    has_token = bool(request.headers)
    request = replace(request, named_by=request.named_by or origin(request.url))
    for _ in range(MAX_DOWNLOAD_REDIRECTS + 1):
        url = request.url
        with transport.request(replace(request, url=urldefrag(url).url)) as response:
            if response.status == 200:
                return response.read_capped(largest, seconds=_SECONDS)
            if not is_redirect(response.status, request.method):
                how = (
                    "correct the URL or its host's token"
                    if has_token
                    else f"correct the URL, or give a token for its host in {TOKENS_VARIABLE}"
                )
                raise ConfigError(
                    f"{display_url(url)} answers {response.status}", where=where, hint=how
                )
            request = replace(
                request, url=_onward(url, response.headers.get("Location") or "", where), headers={}
            )
    raise ConfigError(
        f"{display_url(request.url)} redirects more than {MAX_DOWNLOAD_REDIRECTS} times",
        where=where,
        hint="give the URL at which the redirects end",
    )


def _headers(url: str, token: str) -> Mapping[str, str]:
    """Headers that make a code host answer with a file's own text."""
    if not token:
        return {}
    asset = "releases/assets" in urlsplit(url).path
    return {
        "Authorization": f"token {token}",
        "Accept": "application/octet-stream" if asset else "application/vnd.github.v3.raw",
    }


def _onward(url: str, location: str, where: str) -> str:
    """The target of a redirect.

    Raises ConfigError if it leads from https to http or into a private network.
    """
    scheme, _, host = origin(url).partition("://")
    try:
        target = urljoin(url, location)
    except ValueError:
        target = ""
    if not location or not may_follow(target, Registry(scheme=scheme, host=host)):
        raise ConfigError(
            f"{display_url(url)} redirects to a host or scheme that Towline does not follow",
            where=where,
            hint="give the URL at which the redirects end",
        )
    return target


def _until(deadline: Deadline) -> Clock:
    """A clock whose pauses raise TransportError instead of passing the deadline."""
    clock = deadline.clock

    def sleep(seconds: float) -> None:
        if seconds >= deadline.left:
            raise TransportError(f"no usable answer within {_SECONDS:.0f} seconds", where="")
        clock.sleep(seconds)

    return Clock(now=clock.now, wall=clock.wall, sleep=sleep, uniform=clock.uniform)
