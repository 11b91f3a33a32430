"""Which login a step's settings hold for a host."""

from __future__ import annotations

from towline.config.settings import Settings
from towline.errors import CredentialError
from towline.secret import Login, admit


def login(settings: Settings, names: tuple[str, str], *, host: str, scheme: str) -> Login | None:
    """The login from the parameters called `names` (user, password), None where neither is set.

    Raises CredentialError for half a login and for a host that no credential may go to.
    """
    user, password = names
    if not settings.given(user) and not settings.given(password):
        return None
    for one, other in ((user, password), (password, user)):
        if not settings.given(one):
            raise CredentialError(f"{other} is set and {one} is not", where=settings.origin(other), hint=settings.how_to_set(one))
    hosts = settings.texts("credentialHosts")
    admit(host, hosts, scheme=scheme)
    origin = f"{settings.origin(user)} and {settings.origin(password)}"
    return Login(username=settings.text(user), password=settings.text(password), origin=origin, hosts=hosts)
