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
    """The outputs of docs/contract.md, without the diff."""
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
    """The diff of a dry run, a patch that git can apply except for masked values."""
    return masked("".join(one.update.diff for one in done))


def deployment_facts(done: Sequence[Deployment], stage: str) -> dict[str, object]:
    """The facts for later steps of the pipeline: the deployment of this stage, new or not."""
    if not stage:
        return {}
    folder, outputs = f"deployment/{_folder_name(stage)}", outputs_of(done, seconds=0.0)
    return {
        f"{folder}/commit": done[0].commit,
        f"{folder}/branch": done[0].update.branch,
        **{f"{folder}/{name}": outputs[name] for name in ("repositories", "images", "files")},
    }


def _folder_name(stage: str) -> str:
    """The stage as a folder's name: a step that has deployed must not fail for a name."""
    name = re.sub(r"^\.|[/\\\0]", "-", stage)
    return name.encode("utf-8", "replace")[:_LONGEST_FOLDER].decode("utf-8", "ignore")


def replaced_lines(deployment: Deployment) -> list[str]:
    """A line for each replaced value, old and new; of many values the first."""
    if not deployment.update.files:
        return []
    replaced = [one for target in deployment.targets for one in target.change.applied.replaced]
    lines = [
        f"{one.file}: {one.name}: {one.old or 'nothing'} -> {one.new or 'nothing'}"
        for one in dict.fromkeys(replaced)
        if one.old != one.new
    ]
    more = len(lines) - _MOST_LINES
    return lines if more <= 0 else [*lines[:_MOST_LINES], f"and {more} more"]


def commits(pushed: Sequence[Deployment]) -> str:
    """The new commits, for messages."""
    return ", ".join(f"commit {one.update.commit[:12]} on {one.update.branch}" for one in pushed)


def tell_pushed(
    fault: TowlineError,
    done: Sequence[Deployment],
    rest: Sequence[tuple[Target, ...]],
    *,
    pushing: bool,
    seconds: float,
) -> None:
    """Add to a fault which branches were pushed before it, and which are left to do.

    If none was, and there are several, it says so; but a fault while `pushing` may be nothing but a
    lost answer.
    """
    pushed, count = [one for one in done if one.update.commit], len(done) + len(rest)
    if pushed:
        fault.outputs = outputs_of(done, seconds=seconds)
        branches = "; ".join(f"{one.repository}: {commits([one])}" for one in pushed)
        left = list_some([_branch_name(targets) for targets in rest])
        fault.message = (
            f"{fault.message}; pushed before the fault, and they stay: {branches}; not known to be"
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
    """Add to the fault of a dry run the diff that was found before it."""
    fault.outputs = {**fault.outputs, "diff": diff_of(done)}


def _branch_name(targets: Sequence[Target]) -> str:
    """The branch and repository of the targets, for messages."""
    url, branch = (targets[0].settings.text(name) for name in ("serverUrl", "branchName"))
    return f"branch {branch} of {url}" if branch else url


def _idle_line(one: Deployment) -> str:
    """The line about a branch that got nothing but the commits of its base."""
    return f"branch {one.update.branch} was brought up to date with its base, {commits([one])}"


def outcome(done: Sequence[Deployment], *, stage: str, dry_run: bool, seconds: float) -> Outcome:
    """The outcome of a step without a fault; a dry run leaves no facts."""
    outputs = _outputs_with_diff(done, dry_run=dry_run, seconds=seconds)
    if dry_run:
        return Outcome(status=SUCCESS, summary=_dry_summary(done), outputs=outputs)
    anything = any(one.update.commit or one.update.idle for one in done)
    return Outcome(
        status=SUCCESS if anything else UNCHANGED,
        outputs=outputs,
        summary=_summary(done),
        pipeline_environment=deployment_facts(done, stage),
    )


def _outputs_with_diff(
    done: Sequence[Deployment], *, dry_run: bool, seconds: float
) -> dict[str, object]:
    """The outputs of docs/contract.md; the diff is that of a dry run."""
    outputs = outputs_of(done, seconds=seconds)
    return {**outputs, "diff": diff_of(done)} if dry_run else outputs


def _summary(done: Sequence[Deployment]) -> str:
    """The line about what was deployed where."""
    changed = [one for one in done if one.update.commit and not one.update.idle]
    targets = [target for one in done for target in one.targets]
    references = [
        str(image.reference) for target in targets for image in target.plan.distinct_images
    ]
    images = ", ".join(dict.fromkeys(references)) or "the version"
    if changed:
        summary = f"{_changed_files(done) or _branches(done)}: {images}, {commits(changed)}"
    else:
        paths = ", ".join(dict.fromkeys(target.settings.text("filePath") for target in targets))
        summary = f"{paths} on {_branches(done)} holds {images} already"
    return "; ".join([summary, *(_idle_line(one) for one in done if one.update.idle)])


def _dry_summary(done: Sequence[Deployment]) -> str:
    """The line about what a dry run would change."""
    idle = [
        f"branch {one.update.branch} would be brought up to date with its base"
        for one in done
        if one.update.idle
    ]
    changes = f"would change {_changed_files(done) or 'nothing'} on {_branches(done)}"
    return "; ".join([changes, *idle])


def _changed_files(done: Sequence[Deployment]) -> str:
    """The first files that the changes themselves change."""
    return list_some([path for one in done for path in one.update.files if not one.update.idle])


def _branches(done: Sequence[Deployment]) -> str:
    return ", ".join(dict.fromkeys(one.update.branch for one in done))


def superseded(
    done: Sequence[Deployment], *, stage: str, dry_run: bool, seconds: float
) -> Superseded:
    """The end of a step that found a newer deployment on a branch, with outputs and facts."""
    found = next(one for one in done if one.update.newer)
    assert found.update.newer
    outputs = _outputs_with_diff(done, dry_run=dry_run, seconds=seconds)
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
