"""gitOpsUpdateDeployment: the pushed images into the stage's GitOps repositories, as one commit for each repository and branch."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from towline import dispatch
from towline.config.settings import Settings
from towline.errors import ConfigError, MachineError, TowlineError
from towline.git.repository import Repository
from towline.gitops.change import Change, Together
from towline.gitops.past import Past
from towline.gitops.update import CommitText, Terms, Update, update
from towline.registry.credentials import basic
from towline.retry import Clock, Deadline
from towline.steps.deployment.commit_text import commit_text
from towline.steps.deployment.effect import effect_of
from towline.steps.deployment.remote import opened
from towline.steps.deployment.report import Deployment, Target, commits, diff_of, outcome, outputs_of, replaced_lines, superseded
from towline.steps.deployment.tools import Planned, plan
from towline.steps.deployment.watch import Watched, lacking_lines
from towline.steps.task import Task
from towline.wire import Outcome


def run(task: Task) -> Outcome:
    """Plan what the tool changes in each target, push one commit to each repository, and say what came of it.

    Where one of them has a newer deployment already, the others get theirs all the same; then raises Superseded. Where one fails, those behind it
    are left alone, and the fault's outputs name those before it.
    """
    started = time.monotonic()
    past = Past()
    groups = _by_branch([_target(task, settings, past) for settings in task.settings.each("targets")])
    for group in groups:
        _check_rendered(group)
    done: list[Deployment] = []
    try:
        _push_each(task, groups, past, done)
    except TowlineError as fault:
        _keep(task, done, fault, seconds=time.monotonic() - started)
        raise
    finally:
        for line in lacking_lines(target.watched.lacking for group in groups for target in group):
            task.console.warn(line)
    seconds = time.monotonic() - started
    if any(one.update.newer for one in done):
        raise superseded(done, stage=task.stage, dry_run=task.dry_run, seconds=seconds)
    return outcome(done, stage=task.stage, dry_run=task.dry_run, seconds=seconds)


def _push_each(task: Task, groups: Sequence[tuple[Target, ...]], past: Past, done: list[Deployment]) -> None:
    """Push to one branch after the other; `done` has those that went well."""
    for group in groups:
        done.append(Deployment(targets=group, update=_push(task, group, past)))
        for line in replaced_lines(done[-1]):
            task.console.say(f"  {line}")


def _keep(task: Task, done: Sequence[Deployment], fault: TowlineError, *, seconds: float) -> None:
    """Let a fault tell, and the log say, what was pushed before it."""
    pushed = [one for one in done if one.update.commit]
    if task.dry_run:
        fault.outputs = {**fault.outputs, "diff": diff_of(done)}
    if pushed:
        fault.outputs = outputs_of(done, seconds=seconds)
        places = "; ".join(f"{one.repository}: {commits([one])}" for one in pushed)
        task.console.warn(f"pushed before the fault, and they stay: {places}; the step run again does the rest")


def _target(task: Task, settings: Settings, past: Past) -> Target:
    watched = Watched(lambda: _check_images(task, planned), require_secret=settings.flag("requirePullSecret"), warn=task.console.warn,
                      validate=_validator(task, settings))
    planned = plan(task, settings, watched.note, watched.warn, past)
    watched.watch(planned.change, frozenset(image.reference.registry.host for image in planned.images.values()), effect_of(settings, planned))
    return Target(settings=settings, planned=planned, watched=watched)


def _validator(task: Task, settings: Settings) -> Callable[[str, bytes], None] | None:
    """What checks manifests before they are written, where that is wanted; raises MachineError where the library is missing."""
    if not settings.flag("validateManifests"):
        return None
    try:
        library = dispatch.part("validate")
    except ImportError as fault:
        raise MachineError("the library that validates manifests is not installed", hint="install towline with the extra validate, "
                           "or leave validateManifests out") from fault
    check: Callable[[str, bytes], None] = library.Validator(settings.text("kubeVersion"), say=task.console.say).check
    return check


def _check_images(task: Task, planned: Planned) -> None:
    """Have the registries asked where that is wanted: by itself where a login for them is known."""
    settings = task.settings
    by_itself = any(settings.given(name) for name in ("targetRegistryPassword", "dockerConfigJSON"))
    if settings.flag("checkImage") or (by_itself and not settings.given("checkImage")):
        dispatch.part("registry_check").check(task, settings, tuple(dict.fromkeys(planned.images.values())))


def _by_branch(targets: Sequence[Target]) -> list[tuple[Target, ...]]:
    groups: dict[tuple[str, str], list[Target]] = {}
    for target in targets:
        groups.setdefault((target.settings.text("serverUrl").rstrip("/"), target.settings.text("branchName")), []).append(target)
    return [tuple(group) for group in groups.values()]


def _check_rendered(group: Sequence[Target]) -> None:
    """Pass where no two targets write one file as a whole; raises ConfigError."""
    written = set[str]()
    for target in group:
        path = target.planned.renders
        if path in written:
            raise ConfigError(f"two targets write the whole of {path}", where=target.settings.origin("filePath"), hint="give each a filePath of its own")
        written |= {path} - {""}


def _push(task: Task, group: Sequence[Target], past: Past) -> Update:
    settings = group[0].settings
    changes: tuple[Change, ...] = tuple(target.watched for target in group)
    deadline = Deadline.after(settings.number("pushDeadline"), Clock())
    paths = tuple(dict.fromkeys(path for target in group for path in _paths(target.settings)))
    terms = Terms(max_attempts=settings.number("maxPushAttempts"), dry_run=task.dry_run, console=task.console, within=paths,
                  create_branch=settings.flag("createBranch"), allow_older=settings.flag("allowOlder"), past=past)
    lasting = tuple(one for target in group for one in target.planned.lasting)
    change = changes[0] if len(changes) == 1 else Together(changes=changes, lasting=lasting)
    with opened(replace(task, settings=settings)) as remote:
        if remote.login:  # git sends it as one, and a server may repeat it
            task.console.hide(basic(remote.login).removeprefix("Basic "))
        with Repository(remote, environ=task.environ, deadline=deadline, say=task.console.warn) as repository:
            return update(repository, branch=settings.text("branchName"), change=change, text=_text(task, group), terms=terms)


def _paths(settings: Settings) -> tuple[str, ...]:
    """Paths and globs that hold all that any of the tools asks for or writes."""
    chart = settings.text("chartPath").strip("/")
    return (settings.text("filePath"), *([f"{chart}/**"] if chart else []), *settings.texts("helmValues"))


def _text(task: Task, group: Sequence[Target]) -> CommitText:
    images = tuple(dict.fromkeys(image for target in group for image in target.images))
    names = tuple(dict.fromkeys(target.settings.text("deploymentName") or target.settings.text("filePath") for target in group))
    renderers = [target.planned.renderer for target in group if target.planned.renderer]
    text = commit_text(task, group[0].settings, names, images)
    return replace(text, renderer=lambda: ", ".join(dict.fromkeys(renderer.version() for renderer in dict.fromkeys(renderers))))
