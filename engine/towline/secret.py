"""Pure.

What is secret, what stands in its place, and the one shape in which a login travels through the
engine.
"""

from __future__ import annotations

from dataclasses import dataclass, field

MASK = "****"  # what stands in place of a secret where it would be shown
PASSWORD, IDENTITY, BEARER = "password", "identity token", "registry token"


@dataclass(frozen=True, kw_only=True)
class Login:
    """User and password for one host; `origin` says where they came from, for messages; never shown as a whole.

    `hosts`, where there are any, are the only ones that it may be sent to, whatever a server asks
    (addressees.py). `kind` says what the password is: a password (or anything that is used like
    one), an identity token that a token service exchanges, or a token for the registry itself.
    """

    username: str
    password: str = field(repr=False)
    origin: str
    hosts: tuple[str, ...] = ()
    kind: str = PASSWORD
