"""Every way in which Towline fails.

Exit code, category and status live on the type (docs/contract.md).

TowlineError                 1  undefined
  UsageError                 2  config          flags, request, version skew
  ConfigError                3  config          configuration, or something that it names does not exist
    Negative                 3  config          no fault: the answer to a question is no
  CredentialError            4  config          missing or refused, whichever host
    VaultUnreachable         4  infrastructure
    Refusal                  4  config          by the rules of where credentials go, which is told as an auditor reads it
  RegistryError              5  service         the registry answered, but not with what is needed
    RegistryUnreachable      5  infrastructure
    DigestMismatch           5  service
  GitError                   6  service         the git server answered with a refusal
    GitUnreachable           6  infrastructure
  RenderError                7  build           rendering, or an edit that cannot be done safely
  Superseded                 8  custom          a newer deployment is in place; the build goes on
  MachineError               9  infrastructure  disk, memory, a missing program
  Interrupted    129, 130, 143  custom          a signal; the build is aborted
TransportError                  the network below a host; always turned into one of the above by its caller


"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager


class TowlineError(Exception):
    """What happened (`message`), where (file:line, host without user info, layer) and what to do next (`hint`, else the type's usual one).

    `outputs` and `pipeline_environment` go into the result: what was found, and what holds, all the
    same.
    """

    exit_code = 1
    category = "undefined"
    status = "failure"
    usual_hint = "this is a bug of Towline; report it with its message"

    def __init__(
        self,
        message: str,
        *,
        where: str = "",
        hint: str = "",
        outputs: Mapping[str, object] | None = None,
        pipeline_environment: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.outputs = outputs or {}
        self.pipeline_environment = pipeline_environment or {}
        self.where = where
        self.hint = hint or self.usual_hint


@contextmanager
def placed(where: str) -> Iterator[None]:
    """Faults of what is done below get `where`, but for those that name a place themselves."""
    try:
        yield
    except TowlineError as fault:
        fault.where = fault.where or where
        raise


class UsageError(TowlineError):
    """Flags, a request, or two versions that do not fit together."""

    exit_code = 2
    category = "config"
    usual_hint = "see towline --help, and docs/contract.md for what a request holds"


class ConfigError(TowlineError):
    """A configuration that is wrong, or names something that does not exist."""

    exit_code = 3
    category = "config"
    usual_hint = "correct it there"


class Negative(ConfigError):
    """An answer that is no, which scripts read off the exit code; told as an answer and not as a fault."""


class CredentialError(TowlineError):
    """A credential that is missing, or that a host refused."""

    exit_code = 4
    category = "config"
    usual_hint = "check user and password, and that they are meant for this host"


class Refusal(CredentialError):
    """A credential that may not be used so: what a project calls a secret is not masked in it."""


class VaultUnreachable(CredentialError):
    """A Vault that could not be reached, or could not answer, until the retries were used up."""

    category = "infrastructure"
    usual_hint = (
        "check vaultServerUrl and run the step again; with skipVault: true the step takes its"
        " values from elsewhere"
    )


class RegistryError(TowlineError):
    """A registry that answered, but not with what the copy needs."""

    exit_code = 5
    category = "service"
    usual_hint = "run it again; where it stays so, show this message to those who run the registry"


class RegistryUnreachable(RegistryError):
    """A registry that could not be reached, or broke off, until the retries were used up."""

    category = "infrastructure"


class DigestMismatch(RegistryError):
    """Content that does not have the digest it is known by."""


class GitError(TowlineError):
    """A git server that refused what it was asked for."""

    exit_code = 6
    category = "service"
    usual_hint = (
        "run the step again; where it stays so, show this message to those who run the git server"
    )


class GitUnreachable(GitError):
    """A git server that could not be reached until the deadline."""

    category = "infrastructure"


class RenderError(TowlineError):
    """A template that does not render, or an edit that cannot be done safely."""

    exit_code = 7
    category = "build"
    usual_hint = "correct the chart, the template or the file"


class Superseded(TowlineError):
    """A newer deployment of the same pipeline is in place already."""

    exit_code = 8
    category = "custom"
    usual_hint = "nothing is to be done: the newer deployment stays"
    status = "superseded"


class MachineError(TowlineError):
    """The machine lacks something: disk, memory, a program."""

    exit_code = 9
    category = "infrastructure"
    usual_hint = "free disk space or memory on the agent, or install what is missing"


class Interrupted(TowlineError):
    """A signal ended the run; `exit_code` is 128 plus its number."""

    exit_code = 130
    category = "custom"
    status = "aborted"

    def __init__(self, signal_number: int) -> None:
        super().__init__("interrupted", hint="run it again: doing it twice is doing it once")
        self.exit_code = 128 + signal_number


class TransportError(Exception):
    """The network below a host failed after all retries; `where` is scheme and host."""

    def __init__(self, message: str, *, where: str) -> None:
        super().__init__(message)
        self.where = where
