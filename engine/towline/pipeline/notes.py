"""Notes on a plan: what the configuration says and nothing acts on, and what a library decides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from towline.config import metadata
from towline.config.lint.findings import sort_findings
from towline.config.lint.idle import KnownPipeline, idle_keys
from towline.config.merge import Setting
from towline.pipeline.build import PipelineView
from towline.pipeline.confirmation import CONFIRM_KEYS
from towline.pipeline.definition import Pipeline, StageDefinition, definition
from towline.pipeline.planned import StagePlan
from towline.pipeline.step_decisions import BUILD_TOOL, find_step, step_config
from towline.suggest import nearest

_BUILD, _COMMAND = "buildExecute", "dockerCommand"
_TOOLS = frozenset({"maven", "mta", "npm", "docker", "kaniko", "golang", "gradle", "pip"})
_PROMOTION = ("containerPushToRegistry", "dockerRegistryUrl")


def idle_notes(view: PipelineView, planned: Sequence[StagePlan]) -> tuple[str, ...]:
    """One line on each key and flag without an effect, or with one that nobody may want.

    Raises ConfigError.
    """
    known = known_pipeline(view.pipeline)
    findings = sort_findings(idle_keys(view.all_documents, known))
    return tuple(
        dict.fromkeys(
            [
                *(f"{each.file}:{each.line}: {each.message} ({each.fix})" for each in findings),
                *_overruled_flags(planned),
                *_unknown_build_tool(view),
                *_promotion_by_general(view, planned),
            ]
        )
    )


def known_pipeline(pipeline: Pipeline) -> KnownPipeline:
    """The names by which flags of a configuration have an effect in the pipeline."""
    others = frozenset(metadata.other_steps())
    steps = {**definition().spellings, **pipeline.spellings}
    spellings = {name: own for own, names in steps.items() for name in names}
    return KnownPipeline(
        stages={
            stage.name: frozenset(step.name for step in stage.steps) for stage in pipeline.stages
        },
        spellings={**{name: name for name in others}, **spellings},
        others=others - pipeline.spellings.keys(),
        technical={stage.technical_name: stage.name for stage in pipeline.stages},
        confirms=next((stage.name for stage in pipeline.stages if stage.confirms), ""),
        confirm_keys=frozenset(CONFIRM_KEYS),
    )


def extension_note(path: str, stages: Sequence[StageDefinition]) -> str:
    """The note on a file in an extensions folder that no stage loads."""
    name = path.rpartition("/")[2].removesuffix(".groovy")
    names = [stage.name for stage in stages if stage.extensible]
    return f"no stage loads the extension {path}: {nearest(name, names)}"


def _overruled_flags(planned: Sequence[StagePlan]) -> Iterator[str]:
    """The flags that the definition of their stage overrules."""
    for stage in planned:
        for step in stage.steps:
            if step.overruled:
                yield f"stage {stage.name} does not run {step.name} ({step.overruled}): {step.why}"


def _unknown_build_tool(view: PipelineView) -> Iterator[str]:
    """The note on a build tool that no step of the pipeline builds with."""
    for stage in view.pipeline.stages:
        step = find_step(view, stage, _BUILD)
        config = step_config(view, stage, step) if step else {}
        tool = config.get(BUILD_TOOL)
        if tool and tool.value not in _TOOLS and _COMMAND not in config:
            yield (
                f"no step builds with {BUILD_TOOL} {tool.value!r} ({tool.origin}): set dockerImage"
                f" and {_COMMAND}, or build in an extension of the stage; known:"
                f" {', '.join(sorted(_TOOLS))}"
            )
            return


def _promotion_by_general(view: PipelineView, planned: Sequence[StagePlan]) -> Iterator[str]:
    """The note on a promotion that only the registry of all steps has switched on."""
    step, key = _PROMOTION
    for stage in view.pipeline.stages:
        defined = find_step(view, stage, step)
        if not defined or not _runs(planned, stage.name, step):
            continue
        found: Setting | None = step_config(view, stage, defined).get(key)
        if found and found.layer == "general":
            yield (
                f"stage {stage.name} runs {step} because general has {key} ({found.origin}); if"
                f" that is only the registry of the build, write `{step}: false` in"
                f" stages.{stage.name}"
            )


def _runs(planned: Sequence[StagePlan], stage: str, step: str) -> bool:
    return any(
        each.name == step and each.active != "no"
        for plan in planned
        if plan.name == stage
        for each in plan.steps
    )


def optional_note(planned: Sequence[StagePlan]) -> str:
    """One line on the steps that run only if a loaded library has them; empty if there is none."""
    names = [
        f"{step.name} ({stage.name})"
        for stage in planned
        if stage.active != "no"
        for step in stage.steps
        if step.active != "no" and not step.required
    ]
    return f"left out if no loaded library has them: {', '.join(names)}" if names else ""
