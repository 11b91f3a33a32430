"""Pure.

Conditions: whether a step is active in a stage, and why.

An explicit flag decides, else the conditions of the stage definition (facts 3.2). There are three
answers: yes, no, and undecided, for a condition on a value that the pipeline may yet write while it
is being planned.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

from towline.config.merge import Setting
from towline.config.values import stripped
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
    """The project's files for conditions; paths are relative to, and inside, the workspace."""

    def find(self, pattern: str) -> str:
        """A file or folder that the glob matches; empty if there is none.

        Raises ConfigError for a pattern that leads out of the workspace.
        """

    def find_script(self, name: str, excludes: Sequence[str]) -> str:
        """A package.json with the npm script `name`; empty if there is none.

        `excludes` are globs. Raises ConfigError for a package.json that cannot be read.
        """


@frozen
class Condition:
    """A condition of a stage definition: its kind, its checked value, and `where` it stands."""

    kind: str
    value: Any
    where: str = field(default="", compare=False)


ONLY_BY_FLAG = Condition(kind="inactive", value=True)


@frozen
class Decision:
    """Whether a step is active, and the flag or condition that decided, with its place.

    `where` is the place of the flag or key that made it active, empty if neither did. `by_flag`:
    it was the step's own flag.
    """

    active: Answer
    why: str
    where: str = field(default="", compare=False)
    by_flag: bool = field(default=False, compare=False)


def _productive() -> tuple[bool, str]:
    return True, "the productive branch is built"


@frozen
class ConditionContext:
    """The facts that a decision may use.

    `config` has every key of the sections that are read for the step in the stage, whatever its
    scope. `own` has the keys of the stage's section in the project's configuration, each with its
    place. `configured`: the project has a section for the step. `others` are the answers for the
    stage's other steps. `planning`: the pipeline environment may get more values before the step
    runs. `bare`: only a boolean is a flag, and any other value is ignored without an error.
    `productive` says whether the productive branch is built, and why.
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
    productive: Callable[[], tuple[bool, str]] = _productive


def parse_condition(data: object, where: str) -> Condition:
    """An entry of `conditions` or `notActiveConditions`, as read from YAML, to a condition.

    Raises ConfigError naming `where` if it is not understood.
    """
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
            else "write each kind as a condition of its own: one that holds is enough"
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
    if kind == "all":
        value = tuple(parse_condition(inner, where) for inner in value)
    return Condition(kind=kind, value=value, where=where)


def holds(conditions: Sequence[Condition], context: ConditionContext) -> bool:
    """Whether one of the conditions is true, whatever a flag says; raises ConfigError."""
    return _first_that_holds(conditions, context).active == "yes"


def decide(conditions: Sequence[Condition], context: ConditionContext) -> Decision:
    """Whether the context's step is active: by its flag, else by the first condition that says yes.

    Without conditions it is active. Raises ConfigError.
    """
    flag = context.config.get(context.step)
    value = _switched(flag, context) if flag else None
    if flag is not None and value is not None:
        return Decision(
            active="yes" if value else "no",
            why=f"{_shown_flag(context.step, flag)} ({flag.origin})",
            where=flag.origin if value else "",
            by_flag=True,
        )
    by_default = Decision(active="yes", why=f"{context.step} always runs in stage {context.stage}")
    decision = _first_that_holds(conditions, context) if conditions else by_default
    return (
        decision
        if flag is None
        else replace(decision, why=f"{decision.why}; {_no_flag(context.step, flag)}")
    )


def parse_flag(value: object) -> bool | None:
    """The value of a flag: a boolean, also in quotes and in any case; None for anything else."""
    text = value.strip().lower() if isinstance(value, str) else ""
    return value if isinstance(value, bool) else {"true": True, "false": False}.get(text)


def _switched(flag: Setting, context: ConditionContext) -> bool | None:
    """The value of a step's flag; None if it is empty, or not a boolean and only these are flags.

    Raises ConfigError for another value.
    """
    if context.bare:
        return flag.value if isinstance(flag.value, bool) else None
    value = parse_flag(flag.value)
    # Piper runs the step for any value that is not empty; here it is an error, not a silent guess
    if value is None and flag.value not in ("", [], {}):
        raise ConfigError(
            f"{_shown_flag(context.step, flag)} is neither true nor false",
            where=flag.origin,
            hint=(
                f"write true or false; parameters go into steps.{context.step}, or directly into"
                " the stage's section"
            ),
        )
    return value


def _shown_flag(step: str, flag: Setting) -> str:
    value = (
        "..."
        if isinstance(flag.value, dict | list)
        else masked(json.dumps(flag.value, ensure_ascii=False))[:80]
    )
    return f"`{step}: {value}` in {flag.layer}"


def _no_flag(step: str, flag: Setting) -> str:
    """The note that a value is ignored because it stands in the place of a flag and is not one."""
    kind = "a text" if isinstance(flag.value, str) else "neither true nor false"
    return (
        f"{_shown_flag(step, flag)} ({flag.origin}) is ignored, since it is {kind}: write true or"
        " false, without quotes"
    )


def apply_not_active(
    before: Decision, conditions: Sequence[Condition], context: ConditionContext
) -> Decision:
    """`before`, unless one of the `notActiveConditions` holds; raises ConfigError.

    These conditions win over an explicit flag, too (facts 3.2).
    """
    if before.active == "no" or not conditions:
        return before
    opposing = _first_that_holds(conditions, context)
    if opposing.active == "yes":
        why = f"switched off by the stage definition: {opposing.why}"
        return replace(before, active="no", why=why)
    return opposing if opposing.active == "undecided" else before


def _first_that_holds(conditions: Sequence[Condition], context: ConditionContext) -> Decision:
    """The first yes, else the first undecided, else no with the reasons of all conditions."""
    decisions: list[Decision] = []
    for condition in conditions:
        try:
            decisions.append(_KINDS[condition.kind](condition.value, context))
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


def equal_values(left: object, right: object) -> bool:
    """Whether two values are equal, lists and maps element by element.

    1 is 1.0, but neither is `"1"` or true.
    """
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(
            equal_values(value, right[key]) for key, value in left.items()
        )
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(equal_values, left, right))
    numbers = (int, float)
    if (
        isinstance(left, bool)
        or isinstance(right, bool)
        or not (isinstance(left, numbers) and isinstance(right, numbers))
    ):
        return left == right and (type(left) is type(right) or isinstance(left, str))
    return left == right


# ---- the kinds


def _config(expected: Mapping[str, Any], context: ConditionContext) -> Decision:
    ((key, values),) = expected.items()
    wanted = values or []
    found = context.config.get(key)
    if found is None:
        return Decision(active="yes" if None in wanted else "no", why=f"{key} is not set")
    if any(equal_values(value, found.value) for value in wanted):
        why = f"{key} is {found.value!r} ({found.origin})"
        return Decision(active="yes", why=why, where=found.origin)
    return Decision(
        active="no",
        why=(
            f"{key} is not one of {', '.join(map(repr, wanted))} ({found.origin})"
            if wanted
            else f"{key} is set, and the condition has no value for it ({found.origin})"
        ),
    )


def _config_key(path: str, context: ConditionContext) -> Decision:
    value, origin = _value_at(path, context)
    if value is _MISSING:
        return Decision(active="no", why=f"{path} is not set")
    return Decision(active="yes", why=f"{path} is set ({origin})", where=origin)


def _value_at(path: str, context: ConditionContext) -> tuple[Any, str]:
    """The value at a path of keys, `_MISSING` if there is none, with the place of its first key."""
    first, *rest = path.split("/")
    found = context.config.get(first)
    value = _MISSING if found is None else found.value
    for part in rest:
        value = value.get(part, _MISSING) if isinstance(value, dict) else _MISSING
    return value, found.origin if found else ""


def _file_pattern(pattern: str, context: ConditionContext) -> Decision:
    path = context.workspace.find(pattern)
    return Decision(
        active="yes" if path else "no",
        why=f"{path} matches {pattern}" if path else f"no file matches {pattern}",
    )


def _file_pattern_from_config(key: str, context: ConditionContext) -> Decision:
    value, origin = _value_at(key, context)
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
            decision = _file_pattern(pattern, context)
        # the value is the project's own: its step reports the fault, and the plan of other stages
        # goes on
        except ConfigError as fault:
            decision = Decision(active="no", why=fault.message)
        if decision.active == "yes":
            why = f"{decision.why}, from {key} ({origin})"
            return Decision(active="yes", why=why, where=origin)
        failed.append(decision.why)
    return Decision(
        active="no", why=f"{'; '.join(failed) or 'no path is given'}, from {key} ({origin})"
    )


def _npm_script(name: str, context: ConditionContext) -> Decision:
    found = context.config.get(_EXCLUDES)
    excludes = found.value if found and isinstance(found.value, list) else []
    path = context.workspace.find_script(
        name, [entry for entry in excludes if isinstance(entry, str) and entry]
    )
    return Decision(
        active="yes" if path else "no",
        why=f"{path} has the script {name}" if path else f"no package.json has the script {name}",
    )


def _environment(expected: Mapping[str, Any], context: ConditionContext) -> Decision:
    for key, value in expected.items():
        if value is None and not context.planning and context.pipeline_environment.get(key) is None:
            return Decision(active="yes", why=f"{key} is not in the pipeline environment")
        if equal_values(stripped(context.pipeline_environment.get(key, _MISSING)), stripped(value)):
            return Decision(active="yes", why=f"{key} is {value!r} in the pipeline environment")
    return _absent(
        ", ".join(expected),
        "no such value" if len(expected) == 1 else "none of these values",
        context,
    )


def _filled(key: str, context: ConditionContext) -> Decision:
    if stripped(context.pipeline_environment.get(key)) in (None, "", [], {}):
        return _absent(key, "no value", context)
    return Decision(active="yes", why=f"{key} is in the pipeline environment")


def _absent(keys: str, lack: str, context: ConditionContext) -> Decision:
    if context.planning:
        return Decision(
            active="undecided", why=f"depends on {keys}, which the pipeline may yet write"
        )
    return Decision(active="no", why=f"{keys} has {lack} in the pipeline environment")


# FBT001: every kind has this signature
def _only_active(_: bool, context: ConditionContext) -> Decision:  # noqa: FBT001
    for answer in ("yes", "undecided"):
        busy = [step for step, active in context.others.items() if active == answer]
        if busy and answer == "yes":
            return Decision(
                active="no",
                why=(
                    f"{', '.join(busy)} {'is' if len(busy) == 1 else 'are'} active in stage"
                    f" {context.stage}, too"
                ),
            )
        if busy:
            return Decision(
                active="undecided",
                why=f"depends on whether {', '.join(busy)} will be active in stage {context.stage}",
            )
    return Decision(active="yes", why=f"no other step is active in stage {context.stage}")


def _step_active(step: str, context: ConditionContext) -> Decision:
    answer = context.others.get(step, "no")
    return Decision(
        active=answer, why=f"{step} {_ANSWERED[answer]} active in stage {context.stage}"
    )


# FBT001: every kind has this signature
def _inactive(value: bool, context: ConditionContext) -> Decision:  # noqa: FBT001
    if value is False:
        return Decision(
            active="yes",
            why=f"{context.step} runs in stage {context.stage} unless it is switched off",
        )
    return Decision(
        active="no",
        why=(
            f"{context.step} runs only if `{context.step}: true` is set, and it is not set for"
            f" stage {context.stage}"
        ),
    )


def _stage_config_key(key: str, context: ConditionContext) -> Decision:
    if key not in context.own:
        return Decision(active="no", why=f"stage {context.stage} does not name {key}")
    named = f"stage {context.stage} names {key} ({context.own[key]})"
    if not context.configured:
        return Decision(
            active="no", why=f"{named}, but the project does not configure {context.step}"
        )
    why = f"{named} and the project configures {context.step}"
    return Decision(active="yes", why=why, where=context.own[key])


# as for every kind
def _productive_branch(_: bool, context: ConditionContext) -> Decision:  # noqa: FBT001
    productive, why = context.productive()
    return Decision(active="yes" if productive else "no", why=why)


def _all(conditions: Sequence[Condition], context: ConditionContext) -> Decision:
    """The first no, else the first undecided, else yes with the reasons of all conditions."""
    decisions = [_first_that_holds([condition], context) for condition in conditions]
    for answer in ("no", "undecided"):
        for decision in decisions:
            if decision.active == answer:
                return decision
    return Decision(
        active="yes",
        why=", ".join(decision.why for decision in decisions),
        where=next((decision.where for decision in decisions if decision.where), ""),
    )


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
    "productiveBranch": _productive_branch,
    "all": _all,
}


def _is_glob(text: str) -> bool:
    """Whether a text is a glob: brackets are closed, and no backslash is at its end."""
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
    "productiveBranch": ("true", lambda value: value is True),
    "all": ("a list of conditions", lambda value: isinstance(value, list) and bool(value)),
}
