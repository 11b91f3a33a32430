"""The login of a GitHub App for a step's repository: which App, and which host may have its word."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from urllib.parse import urlsplit

from towline.config.settings import Settings
from towline.connections import Network
from towline.errors import ConfigError, CredentialError
from towline.git.key import parse_key
from towline.git.remote import Remote
from towline.hosting.github_app import USER, App, Place, place, token
from towline.image import is_loopback
from towline.proxies import Proxies
from towline.secret import Login, admit
from towline.steps.authorities import authorities
from towline.steps.task import Task
from towline.tls import Tls
from towline.transport import Transport

_API = "githubAppApiUrl"


@contextlib.contextmanager
def app_login(task: Task, remote: Remote) -> Iterator[Login]:
    """The login for `remote` while the block runs; the token behind it is good for this repository alone, and given back. Raises as `token` does."""
    settings, console = task.settings, task.console
    if remote.scheme == "ssh":
        raise ConfigError("a GitHub App opens a repository over https only", where=settings.origin("serverUrl"), hint="give the repository's https URL")
    there, app = _place(settings, remote), _app(task)
    hosts = settings.texts("credentialHosts")
    admit(remote.host, hosts, scheme=remote.scheme)
    network = Network(proxies=Proxies(task.environ), tls=Tls(authorities(task)))
    with Transport(read=20, network=network, hide=console.hide) as transport, \
            token(app, there, transport=transport, environ=task.environ, warn=console.warn) as given:
        console.hide(given)
        yield Login(username=USER, password=given, origin=f"the GitHub App {app.id}", hosts=hosts)


def _app(task: Task) -> App:
    settings = task.settings
    text, origin = settings.text("githubAppPrivateKey"), settings.origin("githubAppPrivateKey")
    task.console.hide(text)
    key = parse_key(text, what="private key of the GitHub App", origin=origin).private
    task.console.hide(key)
    return App(id=settings.text("githubAppId"), key=key, origin=f"{settings.origin('githubAppId')} and {origin}")


def _place(settings: Settings, remote: Remote) -> Place:
    """The repository at its API. What a pull request can change chooses no other host than the repository's own; raises ConfigError, CredentialError."""
    own, given, where = place(remote.url), settings.text(_API), settings.origin(_API)
    if not given:
        _check(own, settings, settings.origin("serverUrl"))
        return own
    there = place(remote.url, given)
    parts = urlsplit(given)
    if parts.scheme not in ("https", "http") or not parts.hostname or "@" in parts.netloc or parts.query or parts.fragment or not given.isprintable():
        raise ConfigError(f"{_API} is no URL of an API", where=where, hint=f"expected {own.api}, for example")
    if _origin(there) != _origin(own) and not settings.trusted(_API):
        raise CredentialError(f"what a pull request can change may not send the GitHub App's login to {parts.netloc}", where=where,
                              hint=f"leave {_API} out for {own.api}, or let the platform team set it: PIPER_{_API} on the agent, or its defaults")
    _check(there, settings, where)
    return there


def _check(there: Place, settings: Settings, where: str) -> None:
    """Pass where a credential may go to the API's host."""
    scheme, host = _origin(there)
    admit(host, settings.texts("credentialHosts"), scheme=scheme)
    if scheme == "http" and not is_loopback(host) and not settings.flag("allowPlainHttp"):
        raise CredentialError(f"the GitHub App's login does not go to {host} over plain HTTP", where=where,
                              hint="use https, or let a trusted layer of the configuration set allowPlainHttp")


def _origin(there: Place) -> tuple[str, str]:
    parts = urlsplit(there.api.lower())
    return parts.scheme, parts.netloc
