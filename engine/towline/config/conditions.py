"""Pure.

Whether a step is active in a stage, and why: an explicit flag decides, else the conditions of the
stage definition (facts 3.2).

Three answers: yes, no, and undecided, for a condition on what the pipeline may yet write while it
is being planned.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

from towline.config.merge import Setting
from towline.errors import ConfigError
from towline.printable import masked
from towline.record import field, frozen, replace
from towline.suggest import nearest

Answer = Literal["yes", "no", "undecided"]
_EXCLUDES = "npmScriptsPackageJSONExcludes"
_MISSING = object()
_ANSWERED: Mapping[Answer, str] = {"yes": "is", "no": "is not", "undecided": "may become"}
_LONGEST = 4096
_BRACES = re.compile(r"(?<!\\)\{(?:\\.|[^{}\\])*\}", re.DOTALL)
# a glob without braces
_GLOB = re.compile(r"(?:\\.|\[[!^]?\]?(?:\\.|[^\]\\])+\]|[^\\\[{}])*", re.DOTALL)


class Workspace(Protocol):
    """The project's files, as far as conditions ask for them; paths are relative to the workspace, and nothing outside of it is ever looked at."""

    def find(self, pattern: str) -> str:
        """A file or folder that fits the glob, empty where none does; raises ConfigError for a pattern that leads out of the workspace."""

    def find_script(self, name: str, excludes: Sequence[str]) -> str:
        """A package.json with the npm script `name`, empty where there is none; `excludes` are globs; raises ConfigError for one that cannot be read."""


@frozen
class Condition:
    """One condition of a stage definition: its kind and what that asks for, checked by `parse`, and where it stands."""

    kind: str
    value: Any
    where: str = field(default="", compare=False)


ONLY_BY_FLAG = Condition(kind="inactive", value=True)


@frozen
class Decision:
    """Whether a step is active, and the flag or condition that decided, with its place."""

    active: Answer
    why: str


@frozen
class ConditionContext:
    """What a decision may look at.

    `config`: every key that counts for the step in the stage, without scopes; `own`: the keys of
    the stage's own section in the project's configuration, each with its place; `configured`:
    whether the project has a section for the step; `others`: what is known of the stage's other
    steps; `planning`: whether the pipeline environment may still grow before the step's turn comes;
    `bare`: whether nothing but a boolean is a flag, and anything else is no fault either.
    """

    stage: str
    step: str
    config: Mapping[str, Setting]
    own: Mapping[str, str]
    configured: bool
    pipeline_environment: Mapping[str, object]
    planning: bool
    workspace: Workspace
    others: Mapping[str, Answer]
    bare: bool = False


def parse_condition(data: object, where: str) -> Condition:
    """One entry of `conditions` or `notActiveConditions`, as read from YAML; raises ConfigError naming `where` for what is not understood."""
    if not isinstance(data, dict):
        raise ConfigError(
            f"a condition must be a map of one kind, not {data!r}",
            where=where,
            hint=nearest("", _KINDS),
        )
    kinds = [kind for kind in _KINDS if kind in data]
    if len(data) != 1 or not kinds:
        known = (
            nearest(str(next(iter(data), "")), _KINDS)
            if not kinds
            else "write each kind as a condition of its own: any of them will do"
        )
        raise ConfigError(
            "a condition of one known kind is expected, not"
            f" {', '.join(map(str, data)) or 'an empty one'}",
            where=where,
            hint=known,
        )
    kind, value = kinds[0], data[kinds[0]]
    shape, fits = _SHAPES[kind]
    if not fits(value):
        raise ConfigError(
            f"the condition {kind} must be {shape}, not {value!r}",
            where=where,
            hint="correct the stage definition",
        )
    return Condition(kind=kind, value=value, where=where)


def decide(conditions: Sequence[Condition], scene: ConditionContext) -> Decision:
    """Whether the step of `scene` is active: its flag, else the first condition that says yes; without conditions it is; raises ConfigError."""
    flag = scene.config.get(scene.step)
    value = _switched(flag, scene) if flag else None
    if flag is not None and value is not None:
        return Decision(
            active="yes" if value else "no", why=f"{_said(scene.step, flag)} ({flag.origin})"
        )
    without = Decision(active="yes", why=f"{scene.step} has no condition in stage {scene.stage}")
    decision = _any(conditions, scene) if conditions else without
    return (
        decision
        if flag is None
        else replace(decision, why=f"{decision.why}; {_no_flag(scene.step, flag)}")
    )


def parse_flag(value: object) -> bool | None:
    """What a flag says: true and false, also in quotes and whatever the case; None for anything else."""
    text = value.strip().lower() if isinstance(value, str) else ""
    return value if isinstance(value, bool) else {"true": True, "false": False}.get(text)


def _switched(flag: Setting, scene: ConditionContext) -> bool | None:
    """What a step's flag says; None where it says nothing: it is empty, or no boolean where only these count.

    Raises ConfigError for what is no flag.
    """
    if scene.bare:
        return flag.value if isinstance(flag.value, bool) else None
    value = parse_flag(flag.value)
    # Piper's stage runs the step at anything that is not empty: here nothing is lost silently
    if value is None and flag.value not in ("", [], {}):
        raise ConfigError(
            f"{_said(scene.step, flag)} is neither true nor false",
            where=flag.origin,
            hint=(
                f"write true or false; parameters go into steps.{scene.step}, or directly into the"
                " stage's section"
            ),
        )
    return value


def _said(step: str, flag: Setting) -> str:
    value = (
        "..."
        if isinstance(flag.value, dict | list)
        else masked(json.dumps(flag.value, ensure_ascii=False))[:80]
    )
    return f"`{step}: {value}` in {flag.layer}"


def _no_flag(step: str, flag: Setting) -> str:
    """That something stands where a flag is expected, but none."""
    kind = "a text" if isinstance(flag.value, str) else "neither true nor false"
    return (
        f"{_said(step, flag)} ({flag.origin}) does not count, since it is {kind}: write true or"
        " false, without quotes"
    )


def apply_not_active(
    before: Decision, conditions: Sequence[Condition], scene: ConditionContext
) -> Decision:
    """`before` unless one of the `notActiveConditions` holds, which wins over an explicit flag too (facts 3.2); raises ConfigError."""
    if before.active == "no" or not conditions:
        return before
    against = _any(conditions, scene)
    if against.active == "yes":
        return Decision(active="no", why=f"switched off by the stage definition: {against.why}")
    return against if against.active == "undecided" else before


def _any(conditions: Sequence[Condition], scene: ConditionContext) -> Decision:
    """The first yes, which ends the search; else the first that is undecided; else no, and what each of them lacks."""
    decisions: list[Decision] = []
    for condition in conditions:
        try:
            decisions.append(_KINDS[condition.kind](condition.value, scene))
        except ConfigError as fault:
            raise ConfigError(
                fault.message, where=fault.where or condition.where, hint=fault.hint
            ) from fault
        if decisions[-1].active == "yes":
            return decisions[-1]
    undecided = (decision for decision in decisions if decision.active == "undecided")
    return next(
        undecided, Decision(active="no", why="; ".join(decision.why for decision in decisions))
    )


def equal_values(one: object, other: object) -> bool:
    """Whether two values are equal, lists and maps element by element: 1 is 1.0, but neither is `"1"` or true."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(
            equal_values(value, other[key]) for key, value in one.items()
        )
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(equal_values, one, other))
    numbers = (int, float)
    if (
        isinstance(one, bool)
        or isinstance(other, bool)
        or not (isinstance(one, numbers) and isinstance(other, numbers))
    ):
        return one == other and (type(one) is type(other) or isinstance(one, str))
    return one == other


# ---- the kinds


def _config(expected: Mapping[str, Any], scene: ConditionContext) -> Decision:
    ((key, values),) = expected.items()
    wanted = values or []
    found = scene.config.get(key)
    if found is None:
        return Decision(active="yes" if None in wanted else "no", why=f"{key} is not set")
    if any(equal_values(value, found.value) for value in wanted):
        return Decision(active="yes", why=f"{key} is {found.value!r} ({found.origin})")
    return Decision(
        active="no",
        why=f"{key} is none of {', '.join(map(repr, wanted)) or 'no value'} ({found.origin})",
    )


def _config_key(path: str, scene: ConditionContext) -> Decision:
    value, origin = _walk(path, scene)
    if value is _MISSING:
        return Decision(active="no", why=f"{path} is not set")
    return Decision(active="yes", why=f"{path} is set ({origin})")


def _walk(path: str, scene: ConditionContext) -> tuple[Any, str]:
    """The value at a path of keys with the place of its first one, `_MISSING` where there is none."""
    first, *rest = path.split("/")
    found = scene.config.get(first)
    value = _MISSING if found is None else found.value
    for part in rest:
        value = value.get(part, _MISSING) if isinstance(value, dict) else _MISSING
    return value, found.origin if found else ""


def _file_pattern(pattern: str, scene: ConditionContext) -> Decision:
    path = scene.workspace.find(pattern)
    return Decision(
        active="yes" if path else "no",
        why=f"{path} fits {pattern}" if path else f"no file fits {pattern}",
    )


def _file_pattern_from_config(key: str, scene: ConditionContext) -> Decision:
    value, origin = _walk(key, scene)
    if value is _MISSING:
        return Decision(active="no", why=f"{key} is not set")
    patterns = [
        entry
        for entry in (value if isinstance(value, list) else [value])
        if isinstance(entry, str) and entry
    ]
    failed = []
    for pattern in patterns:
        try:
            decision = _file_pattern(pattern, scene)
        # the project's own value, which is for its step to complain about: a plan of all stages
        # goes on
        except ConfigError as fault:
            decision = Decision(active="no", why=fault.message)
        if decision.active == "yes":
            return Decision(active="yes", why=f"{decision.why}, from {key} ({origin})")
        failed.append(decision.why)
    return Decision(
        active="no", why=f"{'; '.join(failed) or 'no path is given'}, from {key} ({origin})"
    )


def _npm_script(name: str, scene: ConditionContext) -> Decision:
    found = scene.config.get(_EXCLUDES)
    excludes = found.value if found and isinstance(found.value, list) else []
    path = scene.workspace.find_script(
        name, [entry for entry in excludes if isinstance(entry, str) and entry]
    )
    return Decision(
        active="yes" if path else "no",
        why=f"{path} has the script {name}" if path else f"no package.json has the script {name}",
    )


def _environment(expected: Mapping[str, Any], scene: ConditionContext) -> Decision:
    for key, value in expected.items():
        if value is None and not scene.planning and scene.pipeline_environment.get(key) is None:
            return Decision(active="yes", why=f"{key} is not in the pipeline environment")
        if equal_values(_stripped(scene.pipeline_environment.get(key, _MISSING)), _stripped(value)):
            return Decision(active="yes", why=f"{key} is {value!r} in the pipeline environment")
    return _not_yet(
        ", ".join(expected),
        "no such value" if len(expected) == 1 else "none of these values",
        scene,
    )


def _filled(key: str, scene: ConditionContext) -> Decision:
    if _stripped(scene.pipeline_environment.get(key)) in (None, "", [], {}):
        return _not_yet(key, "no value", scene)
    return Decision(active="yes", why=f"{key} is in the pipeline environment")


def _not_yet(keys: str, what: str, scene: ConditionContext) -> Decision:
    if scene.planning:
        return Decision(
            active="undecided", why=f"depends on {keys}, which the pipeline has yet to write"
        )
    return Decision(active="no", why=f"{keys} has {what} in the pipeline environment")


def _stripped(value: object) -> object:
    return value.strip() if isinstance(value, str) else value


def _only_active(_: bool, scene: ConditionContext) -> Decision:  # noqa: FBT001 - every kind is called alike
    for answer in ("yes", "undecided"):
        busy = [step for step, active in scene.others.items() if active == answer]
        if busy and answer == "yes":
            return Decision(
                active="no",
                why=(
                    f"{', '.join(busy)} {'is' if len(busy) == 1 else 'are'} active in stage"
                    f" {scene.stage}, too"
                ),
            )
        if busy:
            return Decision(
                active="undecided",
                why=f"depends on whether {', '.join(busy)} will be active in stage {scene.stage}",
            )
    return Decision(active="yes", why=f"no other step is active in stage {scene.stage}")


def _step_active(step: str, scene: ConditionContext) -> Decision:
    answer = scene.others.get(step, "no")
    return Decision(active=answer, why=f"{step} {_ANSWERED[answer]} active in stage {scene.stage}")


def _inactive(value: bool, scene: ConditionContext) -> Decision:  # noqa: FBT001 - every kind is called alike
    if value is False:
        return Decision(
            active="yes", why=f"{scene.step} runs in stage {scene.stage} unless it is switched off"
        )
    return Decision(
        active="no",
        why=(
            f"{scene.step} runs only where `{scene.step}: true` says so, and nothing does for stage"
            f" {scene.stage}"
        ),
    )


def _stage_config_key(key: str, scene: ConditionContext) -> Decision:
    if key not in scene.own:
        return Decision(active="no", why=f"stage {scene.stage} does not name {key}")
    named = f"stage {scene.stage} names {key} ({scene.own[key]})"
    if not scene.configured:
        return Decision(
            active="no", why=f"{named}, but the project does not configure {scene.step}"
        )
    return Decision(active="yes", why=f"{named} and the project configures {scene.step}")


_KINDS: Mapping[str, Callable[[Any, ConditionContext], Decision]] = {
    "config": _config,
    "configKey": _config_key,
    "filePattern": _file_pattern,
    "filePatternFromConfig": _file_pattern_from_config,
    "npmScript": _npm_script,
    "commonPipelineEnvironment": _environment,
    "pipelineEnvironmentFilled": _filled,
    "onlyActiveStepInStage": _only_active,
    "inactive": _inactive,
    "stepActive": _step_active,
    "stageConfigKey": _stage_config_key,
}


def _is_glob(text: str) -> bool:
    """Whether a text is a glob: what is open is closed again, and a backslash has something behind it."""
    if len(text) > _LONGEST:
        return False
    while (inner := _BRACES.sub("x", text)) != text:
        text = inner
    return _GLOB.fullmatch(text) is not None


_TEXT = ("text", lambda value: isinstance(value, str) and bool(value))
_SHAPES: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    **dict.fromkeys(_KINDS, _TEXT),
    "config": (
        "a map of one key with a list of values",
        lambda value: (
            isinstance(value, dict)
            and len(value) == 1
            and isinstance(next(iter(value.values())), list | None)
        ),
    ),
    "filePattern": (
        "a glob whose brackets and braces are closed",
        lambda value: isinstance(value, str) and bool(value) and _is_glob(value),
    ),
    "commonPipelineEnvironment": (
        "a map of keys and values",
        lambda value: isinstance(value, dict) and bool(value),
    ),
    "onlyActiveStepInStage": ("true", lambda value: value is True),
    "inactive": ("true or false", lambda value: isinstance(value, bool)),
}
