"""What is known of a build besides its configuration, from the call: what stages and steps are decided by."""

from __future__ import annotations

from collections.abc import Mapping

from towline.commands.build import revision_of
from towline.commands.call import Call
from towline.commands.default_branch import default_of
from towline.commands.orchestrator import orchestrator
from towline.config.layers import agent_layer
from towline.config.pipeline_keys import PIPELINE
from towline.config.variables import misspelt
from towline.gitops.provenance import is_deployment
from towline.pipeline.stages import Circumstances
from towline.pipeline.workspace import Files


def circumstances(
    call: Call, values: Mapping[str, object], *, branch: str = "", sign: str = "", config: str = ""
) -> Circumstances:
    """The circumstances of a call with the pipeline environment `values`; the `sign` of a change request, then `branch` stand over what the CI system says.

    `config` is the project's file, where that is not its usual one.
    """
    names = frozenset(parameter.name for parameter in PIPELINE.parameters)
    for name, meant in misspelt(call.environ, names, names):
        call.console.warn(f"nothing reads the variable PIPER_{name} (did you mean PIPER_{meant}?)")
    built, commits = revision_of(call, branch=branch, sign=sign)
    return Circumstances(
        workspace=Files(call.folder),
        change_request=bool(built.change_request),
        branch=built.branch,
        tag=built.tag,
        unknown=built.unknown,
        orchestrator="Jenkins" if call.requested else orchestrator(call.environ),
        agent=agent_layer(PIPELINE, call.environ),
        pipeline_environment=values,
        extensions=call.environ.get("PIPER_DISABLE_EXTENSIONS") != "true",
        deployment=is_deployment(commits),
        warn=call.console.warn,
        default=default_of(call, config),
    )
