"""The context of a build: its branch or tag, the default branch, and how far it is trusted.

Together with the configuration, the context decides which stages and steps are active, and whether
the project's own configuration may name hosts for credentials.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path

from towline.commands.build import facts, orchestrator, revision_of
from towline.commands.call import Call
from towline.config.documents import PROJECT_FILE, ConfigDocument, ConfigDocuments, parse_document
from towline.config.layers import agent_layer
from towline.config.metadata import PIPELINE
from towline.config.near_names import misspelt
from towline.credential_hosts import BuildTrust
from towline.errors import ConfigError
from towline.files import misfit
from towline.git.checkout import default_branch, file_on_branch
from towline.gitops.deployment_history import is_deployment
from towline.literals import load_json
from towline.pipeline.branches import DefaultBranch
from towline.pipeline.build import BuildContext, judge_build
from towline.pipeline.workspace import WorkspaceFiles
from towline.record import replace

_EVENT, _ACTIONS = "GITHUB_EVENT_PATH", "GitHubActions"
_LARGEST_EVENT = 32 * 1024 * 1024


def default_branch_lookup(call: Call, config: str = "") -> Callable[[], DefaultBranch]:
    """Return a function that returns the default branch, looked up once, at its first call.

    `config` is the project's file, if it is not the usual one.
    """

    @cache
    def look_up() -> DefaultBranch:
        branch = _named(call)
        if not branch.name:
            return branch
        return replace(branch, tip=cache(partial(_configuration, call, branch.name, config)))

    return look_up


def _named(call: Call) -> DefaultBranch:
    """Return the default branch as the CI system names it, else as the clone does; else no name."""
    build = facts(call)
    if build.default:
        return DefaultBranch(name=build.default, by=build.default_by)
    if build.system == _ACTIONS and (name := _of_event(call)):
        return DefaultBranch(name=name, by=f"repository.default_branch in {_EVENT}")
    name = default_branch(call.folder, call.environ)
    return DefaultBranch(name=name, by="origin/HEAD") if name else DefaultBranch()


def _of_event(call: Call) -> str:
    """Return the default branch in the payload of a workflow's event.

    Source: GitHub Actions, "Default environment variables".
    """
    path = call.environ.get(_EVENT, "")
    try:
        if not path or misfit(Path(path), _LARGEST_EVENT):
            return ""
        repository = load_json(Path(path).read_text(encoding="utf-8"))["repository"]
        name = repository["default_branch"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return name if isinstance(name, str) else ""


def _configuration(call: Call, branch: str, config: str) -> ConfigDocument | None:
    """Return the project's configuration on the tip of the default branch.

    It is None if the tip is not in the clone, or its configuration cannot be read.
    """
    for name in (config,) if config else (PROJECT_FILE, PROJECT_FILE.replace(".yml", ".yaml")):
        text = file_on_branch(call.folder, call.environ, branch, name)
        if text is None:
            return None
        if text:
            try:
                return parse_document(text, f"{name} on {branch}", trusted=False)
            except ConfigError:
                return None
    return ConfigDocument(name=f"{PROJECT_FILE} on {branch}", trusted=False, content={}, marks={})


def build_context(
    call: Call, values: Mapping[str, object], *, branch: str = "", sign: str = "", config: str = ""
) -> BuildContext:
    """Return the context of a call with the pipeline environment `values`.

    The `sign` of a change request, then `branch`, override what the CI system says. `config` is the
    project's file, if it is not the usual one.
    """
    names = frozenset(parameter.name for parameter in PIPELINE.parameters)
    for name, meant in misspelt(call.environ, names, names):
        call.console.warn(f"nothing reads the variable PIPER_{name} (did you mean PIPER_{meant}?)")
    built, commits = revision_of(call, branch=branch, sign=sign)
    return BuildContext(
        workspace=WorkspaceFiles(call.folder),
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
        default=default_branch_lookup(call, config),
    )


def build_trust_lookup(
    documents: ConfigDocuments, context: Callable[[], BuildContext], sign: str
) -> Callable[[], BuildTrust]:
    """Return a function that returns how far the build is trusted, judged once, at its first call.

    `sign` names the variable or flag that says that a change request is built, else "". The
    returned function raises ConfigError.
    """

    @cache
    def judge() -> BuildTrust:
        if sign:
            return BuildTrust(
                project=False,
                build=f"{sign} says that a change request is built, and its author can change that",
                request=True,
            )
        build = context()
        judgement = judge_build(documents, build)
        if judgement.warning:
            build.warn(judgement.warning)
        revision = _revision(build)
        if judgement.productive:
            return BuildTrust(
                project=True,
                build=(
                    f"the productive {revision}"
                    if build.branch or build.tag
                    else "a job whose branch its owner has set"
                ),
            )
        ignored = f"; {judgement.ignored}" if judgement.ignored else ""
        return BuildTrust(
            project=False,
            build=(
                judgement.why
                if build.unknown
                else f"{revision} is built, which is not productive ({judgement.why}{ignored})"
            ),
        )

    return judge


def _revision(build: BuildContext) -> str:
    """Return the tag or branch of a build, for people."""
    return f"tag {build.tag}" if build.tag else f"branch {build.branch}"
