"""What is active in the stages of a pipeline: `plan` for all of them before anything runs, `decide` for one step when its turn comes.

Steps are decided by flags and conditions (config/conditions), stages by their steps and by the
rules of facts 3.4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from towline.config import conditions, metadata
from towline.config.conditions import ONLY_BY_FLAG, Answer, ConditionContext, Decision, Workspace
from towline.config.documents import ConfigDocument, ConfigDocuments, stage_name
from towline.config.layers import EMPTY_LAYER, unfiltered_layers
from towline.config.merge import Layer, Setting, fold_settings
from towline.config.schema import as_text
from towline.console import silent
from towline.errors import ConfigError, UsageError
from towline.pipeline.branches import (
    TAGS,
    BranchRules,
    DefaultBranch,
    Verdict,
    judge_revision,
    located_at,
    only_warns,
)
from towline.pipeline.ci import ALLOW
from towline.pipeline.definition import Pipeline, StageDefinition, StepDefinition, definition
from towline.record import field, frozen, replace
from towline.suggest import nearest

CHANGE_REQUEST_PUBLISHES_NOTHING = "a change-request build pushes and deploys nothing"
_DEPLOYMENT = (
    "the commit is a deployment that Towline made of what has been built already: building it would"
    " deploy it again, and so on"
)
_BUILD, _FORMER_BUILD = "Build", "Central Build"
_STAGE = "$(stage)"


@frozen
class BuildContext:
    """What is known of the build besides its configuration.

    `branch` and `tag`: both empty for a job that has only one source, which its owner has set and
    which is the productive one; `unknown`: why nobody knows what is built, empty where it is known;
    `orchestrator`: `Jenkins`, `AzureDevOps`, `GitHubActions` or `Unknown`; `agent`: what its
    variables say for the whole pipeline; `pipeline_environment`: what has been written so far;
    `extensions`: whether the project's extensions are allowed; `deployment`: whether what is
    checked out is nothing but a deployment that Towline has made; `default`: which branch is the
    repository's default one; `warn` is told what will not be so one day.
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
class StepPlan:
    """A step of a planned stage, with what the stage passes to one of another library."""

    name: str
    active: Answer
    why: str
    parameters: Mapping[str, str] = field(default_factory=dict)


@frozen
class StagePlan:
    """A planned stage with its steps in order."""

    name: str
    active: Answer
    why: str
    steps: tuple[StepPlan, ...]


@frozen
class _View:
    """All that a question is answered from; `planning`: the pipeline environment may still grow; `bare`: as Piper's checkIfStepActive answers."""

    documents: ConfigDocuments
    circumstances: BuildContext
    pipeline: Pipeline
    planning: bool
    bare: bool = False


def plan_stages(
    documents: ConfigDocuments, circumstances: BuildContext, *, pipeline: Pipeline | None = None
) -> tuple[StagePlan, ...]:
    """Every stage of `pipeline` (else of Towline's own), then the configuration's own ones, each active or not and why; raises ConfigError."""
    view = _View(
        documents=documents,
        circumstances=circumstances,
        pipeline=pipeline or definition(),
        planning=True,
    )
    own = (_own_stage(view, name) for name in _own_stages(view))
    return tuple(_planned(view, stage) for stage in (*view.pipeline.stages, *own))


def unproductive_branch(documents: ConfigDocuments, circumstances: BuildContext) -> str:
    """The branch or tag that is built, for people, if it is known and none that is deployed; else empty."""
    view = _View(
        documents=documents, circumstances=circumstances, pipeline=definition(), planning=True
    )
    return (
        ""
        if circumstances.change_request or circumstances.unknown or _verdict(view).productive
        else _what(view)
    )


def decide_step(
    documents: ConfigDocuments,
    circumstances: BuildContext,
    *,
    stage: str,
    step: str,
    pipeline: Pipeline | None = None,
) -> Decision:
    """Whether `step` is active in `stage` now that the pipeline environment is known; raises UsageError without a stage, ConfigError."""
    if not stage:
        raise UsageError(
            "what is active depends on the stage, and none is named",
            hint="name it with --stage, or call the step directly",
        )
    view = _View(
        documents=documents,
        circumstances=circumstances,
        pipeline=pipeline or definition(),
        planning=False,
    )
    found = _find_stage(view, stage, step)
    known = [*(each.name for each in view.pipeline.stages), *_own_stages(view)]
    if found.name not in known:  # a mistyped stage would deploy nothing and call that success
        raise ConfigError(f"there is no stage {stage!r}", hint=nearest(stage, known))
    defined = _find_step(view, found, step)
    if defined is None:
        return Decision(active="no", why=f"stage {found.name} has no step {step}")
    return (
        _held_back(view, found, defined) or _left_out(view, found) or _alone(view, found, defined)
    )


def is_publishing(step: str) -> bool:
    """Whether the step, by its own name, pushes or deploys."""
    return any(
        defined.publishes
        for stage in definition().stages
        for defined in stage.steps
        if defined.name == step
    )


def evaluate_flags(
    documents: ConfigDocuments, circumstances: BuildContext, *, pipeline: Pipeline
) -> Mapping[str, Mapping[str, bool]]:
    """Stage to step to whether it is active, by flags and conditions alone: what Piper's checkIfStepActive writes (facts 3.3); raises ConfigError."""
    view = _bare(documents, circumstances, pipeline)
    return {
        stage.name: {
            name: decision.active == "yes" for name, decision in _decisions(view, stage).items()
        }
        for stage in pipeline.stages
    }


def check_flags(
    documents: ConfigDocuments,
    circumstances: BuildContext,
    *,
    stage: str,
    step: str,
    pipeline: Pipeline,
) -> Decision:
    """Whether `step` is active in `stage` by flags and conditions alone: what Piper's checkIfStepActive answers (facts 3.3); raises ConfigError."""
    view = _bare(documents, circumstances, pipeline)
    found = _find_stage(view, stage, step)
    defined = _find_step(view, found, step)
    return (
        _alone(view, found, defined)
        if defined
        else Decision(active="no", why=f"stage {found.name} has no step {step}")
    )


def _bare(documents: ConfigDocuments, circumstances: BuildContext, pipeline: Pipeline) -> _View:
    """A view without the rules for kinds of builds."""
    given = replace(circumstances, change_request=False, deployment=False)
    return _View(
        documents=documents, circumstances=given, pipeline=pipeline, planning=False, bare=True
    )


# ---- stages


def _planned(view: _View, stage: StageDefinition) -> StagePlan:
    left_out = _left_out(view, stage)
    running = [step for step in stage.steps if _fits(view, step)]
    if left_out:
        decisions = {step.name: _held_back(view, stage, step) or left_out for step in running}
    else:
        decisions = _decisions(
            view,
            stage,
            {step.name: held for step in running if (held := _held_back(view, stage, step))},
        )
    given = {
        step.name: {
            key: value.replace(_STAGE, stage.name) for key, value in step.parameters.items()
        }
        for step in running
    }
    steps = tuple(
        StepPlan(name=name, active=decision.active, why=decision.why, parameters=given[name])
        for name, decision in decisions.items()
    )
    decision = left_out or _stage_decision(view, stage, steps)
    return StagePlan(
        name=stage.name,
        active=decision.active,
        why=decision.why + _unread(view, stage) + _lost(view, stage),
        steps=steps,
    )


def _stage_decision(view: _View, stage: StageDefinition, steps: tuple[StepPlan, ...]) -> Decision:
    """A stage is active by its steps, because the project has a section for it, or because it has an extension (facts 3.4)."""
    project = view.documents.project
    if running := [step.name for step in steps if step.active == "yes"]:
        return Decision(
            active="yes", why=f"{', '.join(running)} {'is' if len(running) == 1 else 'are'} active"
        )
    if stage in view.pipeline.stages and project.section("stages", stage.name):
        return Decision(
            active="yes",
            why=(
                f"the project configures stage {stage.name} ({project.where('stages', stage.name)})"
            ),
        )
    if extension := _extension(view, stage):
        return Decision(active="yes", why=f"the project extends stage {stage.name} ({extension})")
    if waiting := [step for step in steps if step.active == "undecided"]:
        return Decision(active="undecided", why=waiting[0].why)
    if steps:
        return Decision(active="no", why="none of its steps is active")
    if project.section("stages", stage.name):
        return Decision(
            active="no",
            why=(
                "no step that is known is switched on in it"
                f" ({project.where('stages', stage.name)})"
            ),
        )
    return Decision(active="no", why="it has no steps, and the project does not configure it")


def _extension(view: _View, stage: StageDefinition) -> str:
    """The file of the project that extends the stage; empty where there is none, or the definition or the agent forbids it."""
    if not stage.extensible or not view.circumstances.extensions:
        return ""
    setting = _rules(view).setting("projectExtensionsDirectory")
    folder = (
        as_text(setting.value).rstrip("/") if setting and setting.value else ".pipeline/extensions"
    )
    names = (stage.name, _FORMER_BUILD) if stage.name == _BUILD else (stage.name,)
    with located_at(setting):
        return next(
            filter(
                None,
                (view.circumstances.workspace.find(f"{folder}/{name}.groovy") for name in names),
            ),
            "",
        )


def _unread(view: _View, stage: StageDefinition) -> str:
    """A note on sections that are called by Build's former name beside one of its own name: they are not read."""
    if stage.name != _BUILD:
        return ""
    former, name = ("stages", _FORMER_BUILD), ("stages", _BUILD)
    both = [
        document
        for document in _all(view.documents)
        if former in document.marks and document.marks[former] != document.marks.get(name)
    ]
    return "".join(
        f"; stages.{_FORMER_BUILD} is not read beside it ({document.where(*former)})"
        for document in both
    )


def _lost(view: _View, stage: StageDefinition) -> str:
    """A note on flags in the stage's sections that switch on a step which the stage does not have."""
    known = {
        *metadata.other_steps(),
        *(name for names in view.pipeline.spellings.values() for name in names),
    }
    has = {name for step in stage.steps for name in _spellings(view, step.name)}
    lost = {
        key: document.where("stages", stage.name, key)
        for document in _all(view.documents)
        for key, value in document.section("stages", stage.name).items()
        if key in known - has and conditions.parse_flag(value)
    }
    return "".join(
        f"; {key} is no step of stage {stage.name}, and its flag switches nothing on ({where})"
        for key, where in lost.items()
    )


def _left_out(view: _View, stage: StageDefinition) -> Decision | None:
    """That the stage does not belong to this kind of build, whatever its flags say; None where it does."""
    given = view.circumstances
    if given.deployment:
        return Decision(active="no", why=_DEPLOYMENT)
    setting = _run_in_all_branches(view.documents, stage.name)
    if given.change_request and not stage.change_requests:
        return Decision(active="no", why=f"a change-request build does not run stage {stage.name}")
    if not given.change_request and stage.change_requests == "only":
        return Decision(active="no", why=f"only a change-request build runs stage {stage.name}")
    everywhere = stage.change_requests != "" if setting is None else setting.value
    if everywhere is not False or (found := _verdict(view)).productive:
        return None
    rule = (
        f"`runInAllBranches: false` ({setting.origin})"
        if setting
        else "the productive branch alone (`productiveBranch`) runs it"
    )
    more = f"; {found.unheard}" if found.unheard else ""
    return Decision(
        active="no", why=f"stage {stage.name} does not run for {_what(view)}: {rule}{more}"
    )


def _what(view: _View) -> str:
    """What is built, for people, where it is not the productive branch."""
    given = view.circumstances
    if given.change_request:
        return "a change request"
    if given.unknown:
        return f"a branch that nobody knows ({given.unknown}; name it with `--branch`)"
    if not given.tag:
        return f"branch {given.branch}"
    own = view.documents.project.section("general").get(TAGS)
    return (
        f"tag {given.tag}, which no trusted `{TAGS}`"
        f" fits{'; that of the project does not count' if own is not None else ''}"
    )


def judge_build(documents: ConfigDocuments, circumstances: BuildContext) -> Verdict:
    """Whether what is built is productive, who says so, and what does not count; raises ConfigError."""
    given = circumstances
    if given.change_request:
        return Verdict(productive=False, why="a change request is built")
    rules = BranchRules(documents=documents, agent=given.agent, default=given.default)
    return judge_revision(rules, branch=given.branch, tag=given.tag, unknown=given.unknown)


def _verdict(view: _View) -> Verdict:
    found = judge_build(view.documents, view.circumstances)
    if found.warning:
        view.circumstances.warn(found.warning)
    return found


def _rules(view: _View) -> BranchRules:
    return BranchRules(
        documents=view.documents, agent=view.circumstances.agent, default=view.circumstances.default
    )


def _run_in_all_branches(documents: ConfigDocuments, stage: str) -> Setting | None:
    """What the stage's own sections say; raises ConfigError for what is neither true nor false."""
    found = None
    for document in _all(documents):
        given = document.section("stages", stage).get("runInAllBranches")
        value, where = (
            conditions.parse_flag(given),
            document.where("stages", stage, "runInAllBranches"),
        )
        if value is None and given not in (None, "", [], {}):
            raise ConfigError(
                f"runInAllBranches of stage {stage} is neither true nor false",
                where=where,
                hint="write true or false",
            )
        if value is not None:
            found = Setting(
                value=value, origin=where, layer=f"stage {stage}", trusted=document.trusted
            )
    return found


def _all(documents: ConfigDocuments) -> tuple[ConfigDocument, ...]:
    return (*documents.defaults, documents.project)


# ---- stages that the pipeline does not have


def _own_stages(view: _View) -> list[str]:
    """Stages that the documents name and the pipeline does not have, in their order."""
    known = {stage.name for stage in view.pipeline.stages}
    named = (name for document in _all(view.documents) for name in document.section("stages"))
    return list(dict.fromkeys(name for name in named if name not in known))


def _own_stage(view: _View, name: str, step: str = "") -> StageDefinition:
    """A stage that the pipeline does not have: the steps whose flags stand in its own section, and by these flags only."""
    values = [
        pair
        for document in _all(view.documents)
        for pair in document.section("stages", name).items()
    ]
    keys, flags = (
        {key for key, _ in values},
        {key for key, value in values if conditions.parse_flag(value) is not None},
    )
    known = {name: StepDefinition(name=name) for name in metadata.other_steps() if name in flags}
    known |= {defined.name: defined for stage in view.pipeline.stages for defined in stage.steps}
    if step and _own_name(view, step) not in known:
        known[step] = StepDefinition(name=step)
    found = [
        StepDefinition(
            name=each,
            publishes=defined.publishes,
            conditions=(ONLY_BY_FLAG,),
            parameters=_everywhere(defined),
        )
        for each, defined in known.items()
        if keys & set(_spellings(view, each))
    ]
    return StageDefinition(name=name, change_requests="also", steps=tuple(found))


def _everywhere(step: StepDefinition) -> Mapping[str, str]:
    """What any stage passes to the step: not what one of them says."""
    return {key: value for key, value in step.parameters.items() if _STAGE in value}


def _find_stage(view: _View, name: str, step: str) -> StageDefinition:
    name = stage_name(name)
    return next(
        (stage for stage in view.pipeline.stages if stage.name == name), None
    ) or _own_stage(view, name, step)


# ---- steps


def _decisions(
    view: _View, stage: StageDefinition, held: Mapping[str, Decision] | None = None
) -> dict[str, Decision]:
    """The decision on each step that this orchestrator runs; `held` are made already.

    Twice over, as in Piper: flags and conditions first, then what switches off again, which sees
    what has become of the others.
    """
    steps = {step.name: step for step in stage.steps if _fits(view, step)}
    found: dict[str, Decision] = {}
    for name, step in steps.items():
        found[name] = (held or {}).get(name) or conditions.decide(
            step.conditions, _scene(view, stage, name, found)
        )
    for name, step in steps.items():
        if step.not_active and found[name].active != "no":
            found[name] = conditions.apply_not_active(
                found[name], step.not_active, _scene(view, stage, name, found)
            )
    return found


def _alone(view: _View, stage: StageDefinition, step: StepDefinition) -> Decision:
    """The decision on one step; on the others only where it depends on them."""
    if not _fits(view, step):
        return Decision(
            active="no",
            why=(
                f"{step.name} runs on {', '.join(step.orchestrators)} only, and this is"
                f" {view.circumstances.orchestrator}"
            ),
        )
    depends = any(
        condition.kind in ("onlyActiveStepInStage", "stepActive")
        for condition in (*step.conditions, *step.not_active)
    )
    if not depends:
        return _decisions(view, replace(stage, steps=(step,)))[step.name]
    held = {
        other.name: decision
        for other in stage.steps
        if (decision := _held_back(view, stage, other))
    }
    return _decisions(view, stage, held)[step.name]


def _held_back(view: _View, stage: StageDefinition, step: StepDefinition) -> Decision | None:
    """That no flag and no condition can make the step active in this kind of build; None where they can.

    A branch that is not productive cannot have itself published: by a `runInAllBranches` or a stage
    that only its own configuration has.
    """
    given = view.circumstances
    if view.bare or not step.publishes:
        return None
    if given.change_request:
        names = _spellings(view, step.name)
        return (
            None
            if allows_change_request(view.documents, given.agent, names)
            else Decision(active="no", why=CHANGE_REQUEST_PUBLISHES_NOTHING)
        )
    word = _own_word(view, stage)
    if not word or (found := _verdict(view)).productive:
        return None
    what = f"{step.name} publishes, and only {word} of {_what(view)} itself has it run"
    if only_warns(_rules(view)):
        given.warn(
            f"{what}; it does because of `enforcement: warn`, and will not without it:"
            f" {_how_to_allow(stage)}"
        )
        return None
    more = f"; {found.unheard}" if found.unheard else ""
    return Decision(active="no", why=f"{what}: {_how_to_allow(stage)}{more}")


def _own_word(view: _View, stage: StageDefinition) -> str:
    """What of the project's own has the stage run on every branch, for people; empty where a trusted layer or the pipeline itself does."""
    setting = _run_in_all_branches(view.documents, stage.name)
    if setting is not None:
        return (
            "" if setting.trusted or not setting.value else f"runInAllBranches ({setting.origin})"
        )
    trusted = any(
        document.trusted and stage.name in document.section("stages")
        for document in view.documents.defaults
    )
    return "" if stage in view.pipeline.stages or trusted else f"the stage {stage.name}"


def _how_to_allow(stage: StageDefinition) -> str:
    return (
        f"let the platform team have it run there by `stages: {{{stage.name}: {{runInAllBranches:"
        " true}}` in its default documents (TOWLINE_DEFAULTS)"
    )


def allows_change_request(
    documents: ConfigDocuments, agent: Layer, names: tuple[str, ...] = ("",)
) -> bool:
    """Whether a trusted layer lets builds of change requests publish by the step of these names, without one by any."""
    sections = (layer for layer in unfiltered_layers(documents, names, "") if layer.trusted)
    setting = fold_settings((*sections, agent)).get(ALLOW)
    return setting is not None and conditions.parse_flag(setting.value) is True


def _fits(view: _View, step: StepDefinition) -> bool:
    return not step.orchestrators or view.circumstances.orchestrator in step.orchestrators


def _find_step(view: _View, stage: StageDefinition, step: str) -> StepDefinition | None:
    name = _own_name(view, step)
    return next((defined for defined in reversed(stage.steps) if defined.name == name), None)


def _own_name(view: _View, step: str) -> str:
    return next(
        (name for name, spellings in view.pipeline.spellings.items() if step in spellings), step
    )


def _spellings(view: _View, step: str) -> tuple[str, ...]:
    return view.pipeline.spellings.get(step, (step,))


def _scene(
    view: _View, stage: StageDefinition, step: str, decisions: Mapping[str, Decision]
) -> ConditionContext:
    project = view.documents.project
    names = _spellings(view, step)
    return ConditionContext(
        stage=stage.name,
        step=step,
        config=fold_settings(unfiltered_layers(view.documents, names, stage.name)),
        own={
            key: project.where("stages", stage.name, key)
            for key, value in project.section("stages", stage.name).items()
            if value is not None
        },
        configured=any(project.section("steps").get(name) is not None for name in names),
        pipeline_environment=view.circumstances.pipeline_environment,
        planning=view.planning,
        bare=view.bare,
        workspace=view.circumstances.workspace,
        others={name: decision.active for name, decision in decisions.items() if name != step},
    )
