"""The git program: its environment, its settings, its time limits and its attempts.

Settings that hold no secret go to every git; credentials, as variables and private files, only to a
git that talks to the remote.

git connects to the addresses of its server that were checked: git resolves a name itself, again
each time, and the owner of the name may change its addresses meanwhile.
"""

from __future__ import annotations

import base64
import copy
import os
import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from towline.errors import ConfigError, GitError, GitUnreachable, MachineError
from towline.git import errors
from towline.git.limits import GitLimits, RepositoryTooLarge
from towline.git.remote import Remote
from towline.host_patterns import USUAL_PORTS
from towline.http.addresses import AddressPolicy, PermanentTransportError, parse_address
from towline.http.proxy import Proxies
from towline.limits import ProcessLimits
from towline.printable import hide, masked
from towline.process import Completed, Overrun, find, run
from towline.retry import Deadline, backoff

_USERNAME, _PASSWORD = "TOWLINE_GIT_USERNAME", "TOWLINE_GIT_PASSWORD"
_CREDENTIAL_HELPER = (
    """!f() { if test "$1" = get; then printf 'username=%s\\npassword=%s\\n'"""
    f""" "${_USERNAME}" "${_PASSWORD}"; fi; }}; f"""
)
_SSH = (
    "-F",
    "/dev/null",
    "-o",
    "BatchMode=yes",
    "-o",
    "StrictHostKeyChecking=yes",
    "-o",
    "ConnectTimeout=60",
    "-o",
    "ServerAliveInterval=20",
)


def credential_settings(remote: Remote) -> str:
    """Settings that answer for this one origin from two variables of git; they hold no secret."""
    if not remote.login or remote.bearer or remote.scheme == "ssh":
        return ""
    helper = _CREDENTIAL_HELPER.replace("\\", "\\\\").replace('"', '\\"')
    return f'[credential "{remote.origin}"]\n    helper = "{helper}"\n'


def remote_variables(remote: Remote, folder: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Variables for a git that talks to the remote; files for it go to the private `folder`.

    Raises MachineError.
    """
    allowed = {"GIT_ALLOW_PROTOCOL": remote.scheme}
    if remote.scheme == "ssh":
        return allowed | _ssh(remote, folder, environ)
    if remote.authorities:
        bundle = folder / "authorities.pem"
        bundle.write_bytes(remote.authorities)
        allowed["GIT_SSL_CAINFO"] = str(bundle)
    return allowed | _login(remote)


def secret_texts(remote: Remote) -> tuple[str, ...]:
    """Secrets that a server may repeat: the password, and the login as git sends it."""
    return (remote.login.password, _basic_credentials(remote)) if remote.login else ()


def _login(remote: Remote) -> dict[str, str]:
    """Variables that send the login with every request: else git first asks without it each time.

    Git before 2.31 does not know these variables and takes the login from the helper when it is
    asked.
    """
    login = remote.login
    if not login:
        return {}
    header = f"Bearer {login.password}" if remote.bearer else f"Basic {_basic_credentials(remote)}"
    header_settings = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"http.{remote.origin}/.extraHeader",
        "GIT_CONFIG_VALUE_0": f"Authorization: {header}",
    }
    return (
        header_settings
        if remote.bearer
        else {_USERNAME: login.username, _PASSWORD: login.password, **header_settings}
    )


def _basic_credentials(remote: Remote) -> str:
    assert remote.login
    return base64.b64encode(
        f"{remote.login.username}:{remote.login.password}".encode("utf-8", "surrogateescape")
    ).decode()


def _ssh(remote: Remote, folder: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """The SSH command for git: it asks no question and accepts no unknown host.

    It uses the configured key and no other, or, if none is configured, the keys of the agent.
    """
    program = find("ssh", environ)
    if not program:
        raise MachineError(
            "there is no ssh program on PATH",
            hint="install an OpenSSH client on the agent, or use an https URL",
        )
    words, key = [program, *_SSH], remote.key
    if key and key.private:
        words += [
            "-o",
            "IdentitiesOnly=yes",
            "-o",
            "IdentityAgent=none",
            "-i",
            str(_write_private(folder / "key", key.private)),
        ]
    if key and key.known_hosts:
        known_hosts = _write_private(folder / "known_hosts", _clean_lines(key.known_hosts))
        words += [
            "-o",
            f'UserKnownHostsFile="{known_hosts}"',
            "-o",
            "GlobalKnownHostsFile=/dev/null",
        ]
    uses_agent = key is None or not key.private
    agent = (
        {"SSH_AUTH_SOCK": environ["SSH_AUTH_SOCK"]}
        if uses_agent and "SSH_AUTH_SOCK" in environ
        else {}
    )
    return {"GIT_SSH_COMMAND": shlex.join(words), "GIT_SSH_VARIANT": "ssh", **agent}


def _clean_lines(text: str) -> str:
    return "".join(f"{line.strip()}\n" for line in text.splitlines())


def _write_private(path: Path, text: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
    return path


class PinnedServer:
    """The server of `remote`; its checked addresses go to the file `settings`, which git reads."""

    def __init__(self, remote: Remote, environ: Mapping[str, str], *, settings: Path) -> None:
        self._remote = remote
        self._proxies = Proxies(environ)
        self._settings = settings
        self._checked = False

    def check(self) -> str:
        """Check the server's addresses and tell them to git (2.37 and newer), once.

        Returns "" if all is well, else git's own wording for a host name that does not resolve now,
        so that callers treat both alike. If a proxy or ssh is used, that program resolves the name
        itself. Raises ConfigError for an address that is forbidden, and for a proxy that cannot be
        used.
        """
        if self._checked:
            return ""
        try:
            text = self._address_settings()
        except PermanentTransportError as fault:
            hint = "correct the URL: no git server has such an address"
            raise ConfigError(
                f"{self._remote.host} is not asked: {fault}", where=self._remote.url, hint=hint
            ) from fault
        except (OSError, UnicodeError) as fault:
            return (
                f"fatal: unable to access {self._remote.url}: Could not resolve host:"
                f" {self._remote.host} ({fault})"
            )
        with self._settings.open("a", encoding="utf-8") as file:
            file.write(text)
        self._checked = True
        return ""

    def _address_settings(self) -> str:
        where, policy = self._remote.origin, AddressPolicy()
        if self._remote.scheme != "ssh" and self._proxies.find(where):
            policy.check_before_proxy(where)
            return ""
        addresses, parts = policy.addresses(where), urlsplit(where)
        host, port = parts.hostname or "", parts.port or USUAL_PORTS.get(parts.scheme, 0)
        if self._remote.scheme == "ssh" or parse_address(host) is not None:
            return ""
        listed = ",".join(f"[{address}]" if ":" in address else address for address in addresses)
        return f"[http]\n    curloptResolve = {host}:{port}:{listed}\n"


_TRIES = 5
_LONGEST_MESSAGE = 2000
# The machine's variables that only a git that talks to the remote gets: a proxy's URL may hold a
# password.
_REMOTE_VARIABLES = (
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


class GitProgram:
    """Runs git for one remote until `deadline`, with its own settings, not the machine's.

    `folder` holds the settings and the repositories, `secrets` the keys.
    """

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
        for secret in secret_texts(remote):
            hide(secret)
        self._program = program
        self._remote = remote
        self._repository = folder / "repository"
        self.deadline = deadline
        self._limits = GitLimits(folder)
        settings = folder / ".gitconfig"
        settings.write_text(_SETTINGS + credential_settings(remote), encoding="utf-8")
        self._environment = {
            "PATH": environ.get("PATH", os.defpath),
            "HOME": str(folder),
            "LC_ALL": "C",
            "GIT_CONFIG_GLOBAL": str(settings),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
        }
        self._remote_variables = {
            name: environ[name] for name in _REMOTE_VARIABLES if name in environ
        } | remote_variables(remote, secrets, environ)
        self._server = PinnedServer(remote, environ, settings=settings)

    @property
    def repository(self) -> Path:
        """The folder of the repository that git works in."""
        return self._repository

    def at(self, repository: Path) -> GitProgram:
        """The same program for another repository."""
        other = copy.copy(self)
        other._repository = repository  # noqa: SLF001 - its own kind
        return other

    def output(
        self, *words: str, stdin: bytes = b"", variables: Mapping[str, str] | None = None
    ) -> bytes:
        """The output of git without network and login.

        An object that is not in the repository is a fault, it is not fetched. Raises GitError,
        MachineError.
        """
        done = self.run_local(*words, stdin=stdin, variables=variables)
        if done.code:
            text = self.message(done)
            if limit := self._limits.exceeded(done, text):
                raise self._limits.repository_fault(limit, words[0], self._remote.url)
            raise errors.machine_fault(text) or GitError(
                f"git {words[0]} failed: {text}", where=self._remote.host
            )
        return done.out

    def run_local(
        self, *words: str, stdin: bytes = b"", variables: Mapping[str, str] | None = None
    ) -> Completed:
        """Run git without network and login; any exit code is a result."""
        variables = {"GIT_ALLOW_PROTOCOL": "", "GIT_NO_LAZY_FETCH": "1", **(variables or {})}
        return self._run(words, stdin, variables, self._limits.for_local(self.deadline.left))

    def run_remote(self, *words: str, stdin: bytes = b"") -> Completed:
        """Run git once with access to the remote; any exit code that may pass is a result.

        Raises faults that a retry cannot mend: CredentialError, ConfigError, MachineError, and
        GitError if the server sends too much.
        """
        if unresolved := self._server.check():
            done = Completed(code=128, out=b"", err=unresolved.encode())
        else:
            done = self._run(
                words, stdin, self._remote_variables, self._limits.for_remote(self.deadline.left)
            )
        if not done.code:
            return done
        text = self.message(done)
        if limit := self._limits.exceeded(done, text):
            self._limits.remove_partial_packs()
            if self._limits.widen(words, text):
                return self.run_remote(*words, stdin=stdin)
            raise self._limits.server_fault(limit, self._remote.host, self._remote.url)
        if fault := errors.permanent_fault(text, self._remote):
            raise fault
        return done

    def retry_remote(
        self, *words: str, stdin: bytes = b"", explain: Callable[[], None] | None = None
    ) -> Completed:
        """Like `run_remote`, with retries after pauses while the remote cannot be reached.

        `explain` is called after each failure and may raise its reason. Raises GitUnreachable.
        """
        attempt = 0
        while (done := self.run_remote(*words, stdin=stdin)).code:
            if explain:
                explain()
            self.pause_or_fail(attempt, self.message(done))
            attempt += 1
        return done

    def pause_or_fail(self, attempt: int, over: str) -> None:
        """Pause after failed attempt number `attempt` (from 0), unless it was the last one.

        Raises GitUnreachable with the text `over`.
        """
        if attempt + 1 == _TRIES:
            raise self.unreachable(over)
        self.pause(attempt, over)

    def pause(self, attempt: int, over: str) -> None:
        """Pause after failed attempt number `attempt` (from 0).

        Raises GitUnreachable with the text `over` if the deadline leaves no time for the pause.
        """
        seconds = backoff(attempt, self.deadline.clock)
        if seconds >= self.deadline.left:
            raise self.unreachable(over)
        self.deadline.clock.sleep(seconds)

    def unreachable(self, why: str) -> GitUnreachable:
        """The fault of a remote that could not be reached, or did not answer in time."""
        url = self._remote.url
        scp_hint = (
            ""
            if "://" in url
            else f"; {url} is read as an SSH address: if it is not one, write https:// before it"
        )
        return GitUnreachable(
            f"git could not talk to {self._remote.host}: {why}",
            where=url,
            hint=f"check the URL, the network and the proxy, or run the step again later{scp_hint}",
        )

    def message(self, done: Completed) -> str:
        """The error output of git and the server, for people.

        Control characters, user info and secrets are removed, and the text is cut off after 2,000
        characters.
        """
        text = masked(done.err.decode("utf-8", "replace"))
        text = _USER_INFO.sub("", _CONTROL.sub(" ", text)).strip()
        if done.code < 0:
            text = f"git died of signal {-done.code}\n{text}".strip()
        return text if len(text) <= _LONGEST_MESSAGE else f"{text[:_LONGEST_MESSAGE]} ..."

    def _run(
        self,
        words: tuple[str, ...],
        stdin: bytes,
        variables: Mapping[str, str],
        limits: ProcessLimits,
    ) -> Completed:
        command = [self._program, f"--git-dir={self._repository}", *words]
        try:
            return run(
                command, environment={**self._environment, **variables}, stdin=stdin, limits=limits
            )
        except Overrun as fault:
            if fault.limit == "output cap":
                raise RepositoryTooLarge(
                    f"git {words[0]} has more output for this repository than the limit",
                    where=self._remote.url,
                    hint="keep what is deployed in a repository of its own",
                ) from fault
            raise self.unreachable(f"git {words[0]} exceeded its {fault.limit}") from fault
