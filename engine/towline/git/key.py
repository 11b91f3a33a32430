"""Pure. An SSH key and the hosts it may meet, checked before any server is asked."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from dataclasses import dataclass, field

from towline.errors import CredentialError

_PEM = re.compile(
    r"-----BEGIN (?P<kind>[A-Z ]*PRIVATE KEY)-----\n(?P<body>.*)\n-----END (?P=kind)-----",
    re.DOTALL,
)
_MAGIC = b"openssh-key-v1\0"


@dataclass(frozen=True, kw_only=True)
class Key:
    """A private key as OpenSSH reads it, and known hosts as its file has them (each empty: the agent's own); `origin` is where the key came from."""

    private: str = field(default="", repr=False)
    known_hosts: str = ""
    origin: str = ""


def parse_key(text: str, *, known_hosts: str = "", origin: str = "", what: str = "SSH key") -> Key:
    """A private key in any of OpenSSH's formats, its line ends mended, spelled-out ones too; raises CredentialError: it is none, or wants a passphrase."""
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
    return Key(private=f"{found[0]}\n", known_hosts=known_hosts, origin=origin)


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
