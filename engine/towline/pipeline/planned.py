"""Pure.

A planned pipeline: the records of its stages and steps, with the decision on each of them.
"""

from __future__ import annotations

from collections.abc import Mapping

from towline.config.conditions import Answer, Decision
from towline.pipeline.definition import StepDefinition
from towline.record import field, frozen


@frozen
class StepPlan:
    """A step of a planned stage.

    `where` is the place of the flag or key that made it active, empty if neither did. `required`:
    the stage fails if no loaded library has the step, which otherwise is left out. `parameters` are
    passed to a step of another library. `parts` are the steps that this one runs itself: they run
    in its place if no loaded library has it. `overruled` is the place of its flag if the flag is
    true and the definition of the stage switches the step off all the same.
    """

    name: str
    active: Answer
    why: str
    where: str = ""
    required: bool = False
    after_failure: bool = False
    parameters: Mapping[str, object] = field(default_factory=dict)
    parts: tuple[StepPlan, ...] = ()
    overruled: str = ""


@frozen
class StagePlan:
    """A planned stage with its steps in order.

    `after_confirm`: it stands behind the stage that asks a person. `extensions` are the files that
    wrap it, the outermost first.
    """

    name: str
    active: Answer
    why: str
    steps: tuple[StepPlan, ...]
    after_confirm: bool = False
    extensions: tuple[str, ...] = ()


def plan_step(
    step: StepDefinition, decision: Decision, parameters: Mapping[str, object]
) -> StepPlan:
    """The plan of a step that is decided."""
    runs = decision.active != "no"
    return StepPlan(
        name=step.name,
        active=decision.active,
        why=decision.why,
        where=decision.where if runs else "",
        required=runs and bool(decision.where) and (decision.by_flag or not step.optional),
        after_failure=step.after_failure,
        overruled="" if runs or not decision.by_flag else decision.where,
        parameters=parameters,
    )
