"""Confirm: whether a person is asked before the stages behind it run, and who may answer.

On the productive branch the project's configuration decides, as in Piper; the agent's variables win
over it, and so do the submitters that a trusted layer names (docs/contract.md, "Confirm").
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from towline.config.conditions import parse_flag
from towline.config.layers import unfiltered_layers
from towline.config.merge import Layer, Setting, fold_settings
from towline.config.schema import as_text
from towline.errors import ConfigError
from towline.pipeline.build import PipelineView
from towline.pipeline.planned import StagePlan
from towline.record import frozen

CONFIRM_KEYS = (ASKS, MESSAGE, TIMEOUT, SUBMITTERS) = (
    "manualConfirmation",
    "manualConfirmationMessage",
    "manualConfirmationTimeout",
    "manualConfirmationSubmitters",
)
_STEP = "piperInitRunStageConfiguration"
_HOURS = 720


@frozen
class Confirmation:
    """Whether a person is asked, also or only if the build is unstable (`asks_if_unstable`).

    `submitters` are the ids of the users and groups that may answer; empty for everybody that
    Jenkins lets answer.
    """

    asks: bool
    why: str
    asks_if_unstable: bool = False
    message: str = ""
    hours: int = _HOURS
    submitters: tuple[str, ...] = ()


def plan_confirmation(view: PipelineView, planned: Sequence[StagePlan]) -> Confirmation:
    """The question of the pipeline's Confirm, by the plan of all stages; raises ConfigError."""
    stage = next((stage for stage in view.pipeline.stages if stage.confirms), None)
    if stage is None:
        return Confirmation(asks=False, why="the pipeline has no stage that asks")
    later = [each.name for each in planned if each.active != "no" and each.after_confirm]
    if not later:
        return Confirmation(asks=False, why="no stage behind it is active")
    verdict = view.verdict()
    if not verdict.productive:
        return Confirmation(asks=False, why=f"the productive branch is not built ({verdict.why})")
    # a branch that is productive by its own word only cannot let itself pass
    layers = tuple(_layers(view, stage.name, trusted=bool(verdict.warning)))
    found = fold_settings(layers)
    asks, why = _asks(found.get(ASKS))
    message = found.get(MESSAGE)
    bound = fold_settings(layer for layer in layers if layer.trusted)
    return Confirmation(
        asks=asks,
        why=why,
        asks_if_unstable=True,
        message=as_text(message.value) if message else f"Continue with {' and '.join(later)}?",
        hours=_hours(found.get(TIMEOUT)),
        submitters=_submitters(bound.get(SUBMITTERS) or found.get(SUBMITTERS)),
    )


def _layers(view: PipelineView, stage: str, *, trusted: bool) -> Iterator[Layer]:
    """The layers that decide on the question, weakest first; with `trusted` those alone."""
    for layer in (*unfiltered_layers(view.documents, (_STEP,), stage), view.build.agent):
        if layer.trusted or not trusted:
            yield layer.only(CONFIRM_KEYS)


def _asks(setting: Setting | None) -> tuple[bool, str]:
    if setting is None:
        return True, f"{ASKS} is true unless it is set"
    value = parse_flag(setting.value)
    if value is None:
        raise ConfigError(
            f"{ASKS} is {setting.value!r}", where=setting.origin, hint="write true or false"
        )
    return value, f"{ASKS} is {'true' if value else 'false'} ({setting.origin})"


def _hours(setting: Setting | None) -> int:
    if setting is None:
        return _HOURS
    if isinstance(setting.value, bool) or not isinstance(setting.value, int) or setting.value < 1:
        raise ConfigError(
            f"{TIMEOUT} is {setting.value!r}",
            where=setting.origin,
            hint="write a number of hours, at least 1",
        )
    return setting.value


def _submitters(setting: Setting | None) -> tuple[str, ...]:
    """The ids of a list, or of a text with commas, as Jenkins takes them."""
    if setting is None:
        return ()
    value = setting.value.split(",") if isinstance(setting.value, str) else setting.value
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ConfigError(
            f"{SUBMITTERS} is {setting.value!r}",
            where=setting.origin,
            hint="write the ids of users or groups as a list",
        )
    found = tuple(each.strip() for each in value if each.strip())
    if not found:  # nobody would be everybody
        raise ConfigError(
            f"{SUBMITTERS} names nobody", where=setting.origin, hint="name a user or a group"
        )
    return found
