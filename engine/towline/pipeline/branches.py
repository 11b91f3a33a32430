"""Productive branches and tags: one rule for `plan`, `--if-active`, `lint` and credentials.

It is described in docs/contract.md, "Branches".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from towline.config.documents import ConfigDocument, ConfigDocuments
from towline.config.layers import unfiltered_layers
from towline.config.merge import Layer, Setting, fold_settings
from towline.credential_hosts import ENFORCEMENT, WARN
from towline.errors import ConfigError
from towline.file_patterns import match_files
from towline.record import frozen, replace

TAGS = "productiveTags"
_BRANCH = "productiveBranch"
# Piper's steps that read the settings for all stages
_INIT_STEPS = ("piperInitRunStageConfiguration", "piperPipelineStageInit")
_USUAL_BRANCHES = ("master", "main")


def _no_document() -> ConfigDocument | None:
    """The configuration on a tip that is not fetched: None."""


@frozen
class DefaultBranch:
    """The default branch of the project's repository; `by` is the source that names it.

    `name` is empty if it is unknown. `tip` returns the project's configuration on the branch's tip,
    None if the tip is not fetched.
    """

    name: str = ""
    by: str = ""
    tip: Callable[[], ConfigDocument | None] = _no_document

    @property
    def names(self) -> tuple[str, ...]:
        """The names that the branch has, or may have."""
        return (self.name,) if self.name else _USUAL_BRANCHES


@frozen
class BranchRules:
    """The sources of settings for the whole pipeline: documents, and above them agent variables.

    The agent is trusted. `default` returns the default branch. `own`: the project's documents count
    as if they were those on the default branch.
    """

    documents: ConfigDocuments
    agent: Layer
    default: Callable[[], DefaultBranch] = DefaultBranch
    own: bool = False

    def setting(self, key: str, *, trusted: bool = False) -> Setting | None:
        """The setting for the whole pipeline, None without one; if `trusted`, of trusted layers."""
        layers = (*unfiltered_layers(self.documents, _INIT_STEPS, "Init"), self.agent)
        return fold_settings(
            layer.only([key]) for layer in layers if layer.trusted or not trusted
        ).get(key)


@frozen
class Verdict:
    """Whether a branch is productive, and `why`.

    `ignored` is the reason why the branch's own configuration is ignored; `warning` says that it
    will be ignored one day.
    """

    productive: bool
    why: str
    ignored: str = ""
    warning: str = ""


def judge_branch(rules: BranchRules, branch: str) -> Verdict:
    """Whether builds of the branch deploy; raises ConfigError if the setting is not a name or glob.

    The strongest setting wins: the agent's, then the project's on the tip of the default branch,
    then the platform team's. If none names a branch, the default branch is productive. The
    configuration on any other branch is ignored.
    """
    if agents := fold_settings([rules.agent.only([_BRANCH])]).get(_BRANCH):
        return Verdict(
            productive=_fits(agents, branch), why=f"{_BRANCH} is {agents.value} ({agents.origin})"
        )
    team = rules.setting(_BRANCH, trusted=True)
    claimed = rules.setting(_BRANCH)
    if rules.own or (claimed is not None and claimed == team):
        return (
            _verdict_of(claimed, branch)
            if claimed
            else _verdict_of_default(rules.default(), branch)
        )
    default = rules.default()
    if branch in default.names:
        return _verdict_of(claimed, branch) if claimed else _verdict_of_default(default, branch)
    tip = default.tip()
    setting = (
        fold_settings(
            unfiltered_layers(ConfigDocuments(defaults=(), project=tip), _INIT_STEPS, "Init")
        ).get(_BRANCH)
        if tip
        else None
    ) or team
    verdict = _verdict_of(setting, branch) if setting else _verdict_of_default(default, branch)
    if verdict.productive or not (_fits(claimed, branch) if claimed else branch in _USUAL_BRANCHES):
        return verdict
    ignored = (
        _why_ignored(claimed, branch)
        if claimed
        else f"{branch} is not productive: {verdict.why}; {_how_to_name(branch)}"
    )
    if only_warns(rules):
        return Verdict(
            productive=True,
            why=ignored,
            warning=(f"{ignored}; it counts only while `{ENFORCEMENT}: {WARN}` is set"),
        )
    return replace(verdict, ignored=ignored)


def judge_revision(
    rules: BranchRules, *, branch: str = "", tag: str = "", unknown: str = ""
) -> Verdict:
    """Whether a build is productive: of a branch, of a tag, or of an `unknown` source.

    Without any of them it is a job whose owner has set its branch. Raises ConfigError.
    """
    if unknown:
        return Verdict(productive=False, why=f"the branch of this build is unknown: {unknown}")
    if tag:
        return Verdict(productive=is_productive_tag(rules, tag), why=f"a trusted {TAGS} decides")
    if not branch:
        return Verdict(productive=True, why="the owner of the job has set its branch")
    return judge_branch(rules, branch)


def only_warns(rules: BranchRules) -> bool:
    """Whether a trusted layer makes new refusals warnings for now."""
    setting = rules.setting(ENFORCEMENT, trusted=True)
    return setting is not None and setting.value == WARN


def _verdict_of(setting: Setting, branch: str) -> Verdict:
    return Verdict(
        productive=_fits(setting, branch), why=f"{_BRANCH} is {setting.value} ({setting.origin})"
    )


def _verdict_of_default(default: DefaultBranch, branch: str) -> Verdict:
    why = "the default branch is unknown, so main and master count as productive"
    why = f"the default branch is {default.name}, as {default.by} says" if default.name else why
    return Verdict(productive=branch in default.names, why=why)


def _why_ignored(claimed: Setting, branch: str) -> str:
    return (
        f"only the branch's own configuration calls {branch} productive ({claimed.origin}), which"
        " is ignored: set it on the default branch and let the build fetch that branch, or"
        f" {_how_to_name(str(claimed.value))}"
    )


def _how_to_name(branch: str) -> str:
    return (
        f"let the platform team name it: `general: {{{_BRANCH}: '{branch}'}}` in its default"
        f" documents (TOWLINE_DEFAULTS), or PIPER_{_BRANCH}='{branch}' on the agent"
    )


def _fits(setting: Setting, branch: str) -> bool:
    """Whether the setting names the branch; raises ConfigError if it is not a name or glob."""
    name = setting.value
    if not (isinstance(name, str) and name):
        raise ConfigError(
            f"{_BRANCH} is {name!r}", where=setting.origin, hint="write the branch's name as text"
        )
    with located_at(setting):
        return branch == name or bool(match_files(name, [branch]))


def is_productive_tag(rules: BranchRules, tag: str) -> bool:
    """Whether a trusted layer says that the tag is productive; raises ConfigError.

    Only trusted layers count: else everybody who may push a tag could deploy.
    """
    setting = rules.setting(TAGS, trusted=True)
    if setting is None:
        return False
    if not isinstance(setting.value, list) or not all(
        isinstance(pattern, str) and pattern for pattern in setting.value
    ):
        raise ConfigError(
            f"{TAGS} is {setting.value!r}",
            where=setting.origin,
            hint="write globs of tags as a list of texts",
        )
    with located_at(setting):
        return any(tag == pattern or match_files(pattern, [tag]) for pattern in setting.value)


@contextmanager
def located_at(setting: Setting | None) -> Iterator[None]:
    """Adds the place of the setting to a ConfigError that is raised inside."""
    try:
        yield
    except ConfigError as fault:
        raise ConfigError(
            fault.message, where=setting.origin if setting else "", hint=fault.hint
        ) from fault
