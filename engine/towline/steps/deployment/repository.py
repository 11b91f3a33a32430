"""The repository that a step's settings name, with its login, Bearer token or SSH key.

A private key is a text, or the path of a file that a pull request cannot choose.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from towline import dispatch
from towline.config.credential_rules import host_source, secret_of
from towline.config.settings import Settings
from towline.credential_hosts import Credential, HostAddress, HostSource
from towline.errors import CredentialError, placed
from towline.git.remote import Remote, SshKey, parse_remote, parse_ssh_key
from towline.record import replace
from towline.steps.host_access import bundle, login
from towline.steps.task import Task


def key_text(task: Task, name: str) -> str:
    """The text of the private key that the parameter `name` contains or whose file it names.

    It is masked in the log; empty if the parameter is not set. Raises CredentialError.
    """
    settings = task.settings
    text, origin = settings.text(name).strip(), settings.origin(name)
    if text.startswith("/") and "\n" not in text:
        if not settings.trusted(name):
            raise CredentialError(
                "the project's configuration may not name a key on the agent",
                where=origin,
                hint=(
                    f"name it by PIPER_{name}, in the call of the step, or as a Jenkins credential"
                ),
            )
        try:
            text = Path(text).read_text(encoding="utf-8")
        except (OSError, ValueError) as fault:
            raise CredentialError(
                f"the file of {name} cannot be read",
                where=origin,
                hint="give the path of a key, or its text",
            ) from fault
    if text:
        task.console.hide(text, real=settings.trusted(name))
    return text


@contextlib.contextmanager
def open_remote(task: Task) -> Iterator[Remote]:
    """The repository with its credential while the block runs.

    Raises ConfigError, CredentialError, and GitError if a code host is asked for a token.
    """
    settings = task.settings
    if settings.text("authenticationMode") != "githubApp":
        yield _remote(task)
        return
    url, allow_plain_http = settings.text("serverUrl"), settings.flag("allowPlainHttp")
    with placed(settings.origin("serverUrl")):
        remote = parse_remote(url)
    with dispatch.part("app_login").app_login(task, remote) as login:
        yield replace(
            parse_remote(url, login=login, allow_plain_http=allow_plain_http),
            authorities=bundle(task),
        )


def _remote(task: Task) -> Remote:
    settings = task.settings
    url, allow_plain_http, mode = (
        settings.text("serverUrl"),
        settings.flag("allowPlainHttp"),
        settings.text("authenticationMode"),
    )
    with placed(settings.origin("serverUrl")):
        without_login = parse_remote(url)  # before the login: the URL may be wrong
    address, source = address_of(without_login), host_source(settings, "serverUrl", git_address)
    if without_login.scheme == "ssh":
        key = _ssh_key(task)
        task.addressees.admit(*key_admission(settings, address, source))
        return replace(without_login, key=key)
    found = login(task, ("username", "password"), address, source)
    remote = parse_remote(url, login=found, allow_plain_http=allow_plain_http)
    return replace(remote, bearer=mode == "bearer", authorities=bundle(task))


def key_admission(
    settings: Settings, address: HostAddress, source: HostSource
) -> tuple[Credential, HostAddress, HostSource]:
    """The SSH key, the host that gets it, and who names that host.

    The agent's own keys may go to the hosts of its own known_hosts.
    """
    if settings.given("gitSshPrivateKey"):
        return secret_of(settings, "gitSshPrivateKey", "the SSH key"), address, source
    known_hosts = replace(
        source, origin="known_hosts of the agent", record=frozenset([address.plain])
    )
    return (
        Credential(label="the agent's own SSH key", names=("gitSshPrivateKey",)),
        address,
        known_hosts,
    )


def address_of(remote: Remote) -> HostAddress:
    """The address of a repository's server."""
    return HostAddress(scheme=remote.scheme, host=remote.host)


def git_address(url: str) -> HostAddress:
    """The address of the server of a repository's URL; raises ConfigError."""
    return address_of(parse_remote(url))


def _ssh_key(task: Task) -> SshKey | None:
    """The SSH key with the hosts that it may go to, None without both; raises CredentialError."""
    text, known_hosts = key_text(task, "gitSshPrivateKey"), task.settings.text("gitSshKnownHosts")
    if not text:
        return SshKey(known_hosts=known_hosts) if known_hosts else None
    return parse_ssh_key(
        text, known_hosts=known_hosts, origin=task.settings.origin("gitSshPrivateKey")
    )
