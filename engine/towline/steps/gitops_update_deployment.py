"""gitOpsUpdateDeployment: the pushed images into the stage's GitOps repositories, as one commit for each repository and branch."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from threading import Event

from towline import deadline, dispatch
from towline.config.settings import Settings
from towline.contract import Outcome
from towline.errors import ConfigError, GitUnreachable, MachineError, TowlineError
from towline.gitops.provenance import BranchHistory
from towline.steps.deployment.branches import deploy
from towline.steps.deployment.effect import effect_of
from towline.steps.deployment.preflight import Watched, lacking_lines
from towline.steps.deployment.report import (
    Deployment,
    Target,
    outcome,
    replaced_lines,
    superseded,
    tell_diff,
    tell_pushed,
)
from towline.steps.deployment.tools import TargetPlan, plan_target
from towline.steps.task import Task

_PLANNING = 60.0  # seconds for what is no branch's own work


def run(task: Task) -> Outcome:
    """Plan what the tool changes in each target, push one commit to each repository, and say what came of it.

    Nothing is pushed before all of them are planned. Where one of them has a newer deployment
    already, the others get theirs all the same; then raises Superseded. Where a push fails, those
    behind it are left alone, and the fault and its outputs name those before it.
    """
    started = time.monotonic()
    past = BranchHistory()
    targets = task.settings.each("targets")
    deadline.begin(
        min(sum(settings.number("pushDeadline") for settings in targets), deadline.LONGEST_STEP)
        + _PLANNING,
        _late,
    )
    groups = _by_branch([_target(task, settings, past) for settings in targets])
    for group in groups:
        _check_rendered(group)
    done: list[Deployment] = []
    pushing = Event()

    def landed(deployment: Deployment) -> None:
        done.append(deployment)
        for line in replaced_lines(deployment):
            task.console.say(f"  {line}")

    try:
        deploy(task, groups, past, landed=landed, pushing=pushing.set)
    except TowlineError as fault:
        if task.dry_run:
            tell_diff(fault, done)
        else:
            tell_pushed(
                fault,
                done,
                groups[len(done) :],
                pushing=pushing.is_set(),
                seconds=time.monotonic() - started,
            )
        raise
    finally:
        for line in lacking_lines(target.watched.lacking for group in groups for target in group):
            task.console.warn(line)
    seconds = time.monotonic() - started
    if any(one.update.newer for one in done):
        raise superseded(done, stage=task.stage, dry_run=task.dry_run, seconds=seconds)
    return outcome(done, stage=task.stage, dry_run=task.dry_run, seconds=seconds)


def leaves(task: Task) -> bool:
    """Whether the step writes into the pipeline environment: under its stage."""
    return bool(task.stage)


def _late() -> TowlineError:
    return GitUnreachable(
        "the deployments have not been done within the pushDeadline of each of them together",
        hint="look for a chart or a file that takes long, or deploy fewer in one step",
    )


def _target(task: Task, settings: Settings, past: BranchHistory) -> Target:
    watched = Watched(
        lambda: _check_images(task, planned),
        require_secret=settings.flag("requirePullSecret"),
        warn=task.console.warn,
        validate=_validator(task, settings),
    )
    planned = plan_target(task, settings, watched.note, watched.warn, past)
    watched.watch(
        planned.change,
        frozenset(image.reference.registry.host for image in planned.images.values()),
        effect_of(settings, planned),
    )
    return Target(settings=settings, planned=planned, watched=watched)


def _validator(task: Task, settings: Settings) -> Callable[[str, bytes], None] | None:
    """What checks manifests before they are written, where that is wanted; raises MachineError where the library is missing."""
    if not settings.flag("validateManifests"):
        return None
    try:
        library = dispatch.part("validate")
    except ImportError as fault:
        raise MachineError(
            "the library that validates manifests is not installed",
            hint="install towline with the extra validate, or leave validateManifests out",
        ) from fault
    check: Callable[[str, bytes], None] = library.Validator(
        settings.text("kubeVersion"), say=task.console.say
    ).check
    return check


def _check_images(task: Task, planned: TargetPlan) -> None:
    """Have the registries asked where that is wanted: by itself where a login for them is known."""
    settings = task.settings
    by_itself = any(settings.given(name) for name in ("targetRegistryPassword", "dockerConfigJSON"))
    if settings.flag("checkImage") or (by_itself and not settings.given("checkImage")):
        dispatch.part("registry_check").check(
            task, settings, tuple(dict.fromkeys(planned.images.values()))
        )


def _by_branch(targets: Sequence[Target]) -> list[tuple[Target, ...]]:
    groups: dict[tuple[str, str], list[Target]] = {}
    for target in targets:
        groups.setdefault(
            (target.settings.text("serverUrl").rstrip("/"), target.settings.text("branchName")), []
        ).append(target)
    return [tuple(group) for group in groups.values()]


def _check_rendered(group: Sequence[Target]) -> None:
    """Pass where no two targets write one file as a whole; raises ConfigError."""
    written = set[str]()
    for target in group:
        path = target.planned.renders
        if path in written:
            raise ConfigError(
                f"two targets write the whole of {path}",
                where=target.settings.origin("filePath"),
                hint="give each a filePath of its own",
            )
        written |= {path} - {""}
