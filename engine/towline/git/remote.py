"""Pure.

Where a git repository lives and who logs in there, checked at the door.

An SSH key and the hosts it may meet, checked before any server is asked.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from urllib.parse import SplitResult, urlsplit

from towline.errors import ConfigError, CredentialError
from towline.image import is_loopback
from towline.record import field, frozen
from towline.secret import Login

_PEM = re.compile(
    r"-----BEGIN (?P<kind>[A-Z ]*PRIVATE KEY)-----\n(?P<body>.*)\n-----END (?P=kind)-----",
    re.DOTALL,
)
_MAGIC = b"openssh-key-v1\0"


@frozen
class SshKey:
    """A private key as OpenSSH reads it, and known hosts as its file has them (each empty: the agent's own); `origin` is where the key came from."""

    private: str = field(default="", repr=False)
    known_hosts: str = ""
    origin: str = ""


def parse_ssh_key(
    text: str, *, known_hosts: str = "", origin: str = "", what: str = "SSH key"
) -> SshKey:
    """A private key in any of OpenSSH's formats, its line divergence mended, spelled-out ones too; raises CredentialError: it is none, or wants a passphrase."""
    lines = "\n".join(line.strip() for line in text.strip().replace("\\n", "\n").splitlines())
    found = _PEM.search(lines)
    if found is None:
        raise CredentialError(
            f"what is configured as {what} is no private key",
            where=origin,
            hint=(
                "expected the whole text of the file, from -----BEGIN to the end of -----END ..."
                " PRIVATE KEY-----"
            ),
        )
    if _locked(found["kind"], found["body"]):
        raise CredentialError(
            f"the {what} is protected by a passphrase, which nobody can type here",
            where=origin,
            hint=(
                "use a key of its own for deployments without a passphrase: ssh-keygen -p -N '' -f"
                " FILE takes it off"
            ),
        )
    return SshKey(private=f"{found[0]}\n", known_hosts=known_hosts, origin=origin)


def _locked(kind: str, body: str) -> bool:
    """Whether the key is encrypted: PEM says so in words, OpenSSH's own format by the cipher's name (PROTOCOL.key)."""
    if kind.startswith("ENCRYPTED") or "ENCRYPTED" in body:
        return True
    try:
        data = b64decode(body)
    except binascii.Error:
        return False
    return (
        kind.startswith("OPENSSH")
        and data.startswith(_MAGIC)
        and not data[len(_MAGIC) :].startswith(b"\0\0\0\4none")
    )


_HOST_NAME = r"(?:[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\])"
_HOST = re.compile(rf"{_HOST_NAME}(?::[0-9]{{1,5}})?")
_USER = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*)")
_SHORT = re.compile(
    rf"(?:(?P<user>[^@:/]*)@)?(?P<host>{_HOST_NAME}):(?P<path>.+)", re.IGNORECASE | re.DOTALL
)
_NOT_IN_URL = re.compile(r"[\x00-\x20\x7f?#\\]")
# github.com/team/app
_BARE = re.compile(r"[a-z0-9][a-z0-9-]*(?:\.[a-z0-9-]+)*\.[a-z]{2,}/[^/]", re.IGNORECASE)
_SUPPORTED = (
    "expected https://host/path, ssh://git@host/path or git@host:path; to a server on this machine,"
    " http://127.0.0.1:port/path too"
)


@frozen
class Remote:
    """A repository on a server: its URL without a password, and what opens it.

    A login goes to `http` and `https`, as Basic or, with `bearer`, its password as a Bearer token;
    a key to `ssh`. `authorities` are all certificates to trust as one PEM file, where the machine's
    own do not do.
    """

    url: str
    login: Login | None = None
    bearer: bool = False
    key: SshKey | None = None
    authorities: bytes = b""

    @property
    def scheme(self) -> str:
        """`https`, `http` or `ssh`."""
        return self.url.partition("://")[0] if "://" in self.url else "ssh"

    @property
    def origin(self) -> str:
        """Scheme and host with its port: what a login is bound to."""
        return f"{self.scheme}://{self.host}"

    @property
    def host(self) -> str:
        """The host with its port, for messages and for what a credential is bound to."""
        short = None if "://" in self.url else _SHORT.fullmatch(self.url)
        return short["host"] if short else urlsplit(self.url).netloc.rpartition("@")[2]


def parse_remote(
    text: str, *, login: Login | None = None, allow_plain_http: bool = False
) -> Remote:
    """`http[s]://host[:port]/path`, `ssh://[user@]host[:port]/path` or `[user@]host:path` to a remote.

    Raises ConfigError, and CredentialError for a login that must not go there.
    """
    text = text.strip()
    short = None if "://" in text or text.startswith("-") else _SHORT.fullmatch(text)
    remote = Remote(url=_short(text, short) if short else _long(text), login=login)
    host = remote.host
    if login and any(sign in login.username + login.password for sign in "\r\n\0"):
        raise CredentialError(
            f"the user or the password for {host} holds a line break",
            where=host,
            hint=f"both come from {login.origin}",
        )
    if login and remote.scheme == "http" and not allow_plain_http and not is_loopback(host):
        raise CredentialError(
            f"a password does not go to {host} over plain HTTP",
            where=host,
            hint="use https, or let a trusted layer of the configuration set allowPlainHttp",
        )
    return remote


def _short(text: str, parts: re.Match[str]) -> str:
    """An address as scp takes it; its path is relative to the user's home, so it stays in this form; raises ConfigError."""
    user, path = parts["user"], parts["path"]
    if (
        (user is not None and not _USER.fullmatch(user))
        or _NOT_IN_URL.search(text)
        or not path.strip("/")
    ):
        raise ConfigError(f"{text!r} is not the address of a git repository", hint=_SUPPORTED)
    return f"{user}@{parts['host'].lower()}:{path}" if user else f"{parts['host'].lower()}:{path}"


def _long(text: str) -> str:
    """A URL, checked, with its host in lower case; raises ConfigError."""
    parts = _split(text)
    user, at, host = parts.netloc.rpartition("@")
    if (
        not _HOST.fullmatch(host.lower())
        or _NOT_IN_URL.search(text)
        or (at and not _USER.fullmatch(user))
    ):
        raise ConfigError(f"{_shown(text)!r} is not the URL of a git repository", hint=_SUPPORTED)
    if not parts.path.strip("/"):
        raise ConfigError(
            f"{text!r} names a host, not a repository",
            hint="give the repository's whole URL, as git clone takes it",
        )
    return f"{parts.scheme}://{user}{at}{host.lower()}{parts.path}"


def _split(text: str) -> SplitResult:
    """The URL's parts; raises ConfigError, which never repeats a password."""
    scheme, separator, rest = text.partition("://")
    user, at, _ = rest.partition("/")[0].rpartition("@")
    if not separator and _BARE.match(text):
        raise ConfigError(
            f"{_shown(text)!r} does not say how to reach the repository",
            hint=f"did you mean https://{_shown(text)}? {_SUPPORTED}",
        )
    if not separator or scheme.lower() not in ("http", "https", "ssh"):
        raise ConfigError(
            f"git over {scheme.rpartition('@')[2] if separator else 'a path'!s} is not supported",
            hint=_SUPPORTED,
        )
    if at and (scheme.lower() != "ssh" or ":" in user):
        raise ConfigError(
            "a repository URL must not hold a user or a password",
            hint="configure user and password, or a key, as parameters of their own",
        )
    try:
        return urlsplit(text)
    except ValueError as fault:
        raise ConfigError(
            f"{_shown(text)!r} is not the URL of a git repository: {fault}", hint=_SUPPORTED
        ) from fault


def _shown(text: str) -> str:
    """A URL for messages, without what may be a token in its query."""
    return text.partition("?")[0] + "?..." * ("?" in text)
