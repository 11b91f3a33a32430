"""Pure.

What is built: a change request, a branch or a tag; from what the CI system says, and what is
checked out (docs/contract.md, "Branches").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from towline.pipeline.ci import Facts, names_change

_JENKINS = "Jenkins"


@dataclass(frozen=True, kw_only=True)
class Checkout:
    """What is checked out: the commits up to HEAD, newest first, as far as they are known, and the branch that HEAD is on; empty where it is none."""

    commits: Sequence[str] = ()
    branch: str = ""


@dataclass(frozen=True, kw_only=True)
class Revision:
    """What is built: one of the first three, or none of them where a job of Jenkins has no branch; `unknown` says why nobody knows what it is."""

    change_request: str = ""
    branch: str = ""
    tag: str = ""
    unknown: str = ""


def revision(
    facts: Facts, checkout: Checkout, *, change_request: str = "", branch: str = ""
) -> Revision:
    """What is built, by the first that says it: a change request, the branch that was named, the CI's own one, a job of Jenkins, git.

    `change_request` is the sign of one (`none` and `false`: there is none), `branch` what a caller
    names.
    """
    if names_change(change_request):
        return Revision(change_request=change_request)
    if branch:
        return Revision(branch=branch.removeprefix("refs/heads/"))
    if facts.branch or facts.tag:
        named = (
            f"{facts.branch_by or facts.system} names {'tag' if facts.tag else 'branch'}"
            f" {facts.tag or facts.branch}"
        )
        other = _other_commit(facts, checkout)
        return (
            Revision(unknown=f"{named}, but {other}")
            if other
            else Revision(branch=facts.branch, tag=facts.tag)
        )
    if facts.system == _JENKINS:
        return Revision()
    if checkout.branch:
        return Revision(branch=checkout.branch)
    return Revision(
        unknown=(
            "no variable of a CI system names it, and HEAD is on none"
            if checkout.commits
            else "no variable of a CI system names it"
        )
    )


def _other_commit(facts: Facts, checkout: Checkout) -> str:
    """That something else is checked out than what the CI system names; a commit that a step has made on top of it, for a version, is none."""
    known = [
        commit.lower() for commit in (checkout.commits[:1] if facts.exact else checkout.commits)
    ]
    if not facts.commit or not known or facts.commit.lower() in known:
        return ""
    return f"HEAD is {known[0][:12]}, and the branch is that of {facts.commit[:12]}"
