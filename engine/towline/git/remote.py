"""Pure.

The address of a git repository, its login and its SSH key, checked before any server is asked; and
the URL of a source repository as text: which repository it names, and how it is shown without
credentials.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from urllib.parse import SplitResult, unquote, urlsplit

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
    """A private key in OpenSSH's format and known hosts in the format of its file.

    If one is empty, the agent's own is used. `origin` is where the key came from.
    """

    private: str = field(default="", repr=False)
    known_hosts: str = ""
    origin: str = ""


def parse_ssh_key(
    text: str, *, known_hosts: str = "", origin: str = "", what: str = "SSH key"
) -> SshKey:
    """A private key in any of OpenSSH's formats to a key with its line ends repaired.

    Line ends may also be written as a backslash and an n. Raises CredentialError if the text is not
    a private key, or if the key needs a passphrase.
    """
    lines = "\n".join(line.strip() for line in text.strip().replace("\\n", "\n").splitlines())
    found = _PEM.search(lines)
    if found is None:
        raise CredentialError(
            f"the configured {what} is not a private key",
            where=origin,
            hint=(
                "expected the whole text of the file, from -----BEGIN to the end of -----END ..."
                " PRIVATE KEY-----"
            ),
        )
    if _is_encrypted(found["kind"], found["body"]):
        raise CredentialError(
            f"the {what} is protected by a passphrase, which cannot be typed here",
            where=origin,
            hint=(
                "use a key of its own for deployments without a passphrase: ssh-keygen -p -N '' -f"
                " FILE removes it"
            ),
        )
    return SshKey(private=f"{found[0]}\n", known_hosts=known_hosts, origin=origin)


def _is_encrypted(kind: str, body: str) -> bool:
    """Whether the key is encrypted.

    PEM says so in words, OpenSSH's own format by the name of the cipher (PROTOCOL.key).
    """
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
_SCP = re.compile(
    rf"(?:(?P<user>[^@:/]*)@)?(?P<host>{_HOST_NAME}):(?P<path>.+)", re.IGNORECASE | re.DOTALL
)
_NOT_IN_URL = re.compile(r"[\x00-\x20\x7f?#\\]")
# A URL without a scheme: github.com/team/app
_WITHOUT_SCHEME = re.compile(r"[a-z0-9][a-z0-9-]*(?:\.[a-z0-9-]+)*\.[a-z]{2,}/[^/]", re.IGNORECASE)
_SUPPORTED = (
    "expected https://host/path, ssh://git@host/path or git@host:path; to a server on this machine,"
    " http://127.0.0.1:port/path too"
)


@frozen
class Remote:
    """A repository on a server: its URL without a password, and the credentials for it.

    A login is for `http` and `https`: Basic, or with `bearer` its password as a Bearer token; a key
    is for `ssh`. `authorities` are all CA certificates to trust as one PEM file; if it is empty,
    those of the machine are used.
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
        """Scheme, host and port: a login is only sent to this origin."""
        return f"{self.scheme}://{self.host}"

    @property
    def host(self) -> str:
        """Host and port, for messages and for the check of where a credential may go."""
        scp = None if "://" in self.url else _SCP.fullmatch(self.url)
        return scp["host"] if scp else urlsplit(self.url).netloc.rpartition("@")[2]


def parse_remote(
    text: str, *, login: Login | None = None, allow_plain_http: bool = False
) -> Remote:
    """`http[s]://host[:port]/path`, `ssh://[user@]host[:port]/path`, `[user@]host:path`: a remote.

    Raises ConfigError, and CredentialError for a login that must not go to this host.
    """
    text = text.strip()
    scp = None if "://" in text or text.startswith("-") else _SCP.fullmatch(text)
    remote = Remote(url=_scp_address(text, scp) if scp else _checked_url(text), login=login)
    host = remote.host
    if login and any(character in login.username + login.password for character in "\r\n\0"):
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


def _scp_address(text: str, parts: re.Match[str]) -> str:
    """Check an address in scp's form; raises ConfigError.

    Its path is relative to the user's home, so it is not turned into a URL.
    """
    user, path = parts["user"], parts["path"]
    if (
        (user is not None and not _USER.fullmatch(user))
        or _NOT_IN_URL.search(text)
        or not path.strip("/")
    ):
        raise ConfigError(f"{text!r} is not the address of a git repository", hint=_SUPPORTED)
    return f"{user}@{parts['host'].lower()}:{path}" if user else f"{parts['host'].lower()}:{path}"


def _checked_url(text: str) -> str:
    """Check a URL and put its host into lower case; raises ConfigError."""
    parts = _split_url(text)
    user, at, host = parts.netloc.rpartition("@")
    if (
        not _HOST.fullmatch(host.lower())
        or _NOT_IN_URL.search(text)
        or (at and not _USER.fullmatch(user))
    ):
        raise ConfigError(
            f"{_without_query(text)!r} is not the URL of a git repository", hint=_SUPPORTED
        )
    if not parts.path.strip("/"):
        raise ConfigError(
            f"{text!r} names a host, not a repository",
            hint="give the repository's whole URL, as git clone takes it",
        )
    return f"{parts.scheme}://{user}{at}{host.lower()}{parts.path}"


def _split_url(text: str) -> SplitResult:
    """The parts of the URL; raises ConfigError, whose message never repeats a password."""
    scheme, separator, rest = text.partition("://")
    user, at, _ = rest.partition("/")[0].rpartition("@")
    if not separator and _WITHOUT_SCHEME.match(text):
        raise ConfigError(
            f"{_without_query(text)!r} does not say how to reach the repository",
            hint=f"did you mean https://{_without_query(text)}? {_SUPPORTED}",
        )
    if not separator or scheme.lower() not in ("http", "https", "ssh"):
        transport = f"git over {scheme.rpartition('@')[2]} is"
        raise ConfigError(
            f"{transport if separator else 'local repository paths are'} not supported",
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
            f"{_without_query(text)!r} is not the URL of a git repository: {fault}", hint=_SUPPORTED
        ) from fault


def _without_query(text: str) -> str:
    """A URL for messages, without its query, which may hold a token."""
    return text.partition("?")[0] + "?..." * ("?" in text)


# A source repository's URL is not checked as a remote's is: it comes from a build, and is only
# compared and shown.
_ANY_SCP = re.compile(r"(?:[^@/\s]+@)?([^:/\s]+):(?!//)(.+)")
_USER_INFO = re.compile(r"(?<=://)[^/\s]*@")
_SCP_USER_INFO = re.compile(r"(?:[^@/]*@)+(?=[^@/:]+:)")


def host_and_path(url: str) -> str:
    """`host/path` of a repository, the same for https, ssh and `user@host:path`, in lower case.

    Empty if the URL names no repository on a host.
    """
    url = url.strip()
    scp = None if "://" in url else _ANY_SCP.fullmatch(url)
    if scp:
        host, path = scp[1], scp[2]
    else:
        try:
            parts = urlsplit(url)
            host, path = parts.hostname or "", parts.path
        except ValueError:
            return ""
    path = unquote(path).strip("/").removesuffix(".git").lower()
    return f"{host.lower()}/{path}" if host and path else ""


def public_url(url: str) -> str:
    """The URL (also in scp's form) without user and password, and without query and fragment.

    Query and fragment may hold a token.
    """
    scp_user = _SCP_USER_INFO.match(url) if "://" not in url else None
    bare = url[scp_user.end() :] if scp_user else _USER_INFO.sub("", url)
    return bare.partition("?")[0].partition("#")[0]
