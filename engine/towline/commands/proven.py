"""In a shell: which values of the pipeline environment this build's own steps have written, kept beside the workspace from step to step."""

from __future__ import annotations

from collections.abc import Mapping

from towline.commands import build
from towline.commands.call import Call
from towline.errors import TowlineError
from towline.git.checkout import described
from towline.pipeline import environment
from towline.pipeline.proven import Copy


def facts(call: Call) -> Mapping[str, object]:
    """What this build's own steps have written."""
    return _copy(call).read()


def write(call: Call, values: Mapping[str, object]) -> None:
    """Keep what a step has changed, and write it into the workspace, where Piper's programs read it; raises ConfigError, MachineError."""
    if not values:
        return
    try:
        # first: what is cut off then leaves a fact too many, and no value that nobody knows
        _copy(call).keep(values)
    except TowlineError as fault:
        why = f"{fault.where}: {fault.message}" if fault.where else fault.message
        call.console.note(
            f"what this step leaves for later ones is no fact for them ({why}), "
            f"so it counts as what the project says (docs/trust.md); {fault.hint}"
        )
    environment.write(call.folder, values)


def check(call: Call) -> None:
    """Pass where `write` can write into the workspace; raises ConfigError, MachineError."""
    environment.check(call.folder)


def _copy(call: Call) -> Copy:
    """The copy for the build as its CI system calls it; where none does, the commit that is checked out says what belongs together in a workspace."""
    found = build.facts(call)
    commit = "" if found.number or found.url else described(call.folder, call.environ, "").id
    return Copy(
        call.folder, (found.system, found.job, found.number, found.url, commit), call.environ
    )
