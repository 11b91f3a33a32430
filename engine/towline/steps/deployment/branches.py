"""The branches of a deployment: all are read, changed and checked before the first push."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from towline import deadline
from towline.config.settings import Settings
from towline.errors import GitUnreachable, TowlineError
from towline.git.remote import host_and_path
from towline.git.repository import GitRepository
from towline.gitops.change import Change, Together
from towline.gitops.deployment_history import BranchHistory
from towline.gitops.update import (
    CommitPlan,
    CommitText,
    UpdateJob,
    UpdateOptions,
    check_push,
    plan_again,
    plan_update,
    push,
)
from towline.record import replace
from towline.retry import Clock, Deadline, TurnClock
from towline.steps.deployment.commit import commit_text
from towline.steps.deployment.report import Deployment, Target
from towline.steps.deployment.repository import open_remote

# Repositories that stay open from their plan to their push, each with a folder, two locks and its
# contents that were read. Each repository beyond these is opened twice.
_MOST_OPEN = 16


def deploy(
    groups: Sequence[tuple[Target, ...]],
    history: BranchHistory,
    *,
    dry_run: bool,
    landed: Callable[[Deployment], None],
    pushing: Callable[[], None],
) -> None:
    """Plan each group (the targets of one branch), rehearse the pushes, and push in order.

    `landed` is called with each result, in a dry run with each plan; `pushing` before the first
    push. Raises what a plan, a rehearsal or a push raises; nothing is pushed after that.
    """
    branches = [Branch(group, history) for group in groups]
    with ExitStack() as stack:
        for branch in branches:
            stack.callback(branch.close)
        stay_open = branches[:_MOST_OPEN]
        for branch in stay_open:
            branch.open()
        # Always in the same order: two runs must not wait for each other.
        for branch in sorted(stay_open, key=lambda branch: branch.place):
            branch.lock()
        changing = False
        for number, branch in enumerate(branches):
            branch.prepare(rehearse=changing)
            changing = changing or branch.changing
            if dry_run:
                landed(branch.planned())
            if number >= _MOST_OPEN:
                branch.close()
        if dry_run:
            return
        pushing()
        pushed: list[Deployment] = []
        for branch in branches:
            pushed.append(branch.push(pushed))
            landed(pushed[-1])
            branch.close()


class Branch:
    """The targets on one branch of one repository, which is open between `open` and `close`.

    Its deadline counts the time of its own work alone.
    """

    def __init__(self, targets: tuple[Target, ...], history: BranchHistory) -> None:
        self._task = targets[0].task
        settings = self._task.settings
        self.place = settings.text("serverUrl").rstrip("/"), settings.text("branchName")
        self._targets, self._history = targets, history
        self._turns = TurnClock()
        self._deadline = Deadline.after(settings.number("pushDeadline"), Clock(now=self._turns.now))
        self._open = ExitStack()
        self._open_job: UpdateJob | None = None
        self._plan: CommitPlan | None = None

    @property
    def changing(self) -> bool:
        """Whether a commit is to be pushed, or was pushed."""
        return bool(self._plan and self._plan.commit)

    def open(self) -> None:
        """Make the folder of the clone; raises as `open_remote` does, and MachineError."""
        task = self._task
        with self._turn():
            remote = self._open.enter_context(open_remote(task))
            unopened = GitRepository(
                remote, environ=task.environ, deadline=self._deadline, say=task.console.warn
            )
            self._open_job = UpdateJob(
                repository=self._open.enter_context(unopened),
                branch=task.settings.text("branchName"),
                change=_change(self._targets),
                text=_text(self._targets),
                options=self._options(),
            )

    def lock(self) -> None:
        """Lock out other runs of this user on this host until `close`, as far as that is possible.

        A dry run locks nobody out.
        """
        if self._open_job and not self._task.dry_run:
            with self._turn():
                self._open.enter_context(self._job.repository.lock(self._job.branch))

    def prepare(self, *, rehearse: bool) -> None:
        """Plan the commit; with `rehearse`, ask the server whether it would accept the push.

        Raises as `plan_update` and `check_push` do.
        """
        if not self._open_job:
            self.open()
        with self._turn():
            self._plan = plan_update(self._job)
            if rehearse and self._plan.commit:
                self._plan = check_push(self._job, self._plan)

    def push(self, before: Sequence[Deployment]) -> Deployment:
        """Push the planned commit: the result.

        The commit is planned again if one of the deployments pushed `before` has moved this branch,
        or may have moved its base. Raises as `gitops.update.push` does.
        """
        if not self._open_job:
            self.open()
            self.lock()
            self.prepare(rehearse=False)
        with self._turn():
            assert self._plan
            repository = host_and_path(self.place[0])
            pushed_beside = [
                deployment.update.branch
                for deployment in before
                if deployment.update.commit and host_and_path(deployment.repository) == repository
            ]
            base_moved = pushed_beside and self._job.options.create_branch
            if self._plan.tip.branch in pushed_beside or base_moved:
                self._plan = plan_again(self._job, self._plan)
            return Deployment(targets=self._targets, update=push(self._job, self._plan))

    def planned(self) -> Deployment:
        """The result of the plan alone, for a dry run."""
        assert self._plan
        return Deployment(targets=self._targets, update=self._plan.update)

    def close(self) -> None:
        """Remove the folder, and unlock; a second time it does nothing."""
        self._open_job = None
        self._open.close()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Count the time of this branch: its deadline also ends rendering and reading."""
        with self._turns.turn(), deadline.within(self._deadline.left, self._late):
            yield

    def _late(self) -> TowlineError:
        seconds = self._task.settings.number("pushDeadline")
        return GitUnreachable(
            f"pushDeadline of {seconds} seconds exceeded by the deployment,"
            " including the time to render and to read",
            where=self.place[0],
            hint="look for a chart or a file that takes long, or raise pushDeadline",
        )

    @property
    def _job(self) -> UpdateJob:
        assert self._open_job
        return self._open_job

    def _options(self) -> UpdateOptions:
        settings = self._task.settings
        paths = [path for target in self._targets for path in _paths(target.settings)]
        return UpdateOptions(
            max_attempts=settings.number("maxPushAttempts"),
            dry_run=self._task.dry_run,
            console=self._task.console,
            within=tuple(dict.fromkeys(paths)),
            create_branch=settings.flag("createBranch"),
            allowed_paths=settings.texts("allowedPaths"),
            allow_older=settings.flag("allowOlder"),
            history=self._history,
        )


def _change(targets: Sequence[Target]) -> Change:
    """A single Change of the Changes of all targets."""
    if len(targets) == 1:
        return targets[0].change
    return Together(
        changes=tuple(target.change for target in targets),
        edits=tuple(edit for target in targets for edit in target.plan.edits),
        notes=tuple(target.notes for target in targets),
    )


def _text(targets: Sequence[Target]) -> CommitText:
    """The text of the commit for all targets; the renderers are asked for their versions later."""
    images = [image for target in targets for image in target.plan.distinct_images]
    names = [
        target.settings.text("deploymentName") or target.settings.text("filePath")
        for target in targets
    ]
    renderers = [target.plan.renderer for target in targets if target.plan.renderer]

    def versions() -> str:
        found = [renderer.version() for renderer in dict.fromkeys(renderers)]
        return ", ".join(dict.fromkeys(found))

    text = commit_text(targets[0].task, tuple(dict.fromkeys(names)), tuple(dict.fromkeys(images)))
    return replace(text, renderer=versions)


def _paths(settings: Settings) -> tuple[str, ...]:
    """The paths and globs of all files that a tool reads or writes."""
    chart = settings.text("chartPath").strip("/")
    return (
        settings.text("filePath"),
        *([f"{chart}/**"] if chart else []),
        *settings.texts("helmValues"),
    )
