"""Pure.

Errors of git: the faults in its error output that a retry cannot mend.

The output is in English, since git runs with LC_ALL=C. Lines of the server are not considered.
"""

from __future__ import annotations

import re

from towline.errors import ConfigError, CredentialError, MachineError, TowlineError
from towline.git.remote import Remote

_OUT_OF_RESOURCES = re.compile(
    r"No space left on device|Disk quota exceeded|File too large|Read-only file system|Cannot"
    r" allocate memory|[Oo]ut of memory"
    r"|Too many open files|Resource temporarily unavailable|died of signal"
)
_NO_USER_NAME = re.compile(r"No user exists for uid \d+")
_REFUSED = re.compile(
    r"Authentication failed|could not read (?:Username|Password)|(?:returned error:|HTTP)"
    r" (?:401|403)\b|Permission denied \([a-z,-]+\)"
)
_PROXY = re.compile(r"(?:HTTP code|returned error:|HTTP|CONNECT tunnel failed, response) 407\b")
_ABSENT = re.compile(
    r"repository '.*' not found|does not appear to be a git repository|is this a git"
    r" repository|Repository not found"
    r"|(?:returned error:|HTTP) (?:404|410)\b"
)
_REDIRECTED = re.compile(r"(?:returned error:|HTTP) 30[12378]\b|update url base from redirection")
_HOST_KEY = re.compile(r"Host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED")
_UNTRUSTED = re.compile(
    r"SSL certificate problem|server certificate verification failed|server verification"
    r" failed|certificate subject name"
    r"|no alternative certificate subject name|error setting certificate|error reading ca cert"
    r" file",
    re.IGNORECASE,
)
_LOGIN = (
    "set username and password (PIPER_username and PIPER_password on the agent, or the Jenkins"
    " credential that gitHttpsCredentialsId names), or give an ssh:// URL and gitSshPrivateKey"
)
_FILTER = re.compile(
    r"filter '.*' not supported|filter allows max depth|invalid filter-spec|filter.* not"
    r" (?:allowed|supported)"
)
_UNADVERTISED = re.compile(r"does not allow request for unadvertised object")


def git_lines(text: str) -> str:
    """The lines of git's error output that git itself wrote, without those of the server."""
    return "\n".join(line for line in text.splitlines() if not line.startswith("remote:"))


def machine_fault(text: str) -> MachineError | None:
    """The fault of a machine out of disk, memory or file descriptors, or of a user without name."""
    lines = git_lines(text)
    if _NO_USER_NAME.search(lines):
        return MachineError(
            f"OpenSSH does not work for a user without a name: {text}",
            hint=(
                "give the agent's user an entry in /etc/passwd, as images for OpenShift do "
                "when they start; https:// URLs and GnuPG do not need it"
            ),
        )
    if not _OUT_OF_RESOURCES.search(lines):
        return None
    return MachineError(
        f"git could not work on this machine: {text}",
        hint="free disk space or memory on the agent, or set TMPDIR to a place that has some",
    )


def permanent_fault(text: str, remote: Remote) -> TowlineError | None:
    """The fault that `text`, git's error output, means; None if a retry may help."""
    lines, where = git_lines(text), remote.url
    if fault_of_machine := machine_fault(text):
        return fault_of_machine
    if _HOST_KEY.search(lines):
        return ConfigError(
            f"the host key of {remote.host} is not known: {text}",
            where=where,
            hint=_known_hosts(remote),
        )
    if _UNTRUSTED.search(lines):
        return ConfigError(
            f"the certificate of {remote.host} is not trusted: {text}",
            where=where,
            hint=(
                "if its CA is your own, install it on the agent or name it in"
                " customTlsCertificateLinks"
            ),
        )
    if _PROXY.search(lines):
        return CredentialError(
            f"the proxy on the way to {remote.host} requires authentication: {text}",
            where=where,
            hint="put user and password into https_proxy",
        )
    if _REFUSED.search(lines):
        return _refused(text, remote)
    if _ABSENT.search(lines):
        return ConfigError(
            f"there is no git repository at this URL: {text}",
            where=where,
            hint="check the URL; some hosts say the same to a user who may not read it",
        )
    if _REDIRECTED.search(lines):
        return ConfigError(
            f"the server redirects, which git does not follow here: {text}",
            where=where,
            hint="configure the address that it redirects to; on GitLab it ends in .git",
        )
    return None


def is_filter_refusal(text: str) -> bool:
    """Whether the server has refused the filter of a partial clone.

    Servers word this differently, so a False only costs time and is never relied on.
    """
    return _FILTER.search(text) is not None


def is_object_refusal(text: str) -> bool:
    """Whether the server gives out whole branches only.

    That is protocol 0 without uploadpack.allowAnySHA1InWant.
    """
    return _UNADVERTISED.search(text) is not None


def _known_hosts(remote: Remote) -> str:
    name, _, port = (
        remote.host.partition(":") if not remote.host.startswith("[") else (remote.host, "", "")
    )
    return (
        "let a trusted layer add the host's key to gitSshKnownHosts, or add it to known_hosts on"
        f" the agent; ssh-keyscan {f'-p {port} ' if port else ''}{name} prints it, compare it with"
        " what the host publishes"
    )


def _refused(text: str, remote: Remote) -> TowlineError:
    login, host, where = remote.login, remote.host, remote.url
    if remote.scheme == "ssh":
        origin = "no key is configured (gitSshPrivateKey), so the agent's own were tried"
        if remote.key and remote.key.private:
            origin = f"the key comes from {remote.key.origin}"
        return CredentialError(
            f"{host} refused the SSH key: {text}",
            where=where,
            hint=f"{origin}; check that it is registered there, and may write",
        )
    if not login:
        return CredentialError(
            f"{host} requires a user and a password: {text}", where=where, hint=_LOGIN
        )
    return CredentialError(
        f"{host} refused user {login.username!r}: {text}",
        where=where,
        hint=(
            f"user and password come from {login.origin}; check that they are right, and may read"
            " and write this repository"
        ),
    )
