"""The git program: its environment, its settings, and what its failures mean."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import quote

from towline.errors import ConfigError, CredentialError, GitError, GitUnreachable, MachineError, TowlineError
from towline.git.remote import Remote
from towline.process import Completed, Overrun, find, run
from towline.retry import Deadline, pause

_TRIES = 5
_TEXT = 2000
_KEPT = ("PATH", "http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
         "GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "SSL_CERT_FILE", "SSL_CERT_DIR")
_USERNAME, _PASSWORD = "TOWLINE_GIT_USERNAME", "TOWLINE_GIT_PASSWORD"
_HELPER = f"""!f() {{ if test "$1" = get; then printf 'username=%s\\npassword=%s\\n' "${_USERNAME}" "${_PASSWORD}"; fi; }}; f"""
_SETTINGS = """\
[core]
    hooksPath = /dev/null
    fsmonitor = false
    fsync = none
    askPass =
[init]
    templateDir =
[gc]
    auto = 0
[maintenance]
    auto = false
[fetch]
    recurseSubmodules = false
[protocol]
    version = 2
[http]
    followRedirects = false
    lowSpeedLimit = 1
    lowSpeedTime = 60
[credential]
    helper =
"""
_CONTROL = re.compile(r"[^\S\n]|[\x00-\x09\x0b-\x1f\x7f-\x9f]")
_USER_INFO = re.compile(r"(?<=://)[^/@\s]*@")
_REFUSED = re.compile(r"Authentication failed|could not read (?:Username|Password)|(?:returned error:|HTTP) (?:401|403)\b")
_ABSENT = re.compile(r"repository '.*' not found|is this a git repository|(?:returned error:|HTTP) (?:404|410)\b")
_REDIRECTED = re.compile(r"(?:returned error:|HTTP) 30[12378]\b|update url base from redirection")


class Program:
    """Runs git for one remote, with settings of its own in `folder` and nothing else of the machine's; every run ends before `deadline`."""

    def __init__(self, remote: Remote, *, folder: Path, environ: Mapping[str, str], deadline: Deadline) -> None:
        program = find("git", environ)
        if not program:
            raise MachineError("there is no git program on PATH", hint="install git 2.30 or newer")
        self._program = program
        self._remote = remote
        self._repository = folder / "repository"
        self.deadline = deadline
        settings = folder / ".gitconfig"
        settings.write_text(_SETTINGS + _credential(remote), encoding="utf-8")
        self._environment = {name: environ[name] for name in _KEPT if name in environ} | {
            "HOME": str(folder), "GIT_CONFIG_GLOBAL": str(settings), "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C",
        }

    def local(self, *words: str, stdin: bytes = b"", variables: Mapping[str, str] | None = None) -> bytes:
        """What git prints, without network and login: an object that is not there is a fault, not a reason to ask; raises GitError."""
        done = self.check(*words, stdin=stdin, variables=variables)
        if done.code:
            raise GitError(f"git {words[0]} failed: {self.text(done)}", where=self._remote.host)
        return done.out

    def check(self, *words: str, stdin: bytes = b"", variables: Mapping[str, str] | None = None) -> Completed:
        """How git ends, without network and login."""
        return self._run(words, stdin, {"GIT_ALLOW_PROTOCOL": "", "GIT_NO_LAZY_FETCH": "1", **(variables or {})})

    def ask(self, *words: str, stdin: bytes = b"") -> Completed:
        """How git ends when it may talk to the remote, once; raises what asking again cannot mend: CredentialError, ConfigError."""
        login = self._remote.login
        secrets = {_USERNAME: login.username, _PASSWORD: login.password} if login else {}
        done = self._run(words, stdin, {"GIT_ALLOW_PROTOCOL": self._remote.url.partition(":")[0], **secrets})
        if done.code:
            self._judge(done)
        return done

    def insist(self, *words: str, stdin: bytes = b"", explain: Callable[[], None] | None = None) -> None:
        """Like `ask`, again after a pause while the remote cannot be reached; `explain` may raise why it fails; raises GitUnreachable."""
        attempt = 0
        while (done := self.ask(*words, stdin=stdin)).code:
            if explain:
                explain()
            if attempt + 1 == _TRIES:
                raise self.unreachable(self.text(done))
            self.wait(attempt, self.text(done))
            attempt += 1

    def wait(self, attempt: int, over: str) -> None:
        """Pause after failed attempt number `attempt` (from 0); raises GitUnreachable with the text `over` where the deadline leaves no time for it."""
        seconds = pause(attempt, self.deadline.clock)
        if seconds >= self.deadline.left:
            raise self.unreachable(over)
        self.deadline.clock.sleep(seconds)

    def unreachable(self, why: str) -> GitUnreachable:
        """The fault of a remote that did not do its part in time."""
        return GitUnreachable(f"{self._remote.host} could not be worked with: {why}", where=self._remote.url,
                              hint="check the URL, the network and the proxy, or run the step again later")

    def text(self, done: Completed) -> str:
        """What git and the server had to say, for people: one text without control characters, user info and secrets, capped."""
        words = _USER_INFO.sub("", _CONTROL.sub(" ", done.err.decode("utf-8", "replace"))).strip()
        login = self._remote.login
        if login and len(login.password) > 3:
            for secret in (login.password, quote(login.password.encode("utf-8", "surrogateescape"), safe="")):
                words = words.replace(secret, "****")
        return words if len(words) <= _TEXT else f"{words[:_TEXT]} ..."

    def _run(self, words: tuple[str, ...], stdin: bytes, variables: Mapping[str, str]) -> Completed:
        command = [self._program, f"--git-dir={self._repository}", *words]
        try:
            return run(command, environment={**self._environment, **variables}, stdin=stdin, seconds=self.deadline.left)
        except Overrun as fault:
            raise self.unreachable(f"git {words[0]} ran into its {fault.what}") from fault

    def _judge(self, done: Completed) -> None:
        """Raise what is permanent, by what git itself says (its language is fixed); lines of the server do not count."""
        text = self.text(done)
        own = "\n".join(line for line in text.splitlines() if not line.startswith("remote:"))
        if _REFUSED.search(own):
            raise self._refused(text)
        if _ABSENT.search(own):
            raise ConfigError(f"there is no git repository: {text}", where=self._remote.url,
                              hint="check the URL; some hosts say the same to a user who may not read it")
        if _REDIRECTED.search(own):
            raise ConfigError(f"the server redirects, which is not followed: {text}", where=self._remote.url,
                              hint="configure the address that it redirects to; on GitLab it ends in .git")

    def _refused(self, text: str) -> TowlineError:
        login, host = self._remote.login, self._remote.host
        if not login:
            return CredentialError(f"{host} wants a user and a password: {text}", where=self._remote.url, hint="configure user and password for it")
        return CredentialError(f"{host} refused user {login.username!r}: {text}", where=self._remote.url,
                               hint=f"user and password come from {login.origin}; check that they are right, and may read and write this repository")


def _credential(remote: Remote) -> str:
    """Settings that answer this one origin from two variables of the child that may talk to it; the text holds no secret."""
    if not remote.login:
        return ""
    helper = _HELPER.replace("\\", "\\\\").replace('"', '\\"')
    return f'[http]\n    proactiveAuth = basic\n[credential "{remote.origin}"]\n    helper = "{helper}"\n'
