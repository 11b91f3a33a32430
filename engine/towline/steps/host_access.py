"""How a step reaches a host: the CAs that it trusts besides the machine's own, and its logins."""

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
    """The CA certificates of `customTlsCertificateLinks` as PEM, empty if there are none.

    Warns of certificates that come over plain http. Raises ConfigError.
    """
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
    """The CA certificates of any settings, as `authorities`.

    Files in `folder` are read unless it is `guarded`, as a workspace is.
    """
    links = settings.texts("customTlsCertificateLinks")
    where = settings.origin("customTlsCertificateLinks")
    if not links:
        return ""
    part = dispatch.part("certificates")
    for link in part.plain_http_links(links):
        console.warn(
            f"the certificate at {link} comes over plain http, so an attacker on the network can"
            f" replace it ({where})"
        )
    text: str = part.read_certificates(
        links, folder=folder, where=where, environ=environ, guarded=guarded
    )
    return text


def bundle(task: Task) -> bytes:
    """The machine's CAs and those of `authorities` in one PEM file; empty if the latter are empty.

    A program that accepts a single file gets it.
    """
    extra = authorities(task)
    if not extra:
        return b""
    named = task.environ.get("GIT_SSL_CAINFO") or task.environ.get("SSL_CERT_FILE", "")
    whole: bytes = dispatch.part("certificates").ca_bundle(
        extra, {**task.environ, "SSL_CERT_FILE": named}
    )
    return whole


def login(
    task: Task, names: tuple[str, str], address: HostAddress, source: HostSource
) -> Login | None:
    """The login for a host in two parameters (user, password), None if neither is set.

    Raises CredentialError if only one is set, and if the login may not go to this host.
    """
    settings = task.settings
    user, password = names
    if not settings.given(user) and not settings.given(password):
        return None
    for missing, given in ((user, password), (password, user)):
        if not settings.given(missing):
            raise CredentialError(
                f"{given} is set and {missing} is not",
                where=settings.origin(given),
                hint=settings.how_to_set(missing),
            )
    hosts = task.addressees.admit(password_of(settings, user, password), address, source)
    origin = f"{settings.origin(user)} and {settings.origin(password)}"
    return Login(
        username=settings.text(user), password=settings.text(password), origin=origin, hosts=hosts
    )
