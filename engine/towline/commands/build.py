"""The build that a call belongs to: what the Jenkins library says of it, else the variables of the CI system that it runs on."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from towline.commands.call import Call
from towline.git.checkout import head_branch, history
from towline.pipeline.ci import NONE, change_of, facts_of, names_change
from towline.pipeline.revision import Checkout, Revision, revision
from towline.wire import Build

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
    """Add the flags that stand over what the CI system says."""
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
        help=f"the change request that is built, or `{NONE}`, whatever the CI system says",
    )


def build_of(call: Call) -> Build:
    """What is known of the build; unknown parts are empty."""
    given, facts = call.request.build, facts_of(_variables(call), _system(call))
    return Build(
        number=given.number or facts.number,
        url=given.url or facts.url,
        job=given.job or facts.job,
        branch=facts.branch,
        tag=facts.tag,
        change_request=change_of(_variables(call)),
        source_repository=given.source_repository or facts.source,
        source_commit=given.source_commit or facts.commit,
        source_time=given.source_time or facts.time,
        started_by=given.started_by or facts.started_by,
    )


def change_request(call: Call, named: str = "") -> str:
    """What says that a change request is built: the flag `named`, else a variable or the request; empty where nothing does."""
    sign = f"--change-request {named}" if named else change_of(_variables(call))
    return "" if named and not names_change(named) else sign


def revision_of(
    call: Call, *, branch: str = "", named: str = ""
) -> tuple[Revision, tuple[tuple[str, str], ...]]:
    """What is built, by the flags `branch` and `named` (a change request) before all else, and the checkout's last commits: id and message, newest first."""
    facts = facts_of(_variables(call), _system(call))
    commits = tuple((commit.id, commit.message) for commit in history(call.folder, call.environ))
    asked = not (branch or facts.branch or facts.tag)
    checkout = Checkout(
        commits=[commit for commit, _ in commits],
        branch=head_branch(call.folder, call.environ) if asked else "",
    )
    return revision(
        facts, checkout, change_request=change_request(call, named), branch=branch
    ), commits


def _system(call: Call) -> str:
    return "Jenkins" if call.requested else ""


def _variables(call: Call) -> Mapping[str, str]:
    """The variables of the machine, and the request's facts in the place of those that Jenkins has for them."""
    facts = {variable: getattr(call.request.build, name) for name, variable in _VARIABLES.items()}
    return {**call.environ, **{variable: value for variable, value in facts.items() if value}}
