"""Pure.

Build loops: a deployment that starts the build that deploys it.

It happens if the GitOps repository is the project's own, and builds do not skip the commits of
deployments.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from towline.config.documents import ConfigDocument
from towline.config.lint.findings import Finding, finding
from towline.config.schema import StepSchema
from towline.errors import ConfigError
from towline.git.remote import host_and_path
from towline.pipeline.branches import BranchRules, judge_branch
from towline.record import frozen

# texts in a Jenkinsfile that skips the commits of deployments, which have trailers
GUARDS = ("Towline-", "towlinePipeline", "towlineStage")
_SKIPPED = re.compile(r"\[(skip ci|ci skip)\]", re.IGNORECASE)
_FIX = (
    "build by towlinePipeline or towlineStage, which skip such commits, or deploy to a branch that"
    " is not built (docs/lint.md, Build loops)"
)


@frozen
class SourceRepository:
    """The project's own repository: its URL, empty if unknown, and the text of its Jenkinsfile.

    `rules` decide which of its branches deploy.
    """

    url: str
    rules: BranchRules
    jenkinsfile: str = ""


def build_loops(
    documents: Sequence[ConfigDocument], step: StepSchema, source: SourceRepository
) -> Iterator[Finding]:
    """A finding for each section that names the project's own repository as `step`'s repository.

    There is none if something in the files guards against a loop.
    """
    home = host_and_path(source.url)
    if not home or any(guard in source.jenkinsfile for guard in GUARDS):
        return
    for document in documents:
        for path in _sections(document, step):
            section = document.section(*path)
            named = next(
                (
                    key
                    for key in _keys(step, "serverUrl", general=path == ("general",))
                    if isinstance(section.get(key), str)
                ),
                "",
            )
            if (
                named
                and host_and_path(str(section[named])) == home
                and not _guarded(documents, step, section, source.rules)
            ):
                yield finding(
                    "build-loop",
                    document,
                    (*path, named),
                    fix=_FIX,
                    message=(
                        "the GitOps repository is the source repository, and each deployment's"
                        " commit starts a build"
                    ),
                )


def _sections(document: ConfigDocument, step: StepSchema) -> Iterator[tuple[str, ...]]:
    yield ("general",)
    yield from (("steps", name) for name in step.names)
    yield from (("stages", name) for name in document.section("stages"))


def _keys(step: StepSchema, name: str, *, general: bool = False) -> list[str]:
    parameter = step.find(name)
    return (
        [
            name,
            *(alias.name for alias in parameter.aliases if not general or "GENERAL" in alias.scope),
        ]
        if parameter
        else [name]
    )


def _guarded(
    documents: Sequence[ConfigDocument], step: StepSchema, section: Any, rules: BranchRules
) -> bool:
    """Whether commits ask not to be built, or go to a branch whose builds do not deploy."""
    sections = [
        section,
        *(document.section("steps", name) for document in documents for name in step.names),
    ]
    if _SKIPPED.search(_setting(sections, "commitMessage")):
        return True
    branch = _setting(sections, "branchName")
    return (
        bool(branch)
        and not _deploys(rules, branch)
        and not any(_everywhere(document) for document in documents)
    )


def _deploys(rules: BranchRules, branch: str) -> bool:
    """Whether builds of the branch deploy; true if an invalid setting leaves that unknown.

    The invalid setting is a finding of its own.
    """
    try:
        return judge_branch(rules, branch).productive
    except ConfigError:
        return True


def _everywhere(document: ConfigDocument) -> bool:
    return any(
        document.section("stages", name).get("runInAllBranches") is True
        for name in document.section("stages")
    )


def _setting(sections: Sequence[Any], key: str) -> str:
    return next(
        (value for section in sections if isinstance(value := section.get(key), str) and value), ""
    )
