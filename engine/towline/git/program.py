"""The git program: its environment, its settings, its time, and how often it is asked."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from towline.errors import GitError, GitUnreachable, MachineError
from towline.git import access, faults
from towline.git.pinned import Server
from towline.git.remote import Remote
from towline.git.room import Room, TooLarge
from towline.limits import Limits
from towline.process import Completed, Overrun, find, run
from towline.retry import Deadline, pause
from towline.shown import hide, masked

_TRIES = 5
_TEXT = 2000
# What a git that talks to the remote needs of the machine's variables, and no other one: a proxy's
# URL may hold a password.
_ONWARD = (
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
)
_SETTINGS = """\
[core]
    hooksPath = /dev/null
    fsmonitor = false
    fsync = none
    quotePath = false
    askPass =
[init]
    templateDir =
[gc]
    auto = 0
[maintenance]
    auto = false
[fetch]
    recurseSubmodules = false
    unpackLimit = 1
[pack]
    threads = 2
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
_USER_INFO = re.compile(r"(?<=://)[^/@\s:]*:[^/@\s]*@")


class Program:
    """Runs git for one remote, with settings of its own in `folder`, keys in `secrets`, and nothing else of the machine's; each ends before `deadline`."""

    def __init__(
        self,
        remote: Remote,
        *,
        folder: Path,
        secrets: Path,
        environ: Mapping[str, str],
        deadline: Deadline,
    ) -> None:
        program = find("git", environ)
        if not program:
            raise MachineError("there is no git program on PATH", hint="install git 2.30 or newer")
        for secret in access.secrets(remote):
            hide(secret)
        self._program = program
        self._remote = remote
        self._repository = folder / "repository"
        self.deadline = deadline
        self._room = Room(folder)
        settings = folder / ".gitconfig"
        settings.write_text(_SETTINGS + access.settings(remote), encoding="utf-8")
        self._environment = {
            "PATH": environ.get("PATH", os.defpath),
            "HOME": str(folder),
            "LC_ALL": "C",
            "GIT_CONFIG_GLOBAL": str(settings),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
        }
        self._opening = {
            name: environ[name] for name in _ONWARD if name in environ
        } | access.variables(remote, secrets, environ)
        self._server = Server(remote, environ, settings=settings)

    @property
    def place(self) -> Path:
        """Where the repository is that it works in."""
        return self._repository

    def at(self, repository: Path) -> Program:
        """The same for another repository."""
        other = copy.copy(self)
        other._repository = repository  # noqa: SLF001 - its own kind
        return other

    def local(
        self, *words: str, stdin: bytes = b"", variables: Mapping[str, str] | None = None
    ) -> bytes:
        """What git prints, without network and login: an object that is not there is a fault, not a reason to ask; raises GitError, MachineError."""
        done = self.check(*words, stdin=stdin, variables=variables)
        if done.code:
            text = self.text(done)
            if what := self._room.is_over(done, text):
                raise self._room.too_large(what, words[0], self._remote.url)
            raise faults.of_machine(text) or GitError(
                f"git {words[0]} failed: {text}", where=self._remote.host
            )
        return done.out

    def check(
        self, *words: str, stdin: bytes = b"", variables: Mapping[str, str] | None = None
    ) -> Completed:
        """How git ends, without network and login."""
        variables = {"GIT_ALLOW_PROTOCOL": "", "GIT_NO_LAZY_FETCH": "1", **(variables or {})}
        return self._run(words, stdin, variables, self._room.local(self.deadline.left))

    def ask(self, *words: str, stdin: bytes = b"") -> Completed:
        """How git ends when it may talk to the remote, once.

        Raises what asking again cannot mend: CredentialError, ConfigError, MachineError, GitError
        of a server that sends too much.
        """
        if unknown := self._server.check():
            done = Completed(code=128, out=b"", err=unknown.encode())
        else:
            done = self._run(words, stdin, self._opening, self._room.limits(self.deadline.left))
        if not done.code:
            return done
        text = self.text(done)
        if what := self._room.is_over(done, text):
            self._room.tidy()
            if self._room.widen(words, text):
                return self.ask(*words, stdin=stdin)
            raise self._room.refusal(what, self._remote.host, self._remote.url)
        if fault := faults.permanent(text, self._remote):
            raise fault
        return done

    def insist(
        self, *words: str, stdin: bytes = b"", explain: Callable[[], None] | None = None
    ) -> Completed:
        """Like `ask`, again after a pause while the remote cannot be reached; `explain` may raise why it fails; raises GitUnreachable."""
        attempt = 0
        while (done := self.ask(*words, stdin=stdin)).code:
            if explain:
                explain()
            self.again(attempt, self.text(done))
            attempt += 1
        return done

    def again(self, attempt: int, over: str) -> None:
        """Pause after failed attempt number `attempt` (from 0), unless it was the last one; raises GitUnreachable with the text `over`."""
        if attempt + 1 == _TRIES:
            raise self.unreachable(over)
        self.wait(attempt, over)

    def wait(self, attempt: int, over: str) -> None:
        """Pause after failed attempt number `attempt` (from 0); raises GitUnreachable with the text `over` where the deadline leaves no time for it."""
        seconds = pause(attempt, self.deadline.clock)
        if seconds >= self.deadline.left:
            raise self.unreachable(over)
        self.deadline.clock.sleep(seconds)

    def unreachable(self, why: str) -> GitUnreachable:
        """The fault of a remote that did not do its part in time."""
        url = self._remote.url
        short = (
            ""
            if "://" in url
            else f"; {url} is read as an address of SSH: if it is none, write https:// before it"
        )
        return GitUnreachable(
            f"git could not talk to {self._remote.host}: {why}",
            where=url,
            hint=f"check the URL, the network and the proxy, or run the step again later{short}",
        )

    def text(self, done: Completed) -> str:
        """What git and the server had to say, for people: one text without control characters, user info and secrets, capped."""
        words = masked(done.err.decode("utf-8", "replace"))
        words = _USER_INFO.sub("", _CONTROL.sub(" ", words)).strip()
        if done.code < 0:
            words = f"git died of signal {-done.code}\n{words}".strip()
        return words if len(words) <= _TEXT else f"{words[:_TEXT]} ..."

    def _run(
        self, words: tuple[str, ...], stdin: bytes, variables: Mapping[str, str], limits: Limits
    ) -> Completed:
        command = [self._program, f"--git-dir={self._repository}", *words]
        try:
            return run(
                command, environment={**self._environment, **variables}, stdin=stdin, limits=limits
            )
        except Overrun as fault:
            if fault.what == "output cap":
                raise TooLarge(
                    f"git {words[0]} gives more of this repository than can be taken",
                    where=self._remote.url,
                    hint="keep what is deployed in a repository of its own",
                ) from fault
            raise self.unreachable(f"git {words[0]} ran into its {fault.what}") from fault
