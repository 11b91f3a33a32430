"""What is known of a build besides its configuration, from the call: what stages and steps are decided by."""

from __future__ import annotations

from collections.abc import Mapping

from towline.commands.call import Call
from towline.pipeline.stages import Circumstances
from towline.pipeline.workspace import Files

_ORCHESTRATORS = {
    "AzureDevOps": ("AZURE_HTTP_USER_AGENT", "TF_BUILD"),
    "GitHubActions": ("GITHUB_ACTION", "GITHUB_ACTIONS"),
    "Jenkins": ("JENKINS_HOME", "JENKINS_URL"),
}
_STAGES = {"AzureDevOps": "SYSTEM_STAGEDISPLAYNAME", "GitHubActions": "GITHUB_JOB", "Jenkins": "STAGE_NAME"}


def circumstances(call: Call, values: Mapping[str, object]) -> Circumstances:
    """The circumstances of a call with the pipeline environment `values`; the Jenkins library's call needs no variable to be Jenkins's."""
    build = call.request.build
    return Circumstances(
        workspace=Files(call.folder),
        change_request=bool(build.change_request),
        branch=build.branch,
        orchestrator="Jenkins" if call.requested else orchestrator(call.environ),
        pipeline_environment=values,
        extensions=call.environ.get("PIPER_DISABLE_EXTENSIONS") != "true",
    )


def orchestrator(environ: Mapping[str, str]) -> str:
    """The orchestrator whose variables are set, by the name that stage definitions have for it (facts 3.2); `false` counts as not set (facts 12)."""
    return next((name for name, variables in _ORCHESTRATORS.items() if any(environ.get(variable, "false") not in ("", "false") for variable in variables)),
                "Unknown")


def stage_of(environ: Mapping[str, str]) -> str:
    """The stage that the orchestrator is in; empty where it does not say, or there is none (facts 12)."""
    return environ.get(_STAGES.get(orchestrator(environ), ""), "")
