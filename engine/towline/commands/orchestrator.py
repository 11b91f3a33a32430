"""What the variables of a CI system say about the build that a call in a shell belongs to."""

from __future__ import annotations

from collections.abc import Mapping

from towline.config.layers import PARAMETERS_JSON, read_parameters

_KNOWN_BY = {
    "AzureDevOps": ("AZURE_HTTP_USER_AGENT", "TF_BUILD"),
    "GitHubActions": ("GITHUB_ACTION", "GITHUB_ACTIONS"),
    "Jenkins": ("JENKINS_HOME", "JENKINS_URL"),
}
_BRANCHES = {"AzureDevOps": "BUILD_SOURCEBRANCH", "GitHubActions": "GITHUB_REF", "Jenkins": "BRANCH_NAME"}
_CHANGES = {"AzureDevOps": "SYSTEM_PULLREQUEST_PULLREQUESTID", "GitHubActions": "GITHUB_HEAD_REF", "Jenkins": "CHANGE_ID"}
_STAGES = {"AzureDevOps": "SYSTEM_STAGEDISPLAYNAME", "GitHubActions": "GITHUB_JOB", "Jenkins": "STAGE_NAME"}


def orchestrator(environ: Mapping[str, str]) -> str:
    """The orchestrator whose variables are set, by the name that stage definitions have for it (facts 3.2); `false` counts as not set (facts 12)."""
    return next((name for name, variables in _KNOWN_BY.items() if any(environ.get(variable, "false") not in ("", "false") for variable in variables)),
                "Unknown")


def stage_of(environ: Mapping[str, str]) -> str:
    """The stage that the parameters as JSON name, else the one that the orchestrator is in; empty where neither says (facts 1.1 and 12); raises ConfigError."""
    named = read_parameters(environ.get(PARAMETERS_JSON, "")).get("stageName")
    return named if isinstance(named, str) and named else _variable(environ, _STAGES)


def branch_of(environ: Mapping[str, str]) -> str:
    """The branch that is built; a reference as a whole where it is no branch, empty where nothing says it."""
    return _variable(environ, _BRANCHES).removeprefix("refs/heads/")


def change_of(environ: Mapping[str, str]) -> str:
    """What names the change request that is built; empty where there is none."""
    return _variable(environ, _CHANGES)


def _variable(environ: Mapping[str, str], names: Mapping[str, str]) -> str:
    """The value of the variable that `names` has for the orchestrator, empty where there is none."""
    return environ.get(names.get(orchestrator(environ), ""), "")
