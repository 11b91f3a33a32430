"""What Piper calls an orchestrator, and the stage that it is in, for a call in a shell."""

from __future__ import annotations

from collections.abc import Mapping

from towline.config.layers import PARAMETERS_JSON, read_parameters
from towline.pipeline.ci import system_of

_STAGES = {
    "AzureDevOps": "SYSTEM_STAGEDISPLAYNAME",
    "GitHubActions": "GITHUB_JOB",
    "Jenkins": "STAGE_NAME",
}


def orchestrator(environ: Mapping[str, str]) -> str:
    """The orchestrator whose variables are set, by the name that stage definitions have for it (facts 3.2); `Unknown` for others and for none."""
    name = system_of(environ)
    return name if name in _STAGES else "Unknown"


def stage_of(environ: Mapping[str, str]) -> str:
    """The stage that the parameters as JSON name, else the one that the orchestrator is in; empty where neither says (facts 1.1 and 12); raises ConfigError."""
    named = read_parameters(environ.get(PARAMETERS_JSON, "")).get("stageName")
    return (
        named
        if isinstance(named, str) and named
        else environ.get(_STAGES.get(orchestrator(environ), ""), "")
    )
