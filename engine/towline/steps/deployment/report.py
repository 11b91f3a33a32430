"""The results of a deployment: outputs, facts for the pipeline environment, and the summary."""

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

_MOST_LINES = 10
_LONGEST_FOLDER = 200  # bytes of a folder's name


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
    """The targets on one branch of one repository, and the result of its update."""

    targets: tuple[Target, ...]
    update: Update

    @property
    def repository(self) -> str:
        """The repository's URL, which contains no user."""
        return self.targets[0].settings.text("serverUrl")

    @property
    def commit(self) -> str:
        """The commit that contains the deployment, new or not."""
        newer = self.update.newer
        return newer.commit if newer else self.update.commit or self.update.base

    def record(self) -> dict[str, object]:
        """The result, for the outputs."""
        update = self.update
        record: dict[str, object] = {
            "repository": self.repository,
            "branch": update.branch,
            "commit": update.commit,
            "files": list(update.files),
        }
        return record | ({"newer": update.newer.commit} if update.newer else {})

    def images(self) -> Iterator[dict[str, str]]:
        """Each image with its container, key or deployment: ours, or of the newer deployment."""
        own_images = [
            (name, image) for target in self.targets for name, image in target.plan.images.items()
        ]
        if not self.update.newer:
            yield from ({"name": name, "image": image.full} for name, image in own_images)
            return
        for text in self.update.newer.provenance.images:
            names = [
                name
                for name, image in own_images
                if text.startswith((f"{image.repository}:", f"{image.repository}@"))
            ]
            yield from (
                {"name": name, "image": text} for name in names or [self.update.newer.deployment]
            )


def outputs_of(deployments: Sequence[Deployment], *, seconds: float) -> dict[str, object]:
    """The outputs of docs/contract.md, without the diff."""
    first = deployments[0].update
    written = [
        target
        for deployment in deployments
        if not deployment.update.newer
        for target in deployment.targets
    ]
    digests = [
        target.change.applied.holds(image.digest)
        for target in written
        for image in target.plan.distinct_images
    ]
    return {
        "commit": first.commit,
        "branch": first.branch,
        "files": [path for deployment in deployments for path in deployment.update.files],
        "images": [image for deployment in deployments for image in deployment.images()],
        "changes": [
            {
                "file": deployment.file,
                "name": deployment.name,
                "old": deployment.old,
                "new": deployment.new,
            }
            for target in written
            for deployment in target.change.applied.replaced
        ],
        "digestWritten": bool(digests) and all(digests),
        "repositories": [deployment.record() for deployment in deployments],
        "seconds": round(seconds, 3),
    }


def diff_of(deployments: Sequence[Deployment]) -> str:
    """The diff of a dry run, a patch that git can apply except for masked values."""
    return masked("".join(deployment.update.diff for deployment in deployments))


def deployment_facts(deployments: Sequence[Deployment], stage: str) -> dict[str, object]:
    """The facts for later steps of the pipeline: the deployment of this stage, new or not."""
    if not stage:
        return {}
    folder, outputs = f"deployment/{_folder_name(stage)}", outputs_of(deployments, seconds=0.0)
    return {
        f"{folder}/commit": deployments[0].commit,
        f"{folder}/branch": deployments[0].update.branch,
        **{f"{folder}/{name}": outputs[name] for name in ("repositories", "images", "files")},
    }


def _folder_name(stage: str) -> str:
    """The stage as a folder's name: after a deployment, a step must not fail because of a name."""
    name = re.sub(r"^\.|[/\\\0]", "-", stage)
    return name.encode("utf-8", "replace")[:_LONGEST_FOLDER].decode("utf-8", "ignore")


def replaced_lines(deployment: Deployment) -> list[str]:
    """A line for each replaced value, old and new; of many values the first."""
    if not deployment.update.files:
        return []
    replaced = [value for target in deployment.targets for value in target.change.applied.replaced]
    lines = [
        f"{value.file}: {value.name}: {value.old or 'nothing'} -> {value.new or 'nothing'}"
        for value in dict.fromkeys(replaced)
        if value.old != value.new
    ]
    omitted = len(lines) - _MOST_LINES
    return lines if omitted <= 0 else [*lines[:_MOST_LINES], f"and {omitted} more"]


def commits(pushed: Sequence[Deployment]) -> str:
    """The new commits, for messages."""
    return ", ".join(
        f"commit {deployment.update.commit[:12]} on {deployment.update.branch}"
        for deployment in pushed
    )


def tell_pushed(
    fault: TowlineError,
    deployments: Sequence[Deployment],
    rest: Sequence[tuple[Target, ...]],
    *,
    pushing: bool,
    seconds: float,
) -> None:
    """Add to a fault which branches were pushed before it, and which are not known to be pushed.

    If no branch was pushed, and there are several, it says so; but after a fault while `pushing`,
    only the answer may be lost.
    """
    pushed, count = (
        [deployment for deployment in deployments if deployment.update.commit],
        len(deployments) + len(rest),
    )
    if pushed:
        fault.outputs = outputs_of(deployments, seconds=seconds)
        branches = "; ".join(
            f"{deployment.repository}: {commits([deployment])}" for deployment in pushed
        )
        not_pushed = list_some([_branch_name(targets) for targets in rest])
        fault.message = (
            f"{fault.message}; pushed before the fault, and they stay: {branches}; not known to be"
            f" pushed: {not_pushed}"
        )
        fault.hint = f"{fault.hint}; the step run again does the rest"
    elif count > 1 and pushing and isinstance(fault, GitUnreachable | MachineError):
        fault.message = (
            f"{fault.message}; whether anything was pushed to any of the {count} branches is not"
            " known"
        )
    elif count > 1:
        fault.message = f"{fault.message}; nothing was pushed to any of the {count} branches"


def tell_diff(fault: TowlineError, deployments: Sequence[Deployment]) -> None:
    """Add to the fault of a dry run the diff that was found before it."""
    fault.outputs = {**fault.outputs, "diff": diff_of(deployments)}


def _branch_name(targets: Sequence[Target]) -> str:
    """The branch and repository of the targets, for messages."""
    url, branch = (targets[0].settings.text(name) for name in ("serverUrl", "branchName"))
    return f"branch {branch} of {url}" if branch else url


def _idle_line(deployment: Deployment) -> str:
    """The line about a branch that got nothing but the commits of its base."""
    branch = deployment.update.branch
    return f"branch {branch} was brought up to date with its base, {commits([deployment])}"


def outcome(
    deployments: Sequence[Deployment], *, stage: str, dry_run: bool, seconds: float
) -> Outcome:
    """The outcome of a step without a fault; a dry run leaves no facts."""
    outputs = _outputs_with_diff(deployments, dry_run=dry_run, seconds=seconds)
    if dry_run:
        return Outcome(status=SUCCESS, summary=_dry_summary(deployments), outputs=outputs)
    has_effect = any(
        deployment.update.commit or deployment.update.idle for deployment in deployments
    )
    return Outcome(
        status=SUCCESS if has_effect else UNCHANGED,
        outputs=outputs,
        summary=_summary(deployments),
        pipeline_environment=deployment_facts(deployments, stage),
    )


def _outputs_with_diff(
    deployments: Sequence[Deployment], *, dry_run: bool, seconds: float
) -> dict[str, object]:
    """The outputs of docs/contract.md; the diff is that of a dry run."""
    outputs = outputs_of(deployments, seconds=seconds)
    return {**outputs, "diff": diff_of(deployments)} if dry_run else outputs


def _summary(deployments: Sequence[Deployment]) -> str:
    """The line that lists the deployed images with their files and branches."""
    changed = [
        deployment
        for deployment in deployments
        if deployment.update.commit and not deployment.update.idle
    ]
    targets = [target for deployment in deployments for target in deployment.targets]
    references = [
        str(image.reference) for target in targets for image in target.plan.distinct_images
    ]
    images = ", ".join(dict.fromkeys(references)) or "the version"
    if changed:
        summary = (
            f"{_changed_files(deployments) or _branches(deployments)}: {images}, {commits(changed)}"
        )
    else:
        paths = ", ".join(dict.fromkeys(target.settings.text("filePath") for target in targets))
        summary = f"{paths} on {_branches(deployments)} holds {images} already"
    return "; ".join(
        [summary, *(_idle_line(deployment) for deployment in deployments if deployment.update.idle)]
    )


def _dry_summary(deployments: Sequence[Deployment]) -> str:
    """The line that lists the changes that a dry run would make."""
    idle = [
        f"branch {deployment.update.branch} would be brought up to date with its base"
        for deployment in deployments
        if deployment.update.idle
    ]
    changes = f"would change {_changed_files(deployments) or 'nothing'} on {_branches(deployments)}"
    return "; ".join([changes, *idle])


def _changed_files(deployments: Sequence[Deployment]) -> str:
    """The first files that the changes themselves change."""
    return list_some(
        [
            path
            for deployment in deployments
            for path in deployment.update.files
            if not deployment.update.idle
        ]
    )


def _branches(deployments: Sequence[Deployment]) -> str:
    return ", ".join(dict.fromkeys(deployment.update.branch for deployment in deployments))


def superseded(
    deployments: Sequence[Deployment], *, stage: str, dry_run: bool, seconds: float
) -> Superseded:
    """The end of a step that found a newer deployment on a branch, with outputs and facts."""
    found = next(deployment for deployment in deployments if deployment.update.newer)
    assert found.update.newer
    outputs = _outputs_with_diff(deployments, dry_run=dry_run, seconds=seconds)
    return Superseded(
        f"a newer deployment of {found.update.newer.text}",
        where=found.repository,
        outputs=outputs,
        pipeline_environment={} if dry_run else deployment_facts(deployments, stage),
        hint=(
            "there is nothing to do: the newer deployment stays; allowOlder: true goes back on"
            " purpose"
        ),
    )
