"""The login of a GitHub App for a step's repository, and the hosts that may get it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from urllib.parse import urlsplit

from towline.config.credential_rules import Parse, host_source, secret_of
from towline.config.settings import Settings
from towline.credential_hosts import Credential, HostAddress, HostSource
from towline.errors import ConfigError, CredentialError
from towline.git.remote import Remote, parse_remote, parse_ssh_key
from towline.hosting.github_app import (
    USER,
    AppRepository,
    GithubApp,
    app_repository,
    installation_token,
)
from towline.http.client import Transport
from towline.http.connection import Network
from towline.http.proxy import Proxies
from towline.http.tls import Tls
from towline.image import is_loopback
from towline.record import replace
from towline.secret import Login
from towline.steps.deployment.repository import git_address
from towline.steps.host_access import authorities
from towline.steps.task import Task

_API = "githubAppApiUrl"


@contextlib.contextmanager
def app_login(task: Task, remote: Remote) -> Iterator[Login]:
    """The login for `remote` while the block runs.

    Its token is valid for this repository alone, and is revoked in the end. Raises ConfigError,
    CredentialError, and as `installation_token` does.
    """
    settings, console = task.settings, task.console
    if remote.scheme == "ssh":
        raise ConfigError(
            "a GitHub App opens a repository over https only",
            where=settings.origin("serverUrl"),
            hint="give the repository's https URL",
        )
    repository, app = _api_repository(task, remote), _app(task)
    hosts = task.addressees.admit(
        credential(settings),
        git_address(remote.url),
        named_host(settings, "serverUrl", git_address),
    )
    network = Network(proxies=Proxies(task.environ), tls=Tls(authorities(task)))
    with (
        Transport(read=20, network=network, hide=console.hide) as transport,
        installation_token(
            app, repository, transport=transport, environ=task.environ, warn=console.warn
        ) as token,
    ):
        console.hide(token)
        yield Login(username=USER, password=token, origin=f"the GitHub App {app.id}", hosts=hosts)


def _app(task: Task) -> GithubApp:
    settings = task.settings
    text, origin = settings.text("githubAppPrivateKey"), settings.origin("githubAppPrivateKey")
    real = settings.trusted("githubAppPrivateKey")
    task.console.hide(text, real=real)
    key = parse_ssh_key(text, what="private key of the GitHub App", origin=origin).private
    task.console.hide(key, real=real)
    return GithubApp(
        id=settings.text("githubAppId"),
        key=key,
        origin=f"{settings.origin('githubAppId')} and {origin}",
    )


def _api_repository(task: Task, remote: Remote) -> AppRepository:
    """The repository at its API.

    A layer that a pull request can change can only name the API of the repository's own server.
    Raises ConfigError and CredentialError.
    """
    settings = task.settings
    usual, api, where = app_repository(remote.url), settings.text(_API), settings.origin(_API)
    if not api:
        _check_addressee(task, usual, "serverUrl")
        return usual
    repository = app_repository(remote.url, api)
    parts = urlsplit(api)
    if (
        parts.scheme not in ("https", "http")
        or not parts.hostname
        or "@" in parts.netloc
        or parts.query
        or parts.fragment
        or not api.isprintable()
    ):
        raise ConfigError(
            f"{_API} is not the URL of an API",
            where=where,
            hint=f"expected {usual.api}, for example",
        )
    if _origin(repository) != _origin(usual) and not settings.trusted(_API):
        raise CredentialError(
            f"the project's configuration may not send the GitHub App's login to {parts.netloc}",
            where=where,
            hint=(
                f"leave {_API} out for {usual.api}, or let the platform team set it: PIPER_{_API}"
                " on the agent, or its defaults"
            ),
        )
    _check_addressee(task, repository, _API)
    return repository


def admissions(settings: Settings) -> Iterator[tuple[Credential, HostAddress, HostSource]]:
    """The App's login with each host that gets it, the API and the git server, and who names it.

    Raises ConfigError.
    """
    url, api = parse_remote(settings.text("serverUrl")).url, settings.text(_API)
    yield (
        credential(settings),
        _api(app_repository(url, api).api),
        named_host(settings, _API if api else "serverUrl", _own_api),
    )
    yield credential(settings), git_address(url), named_host(settings, "serverUrl", git_address)


def credential(settings: Settings) -> Credential:
    """The App's login as messages name it."""
    return secret_of(settings, "githubAppPrivateKey", "the login of the GitHub App")


def named_host(settings: Settings, name: str, parse: Parse) -> HostSource:
    """The source of a host that gets the App's login: the parameter `name`.

    A trusted layer that sets either of the two URLs counts.
    """
    server, api = host_source(settings, "serverUrl", parse), host_source(settings, _API, _api)
    return replace(api if name == _API else server, trusted=server.trusted | api.trusted)


def _check_addressee(task: Task, repository: AppRepository, name: str) -> None:
    """Pass if the App's login may go to the API's host, which comes from the parameter `name`.

    Raises CredentialError.
    """
    settings, where = task.settings, task.settings.origin(name)
    scheme, host = _origin(repository)
    task.addressees.admit(
        credential(settings),
        HostAddress(scheme=scheme, host=host),
        named_host(settings, name, _own_api),
    )
    if scheme == "http" and not is_loopback(host) and not settings.flag("allowPlainHttp"):
        raise CredentialError(
            f"the GitHub App's login does not go to {host} over plain HTTP",
            where=where,
            hint="use https, or let a trusted layer of the configuration set allowPlainHttp",
        )


def _own_api(url: str) -> HostAddress:
    """The address of the API on the server of a repository's URL; raises ConfigError."""
    return _api(app_repository(parse_remote(url).url).api)


def _api(url: str) -> HostAddress:
    parts = urlsplit(url.lower())
    return HostAddress(scheme=parts.scheme, host=parts.netloc)


def _origin(repository: AppRepository) -> tuple[str, str]:
    parts = urlsplit(repository.api.lower())
    return parts.scheme, parts.netloc
