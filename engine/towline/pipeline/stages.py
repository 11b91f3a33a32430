"""The stages of a pipeline and what is active in them: `plan` for all of them before anything runs, `decide` for one step when its turn comes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from towline.config import conditions
from towline.config.catalog import spellings
from towline.config.conditions import Answer, Decision, Scene
from towline.config.layers import Documents, read_yaml, unfiltered
from towline.config.merge import fold
from towline.errors import ConfigError, UsageError
from towline.files import resource_text
from towline.suggest import nearest

_CHANGE_REQUESTS = ("", "also", "only")
_NOTHING = "a change-request build pushes and deploys nothing"


@dataclass(frozen=True, kw_only=True)
class StepDefinition:
    """A step of a stage; one that `publishes` does not run for a change request."""

    name: str
    publishes: bool
    conditions: tuple[conditions.Condition, ...]


@dataclass(frozen=True, kw_only=True)
class StageDefinition:
    """A stage by the name that configuration uses; `change_requests`: `also`, `only`, or empty where a change request does not run it."""

    name: str
    change_requests: str
    steps: tuple[StepDefinition, ...]


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """Every stage in order, and every spelling of each step by its own name."""

    stages: tuple[StageDefinition, ...]
    spellings: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, kw_only=True)
class StepPlan:
    """A step of a planned stage."""

    name: str
    active: Answer
    why: str


@dataclass(frozen=True, kw_only=True)
class StagePlan:
    """A planned stage with its steps in order."""

    name: str
    active: Answer
    why: str
    steps: tuple[StepPlan, ...]


def plan(documents: Documents, *, change_request: bool, pipeline: Pipeline | None = None) -> tuple[StagePlan, ...]:
    """Every stage of `pipeline` (else of Towline's own), then the configuration's own ones, each active or not and why; raises ConfigError."""
    pipeline = pipeline or definition()
    stages = (*pipeline.stages, *(_own_stage(documents, name, pipeline) for name in _own_stages(documents, pipeline)))
    return tuple(_planned(documents, stage, pipeline, change_request=change_request) for stage in stages)


def decide(documents: Documents, *, stage: str, step: str, pipeline_environment: Mapping[str, object], change_request: bool) -> Decision:
    """Whether `step` is active in `stage` now that the pipeline environment is known; raises UsageError without a stage, ConfigError."""
    if not stage:
        raise UsageError("what is active depends on the stage, and none is named", hint="name it with --stage, or call the step directly")
    pipeline = definition()
    found = next((known for known in pipeline.stages if known.name == stage), None) or _own_stage(documents, stage, pipeline)
    name = next((name for name, spellings in pipeline.spellings.items() if step in spellings), step)
    defined = next((known for known in found.steps if known.name == name), None)
    if defined is None:
        return Decision(active="no", why=f"stage {stage} has no step {name}")
    ruled_out = _ruled_out(found, defined, change_request=change_request)
    return ruled_out or conditions.decide(defined.conditions, _scene(documents, found, pipeline.spellings[name], pipeline_environment))


@cache
def definition() -> Pipeline:
    """The pipeline of `resources/towline/stages.yaml`."""
    return parse(read_yaml(resource_text("stages.yaml"), "stages.yaml").value, "stages.yaml")


def parse(data: object, where: str) -> Pipeline:
    """A stage definition, as read from YAML, to a pipeline; raises ConfigError naming the file `where`."""
    record = _record(data, ("spec", "stepAliases"), where)
    stages = tuple(_stage(entry, where) for entry in _record(record.get("spec"), ("stages",), where).get("stages") or [])
    others = record.get("stepAliases") or {}
    steps = dict.fromkeys(step.name for stage in stages for step in stage.steps)
    return Pipeline(stages=stages, spellings={name: (name, *others[name]) if name in others else spellings(name) for name in steps})


def _stage(data: object, where: str) -> StageDefinition:
    record = _record(data, ("displayName", "name", "changeRequests", "steps"), where, required="displayName")
    change_requests = record.get("changeRequests", "")
    if change_requests not in _CHANGE_REQUESTS:
        raise ConfigError(f"changeRequests is {change_requests!r}", where=where, hint=nearest(str(change_requests), _CHANGE_REQUESTS[1:]))
    steps = tuple(_step(entry, where) for entry in record.get("steps") or [])
    return StageDefinition(name=record["displayName"], change_requests=change_requests, steps=steps)


def _step(data: object, where: str) -> StepDefinition:
    record = _record(data, ("name", "publishes", "conditions"), where, required="name")
    found = tuple(record.get("conditions") or ())
    if not all(isinstance(condition, dict) for condition in found):
        raise ConfigError(f"the conditions of {record['name']} must be a list of maps", where=where)
    return StepDefinition(name=record["name"], publishes=record.get("publishes", False), conditions=found)


def _record(data: object, keys: Sequence[str], where: str, *, required: str = "") -> dict[str, Any]:
    if not isinstance(data, dict) or (required and not data.get(required)):
        raise ConfigError(f"a part of the stage definition must be a map of {', '.join(keys)}", where=where)
    for key in data:
        if key not in keys:
            raise ConfigError(f"the stage definition has an unknown key {key!r}", where=where, hint=nearest(key, keys))
    return data


def _own_stages(documents: Documents, pipeline: Pipeline) -> list[str]:
    """Stages that the documents name and the pipeline does not have, in their order."""
    known = {stage.name for stage in pipeline.stages}
    named = (name for document in (*documents.defaults, documents.project) for name in document.section("stages"))
    return list(dict.fromkeys(name for name in named if name not in known))


def _own_stage(documents: Documents, name: str, pipeline: Pipeline) -> StageDefinition:
    """A stage that the pipeline does not have: the steps whose flags stand in its own section, and by these flags only."""
    keys = {key for document in (*documents.defaults, documents.project) for key in document.section("stages", name)}
    known = {step.name: step for stage in pipeline.stages for step in stage.steps}
    steps = [replace(step, conditions=({"inactive": True},)) for step in known.values() if keys & set(pipeline.spellings[step.name])]
    return StageDefinition(name=name, change_requests="also", steps=tuple(steps))


def _planned(documents: Documents, stage: StageDefinition, pipeline: Pipeline, *, change_request: bool) -> StagePlan:
    steps = []
    for step in stage.steps:
        decision = _ruled_out(stage, step, change_request=change_request)
        decision = decision or conditions.decide(step.conditions, _scene(documents, stage, pipeline.spellings[step.name], None))
        steps.append(StepPlan(name=step.name, active=decision.active, why=decision.why))
    decision = _left_out(stage, change_request=change_request) or _stage_decision(documents, stage, steps, pipeline)
    return StagePlan(name=stage.name, active=decision.active, why=decision.why, steps=tuple(steps))


def _left_out(stage: StageDefinition, *, change_request: bool) -> Decision | None:
    """That the stage does not belong to this kind of build; None where it does."""
    if change_request and not stage.change_requests:
        return Decision(active="no", why=f"a change-request build does not run stage {stage.name}")
    if not change_request and stage.change_requests == "only":
        return Decision(active="no", why=f"only a change-request build runs stage {stage.name}")
    return None


def _ruled_out(stage: StageDefinition, step: StepDefinition, *, change_request: bool) -> Decision | None:
    """That no flag and no condition can make the step active in this kind of build; None where they can."""
    if change_request and step.publishes:
        return Decision(active="no", why=_NOTHING)
    return _left_out(stage, change_request=change_request)


def _stage_decision(documents: Documents, stage: StageDefinition, steps: Sequence[StepPlan], pipeline: Pipeline) -> Decision:
    """A stage is active by its steps, or because the project has a section for it (facts 3.4)."""
    own = documents.project.section("stages", stage.name)
    if running := [step.name for step in steps if step.active == "yes"]:
        return Decision(active="yes", why=f"{', '.join(running)} {'is' if len(running) == 1 else 'are'} active")
    if own and stage in pipeline.stages:
        return Decision(active="yes", why=f"the project configures stage {stage.name} ({documents.project.where('stages', stage.name)})")
    if waiting := [step for step in steps if step.active == "undecided"]:
        return Decision(active="undecided", why=waiting[0].why)
    return Decision(active="no", why="none of its steps is active" if steps else "it has no steps, and the project does not configure it")


def _scene(documents: Documents, stage: StageDefinition, names: Sequence[str], pipeline_environment: Mapping[str, object] | None) -> Scene:
    project = documents.project
    own = project.section("stages", stage.name)
    return Scene(
        stage=stage.name,
        step=names[0],
        config=fold(unfiltered(documents, names, stage.name)),
        own={key: project.where("stages", stage.name, key) for key, value in own.items() if value is not None},
        configured=any(project.section("steps").get(name) is not None for name in names),
        pipeline_environment=pipeline_environment,
    )
