"""The input of every step."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from towline.config.settings import Settings
from towline.console import Console
from towline.contract import Build
from towline.credential_hosts import CredentialGate
from towline.record import frozen


@frozen
class Task:
    """A step's checked settings, the pipeline environment, the build, and the machine's variables.

    `folder` is the workspace. If `project` is set, it is that of a project, whose files a pull
    request can change; `towline copy` works without one. `addressees` is asked before each use of a
    credential.
    """

    settings: Settings
    pipeline_environment: Mapping[str, object]
    stage: str
    build: Build
    folder: Path
    environ: Mapping[str, str]
    console: Console
    dry_run: bool
    addressees: CredentialGate
    project: bool = True
