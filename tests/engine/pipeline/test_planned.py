from __future__ import annotations

from towline.config.conditions import Decision
from towline.pipeline.definition import StepDefinition
from towline.pipeline.planned import plan_step

PLACE = ".pipeline/config.yml:3"


def test_a_step_that_the_configuration_asks_for_is_required_and_has_its_line() -> None:
    decision = Decision(active="yes", why="its flag", where=PLACE, by_flag=True)
    plan = plan_step(StepDefinition(name="a", optional=True), decision, {})
    assert (plan.required, plan.where) == (True, PLACE)


def test_a_step_that_always_runs_or_runs_by_a_file_is_not_required() -> None:
    always = plan_step(StepDefinition(name="a"), Decision(active="yes", why="always"), {})
    by_key = Decision(active="yes", why="its key", where=PLACE)
    optional = plan_step(StepDefinition(name="a", optional=True), by_key, {})
    assert (always.required, optional.required) == (False, False)
    assert plan_step(StepDefinition(name="a"), by_key, {}).required is True


def test_an_inactive_step_has_no_place_and_is_not_required() -> None:
    decision = Decision(active="no", why="its flag", where=PLACE, by_flag=True)
    plan = plan_step(StepDefinition(name="a"), decision, {})
    assert (plan.required, plan.where) == (False, "")
