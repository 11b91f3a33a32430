"""The engine's rules for credentials, for a build that a test calls productive or not."""

from __future__ import annotations

from towline.config.credential_rules import rules_of
from towline.config.settings import Settings
from towline.credential_hosts import BuildTrust, CredentialGate

PRODUCTIVE = BuildTrust(project=True, build="the productive branch main")
BRANCH = BuildTrust(project=False, build="branch x is built, which is not productive")
REQUEST = BuildTrust(
    project=False, build="CHANGE_ID says that a change request is built", request=True
)


def addressees(
    settings: Settings, standing: BuildTrust = PRODUCTIVE, told: list[str] | None = None
) -> CredentialGate:
    """The rules that are asked before each use of a credential.

    `told` gets the log lines; those of warnings begin with `warning: `.
    """
    lines = [] if told is None else told
    return CredentialGate(
        rules_of(settings, lambda: standing),
        say=lines.append,
        warn=lambda text: lines.append(f"warning: {text}"),
    )
