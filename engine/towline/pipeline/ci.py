"""Pure.

Facts of a build from the variables of CI systems (docs/contract.md, "CI systems").

From these and the checkout follows the revision that is built: a change request, a branch or a tag
(docs/contract.md, "Branches").
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from towline.pipeline.ci_systems import CHANGE_REF, EVENTS, MERGED, REFS, SIGNS, SYSTEMS, WHOLE_REF
from towline.record import fields, frozen

ALLOW = "allowChangeRequest"  # of trusted layers: builds of change requests publish, too
NO_CHANGE = "none"  # the value that says that no change request is built
_VARIABLE = re.compile(r"\{(\w+)\}")
_COMMIT = re.compile(r"[0-9a-fA-F]{40}(?:[0-9a-fA-F]{24})?")
_BRANCH_REF, _TAG_REF = "refs/heads/", "refs/tags/"


@frozen
class BuildFacts:
    """The facts of a build; unknown ones are empty.

    `branch_by` is the variable that names branch or tag. If `exact`, the name counts only for this
    commit: such a build may run for a branch and check out another commit. `default` is the
    repository's default branch, which the variable `default_by` names.
    """

    system: str = ""
    branch: str = ""
    tag: str = ""
    branch_by: str = ""
    exact: bool = False
    commit: str = ""
    number: str = ""
    url: str = ""
    job: str = ""
    source: str = ""
    time: str = ""
    started_by: str = ""
    default: str = ""
    default_by: str = ""


def system_of(environ: Mapping[str, str]) -> str:
    """The CI system whose variables are set, empty without one; `false` is not set (facts 12)."""
    return next(
        (
            system.name
            for system in SYSTEMS
            if any(_holds(environ, sign) for sign in system.known_by)
        ),
        "",
    )


def names_change(text: str) -> bool:
    """Whether the text of a flag, a field or a variable names a change request.

    An empty text, `false` and `none` do not.
    """
    return text.lower() not in ("", "false", NO_CHANGE)


def change_variable(environ: Mapping[str, str]) -> str:
    """The variable of any system that says that a change request is built; empty without one."""
    return next(_signs(environ), "")


def build_facts(environ: Mapping[str, str], name: str = "") -> BuildFacts:
    """The facts of a build by the system `name`, else by the one whose variables are set."""
    system = next(
        (system for system in SYSTEMS if system.name == (name or system_of(environ))), None
    )
    if system is None:
        return BuildFacts()
    facts = {
        field.name: _first(environ, getattr(system, field.name))
        for field in fields(system)
        if field.name not in ("name", "known_by", "own")
    }
    texts = {name: text for name, (text, _) in facts.items()}
    branch, tag, by = texts["branch"], texts["tag"], facts["tag"][1] or facts["branch"][1]
    whole = facts["branch"][1] in WHOLE_REF
    if whole and branch.startswith(_TAG_REF):
        tag = branch.removeprefix(_TAG_REF)
    elif system.name == "Jenkins" and branch == environ.get("TAG_NAME"):
        tag = branch  # with another value, TAG_NAME is a variable of somebody else
    if whole:
        branch = branch.removeprefix(_BRANCH_REF) if branch.startswith(_BRANCH_REF) else ""
    texts |= {
        "tag": tag,
        "branch": "" if tag else branch,
        "url": texts["url"].replace(" ", "%20"),
        "commit": texts["commit"] if _COMMIT.fullmatch(texts["commit"]) else "",
    }
    primary = system.name == "Jenkins" and environ.get("BRANCH_IS_PRIMARY") == "true"
    texts |= {"default": texts["branch"]} if primary else {}
    return BuildFacts(
        **texts,
        system=system.name,
        branch_by=by,
        default_by="BRANCH_IS_PRIMARY" if primary else facts["default"][1],
        exact=not any(_holds(environ, sign) for sign in system.own),
    )


def _signs(environ: Mapping[str, str]) -> Iterator[str]:
    for name in SIGNS:
        merged, value = MERGED.get(name, ("", ""))
        if names_change(environ.get(name, "")) and not (merged and environ.get(merged) == value):
            yield name
    for name, pattern in (EVENTS | dict.fromkeys(REFS, CHANGE_REF)).items():
        if re.fullmatch(pattern, environ.get(name, "")):
            yield name


def _holds(environ: Mapping[str, str], sign: str) -> bool:
    name, equals, value = sign.partition("=")
    return environ.get(name) == value if equals else environ.get(name, "false") not in ("", "false")


def _first(environ: Mapping[str, str], texts: tuple[str, ...]) -> tuple[str, str]:
    """The first text whose variables are all set, with its last variable; empty without one."""
    for text in texts:
        names = _VARIABLE.findall(text)
        if all(environ.get(name) for name in names):
            return _VARIABLE.sub(lambda found: environ[found[1]], text), names[-1]
    return "", ""


_JENKINS = "Jenkins"


@frozen
class Checkout:
    """The checked-out commits and branch; empty if there are none.

    `commits` are those up to HEAD, newest first, as far as they are known; `branch` is HEAD's.
    """

    commits: Sequence[str] = ()
    branch: str = ""


@frozen
class Revision:
    """The revision that is built: a change request, a branch or a tag.

    All are empty for a Jenkins job without a branch. `unknown` is the reason why the revision is
    not known.
    """

    change_request: str = ""
    branch: str = ""
    tag: str = ""
    unknown: str = ""


def built_revision(
    facts: BuildFacts, checkout: Checkout, *, change_request: str = "", branch: str = ""
) -> Revision:
    """The revision that is built, by the first source that names one.

    The order is: a change request, the caller's `branch`, the CI system's branch or tag, a Jenkins
    job without a branch, the checkout. `change_request` is the sign of a change request; `none` and
    `false` say that there is none.
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
            "no variable of a CI system names it, and HEAD is detached"
            if checkout.commits
            else "no variable of a CI system names it"
        )
    )


def _other_commit(facts: BuildFacts, checkout: Checkout) -> str:
    """The reason why the checkout is not the CI system's revision; empty if it is.

    A commit that a step has made on top of it, for a version, does not make it another revision.
    """
    known = [
        commit.lower() for commit in (checkout.commits[:1] if facts.exact else checkout.commits)
    ]
    if not facts.commit or not known or facts.commit.lower() in known:
        return ""
    return f"HEAD is {known[0][:12]}, and the CI system builds commit {facts.commit[:12]}"
