"""Every way in which Towline fails.

Exit code, category and status are attributes of the type (docs/contract.md).

TowlineError                 1  undefined
  UsageError                 2  config          flags, request, version skew
  ConfigError                3  config          configuration, or something it names is missing
    Negative                 3  config          no fault: the answer to a question is no
  CredentialError            4  config          missing or refused, whichever host
    VaultUnreachable         4  infrastructure
    Refusal                  4  config          the rules forbid to send this credential there
  RegistryError              5  service         the registry answered, but not as needed
    RegistryUnreachable      5  infrastructure
    DigestMismatch           5  service
  GitError                   6  service         the git server answered with a refusal
    GitUnreachable           6  infrastructure
  RenderError                7  build           rendering, or an edit that is not safe
  Superseded                 8  custom          a newer deployment is in place; the build goes on
  MachineError               9  infrastructure  disk, memory, a missing program
  Interrupted    129, 130, 143  custom          a signal; the build is aborted
TransportError                  the network below a host; its caller turns it into one of the above
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager


class TowlineError(Exception):
    """An error: what happened (`message`), where, and what to do next (`hint`).

    `where` is file:line, a host without user info, or a layer. Without a hint the type's usual one
    is shown. `outputs` and `pipeline_environment` go into the result: they hold in spite of the
    error.
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
    """Give `where` to each error raised in the block that has none."""
    try:
        yield
    except TowlineError as fault:
        fault.where = fault.where or where
        raise


class UsageError(TowlineError):
    """Raised for wrong flags, a wrong request, or versions that do not fit together."""

    exit_code = 2
    category = "config"
    usual_hint = "see towline --help, and docs/contract.md for what a request holds"


class ConfigError(TowlineError):
    """Raised if the configuration is wrong, or names something that does not exist."""

    exit_code = 3
    category = "config"
    usual_hint = "correct it there"


class Negative(ConfigError):
    """Raised if the answer to a question is no; scripts read it off the exit code.

    It is shown as an answer, not as an error.
    """


class CredentialError(TowlineError):
    """Raised if a credential is missing, or a host refused it."""

    exit_code = 4
    category = "config"
    usual_hint = "check user and password, and that they are meant for this host"


class Refusal(CredentialError):
    """Raised if the rules forbid to use a credential in this way.

    Words that only the project calls secret are not masked in its text.
    """


class VaultUnreachable(CredentialError):
    """Raised if Vault could not be reached, or did not answer, until all retries were used up."""

    category = "infrastructure"
    usual_hint = (
        "check vaultServerUrl and run the step again; with skipVault: true the step takes its"
        " values from elsewhere"
    )


class RegistryError(TowlineError):
    """Raised if a registry answered, but not with what the copy needs."""

    exit_code = 5
    category = "service"
    usual_hint = "run it again; if it stays so, show this message to those who run the registry"


class RegistryUnreachable(RegistryError):
    """Raised if a registry could not be reached, or broke off, until all retries were used up."""

    category = "infrastructure"


class DigestMismatch(RegistryError):
    """Raised if content does not have the digest that it is known by."""


class GitError(TowlineError):
    """Raised if a git server refused a request."""

    exit_code = 6
    category = "service"
    usual_hint = (
        "run the step again; if it stays so, show this message to those who run the git server"
    )


class GitUnreachable(GitError):
    """Raised if a git server could not be reached before the deadline."""

    category = "infrastructure"


class RenderError(TowlineError):
    """Raised if a template does not render, or an edit cannot be done safely."""

    exit_code = 7
    category = "build"
    usual_hint = "correct the chart, the template or the file"


class Superseded(TowlineError):
    """Raised if a newer deployment of the same pipeline is in place already."""

    exit_code = 8
    category = "custom"
    usual_hint = "nothing to do: the newer deployment stays"
    status = "superseded"


class MachineError(TowlineError):
    """Raised if the machine lacks something: disk space, memory, a program."""

    exit_code = 9
    category = "infrastructure"
    usual_hint = "free disk space or memory on the agent, or install what is missing"


class Interrupted(TowlineError):
    """Raised if a signal ended the run; `exit_code` is 128 plus its number."""

    exit_code = 130
    category = "custom"
    status = "aborted"

    def __init__(self, signal_number: int) -> None:
        super().__init__("interrupted", hint="run it again: a step is idempotent")
        self.exit_code = 128 + signal_number


class TransportError(Exception):
    """Raised if the network below a host failed after all retries; `where` is scheme and host."""

    def __init__(self, message: str, *, where: str) -> None:
        super().__init__(message)
        self.where = where
