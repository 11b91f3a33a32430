"""Whom a step trusts beside the machine's own authorities.

Which login a step's settings hold for a host.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from towline import dispatch
from towline.config.credential_rules import password_of
from towline.config.settings import Settings
from towline.console import Console
from towline.credential_hosts import HostAddress, HostSource
from towline.errors import CredentialError
from towline.secret import Login
from towline.steps.task import Task


def authorities(task: Task) -> str:
    """The certificates of `customTlsCertificateLinks` as PEM, empty where there are none; warns of those that come over plain http; raises ConfigError."""
    return certificates(
        task.settings, task.console, folder=task.folder, environ=task.environ, guarded=task.project
    )


def certificates(
    settings: Settings,
    console: Console,
    *,
    folder: Path,
    environ: Mapping[str, str],
    guarded: bool = True,
) -> str:
    """The same of any settings; files in `folder` count where it is not `guarded`, as a workspace is."""
    links, where = (
        settings.texts("customTlsCertificateLinks"),
        settings.origin("customTlsCertificateLinks"),
    )
    if not links:
        return ""
    part = dispatch.part("certificates")
    for link in part.plain_http_links(links):
        console.warn(
            f"the certificate at {link} comes over plain http, where it can be exchanged on the way"
            f" ({where})"
        )
    text: str = part.read_certificates(
        links, folder=folder, where=where, environ=environ, guarded=guarded
    )
    return text


def bundle(task: Task) -> bytes:
    """The machine's authorities and those of `authorities`, for a program that takes one list only; empty where its own choice does."""
    extra = authorities(task)
    if not extra:
        return b""
    named = task.environ.get("GIT_SSL_CAINFO") or task.environ.get("SSL_CERT_FILE", "")
    whole: bytes = dispatch.part("certificates").ca_bundle(
        extra, {**task.environ, "SSL_CERT_FILE": named}
    )
    return whole


def login(
    task: Task, names: tuple[str, str], place: HostAddress, named: HostSource
) -> Login | None:
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
