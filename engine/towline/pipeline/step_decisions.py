"""Decisions on the steps of one stage: by flag and conditions, and by the kind of build.

`config/conditions.py` decides a flag and a condition; this module asks it for each step, and says
which steps a build may not run.
"""

from __future__ import annotations

from collections.abc import Mapping

from towline.config import conditions
from towline.config.conditions import ConditionContext, Decision, parse_flag
from towline.config.layers import unfiltered_layers
from towline.config.merge import Setting, fold_settings
from towline.pipeline.branches import only_warns
from towline.pipeline.build import PipelineView, allows_change_request
from towline.pipeline.definition import StageDefinition, StepDefinition
from towline.record import replace

CHANGE_REQUEST_PUBLISHES_NOTHING = "a change-request build pushes and deploys nothing"
BUILD_TOOL = "buildTool"
_INFER = "inferBuildTool"
_DESCRIPTORS = {"mta.yaml": "mta", "pom.xml": "maven", "package.json": "npm"}


def decide_steps(
    view: PipelineView, stage: StageDefinition, made: Mapping[str, Decision] | None = None
) -> dict[str, Decision]:
    """The decision on each step of the stage that this orchestrator runs; `made` are known ones.

    There are two rounds, as in Piper: first flags and conditions, then `notActiveConditions`, which
    see the decisions on the other steps.
    """
    steps = {step.name: step for step in stage.steps if runs_here(view, step)}
    decisions: dict[str, Decision] = {}
    for name, step in steps.items():
        decisions[name] = (made or {}).get(name) or conditions.decide(
            step.conditions, condition_context(view, stage, step, decisions)
        )
    for name, step in steps.items():
        if step.not_active and decisions[name].active != "no":
            decisions[name] = conditions.apply_not_active(
                decisions[name], step.not_active, condition_context(view, stage, step, decisions)
            )
    return decisions


def decide_alone(view: PipelineView, stage: StageDefinition, step: StepDefinition) -> Decision:
    """The decision on one step; others are decided only if this one depends on them."""
    if not runs_here(view, step):
        return Decision(
            active="no",
            why=(
                f"{step.name} runs on {', '.join(step.orchestrators)} only, and this is"
                f" {view.build.orchestrator}"
            ),
        )
    depends = any(
        condition.kind in ("onlyActiveStepInStage", "stepActive")
        for condition in (*step.conditions, *step.not_active)
    )
    if not depends:
        return decide_steps(view, replace(stage, steps=(step,)))[step.name]
    return decide_steps(view, stage, refusals(view, stage))[step.name]


def refusals(view: PipelineView, stage: StageDefinition) -> dict[str, Decision]:
    """The decisions on steps of the stage that this kind of build may not run."""
    steps = [step for step in stage.steps if runs_here(view, step)]
    found = {step.name: refusal(view, stage, step) for step in steps}
    return {name: decision for name, decision in found.items() if decision}


def refusal(view: PipelineView, stage: StageDefinition, step: StepDefinition) -> Decision | None:
    """Why this kind of build may not run the step whatever its flags say; None if it may.

    A branch that is not productive cannot publish itself by a `runInAllBranches`, or by a stage,
    that only its own configuration has.
    """
    build = view.build
    if view.bare or not (step.publishes or step.publishes_by):
        return None
    by = None if step.publishes else _publishing_key(view, stage, step)
    if not (step.publishes or by):
        return None
    # a branch runs the stage of change requests only because it calls itself one that votes
    if build.change_request or stage.change_requests == "only":
        if allows_change_request(view.documents, build.agent, spellings(view, step.name)):
            return None
        why = CHANGE_REQUEST_PUBLISHES_NOTHING
        return Decision(active="no", why=f"{why} ({step.publishes_by}: {by.origin})" if by else why)
    claim = _own_claim(view, stage)
    if not claim or (verdict := view.verdict()).productive:
        return None
    problem = f"{step.name} publishes, and only {claim} of {view.source()} itself lets it run"
    if only_warns(view.rules):
        build.warn(
            f"{problem}; it runs only while `enforcement: warn` is set: {_how_to_allow(stage)}"
        )
        return None
    more = f"; {verdict.ignored}" if verdict.ignored else ""
    return Decision(active="no", why=f"{problem}: {_how_to_allow(stage)}{more}")


def _publishing_key(
    view: PipelineView, stage: StageDefinition, step: StepDefinition
) -> Setting | None:
    """The setting by which the step publishes, if it is true."""
    found = step_config(view, stage, step).get(step.publishes_by)
    return found if found and parse_flag(found.value) else None


def _own_claim(view: PipelineView, stage: StageDefinition) -> str:
    """The project's own setting that lets the stage run on every branch, for people.

    Empty if a trusted layer or the pipeline itself lets it run.
    """
    setting = view.run_in_all_branches(stage.name)
    if setting is not None:
        is_claim = setting.value and not setting.trusted
        return f"runInAllBranches ({setting.origin})" if is_claim else ""
    is_trusted = any(
        document.trusted and stage.name in document.section("stages")
        for document in view.documents.defaults
    )
    return "" if stage in view.pipeline.stages or is_trusted else f"the stage {stage.name}"


def _how_to_allow(stage: StageDefinition) -> str:
    return (
        f"let the platform team allow it by `stages: {{{stage.name}: {{runInAllBranches:"
        " true}}` in its default documents (TOWLINE_DEFAULTS)"
    )


def runs_here(view: PipelineView, step: StepDefinition) -> bool:
    """Whether the orchestrator of this build runs the step."""
    return not step.orchestrators or view.build.orchestrator in step.orchestrators


def find_step(view: PipelineView, stage: StageDefinition, step: str) -> StepDefinition | None:
    """The stage's step of that name or spelling; of several the last counts."""
    name = own_name(view, step)
    return next((defined for defined in reversed(stage.steps) if defined.name == name), None)


def own_name(view: PipelineView, step: str) -> str:
    """The own name of a step by one of its spellings."""
    for name, names in view.pipeline.spellings.items():
        if step in names:
            return name
    return step


def spellings(view: PipelineView, step: str) -> tuple[str, ...]:
    """All spellings of a step by its own name."""
    return view.pipeline.spellings.get(step, (step,))


def step_config(
    view: PipelineView, stage: StageDefinition, step: StepDefinition
) -> Mapping[str, Setting]:
    """Every key that is read for the step in the stage, without scopes.

    A part of another step reads that one's section below its own. The build tool may be inferred
    from the project's files. Raises ConfigError.
    """
    names = spellings(view, step.name)
    below = spellings(view, step.within) if step.within else ()
    config = fold_settings(unfiltered_layers(view.documents, names, stage.name, below=below))
    infer = config.get(_INFER)
    if BUILD_TOOL in config or infer is None or not parse_flag(infer.value) or view.bare:
        return config
    for file, tool in _DESCRIPTORS.items():
        if view.build.workspace.find(file):
            inferred = replace(infer, value=tool, origin=f"{infer.origin}, and {file} is there")
            return {**config, BUILD_TOOL: inferred}
    return config


def condition_context(
    view: PipelineView,
    stage: StageDefinition,
    step: StepDefinition,
    decisions: Mapping[str, Decision],
) -> ConditionContext:
    """The facts that the step is decided from; raises ConfigError."""
    project = view.documents.project
    names = spellings(view, step.name)

    def productive() -> tuple[bool, str]:
        verdict = view.verdict()
        return verdict.productive or view.bare, verdict.why

    return ConditionContext(
        stage=stage.name,
        step=step.name,
        config=step_config(view, stage, step),
        own={
            key: project.where("stages", stage.name, key)
            for key, value in project.section("stages", stage.name).items()
            if value is not None
        },
        configured=any(project.section("steps").get(name) is not None for name in names),
        pipeline_environment=view.build.pipeline_environment,
        planning=view.planning,
        bare=view.bare,
        workspace=view.build.workspace,
        others={name: each.active for name, each in decisions.items() if name != step.name},
        productive=productive,
    )
