"""gitOpsUpdateDeployment: write the pushed images into the stage's GitOps repositories.

There is one commit for each repository and branch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cache
from threading import Event

from towline import deadline, dispatch
from towline.contract import Outcome
from towline.errors import ConfigError, GitUnreachable, MachineError, TowlineError
from towline.gitops.deployment_history import BranchHistory
from towline.gitops.notes import Notes
from towline.record import replace
from towline.steps.deployment.branches import deploy
from towline.steps.deployment.effect import effect_of
from towline.steps.deployment.preflight import Checks, TargetChange, lacking_lines
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

_PLANNING = 60.0  # seconds for the work that belongs to no branch


def run(task: Task) -> Outcome:
    """Plan the Change of each target, check it, and push one commit to each branch: the outcome.

    Nothing is pushed before all targets are planned. If one of them already has a newer deployment,
    the others get theirs all the same; then raises Superseded. If a push fails, the branches behind
    it are left alone, and the fault and its outputs name those before it.
    """
    started = time.monotonic()
    history = BranchHistory()
    tasks = [replace(task, settings=settings) for settings in task.settings.each("targets")]
    pushing_seconds = sum(target.settings.number("pushDeadline") for target in tasks)
    deadline.begin(min(pushing_seconds, deadline.LONGEST_STEP) + _PLANNING, _late)
    groups = _by_branch([_target(target, history) for target in tasks])
    for group in groups:
        _check_whole_files(group)
    done: list[Deployment] = []
    pushing = Event()

    def landed(deployment: Deployment) -> None:
        done.append(deployment)
        for line in replaced_lines(deployment):
            task.console.say(f"  {line}")

    try:
        deploy(groups, history, dry_run=task.dry_run, landed=landed, pushing=pushing.set)
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
        pods = [pod for group in groups for target in group for pod in target.change.lacking_pods()]
        for line in lacking_lines(pods):
            task.console.warn(line)
    seconds = time.monotonic() - started
    if any(deployment.update.newer for deployment in done):
        raise superseded(done, stage=task.stage, dry_run=task.dry_run, seconds=seconds)
    return outcome(done, stage=task.stage, dry_run=task.dry_run, seconds=seconds)


def leaves(task: Task) -> bool:
    """Whether the step writes into the pipeline environment: its keys have the stage's name."""
    return bool(task.stage)


def _late() -> TowlineError:
    return GitUnreachable(
        "the deployments took longer than the sum of their pushDeadline parameters",
        hint="look for a chart or a file that takes long, or deploy fewer in one step",
    )


def _target(task: Task, history: BranchHistory) -> Target:
    """One target, whose settings `task` has: planned, and with the checks of its Change."""
    notes = Notes()
    plan = plan_target(task, notes, history)
    checks = Checks(
        hosts=frozenset(image.reference.registry.host for image in plan.distinct_images),
        warn=task.console.warn,
        effect=effect_of(task.settings, plan),
        require_secret=task.settings.flag("requirePullSecret"),
        find_images=cache(lambda: _find_images(task, plan)),  # once, and again after a fault
        validate=_validator(task),
    )
    change = TargetChange(plan.change, checks, notes, task.console)
    return Target(task=task, plan=plan, change=change, notes=notes)


def _validator(task: Task) -> Callable[[str, bytes], None] | None:
    """The check of manifests before they are written; None if it is not switched on.

    Raises MachineError if the library is missing.
    """
    settings = task.settings
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


def _find_images(task: Task, plan: TargetPlan) -> None:
    """Look the images up in their registries, if checkImage is set or a login for them is known."""
    settings = task.settings
    has_login = any(settings.given(name) for name in ("targetRegistryPassword", "dockerConfigJSON"))
    if settings.flag("checkImage") or (has_login and not settings.given("checkImage")):
        dispatch.part("registry_check").check(task, plan.distinct_images)


def _by_branch(targets: Sequence[Target]) -> list[tuple[Target, ...]]:
    """The targets, those of one repository and branch together."""
    groups: dict[tuple[str, str], list[Target]] = {}
    for target in targets:
        settings = target.settings
        branch = settings.text("serverUrl").rstrip("/"), settings.text("branchName")
        groups.setdefault(branch, []).append(target)
    return [tuple(group) for group in groups.values()]


def _check_whole_files(group: Sequence[Target]) -> None:
    """Pass if no two targets write the whole of one file; raises ConfigError."""
    written = set[str]()
    for target in group:
        path = target.plan.whole_file
        if path in written:
            raise ConfigError(
                f"two targets write the whole of {path}",
                where=target.settings.origin("filePath"),
                hint="give each a filePath of its own",
            )
        written |= {path} - {""}
