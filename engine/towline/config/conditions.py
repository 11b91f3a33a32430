"""Pure. Whether a step is active in a stage, and why: an explicit flag decides, else the conditions of the stage definition (facts 3.2).

Three answers: yes, no, and undecided, for a condition on what the pipeline has yet to write while it is being planned.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from towline.config.merge import Setting
from towline.errors import ConfigError
from towline.suggest import nearest

Answer = Literal["yes", "no", "undecided"]
Condition = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Whether a step is active, and the flag or condition that decided, with its place."""

    active: Answer
    why: str


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What a decision may look at.

    `config`: every key that counts for the step in the stage, without scopes; `own`: the keys of the stage's own section in the project's configuration,
    each with its place; `configured`: whether the project has a section for the step; `pipeline_environment`: None while the pipeline is being planned.
    """

    stage: str
    step: str
    config: Mapping[str, Setting]
    own: Mapping[str, str]
    configured: bool
    pipeline_environment: Mapping[str, object] | None


def decide(conditions: Sequence[Condition], scene: Scene) -> Decision:
    """Whether the step of `scene` is active: its flag, else the first condition that says yes; without conditions it is; raises ConfigError."""
    flag = scene.config.get(scene.step)
    if flag is not None and isinstance(flag.value, bool):
        return Decision(active="yes" if flag.value else "no", why=f"`{scene.step}: {str(flag.value).lower()}` in {flag.layer} ({flag.origin})")
    decisions = [_evaluate(condition, scene) for condition in conditions]
    for answer in ("yes", "undecided"):
        for decision in decisions:
            if decision.active == answer:
                return decision
    if decisions:
        return Decision(active="no", why="; ".join(decision.why for decision in decisions))
    return Decision(active="yes", why=f"{scene.step} has no condition in stage {scene.stage}")


def _evaluate(condition: Condition, scene: Scene) -> Decision:
    kind = next((kind for kind in _KINDS if kind in condition), None)
    if kind is None or len(condition) != 1:
        known = nearest(next(iter(condition), ""), _KINDS)
        raise ConfigError(f"{scene.step} in stage {scene.stage} has a condition of unknown kind: {', '.join(condition) or 'empty'}", hint=known)
    return _KINDS[kind](condition[kind], scene)


def _config(expected: Any, scene: Scene) -> Decision:
    key, values = _pair(expected, scene)
    found = scene.config.get(key)
    wanted = values if isinstance(values, list) else [values]
    if found is None:
        return Decision(active="no", why=f"{key} is not set")
    if any(type(value) is type(found.value) and value == found.value for value in wanted):
        return Decision(active="yes", why=f"{key} is {found.value!r} ({found.origin})")
    return Decision(active="no", why=f"{key} is none of {', '.join(map(repr, wanted))} ({found.origin})")


def _config_key(path: Any, scene: Scene) -> Decision:
    first, *rest = str(path).split("/")
    found = scene.config.get(first)
    value = found.value if found else None
    for part in rest:
        value = value.get(part) if isinstance(value, dict) else None
    if found is None or value is None:
        return Decision(active="no", why=f"{path} is not set")
    return Decision(active="yes", why=f"{path} is set ({found.origin})")


def _stage_config_key(name: Any, scene: Scene) -> Decision:
    key = str(name)
    if key not in scene.own:
        return Decision(active="no", why=f"stage {scene.stage} does not name {key}")
    named = f"stage {scene.stage} names {key} ({scene.own[key]})"
    if not scene.configured:
        return Decision(active="no", why=f"{named}, but the project does not configure {scene.step}")
    return Decision(active="yes", why=f"{named} and the project configures {scene.step}")


def _filled(path: Any, scene: Scene) -> Decision:
    key = str(path)
    if scene.pipeline_environment is None:
        return Decision(active="undecided", why=f"depends on {key}, which the pipeline has yet to write")
    filled = scene.pipeline_environment.get(key) not in (None, "")
    return Decision(active="yes" if filled else "no", why=f"{key} is {'' if filled else 'not '}in the pipeline environment")


def _environment(expected: Any, scene: Scene) -> Decision:
    if not isinstance(expected, dict):
        raise ConfigError(f"{scene.step} in stage {scene.stage}: commonPipelineEnvironment must be a map of keys and values")
    if scene.pipeline_environment is None:
        return Decision(active="undecided", why=f"depends on {', '.join(expected)}, which the pipeline has yet to write")
    for key, value in expected.items():
        if scene.pipeline_environment.get(key) == value:
            return Decision(active="yes", why=f"{key} is {value!r} in the pipeline environment")
    return Decision(active="no", why=f"{', '.join(expected)} differ in the pipeline environment")


def _inactive(value: Any, scene: Scene) -> Decision:
    if value is False:
        return Decision(active="yes", why=f"{scene.step} runs in stage {scene.stage} unless it is switched off")
    return Decision(active="no", why=f"{scene.step} runs only where `{scene.step}: true` says so, and nothing does for stage {scene.stage}")


def _pair(expected: Any, scene: Scene) -> tuple[str, Any]:
    if not isinstance(expected, dict) or len(expected) != 1:
        raise ConfigError(f"{scene.step} in stage {scene.stage}: a config condition must be a map of one key")
    return next(iter(expected.items()))


_KINDS: Mapping[str, Callable[[Any, Scene], Decision]] = {
    "config": _config,
    "configKey": _config_key,
    "stageConfigKey": _stage_config_key,
    "commonPipelineEnvironment": _environment,
    "pipelineEnvironmentFilled": _filled,
    "inactive": _inactive,
}
