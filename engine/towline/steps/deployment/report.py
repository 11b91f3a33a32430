"""What became of a deployment: the outputs of the step, its facts for the pipeline environment, and the line for people."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from towline.config.settings import Settings
from towline.contract import SUCCESS, UNCHANGED, Outcome
from towline.errors import GitUnreachable, MachineError, Superseded, TowlineError
from towline.gitops.notes import Notes
from towline.gitops.update import Update
from towline.printable import masked
from towline.record import frozen
from towline.steps.deployment.preflight import TargetChange
from towline.steps.deployment.tools import TargetPlan
from towline.steps.task import Task
from towline.suggest import list_some

_LINES = 10
_LONGEST = 200  # bytes of a folder's name


@frozen
class Target:
    """One place to deploy to: the step's task with the settings of this place, its plan and Change.

    `notes` are those of the Change.
    """

    task: Task
    plan: TargetPlan
    change: TargetChange
    notes: Notes

    @property
    def settings(self) -> Settings:
        """The settings of this place."""
        return self.task.settings


@frozen
class Deployment:
    """Targets on one branch of one repository, and what became of its update."""

    targets: tuple[Target, ...]
    update: Update

    @property
    def repository(self) -> str:
        """The repository's URL, which holds no user."""
        return self.targets[0].settings.text("serverUrl")

    @property
    def commit(self) -> str:
        """The commit that holds what is deployed, new or not."""
        newer = self.update.newer
        return newer.commit if newer else self.update.commit or self.update.base

    def record(self) -> dict[str, object]:
        """What became of it, for the outputs."""
        update = self.update
        record: dict[str, object] = {
            "repository": self.repository,
            "branch": update.branch,
            "commit": update.commit,
            "files": list(update.files),
        }
        return record | ({"newer": update.newer.commit} if update.newer else {})

    def images(self) -> Iterator[dict[str, str]]:
        """Container, key or deployment and the image that is deployed there: ours, or those of the newer deployment."""
        ours = [
            (name, image) for target in self.targets for name, image in target.plan.images.items()
        ]
        if not self.update.newer:
            yield from ({"name": name, "image": image.full} for name, image in ours)
            return
        for text in self.update.newer.provenance.images:
            names = [
                name
                for name, image in ours
                if text.startswith((f"{image.repository}:", f"{image.repository}@"))
            ]
            yield from (
                {"name": name, "image": text} for name in names or [self.update.newer.deployment]
            )


def outputs_of(done: Sequence[Deployment], *, seconds: float) -> dict[str, object]:
    """The outputs of docs/contract.md, but for the diff."""
    first = done[0].update
    written = [target for one in done if not one.update.newer for target in one.targets]
    digests = [
        target.change.applied.holds(image.digest)
        for target in written
        for image in target.plan.distinct_images
    ]
    return {
        "commit": first.commit,
        "branch": first.branch,
        "files": [path for one in done for path in one.update.files],
        "images": [image for one in done for image in one.images()],
        "changes": [
            {"file": one.file, "name": one.name, "old": one.old, "new": one.new}
            for target in written
            for one in target.change.applied.replaced
        ],
        "digestWritten": bool(digests) and all(digests),
        "repositories": [one.record() for one in done],
        "seconds": round(seconds, 3),
    }


def diff_of(done: Sequence[Deployment]) -> str:
    """What a dry run has found, as a patch that git can apply, but for what is masked in it."""
    return masked("".join(one.update.diff for one in done))


def deployment_facts(done: Sequence[Deployment], stage: str) -> dict[str, object]:
    """What later steps of the pipeline can read of this stage: what is deployed there, by this run or before it."""
    if not stage:
        return {}
    place, outputs = f"deployment/{_as_name(stage)}", outputs_of(done, seconds=0.0)
    return {
        f"{place}/commit": done[0].commit,
        f"{place}/branch": done[0].update.branch,
        **{f"{place}/{name}": outputs[name] for name in ("repositories", "images", "files")},
    }


def _as_name(stage: str) -> str:
    """The stage as the name of a folder: what cannot be one must not let a step fail that has deployed already."""
    return (
        re.sub(r"^\.|[/\\\0]", "-", stage)
        .encode("utf-8", "replace")[:_LONGEST]
        .decode("utf-8", "ignore")
    )


def replaced_lines(deployment: Deployment) -> list[str]:
    """What a deployment replaces by what, a line each for people; of many the first."""
    changes = (
        [
            one
            for target in deployment.targets
            for one in target.change.applied.replaced
            if one.old != one.new
        ]
        if deployment.update.files
        else []
    )
    lines = [
        f"{one.file}: {one.name}: {one.old or 'nothing'} -> {one.new or 'nothing'}"
        for one in dict.fromkeys(changes)
    ]
    return lines if len(lines) <= _LINES else [*lines[:_LINES], f"and {len(lines) - _LINES} more"]


def commits(pushed: Sequence[Deployment]) -> str:
    """The commits that were made, for people."""
    return ", ".join(f"commit {one.update.commit[:12]} on {one.update.branch}" for one in pushed)


def tell_pushed(
    fault: TowlineError,
    done: Sequence[Deployment],
    rest: Sequence[tuple[Target, ...]],
    *,
    pushing: bool,
    seconds: float,
) -> None:
    """Let a fault tell what was pushed before it, of several branches also that none was, and what is left to do.

    One that came while `pushing` may be no more than a lost answer.
    """
    pushed, count = [one for one in done if one.update.commit], len(done) + len(rest)
    if pushed:
        fault.outputs = outputs_of(done, seconds=seconds)
        places = "; ".join(f"{one.repository}: {commits([one])}" for one in pushed)
        left = list_some([_place(targets) for targets in rest])
        fault.message = (
            f"{fault.message}; pushed before the fault, and they stay: {places}; not known to be"
            f" pushed: {left}"
        )
        fault.hint = f"{fault.hint}; the step run again does the rest"
    elif count > 1 and pushing and isinstance(fault, GitUnreachable | MachineError):
        fault.message = (
            f"{fault.message}; whether anything was pushed to one of the {count} branches is not"
            " known"
        )
    elif count > 1:
        fault.message = f"{fault.message}; nothing was pushed to any of the {count} branches"


def tell_diff(fault: TowlineError, done: Sequence[Deployment]) -> None:
    """Let the fault of a dry run tell what was found before it."""
    fault.outputs = {**fault.outputs, "diff": diff_of(done)}


def _place(targets: Sequence[Target]) -> str:
    """The branch of a repository, for people."""
    url, branch = (targets[0].settings.text(name) for name in ("serverUrl", "branchName"))
    return f"branch {branch} of {url}" if branch else url


def _idle(one: Deployment) -> str:
    """That a branch got what its base has besides, and nothing else."""
    return f"branch {one.update.branch} was brought up to date with its base, {commits([one])}"


def outcome(done: Sequence[Deployment], *, stage: str, dry_run: bool, seconds: float) -> Outcome:
    """The step's outcome where all is well; a dry run leaves no facts."""
    outputs = {**outputs_of(done, seconds=seconds), **({"diff": diff_of(done)} if dry_run else {})}
    changed = [one for one in done if one.update.commit and not one.update.idle]
    idle = [one for one in done if one.update.idle]
    files = list_some([path for one in done for path in one.update.files if not one.update.idle])
    targets = [target for one in done for target in one.targets]
    images = (
        ", ".join(
            dict.fromkeys(
                str(image.reference) for target in targets for image in target.plan.distinct_images
            )
        )
        or "the version"
    )
    branches = ", ".join(dict.fromkeys(one.update.branch for one in done))
    if dry_run:
        besides = [
            f"branch {one.update.branch} would be brought up to date with its base" for one in idle
        ]
        return Outcome(
            status=SUCCESS,
            summary="; ".join([f"would change {files or 'nothing'} on {branches}", *besides]),
            outputs=outputs,
        )
    facts = deployment_facts(done, stage)
    if changed:
        summary = f"{files or branches}: {images}, {commits(changed)}"
    else:
        places = ", ".join(dict.fromkeys(target.settings.text("filePath") for target in targets))
        summary = f"{places} on {branches} holds {images} already"
    summary = "; ".join([summary, *map(_idle, idle)])
    return Outcome(
        status=SUCCESS if changed or idle else UNCHANGED,
        outputs=outputs,
        summary=summary,
        pipeline_environment=facts,
    )


def superseded(
    done: Sequence[Deployment], *, stage: str, dry_run: bool, seconds: float
) -> Superseded:
    """The step's end where one of the deployments found a newer one in place; what is deployed is known all the same."""
    found = next(one for one in done if one.update.newer)
    assert found.update.newer
    outputs = {**outputs_of(done, seconds=seconds), **({"diff": diff_of(done)} if dry_run else {})}
    return Superseded(
        f"a newer deployment of {found.update.newer.text}",
        where=found.repository,
        outputs=outputs,
        pipeline_environment={} if dry_run else deployment_facts(done, stage),
        hint=(
            "nothing is to be done: the newer deployment stays; allowOlder: true goes back on"
            " purpose"
        ),
    )
