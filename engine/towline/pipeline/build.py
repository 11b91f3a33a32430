"""The build that stages and steps are decided for: its source, and which rules it falls under."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from towline.config.conditions import Workspace, parse_flag
from towline.config.documents import ConfigDocument, ConfigDocuments
from towline.config.layers import EMPTY_LAYER, unfiltered_layers
from towline.config.merge import Layer, Setting, fold_settings
from towline.console import silent
from towline.errors import ConfigError
from towline.pipeline.branches import TAGS, BranchRules, DefaultBranch, Verdict, judge_revision
from towline.pipeline.ci import ALLOW
from towline.pipeline.definition import Pipeline
from towline.record import field, frozen


@frozen
class BuildContext:
    """The facts of a build besides its configuration.

    `branch` and `tag` are both empty for a job with a single source, which its owner has set; it
    counts as productive. `unknown` says why the source is not known; empty if it is. `orchestrator`
    is `Jenkins`, `AzureDevOps`, `GitHubActions` or `Unknown`. `agent` are the agent's variables for
    the whole pipeline, `pipeline_environment` the values written so far.
    `extensions`: the project's extensions are allowed. `deployment`: the commit that is built is a
    deployment of Towline. `default` returns the repository's default branch. `warn` is called with
    each refusal that `enforcement: warn` makes a warning.
    """

    workspace: Workspace
    change_request: bool = False
    branch: str = ""
    tag: str = ""
    unknown: str = ""
    orchestrator: str = "Jenkins"
    agent: Layer = EMPTY_LAYER
    warn: Callable[[str], None] = silent
    pipeline_environment: Mapping[str, object] = field(default_factory=dict)
    extensions: bool = True
    deployment: bool = False
    default: Callable[[], DefaultBranch] = DefaultBranch


@frozen
class PipelineView:
    """Everything that a decision is made from.

    `planning`: the pipeline environment may still grow. `bare`: decide by flags and conditions
    alone, as Piper's checkIfStepActive does.
    """

    documents: ConfigDocuments
    build: BuildContext
    pipeline: Pipeline
    planning: bool
    bare: bool = False

    @property
    def all_documents(self) -> tuple[ConfigDocument, ...]:
        """All documents, weakest first."""
        return (*self.documents.defaults, self.documents.project)

    @property
    def rules(self) -> BranchRules:
        """The rules on productive branches and tags."""
        return _branch_rules(self.documents, self.build)

    def verdict(self) -> Verdict:
        """Whether the build is productive; a warning about that is given to `build.warn`."""
        verdict = judge_build(self.documents, self.build)
        if verdict.warning:
            self.build.warn(verdict.warning)
        return verdict

    def source(self) -> str:
        """The source that is built, for people, if it is not the productive branch."""
        build = self.build
        if build.change_request:
            return "a change request"
        if build.unknown:
            return f"an unknown branch ({build.unknown}; name it with `--branch`)"
        if not build.tag:
            return f"branch {build.branch}"
        own = self.documents.project.section("general").get(TAGS)
        ignored = "" if own is None else "; that of the project is ignored"
        return f"tag {build.tag}, which no trusted `{TAGS}` matches{ignored}"

    def run_in_all_branches(self, stage: str) -> Setting | None:
        """The strongest `runInAllBranches` in the stage's own sections, None if there is none.

        Raises ConfigError if one is neither true nor false.
        """
        found = None
        for document in self.all_documents:
            value = document.section("stages", stage).get("runInAllBranches")
            flag, where = parse_flag(value), document.where("stages", stage, "runInAllBranches")
            if flag is None and value not in (None, "", [], {}):
                raise ConfigError(
                    f"runInAllBranches of stage {stage} is neither true nor false",
                    where=where,
                    hint="write true or false",
                )
            if flag is not None:
                found = Setting(
                    value=flag, origin=where, layer=f"stage {stage}", trusted=document.trusted
                )
        return found


def judge_build(documents: ConfigDocuments, build: BuildContext) -> Verdict:
    """Whether the build's source is productive, by whose word, and what is ignored.

    Raises ConfigError.
    """
    if build.change_request:
        return Verdict(productive=False, why="a change request is built")
    rules = _branch_rules(documents, build)
    return judge_revision(rules, branch=build.branch, tag=build.tag, unknown=build.unknown)


def _branch_rules(documents: ConfigDocuments, build: BuildContext) -> BranchRules:
    return BranchRules(documents=documents, agent=build.agent, default=build.default)


def allows_change_request(
    documents: ConfigDocuments, agent: Layer, names: tuple[str, ...] = ("",)
) -> bool:
    """Whether a trusted layer lets builds of change requests publish by the step `names`.

    `names` are the step's spellings; by default the question is for any step.
    """
    sections = (layer for layer in unfiltered_layers(documents, names, "") if layer.trusted)
    setting = fold_settings((*sections, agent)).get(ALLOW)
    return setting is not None and parse_flag(setting.value) is True
