"""Which login a step's settings hold for a host."""

from __future__ import annotations

from towline.addressees import Named, Place
from towline.config.trust import password_of
from towline.errors import CredentialError
from towline.secret import Login
from towline.steps.task import Task


def login(task: Task, names: tuple[str, str], place: Place, named: Named) -> Login | None:
    """The login from the parameters called `names` (user, password) for a place, None where neither is set.

    Raises CredentialError for half a login and for a host that this one may not go to.
    """
    settings = task.settings
    user, password = names
    if not settings.given(user) and not settings.given(password):
        return None
    for one, other in ((user, password), (password, user)):
        if not settings.given(one):
            raise CredentialError(
                f"{other} is set and {one} is not",
                where=settings.origin(other),
                hint=settings.how_to_set(one),
            )
    hosts = task.addressees.admit(password_of(settings, user, password), place, named)
    origin = f"{settings.origin(user)} and {settings.origin(password)}"
    return Login(
        username=settings.text(user), password=settings.text(password), origin=origin, hosts=hosts
    )
