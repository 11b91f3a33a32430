"""Parts: steps that another step of their stage runs itself, as buildExecute runs mavenBuild.

A library that has the whole step is called once; without it the parts run one by one.
"""

from __future__ import annotations

from collections.abc import Sequence

from towline.config import conditions
from towline.pipeline.build import PipelineView
from towline.pipeline.definition import StageDefinition
from towline.pipeline.planned import StepPlan
from towline.pipeline.step_decisions import condition_context
from towline.record import replace


def nest_parts(
    view: PipelineView, stage: StageDefinition, steps: Sequence[StepPlan]
) -> tuple[StepPlan, ...]:
    """The steps of a stage, with those that an active step runs itself as its parts.

    A step that would run a part which this build may not run is left out, and its other parts run
    one by one. Raises ConfigError.
    """
    plans = {step.name: step for step in steps}
    for name in dict.fromkeys(defined.within for defined in stage.steps if defined.within):
        if name not in plans or plans[name].active != "yes":
            continue
        parts = [plans[part] for part in _parts_of(view, stage, name) if part in plans]
        refused = next((part for part in parts if part.active == "no"), None)
        if refused:
            why = f"it would run {refused.name}, which is left out: {refused.why}"
            plans[name] = StepPlan(name=name, active="no", why=why)
            continue
        plans[name] = replace(plans[name], parts=tuple(parts))
        for part in parts:
            del plans[part.name]
    return tuple(plans.values())


def _parts_of(view: PipelineView, stage: StageDefinition, name: str) -> list[str]:
    """The steps that the step `name` runs itself by the configuration."""
    return [
        defined.name
        for defined in stage.steps
        if defined.within == name
        and conditions.holds(defined.within_if, condition_context(view, stage, defined, {}))
    ]
