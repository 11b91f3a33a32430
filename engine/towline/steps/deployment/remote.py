"""The repository that a step's settings name, with what opens it: a login, a Bearer token, or an SSH key."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from towline import dispatch
from towline.errors import CredentialError, placed
from towline.git.key import Key, parse_key
from towline.git.remote import Remote, parse_remote
from towline.secret import admit
from towline.steps.authorities import bundle
from towline.steps.logins import login
from towline.steps.task import Task


@contextlib.contextmanager
def opened(task: Task) -> Iterator[Remote]:
    """The repository with what opens it while the block runs; raises ConfigError, CredentialError, and where a code host is asked GitError."""
    settings = task.settings
    if settings.text("authenticationMode") != "githubApp":
        yield _remote(task)
        return
    url, allowed = settings.text("serverUrl"), settings.flag("allowPlainHttp")
    with dispatch.part("app_login").app_login(task, parse_remote(url)) as login:
        yield replace(parse_remote(url, login=login, allow_plain_http=allowed), authorities=bundle(task))


def _remote(task: Task) -> Remote:
    settings = task.settings
    url, allowed, mode = settings.text("serverUrl"), settings.flag("allowPlainHttp"), settings.text("authenticationMode")
    with placed(settings.origin("serverUrl")):
        plain = parse_remote(url)  # a URL that is none must not come as far as the login
    if plain.scheme == "ssh":
        admit(plain.host, settings.texts("credentialHosts"))
        return replace(plain, key=_key(task))
    remote = parse_remote(url, login=login(settings, ("username", "password"), host=plain.host), allow_plain_http=allowed)
    return replace(remote, bearer=mode == "bearer", authorities=bundle(task))


def _key(task: Task) -> Key | None:
    """The SSH key, read from its file where a path is given, and the hosts that it may meet; raises CredentialError."""
    settings = task.settings
    text, known, origin = settings.text("gitSshPrivateKey").strip(), settings.text("gitSshKnownHosts"), settings.origin("gitSshPrivateKey")
    if not text:
        return Key(known_hosts=known) if known else None
    if text.startswith("/") and "\n" not in text:
        if not settings.trusted("gitSshPrivateKey"):
            raise CredentialError("what a pull request can change may not name a key on the agent", where=origin,
                                  hint="name it by PIPER_gitSshPrivateKey, in the call of the step, or as a Jenkins credential (gitSshKeyCredentialsId)")
        try:
            text = Path(text).read_text(encoding="utf-8")
        except (OSError, ValueError) as fault:
            raise CredentialError("the file of the SSH key cannot be read", where=origin, hint="give the path of a key, or its text") from fault
    task.console.hide(text)
    return parse_key(text, known_hosts=known, origin=origin)
