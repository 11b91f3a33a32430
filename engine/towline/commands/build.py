"""The build that a call belongs to, and the orchestrator and stage of a call in a shell.

The build is described by the Jenkins library, else by the variables of the CI system.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from towline.commands.call import Call
from towline.config.layers import PARAMETERS_JSON, read_parameters
from towline.contract import Build
from towline.git.checkout import head_branch, history
from towline.pipeline.ci import (
    NO_CHANGE,
    BuildFacts,
    Checkout,
    Revision,
    build_facts,
    built_revision,
    change_variable,
    names_change,
    system_of,
)

_VARIABLES = {
    "number": "BUILD_NUMBER",
    "url": "BUILD_URL",
    "job": "JOB_NAME",
    "branch": "BRANCH_NAME",
    "tag": "TAG_NAME",
    "change_request": "CHANGE_ID",
    "source_repository": "GIT_URL",
    "source_commit": "GIT_COMMIT",
    "started_by": "BUILD_USER_ID",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the flags that override what the CI system says."""
    parser.add_argument(
        "--branch",
        metavar="NAME",
        default="",
        help="the branch that is built, whatever the CI system says",
    )
    parser.add_argument(
        "--change-request",
        metavar="ID",
        default="",
        help=(
            f"the change request that is built; `{NO_CHANGE}`: there is none, if the platform team"
            " lets the call say so"
        ),
    )


def build_of(call: Call) -> Build:
    """Return what is known of the build; unknown parts are empty."""
    given, found = call.request.build, facts(call)
    return Build(
        number=given.number or found.number,
        url=given.url or found.url,
        job=given.job or found.job,
        branch=found.branch,
        tag=found.tag,
        change_request=change_variable(_variables(call)),
        source_repository=given.source_repository or found.source,
        source_commit=given.source_commit or found.commit,
        source_time=given.source_time or found.time,
        started_by=given.started_by or found.started_by,
    )


def change_request(call: Call, named: str = "", *, deniable: bool = False) -> str:
    """Return the sign that a change request is built; empty if there is none.

    It is the flag `named`, else a variable or the request. The flag can deny a change request only
    if a trusted layer lets change requests publish (`deniable`): the flag belongs to the call, and
    the call of a change request belongs to its author.
    """
    if names_change(named):
        return f"--change-request {named}"
    return "" if named and deniable else change_variable(_variables(call))


def facts(call: Call) -> BuildFacts:
    """Return what the CI system says of the build."""
    return build_facts(_variables(call), _system(call))


def revision_of(
    call: Call, *, branch: str = "", sign: str = ""
) -> tuple[Revision, tuple[tuple[str, str], ...]]:
    """Return what is built, and the checkout's last commits (id and message, newest first).

    The `sign` of a change request and the flag `branch` come before everything else.
    """
    found = facts(call)
    commits = tuple((commit.id, commit.message) for commit in history(call.folder, call.environ))
    asked = not (branch or found.branch or found.tag)
    checkout = Checkout(
        commits=[commit for commit, _ in commits],
        branch=head_branch(call.folder, call.environ) if asked else "",
    )
    return built_revision(found, checkout, change_request=sign, branch=branch), commits


def _system(call: Call) -> str:
    return "Jenkins" if call.requested else ""


def _variables(call: Call) -> Mapping[str, str]:
    """Return the machine's variables, with the request's facts instead of those of Jenkins."""
    facts = {variable: getattr(call.request.build, name) for name, variable in _VARIABLES.items()}
    return {**call.environ, **{variable: value for variable, value in facts.items() if value}}


_STAGES = {
    "AzureDevOps": "SYSTEM_STAGEDISPLAYNAME",
    "GitHubActions": "GITHUB_JOB",
    "Jenkins": "STAGE_NAME",
}


def orchestrator(environ: Mapping[str, str]) -> str:
    """Return the orchestrator whose variables are set, as stage definitions name it (facts 3.2).

    It is `Unknown` for any other, and if none is set.
    """
    name = system_of(environ)
    return name if name in _STAGES else "Unknown"


def stage_of(environ: Mapping[str, str]) -> str:
    """Return `stageName` of the JSON parameters, else the orchestrator's stage, else "".

    Raises ConfigError. Source: facts 1.1 and 12.
    """
    named = read_parameters(environ.get(PARAMETERS_JSON, "")).get("stageName")
    return (
        named
        if isinstance(named, str) and named
        else environ.get(_STAGES.get(orchestrator(environ), ""), "")
    )
