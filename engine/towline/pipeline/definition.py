"""The definition of a pipeline: stages, their steps, and conditions, in the V1 format (facts 3.2).

Piper's own definitions are read as they are; `changeRequests` and `publishes` are Towline's
additions. Unknown keys are ignored, as in Piper, unless they misspell a known key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from towline.config import conditions, metadata
from towline.config.conditions import Condition
from towline.config.documents import ConfigDocument, read_yaml
from towline.errors import ConfigError
from towline.files import resource_text
from towline.record import field, frozen
from towline.suggest import CUTOFF_KEY, close, nearest
from towline.yaml.marks import Mark

CHANGE_REQUESTS = ("", "also", "only")
_SPEC = "spec"
_STAGE = (
    "name",
    "displayName",
    "description",
    "extensionExists",
    "changeRequests",
    "ordinal",
    "parallel",
    "confirm",
    "post",
    "steps",
)
_STEP = (
    "name",
    "description",
    "orchestrators",
    "publishes",
    "publishesBy",
    "optional",
    "afterFailure",
    "within",
    "parameters",
    "conditions",
    "notActiveConditions",
)


@frozen
class StepDefinition:
    """A step of a stage.

    A step that `publishes` does not run for a change request, nor one whose configuration has true
    at the key `publishes_by`. `orchestrators` are those that run it; empty for all of them.

    An `optional` step is left out if no loaded library has it. A step `after_failure` runs although
    a step before it has failed. The step `within` runs this one itself if one of `within_if` is
    true.

    `parameters` are what the stage passes to a step of another library: `$(stage)` stands for the
    stage's name, a text `$(KEY)` for the value of KEY in the configuration.
    """

    name: str
    publishes: bool = False
    publishes_by: str = ""
    optional: bool = False
    after_failure: bool = False
    conditions: tuple[Condition, ...] = ()
    not_active: tuple[Condition, ...] = ()
    within: str = ""
    within_if: tuple[Condition, ...] = ()
    orchestrators: tuple[str, ...] = ()
    parameters: Mapping[str, object] = field(default_factory=dict)


@frozen
class StageDefinition:
    """A stage by the name in configurations, and by its `technical_name`.

    `change_requests` is `also`, `only`, or empty if only the productive branch runs the stage.

    `extensible`: a file in an extensions folder makes it active. `ordinal` is the number of its
    milestone, 0 for none. `parallel`: its steps run at the same time. `confirms`: it asks whether
    the stages behind it may run. `post`: it runs at the end of every build.
    """

    name: str
    change_requests: str
    steps: tuple[StepDefinition, ...]
    technical_name: str = ""
    extensible: bool = False
    ordinal: int = 0
    parallel: bool = False
    confirms: bool = False
    post: bool = False


@frozen
class Pipeline:
    """Every stage in order, and every spelling of each step by its own name, which comes first."""

    stages: tuple[StageDefinition, ...]
    spellings: Mapping[str, tuple[str, ...]]


@cache
def definition() -> Pipeline:
    """The General Purpose Pipeline of `resources/towline/stages.yaml`."""
    return parse_pipeline(resource_text("stages.yaml"), "stages.yaml")


def parse_pipeline(text: str, name: str) -> Pipeline:
    """The YAML text of a stage definition to a pipeline.

    Raises ConfigError naming its line in the file `name`.
    """
    located = read_yaml(text, name)
    if located.value is None:  # as in Piper: no stage
        return Pipeline(stages=(), spellings={})
    return _pipeline(_Part(value=located.value, path=(), name=name, marks=located.marks))


def pipeline_of(defaults: Sequence[ConfigDocument]) -> Pipeline:
    """The pipeline that the last trusted document with a `spec` defines, else Towline's own.

    Piper's own definition may be such a document. Raises ConfigError.
    """
    for document in reversed(defaults):
        if document.trusted and document.content.get(_SPEC) is not None:
            content = {_SPEC: document.content[_SPEC]}
            return _pipeline(
                _Part(value=content, path=(), name=document.name, marks=document.marks)
            )
    return definition()


def _pipeline(whole: _Part) -> Pipeline:
    if "spec" not in whole.record(("apiVersion", "kind", "metadata", "description", "spec")):
        raise ConfigError(
            "the stage definition has no spec",
            where=whole.where(),
            hint="expected spec.stages, as in Piper's own definition",
        )
    spec = whole.below("spec")
    if spec.value is None:
        return Pipeline(stages=(), spellings={})
    spec.record(("stages",))
    stages = tuple(_stage(part) for part in spec.entries("stages"))
    return Pipeline(
        stages=stages,
        spellings={step.name: _spellings(step.name) for stage in stages for step in stage.steps},
    )


@frozen
class _Part:
    """A value of a stage definition with its place."""

    value: Any
    path: tuple[str | int, ...]
    name: str
    marks: Mapping[tuple[str | int, ...], Mark]

    def where(self) -> str:
        return f"{self.name}:{self.marks[self.path].line}" if self.path in self.marks else self.name

    def below(self, key: str | int) -> _Part:
        return _Part(
            value=self.value[key], path=(*self.path, key), name=self.name, marks=self.marks
        )

    def record(self, keys: Sequence[str], *, required: str = "") -> dict[str, Any]:
        """The value as a map; a key that misspells one of `keys` is an error, others are not."""
        if not isinstance(self.value, dict) or (required and not self.value.get(required)):
            raise ConfigError(
                "a part of the stage definition must be a"
                f" map{f' with {required}' if required else ''}",
                where=self.where(),
                hint=f"known keys: {', '.join(keys)}",
            )
        for key in self.value:
            near = "" if key in keys else close(str(key), keys, cutoff=CUTOFF_KEY)
            if near:
                raise ConfigError(
                    f"the stage definition has an unknown key {key!r}",
                    where=self.below(key).where(),
                    hint=f"did you mean {near!r}?",
                )
        return self.value

    def entries(self, key: str) -> list[_Part]:
        """The entries of the list at `key`; none if it is empty or missing."""
        found = self.value.get(key) or []
        if not isinstance(found, list):
            raise ConfigError(
                f"{key} must be a list",
                where=self.below(key).where(),
                hint="write `- ` before each entry",
            )
        return [
            _Part(value=value, path=(*self.path, key, index), name=self.name, marks=self.marks)
            for index, value in enumerate(found)
        ]

    def flag(self, key: str) -> bool:
        """The boolean at `key`, false if it is missing; raises ConfigError for another value."""
        value = self.value.get(key, False)
        if not isinstance(value, bool):
            raise ConfigError(
                f"{key} is {value!r}", where=self.below(key).where(), hint="write true or false"
            )
        return value

    def number(self, key: str) -> int:
        """The number at `key`, 0 if it is missing; raises ConfigError for another value."""
        value = self.value.get(key, 0)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise ConfigError(
                f"{key} is {value!r}", where=self.below(key).where(), hint="write a number"
            )
        return value

    def text(self, key: str) -> str:
        value = self.value[key]
        if not isinstance(value, str):
            raise ConfigError(
                f"{key} must be text, not {value!r}",
                where=self.below(key).where(),
                hint="put it into quotes",
            )
        return value


def _stage(part: _Part) -> StageDefinition:
    record = part.record(_STAGE, required="displayName")
    change_requests = record.get("changeRequests", "")
    if change_requests not in CHANGE_REQUESTS:
        raise ConfigError(
            f"changeRequests is {change_requests!r}",
            where=part.below("changeRequests").where(),
            hint=nearest(str(change_requests), CHANGE_REQUESTS[1:]),
        )
    return StageDefinition(
        name=part.text("displayName"),
        change_requests=change_requests,
        steps=tuple(_step(step) for step in part.entries("steps")),
        technical_name=str(record.get("name") or ""),
        extensible=record.get("extensionExists") is True,
        ordinal=part.number("ordinal"),
        parallel=part.flag("parallel"),
        confirms=part.flag("confirm"),
        post=part.flag("post"),
    )


def _step(part: _Part) -> StepDefinition:
    record = part.record(_STEP, required="name")
    within = part.below("within") if record.get("within") else None
    if within:
        within.record(("step", "conditions"), required="step")
    return StepDefinition(
        name=part.text("name"),
        publishes=part.flag("publishes"),
        publishes_by=part.text("publishesBy") if "publishesBy" in record else "",
        optional=part.flag("optional"),
        after_failure=part.flag("afterFailure"),
        conditions=_conditions(part, "conditions"),
        not_active=_conditions(part, "notActiveConditions"),
        within=within.text("step") if within else "",
        within_if=_conditions(within, "conditions") if within else (),
        orchestrators=tuple(str(entry.value) for entry in part.entries("orchestrators")),
        parameters=_parameters(part),
    )


def _parameters(part: _Part) -> Mapping[str, object]:
    return part.below("parameters").record(()) if part.value.get("parameters") else {}


def _conditions(part: _Part, key: str) -> tuple[Condition, ...]:
    return tuple(
        conditions.parse_condition(entry.value, entry.where()) for entry in part.entries(key)
    )


def _spellings(name: str) -> tuple[str, ...]:
    """`name` first, then the other names of the step that has it as its own name or as an alias."""
    own = [name] if name in metadata.step_names() else metadata.step_names()
    found = next((names for names in map(metadata.step_spellings, own) if name in names), ())
    return (name, *(other for other in found if other != name))
