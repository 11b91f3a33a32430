"""Which branches and tags are productive: the one rule for `plan`, `--if-active`, `lint` and credentials (docs/contract.md, "Branches")."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from towline.config.documents import ConfigDocument, ConfigDocuments
from towline.config.layers import unfiltered_layers
from towline.config.merge import Layer, Setting, fold_settings
from towline.credential_hosts import ENFORCEMENT, WARN
from towline.errors import ConfigError
from towline.gitops import change
from towline.record import frozen, replace

TAGS = "productiveTags"
_BRANCH = "productiveBranch"
# Piper's steps that read what holds for all stages
_INIT_STEPS = ("piperInitRunStageConfiguration", "piperPipelineStageInit")
_USUAL = ("master", "main")


def _nowhere() -> ConfigDocument | None:
    """The configuration on a tip that is not here."""


@frozen
class DefaultBranch:
    """The default branch of the project's repository, who says so, and the project's configuration on its tip, where that is here.

    Without a `name` nobody says it.
    """

    name: str = ""
    by: str = ""
    tip: Callable[[], ConfigDocument | None] = _nowhere

    @property
    def names(self) -> tuple[str, ...]:
        """What it is called, or may be."""
        return (self.name,) if self.name else _USUAL


@frozen
class BranchRules:
    """Where settings for the whole pipeline stand: in the documents, and over all of them in the variables of the agent, which are trusted.

    `default` says which branch is the default one. `own`: what the project's documents say counts
    as if they stood there.
    """

    documents: ConfigDocuments
    agent: Layer
    default: Callable[[], DefaultBranch] = DefaultBranch
    own: bool = False

    def setting(self, key: str, *, trusted: bool = False) -> Setting | None:
        """What holds for the whole pipeline, with `trusted` by trusted layers alone; None if nothing says it."""
        layers = (*unfiltered_layers(self.documents, _INIT_STEPS, "Init"), self.agent)
        return fold_settings(
            layer.only([key]) for layer in layers if layer.trusted or not trusted
        ).get(key)


@frozen
class Verdict:
    """Whether a branch is productive and who says so; `unheard`: what its own configuration says, which does not count there; `warning`: it will not."""

    productive: bool
    why: str
    unheard: str = ""
    warning: str = ""


def judge_branch(rules: BranchRules, branch: str) -> Verdict:
    """Whether builds of the branch deploy; raises ConfigError if the setting is no name and no glob.

    The agent's word goes before that of the project, as it stands on the tip of the default branch,
    and this before the platform team's documents; where nobody names a branch, it is the default
    one. What another branch says of itself does not count.
    """
    if agents := fold_settings([rules.agent.only([_BRANCH])]).get(_BRANCH):
        return Verdict(
            productive=_fits(agents, branch), why=f"{_BRANCH} is {agents.value} ({agents.origin})"
        )
    team = rules.setting(_BRANCH, trusted=True)
    claimed = rules.setting(_BRANCH)
    if rules.own or (claimed is not None and claimed == team):
        return _by(claimed, branch) if claimed else _default(rules.default(), branch)
    default = rules.default()
    if branch in default.names:
        return _by(claimed, branch) if claimed else _default(default, branch)
    there = default.tip()
    said = (
        fold_settings(
            unfiltered_layers(ConfigDocuments(defaults=(), project=there), _INIT_STEPS, "Init")
        ).get(_BRANCH)
        if there
        else None
    ) or team
    found = _by(said, branch) if said else _default(default, branch)
    if found.productive or not (_fits(claimed, branch) if claimed else branch in _USUAL):
        return found
    unheard = (
        _unheard(claimed, branch)
        if claimed
        else f"{branch} is not productive: {found.why}; {_line(branch)}"
    )
    if only_warns(rules):
        return Verdict(
            productive=True,
            why=unheard,
            warning=(
                f"{unheard}; it counts because of `{ENFORCEMENT}: {WARN}`, and will not without it"
            ),
        )
    return replace(found, unheard=unheard)


def judge_revision(
    rules: BranchRules, *, branch: str = "", tag: str = "", unknown: str = ""
) -> Verdict:
    """Whether what is built is productive: a branch, a tag, something that is `unknown`, or none of them: a job whose owner has set its branch.

    Raises ConfigError.
    """
    if unknown:
        return Verdict(productive=False, why=f"nobody knows which branch is built: {unknown}")
    if tag:
        return Verdict(productive=is_productive_tag(rules, tag), why=f"a trusted {TAGS} decides")
    if not branch:
        return Verdict(productive=True, why="whoever owns the job has set its branch")
    return judge_branch(rules, branch)


def only_warns(rules: BranchRules) -> bool:
    """Whether a trusted layer has it that refusals which are new are warnings for now."""
    setting = rules.setting(ENFORCEMENT, trusted=True)
    return setting is not None and setting.value == WARN


def _by(setting: Setting, branch: str) -> Verdict:
    return Verdict(
        productive=_fits(setting, branch), why=f"{_BRANCH} is {setting.value} ({setting.origin})"
    )


def _default(default: DefaultBranch, branch: str) -> Verdict:
    said = "nobody says which branch is the default one, so main or master is"
    said = f"the default branch is {default.name}, as {default.by} says" if default.name else said
    return Verdict(productive=branch in default.names, why=said)


def _unheard(claimed: Setting, branch: str) -> str:
    return (
        f"only the branch's own configuration calls {branch} productive ({claimed.origin}), which"
        " does not count: let the default branch say it, and the build fetch that one too, or"
        f" {_line(str(claimed.value))}"
    )


def _line(branch: str) -> str:
    return (
        f"let the platform team name it: `general: {{{_BRANCH}: '{branch}'}}` in its default"
        f" documents (TOWLINE_DEFAULTS), or PIPER_{_BRANCH}='{branch}' on the agent"
    )


def _fits(setting: Setting, branch: str) -> bool:
    """Whether the branch is the one that is named; raises ConfigError if that is no name and no glob."""
    name = setting.value
    if not (isinstance(name, str) and name):
        raise ConfigError(
            f"{_BRANCH} is {name!r}", where=setting.origin, hint="write the branch's name as text"
        )
    with located_at(setting):
        return branch == name or bool(change.match(name, [branch]))


def is_productive_tag(rules: BranchRules, tag: str) -> bool:
    """Whether a trusted layer takes the tag for productive: else whoever may push a tag could deploy; raises ConfigError."""
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
        return any(tag == pattern or change.match(pattern, [tag]) for pattern in setting.value)


@contextmanager
def located_at(setting: Setting | None) -> Iterator[None]:
    """A fault inside is one of the setting's value, and says where that stands."""
    try:
        yield
    except ConfigError as fault:
        raise ConfigError(
            fault.message, where=setting.origin if setting else "", hint=fault.hint
        ) from fault
