"""What is known of a build besides its configuration, from the call: what stages and steps are decided by."""

from __future__ import annotations

from collections.abc import Mapping

from towline.commands.call import Call
from towline.commands.orchestrator import branch_of, change_of, orchestrator
from towline.git.checkout import history
from towline.gitops.provenance import is_deployment
from towline.pipeline.stages import Circumstances
from towline.pipeline.workspace import Files


def circumstances(call: Call, values: Mapping[str, object]) -> Circumstances:
    """The circumstances of a call with the pipeline environment `values`; the Jenkins library's call says itself what else the agent's variables say."""
    build, environ = call.request.build, {} if call.requested else call.environ
    return Circumstances(
        workspace=Files(call.folder),
        change_request=bool(build.change_request or change_of(environ)),
        branch=build.branch or branch_of(environ),
        orchestrator="Jenkins" if call.requested else orchestrator(environ),
        pipeline_environment=values,
        extensions=call.environ.get("PIPER_DISABLE_EXTENSIONS") != "true",
        deployment=is_deployment([(revision.id, revision.message) for revision in history(call.folder, call.environ)]),
    )
