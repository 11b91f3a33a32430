"""Signing of commits by an SSH or a GnuPG key, which lies in a private folder meanwhile."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from towline.errors import CredentialError, MachineError, TowlineError
from towline.git.errors import machine_fault
from towline.limits import ProcessLimits
from towline.private_folder import PrivateFolder
from towline.process import Completed, Overrun, find, run
from towline.record import field, frozen

SSH, GPG = "ssh", "gpg"
_IMPORTED = re.compile(rb"^\[GNUPG:\] IMPORT_OK [0-9]+ ([0-9A-F]{40,64})", re.MULTILINE)
_PROGRAM_LIMITS = ProcessLimits(seconds=60.0)
# The parent of a private folder with the sockets of gpg's agent, whose paths must be short.
_SHORT_FOLDER = {"TMPDIR": "/tmp"}  # noqa: S108


@frozen
class SigningKey:
    """A private key without a passphrase; `origin` is where it came from.

    The format is OpenSSH's, or that of `gpg --export-secret-keys --armor`.
    """

    private: str = field(repr=False)
    format: str
    origin: str = ""


@frozen
class SigningOptions:
    """How git signs a commit: settings before git's command, options after it, and variables."""

    settings: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)


@contextlib.contextmanager
def signing(key: SigningKey | None, environ: Mapping[str, str]) -> Iterator[SigningOptions]:
    """Options that sign by `key` while the block runs; none if `key` is None.

    Raises CredentialError (a key that does not sign), MachineError.
    """
    if key is None:
        yield SigningOptions()
        return
    with contextlib.closing(
        PrivateFolder(environ if key.format == SSH else {**environ, **_SHORT_FOLDER}, secret=True)
    ) as private:
        if key.format == SSH:
            yield _by_ssh(key, private.path, environ)
            return
        with _by_gpg(key, private.path, environ) as found:
            yield found


def signing_fault(text: str, key: SigningKey) -> TowlineError:
    """The fault of a commit that could not be signed; `text` is git's error output."""
    return machine_fault(text) or CredentialError(
        f"the commit could not be signed: {text}",
        where=key.origin,
        hint=(
            "it must be a private key without a passphrase, in the format that signingFormat names"
        ),
    )


def _by_ssh(key: SigningKey, folder: Path, environ: Mapping[str, str]) -> SigningOptions:
    file = folder / "signing-key"
    file.touch(mode=0o600)
    file.write_text(key.private, encoding="utf-8")
    program = _program("ssh-keygen", "an OpenSSH client", environ)
    return SigningOptions(
        settings=("-c", "gpg.format=ssh", "-c", f"gpg.ssh.program={program}"),
        options=(f"-S{file}",),
    )


@contextlib.contextmanager
def _by_gpg(key: SigningKey, home: Path, environ: Mapping[str, str]) -> Iterator[SigningOptions]:
    """Import the key into a home of its own for gpg; at the end, stop the agent of gpg."""
    program = _program("gpg", "GnuPG", environ)
    gpg_variables = {"GNUPGHOME": str(home), "PATH": environ.get("PATH", ""), "LC_ALL": "C"}
    try:
        done = _run(
            program,
            "--batch",
            "--no-tty",
            "--status-fd",
            "1",
            "--import",
            variables=gpg_variables,
            stdin=key.private.encode(),
        )
        found = _IMPORTED.search(done.out)
        if found is None:
            raise CredentialError(
                "the configured signing key is not a private key of GnuPG",
                where=key.origin,
                hint="expected the text that gpg --export-secret-keys --armor writes",
            )
        name = found[1].decode()
        yield SigningOptions(
            settings=("-c", "gpg.format=openpgp", "-c", f"gpg.program={program}"),
            options=(f"-S{name}",),
            variables=gpg_variables,
        )
    finally:
        if stop := find("gpgconf", environ):
            _run(stop, "--kill", "gpg-agent", variables=gpg_variables)


def _program(name: str, package: str, environ: Mapping[str, str]) -> str:
    program = find(name, environ)
    if not program:
        raise MachineError(
            f"there is no {name} program on PATH, which is needed to sign commits",
            hint=f"install {package} on the agent",
        )
    return program


def _run(*words: str, variables: Mapping[str, str], stdin: bytes = b"") -> Completed:
    try:
        return run(words, environment=variables, stdin=stdin, limits=_PROGRAM_LIMITS)
    except Overrun as fault:
        program = Path(words[0]).name
        raise MachineError(
            f"{program} exceeded its {fault.limit}",
            hint=f"see whether {program} works by hand on this machine",
        ) from fault
