"""Settings around a stage and its steps: lock, milestone, node, time limit, and failed steps.

They are those of Piper's wrapper around each stage (facts 0.1) and of its handler of errors (facts
1.12), and of Towline's own `ownNode` and `stageTimeout`.
"""

from __future__ import annotations

from collections.abc import Mapping

from towline.config.conditions import parse_flag
from towline.config.layers import unfiltered_layers
from towline.config.merge import Setting, fold_settings
from towline.config.schema import as_text
from towline.errors import ConfigError
from towline.pipeline.build import PipelineView
from towline.pipeline.definition import StageDefinition
from towline.record import frozen
from towline.secret import without_secrets

_WRAPPER, _HANDLER = "piperStageWrapper", "handlePipelineStepErrors"
# a failure of these ends the stage whatever is configured (facts 1.12)
_MANDATORY = frozenset({"artifactPrepareVersion", "cnbBuild", "tmsExport"})
_LOCKS = ("lockingResourceGroup", "lockingResource")


@frozen
class StageSettings:
    """The settings around a stage.

    `title` is the name that Jenkins shows: the technical one with `useTechnicalStageNames`. `lock`
    is the resource to lock, empty for none. `node` is the label of the stage's own node if it has
    one (`own_node`). `timeout` is in minutes, 0 for none. `configuration` has the keys of `general`
    and of the stage's section, without secrets.
    """

    title: str
    lock: str
    milestone: bool
    node: str
    own_node: bool
    timeout: int
    configuration: Mapping[str, object]


@frozen
class FailureSettings:
    """What a failed step means: the stage ends, or the build is unstable and goes on.

    `timeout` is in minutes, 0 for none.
    """

    fail_on_error: bool
    timeout: int


def stage_settings(
    view: PipelineView, stage: StageDefinition, ordinal: int, job: str
) -> StageSettings:
    """The settings around `stage` with this ordinal, in a build of `job`; raises ConfigError."""
    found = _settings(view, stage, _WRAPPER)
    locks = ordinal > 0 and _flag(found, "stageLocking", default=True)
    plain = fold_settings(unfiltered_layers(view.documents, ("",), stage.name))
    technical = stage.technical_name and _flag(found, "useTechnicalStageNames", default=False)
    return StageSettings(
        title=stage.technical_name if technical else stage.name,
        lock=_lock(view, found, ordinal, job) if locks else "",
        milestone=locks,
        node=_text(found, "nodeLabel"),
        own_node=_flag(found, "ownNode", default=_has_own_label(view, stage)),
        timeout=_number(found, "stageTimeout"),
        configuration=without_secrets({key: each.value for key, each in plain.items()}),
    )


def failure_settings(view: PipelineView, stage: StageDefinition, step: str) -> FailureSettings:
    """What a failure of the step means in the stage; raises ConfigError."""
    found = _settings(view, stage, _HANDLER)
    mandatory = found.get("mandatorySteps")
    named = mandatory.value if mandatory and isinstance(mandatory.value, list) else []
    fails = _flag(found, "failOnError", default=True) or step in _MANDATORY or step in named
    limits = found.get("stepTimeouts")
    value = limits.value.get(step) if limits and isinstance(limits.value, dict) else None
    if fails or limits is None or value is None:
        return FailureSettings(fail_on_error=fails, timeout=0)
    return FailureSettings(
        fail_on_error=False, timeout=_whole(value, f"stepTimeouts.{step}", limits)
    )


def _settings(view: PipelineView, stage: StageDefinition, step: str) -> Mapping[str, Setting]:
    return fold_settings(unfiltered_layers(view.documents, (step,), stage.name))


def _lock(view: PipelineView, found: Mapping[str, Setting], ordinal: int, job: str) -> str:
    """The resource that the stage locks: one for each job and stage, unless it is named.

    Only the productive branch or a trusted layer may name one, since another name is the lock of
    another project.
    """
    productive = view.verdict().productive
    group, resource = (
        as_text(found[key].value)
        if key in found and found[key].value and (productive or found[key].trusted)
        else ""
        for key in _LOCKS
    )
    return f"{group or job}/{resource or ordinal}" if group or job else ""


def _has_own_label(view: PipelineView, stage: StageDefinition) -> bool:
    """Whether the stage's own section names a node."""
    documents = view.all_documents
    return any(document.section("stages", stage.name).get("nodeLabel") for document in documents)


def _flag(found: Mapping[str, Setting], key: str, *, default: bool) -> bool:
    setting = found.get(key)
    value = parse_flag(setting.value) if setting else default
    if value is None and setting is not None:
        raise ConfigError(
            f"{key} is {setting.value!r}", where=setting.origin, hint="write true or false"
        )
    return bool(value)


def _text(found: Mapping[str, Setting], key: str) -> str:
    return as_text(found[key].value) if key in found else ""


def _number(found: Mapping[str, Setting], key: str) -> int:
    return _whole(found[key].value, key, found[key]) if key in found else 0


def _whole(value: object, key: str, setting: Setting) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ConfigError(
            f"{key} is {value!r}", where=setting.origin, hint="write a number of minutes"
        )
    return value
