"""The plan as the Jenkins library reads it (docs/contract.md, "Outputs of `plan`")."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

from towline import dispatch
from towline.commands import secret_handles
from towline.commands.bindings import planned_bindings, read_keys
from towline.commands.build import build_of
from towline.commands.build_context import build_trust_lookup
from towline.commands.call import Call
from towline.config.layers import Inputs
from towline.config.metadata import load_schema
from towline.config.schema import as_text
from towline.credential_hosts import BuildTrust
from towline.git.checkout import describe_commit
from towline.pipeline.build import PipelineView
from towline.pipeline.confirmation import plan_confirmation
from towline.pipeline.definition import StageDefinition
from towline.pipeline.planned import StagePlan, StepPlan
from towline.pipeline.stage_settings import failure_settings, stage_settings
from towline.pipeline.stages import DEPLOYMENT, all_stages
from towline.pipeline.step_decisions import BUILD_TOOL, find_step, step_config
from towline.record import frozen
from towline.secret import without_secrets

_BUILDING = "buildExecute"
_OWN_ORDINALS = 10  # between the stages of the project's own


@frozen
class Planning:
    """What a plan is made from: the call, the view, all planned stages, and a change's sign."""

    call: Call
    view: PipelineView
    whole: Sequence[StagePlan]
    sign: str
    notes: Sequence[str] = ()

    @cached_property
    def standing(self) -> Callable[[], BuildTrust]:
        """Whether the project's configuration may name hosts for credentials."""
        return build_trust_lookup(self.view.documents, lambda: self.view.build, self.sign)


def plan_outputs(planning: Planning, shown: Sequence[StagePlan]) -> Mapping[str, object]:
    """Return the outputs for the stages `shown`; raises ConfigError."""
    view = planning.view
    question = plan_confirmation(view, planning.whole)
    definitions = {stage.name: stage for stage in all_stages(view)}
    ordinals = _ordinals(tuple(definitions.values()))
    return {
        "stages": [
            _stage(planning, definitions[stage.name], stage, ordinals[stage.name])
            for stage in shown
        ],
        "confirm": {
            "asks": question.asks,
            "asksIfUnstable": question.asks_if_unstable,
            "message": question.message,
            "timeoutHours": question.hours,
            "submitters": ",".join(question.submitters),
            "why": question.why,
        },
        "split": question.asks,
        "version": _version(planning),
        "deployCommit": {
            "is": view.build.deployment,
            "why": DEPLOYMENT if view.build.deployment else "",
        },
        "buildTool": _build_tool(view),
        "notes": list(planning.notes),
        "configuration": without_secrets(view.documents.project.content),
    }


def _version(planning: Planning) -> Mapping[str, str]:
    """Return the version of the build's own and its source, unless a step has set a version.

    Only the library asks for it, before the first stage.
    """
    call, view = planning.call, planning.view
    if not call.requested or call.request.pipeline_environment.get("artifactVersion"):
        return {"value": "", "source": ""}
    build = build_of(call)
    commit = describe_commit(call.folder, call.environ, build.source_commit)
    value, source = dispatch.part("own_version").own_version(
        view,
        call.folder,
        commit=commit.id or build.source_commit,
        time=build.source_time or commit.time,
    )
    return {"value": value, "source": source}


def _build_tool(view: PipelineView) -> str:
    """Return the build tool of the project; empty if none is configured."""
    for stage in view.pipeline.stages:
        if step := find_step(view, stage, _BUILDING):
            found = step_config(view, stage, step).get(BUILD_TOOL)
            return as_text(found.value) if found else ""
    return ""


def _ordinals(stages: Sequence[StageDefinition]) -> Mapping[str, int]:
    """Return the ordinal of each stage; stages of the project's own go on behind the last one."""
    last = max((stage.ordinal for stage in stages), default=0)
    found: dict[str, int] = {}
    for stage in stages:
        is_own = not stage.technical_name
        last += _OWN_ORDINALS if is_own else 0
        found[stage.name] = last if is_own else stage.ordinal
    return found


def _stage(
    planning: Planning, defined: StageDefinition, stage: StagePlan, ordinal: int
) -> Mapping[str, object]:
    around = stage_settings(planning.view, defined, ordinal, build_of(planning.call).job)
    return {
        "name": stage.name,
        "technicalName": defined.technical_name or stage.name,
        "title": around.title,
        "active": stage.active,
        "why": stage.why,
        "ordinal": ordinal,
        "lock": around.lock,
        "milestone": around.milestone,
        "node": around.node,
        "ownNode": around.own_node,
        "timeout": around.timeout,
        "parallel": defined.parallel,
        "post": defined.post,
        "afterConfirm": stage.after_confirm,
        "extensions": list(stage.extensions),
        "configuration": around.configuration,
        "steps": [_step(planning, defined, step) for step in stage.steps],
    }


def _step(planning: Planning, stage: StageDefinition, step: StepPlan) -> Mapping[str, object]:
    failure = failure_settings(planning.view, stage, step.name)
    engine = step.name in dispatch.STEPS
    return {
        "name": step.name,
        "engine": engine,
        "active": step.active,
        "why": step.why,
        "where": step.where,
        "required": step.required,
        "afterFailure": step.after_failure,
        "failOnError": failure.fail_on_error,
        "timeoutMinutes": failure.timeout,
        "parameters": dict(step.parameters),
        "parts": [_step(planning, stage, part) for part in step.parts],
        **(_credentials(planning, stage, step) if engine else {}),
    }


def _credentials(
    planning: Planning, stage: StageDefinition, step: StepPlan
) -> Mapping[str, object]:
    """Return the credentials that a step of the engine asks for, and the keys that it reads."""
    view, call, schema = planning.view, planning.call, load_schema(step.name)
    if step.active == "no":
        return {"bindings": [], "reads": []}
    inputs = Inputs(
        stage=stage.name,
        documents=view.documents,
        pipeline_environment=view.build.pipeline_environment,
        environ=call.environ,
        parameters={},
        flags={},
        trusted_call=not planning.sign,
    )
    bindings = (
        *planned_bindings(schema, inputs, call, planning.standing),
        *secret_handles.to_bind(call, view.documents, step.name),
    )
    return {
        "bindings": [
            {
                "credentialsId": each.credentials_id,
                "kind": each.kind,
                "variables": dict(each.variables),
            }
            for each in bindings
        ],
        "reads": list(read_keys(schema)),
    }
