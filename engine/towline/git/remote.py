"""Pure. Where a git repository lives and who logs in there, checked at the door."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from towline.errors import ConfigError, CredentialError
from towline.image import is_loopback
from towline.secret import Login

_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
_NOT_IN_URL = re.compile(r"[\x00-\x20\x7f?#\\]")
_SUPPORTED = "expected https://host/path; ssh and other schemes are not supported yet"


@dataclass(frozen=True, kw_only=True)
class Remote:
    """A repository on an HTTP server: its URL without user info, and the login for its host, if any."""

    url: str
    login: Login | None = None
    allow_plain_http: bool = False

    @property
    def origin(self) -> str:
        """Scheme and host with its port: what the login is bound to."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def host(self) -> str:
        """The host with its port, for messages."""
        return urlsplit(self.url).netloc


def parse_remote(text: str, *, login: Login | None = None, allow_plain_http: bool = False) -> Remote:
    """`http[s]://host[:port]/path` to a remote; raises ConfigError, and CredentialError for a login that must not go there."""
    text = text.strip()
    parts = _split(text)
    host = parts.netloc.lower()
    if not _HOST.fullmatch(host) or _NOT_IN_URL.search(text):
        raise ConfigError(f"{text!r} is not the URL of a git repository", hint=_SUPPORTED)
    if not parts.path.strip("/"):
        raise ConfigError(f"{text!r} names a host, not a repository", hint="give the repository's whole URL, as git clone takes it")
    if login and any(sign in login.username + login.password for sign in "\r\n\0"):
        raise CredentialError(f"the user or the password for {host} holds a line break", where=host, hint=f"both come from {login.origin}")
    if login and parts.scheme == "http" and not allow_plain_http and not is_loopback(host):
        raise CredentialError(f"a password does not go to {host} over plain HTTP", where=host,
                          hint="use https, or let a trusted layer of the configuration set allowPlainHttp")
    return Remote(url=f"{parts.scheme}://{host}{parts.path}", login=login, allow_plain_http=allow_plain_http)


def _split(text: str) -> SplitResult:
    """The URL's parts; raises ConfigError, which never repeats user info."""
    scheme, separator, rest = text.partition("://")
    if "@" in rest.partition("/")[0]:
        raise ConfigError("a repository URL must not hold a user or a password", hint="configure user and password as parameters of their own")
    if not separator or scheme.lower() not in ("http", "https"):
        raise ConfigError(f"git over {scheme if separator else 'ssh or a path'!s} is not supported", hint=_SUPPORTED)
    try:
        return urlsplit(text)
    except ValueError as fault:
        raise ConfigError(f"{text!r} is not the URL of a git repository: {fault}", hint=_SUPPORTED) from fault
