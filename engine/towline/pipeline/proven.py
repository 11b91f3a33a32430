"""The proven copy: the values that this build's own steps wrote into the pipeline environment.

It is kept outside of the workspace. A pull request can commit files below
`.pipeline/commonPipelineEnvironment`, and a container of the build can change them; it cannot write
here. Secrets are not kept: a secret value is never proven.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from towline.errors import TowlineError
from towline.files import write_whole
from towline.pipeline import environment
from towline.pipeline.build_folder import BuildFolder, no_base, state_base
from towline.secret import secret_texts

_BUILDS = Path("towline", "builds")
_OLD = 30 * 24 * 3600.0  # seconds: no build waits longer for somebody's approval


class ProvenCopy:
    """The copy of one build in one workspace.

    `build` are the CI system's names of the build, nothing on a laptop.
    """

    def __init__(self, workspace: Path, build: Sequence[str], environ: Mapping[str, str]) -> None:
        base = state_base(environ, workspace, _BUILDS)
        identity = (str(workspace.resolve()), *build)
        self._folder = BuildFolder(base, _BUILDS, identity, lifetime=_OLD) if base else None

    def read(self) -> dict[str, object]:
        """The kept values; none without a copy that only this user can have written."""
        if self._folder is None or not self._folder.is_private():
            return {}
        try:
            return environment.read_environment(self._folder.path, "")
        except TowlineError:  # somebody has broken it
            return {}

    def keep(self, values: Mapping[str, object]) -> None:
        """Keep `values` as well, None for removed ones; raises MachineError if that fails."""
        if self._folder is None:
            raise no_base()
        self._folder.make()
        # nor what it was before
        open_values = {
            key: None if any(secret_texts({key: value})) else value for key, value in values.items()
        }
        environment.write_environment(
            self._folder.path, open_values, "", partial(write_whole, mode=0o600, lasting=False)
        )
