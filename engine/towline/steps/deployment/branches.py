"""The branches that a step deploys to: all of them are read, changed and judged before the first is pushed to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from towline import deadline
from towline.config.settings import Settings
from towline.errors import GitUnreachable, TowlineError
from towline.git.repository import Repository
from towline.git.repository_url import host_and_path
from towline.gitops.change import Change, Together
from towline.gitops.provenance import BranchHistory
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
from towline.steps.deployment.repository import opened
from towline.steps.task import Task

# repositories that stay open from their plan to their push, each with a folder, two locks and what
# was read of it; of more, each is opened twice
_OPEN = 16


def deploy(
    task: Task,
    groups: Sequence[tuple[Target, ...]],
    past: BranchHistory,
    *,
    landed: Callable[[Deployment], None],
    pushing: Callable[[], None] = lambda: None,
) -> None:
    """Plan the change of each branch, ask the servers whether they would take them, and push to one branch after the other.

    `landed` is told of each that went well; in a dry run, of each plan; `pushing` is called before the first push. Raises what a plan, a check or a push
    does: nothing is pushed after that.


    """
    branches = [Branch(task, group, past) for group in groups]
    with ExitStack() as stack:
        for branch in branches:
            stack.callback(branch.close)
        for branch in (kept := branches[:_OPEN]):
            branch.open()
        # in one order: two runs must not wait for each other
        for branch in sorted(kept, key=lambda branch: branch.place):
            branch.lock()
        changing = False
        for number, branch in enumerate(branches):
            branch.prepare(checked=changing)
            changing = changing or branch.changing
            if task.dry_run:
                landed(branch.done())
            if number >= _OPEN:
                branch.close()
        if task.dry_run:
            return
        pushing()
        pushed: list[Deployment] = []
        for branch in branches:
            pushed.append(branch.push(pushed))
            landed(pushed[-1])
            branch.close()


class Branch:
    """Targets on one branch of one repository, which is open between `open` and `close`.

    Its deadline counts its own work alone.
    """

    def __init__(self, task: Task, targets: tuple[Target, ...], past: BranchHistory) -> None:
        settings = targets[0].settings
        self.place = settings.text("serverUrl").rstrip("/"), settings.text("branchName")
        self._targets, self._past, self._task = targets, past, replace(task, settings=settings)
        self._turns = TurnClock()
        self._deadline = Deadline.after(settings.number("pushDeadline"), Clock(now=self._turns.now))
        self._open = ExitStack()
        self._job: UpdateJob | None = None
        self._plan: CommitPlan | None = None

    @property
    def changing(self) -> bool:
        """Whether something is to be pushed, or was."""
        return bool(self._plan and self._plan.commit)

    def open(self) -> None:
        """Make the copy's folder; raises as `opened` does, and MachineError."""
        task, settings = self._task, self._task.settings
        with self._turn():
            remote = self._open.enter_context(opened(task))
            made = Repository(
                remote, environ=task.environ, deadline=self._deadline, say=task.console.warn
            )
            repository = self._open.enter_context(made)
            self._job = UpdateJob(
                repository=repository,
                branch=settings.text("branchName"),
                change=self._change(),
                text=self._text(),
                options=self._options(),
            )

    def lock(self) -> None:
        """Hold off other writers of this user on this host until `close`, where that can be done; a dry run holds off nobody."""
        if self._job and not self._task.dry_run:
            with self._turn():
                self._open.enter_context(self._job.repository.lock(self._job.branch))

    def prepare(self, *, checked: bool) -> None:
        """Plan; with `checked`, ask the server whether it would take what is to be pushed.

        Raises as `plan` and `check` do.
        """
        if not self._job:
            self.open()
        with self._turn():
            self._plan = plan_update(self._started)
            if checked and self._plan.commit:
                self._plan = check_push(self._started, self._plan)

    def push(self, before: Sequence[Deployment]) -> Deployment:
        """Push what is planned; planned again if one of those pushed `before` has moved this branch, or may have moved its base.

        Raises as `push` does.
        """
        if not self._job:
            self.open()
            self.lock()
            self.prepare(checked=False)
        with self._turn():
            assert self._plan
            name, here = self._plan.tip.branch, host_and_path(self.place[0])
            beside = [
                one.update.branch
                for one in before
                if one.update.commit and host_and_path(one.repository) == here
            ]
            if name in beside or (beside and self._started.options.create_branch):
                self._plan = plan_again(self._started, self._plan)
            return Deployment(targets=self._targets, update=push(self._started, self._plan))

    def done(self) -> Deployment:
        """What the plan comes to."""
        assert self._plan
        return Deployment(targets=self._targets, update=self._plan.update)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Its turn, which ends with its deadline: what renders, reads and edits looks at no clock."""
        with self._turns.turn(), deadline.within(self._deadline.left, self._late):
            yield

    def _late(self) -> TowlineError:
        settings = self._task.settings
        return GitUnreachable(
            f"the deployment has not been done within {settings.number('pushDeadline')} seconds,"
            " with all that it renders and reads",
            where=self.place[0],
            hint="look for a chart or a file that takes long, or raise pushDeadline",
        )

    def close(self) -> None:
        """Remove the folder and let others write; a second time does nothing."""
        self._job = None
        self._open.close()

    @property
    def _started(self) -> UpdateJob:
        assert self._job
        return self._job

    def _change(self) -> Change:
        changes: tuple[Change, ...] = tuple(target.watched for target in self._targets)
        lasting = tuple(one for target in self._targets for one in target.planned.lasting)
        return changes[0] if len(changes) == 1 else Together(changes=changes, lasting=lasting)

    def _options(self) -> UpdateOptions:
        settings = self._task.settings
        paths = tuple(
            dict.fromkeys(path for target in self._targets for path in _paths(target.settings))
        )
        return UpdateOptions(
            max_attempts=settings.number("maxPushAttempts"),
            dry_run=self._task.dry_run,
            console=self._task.console,
            within=paths,
            create_branch=settings.flag("createBranch"),
            allowed_paths=settings.texts("allowedPaths"),
            allow_older=settings.flag("allowOlder"),
            history=self._past,
        )

    def _text(self) -> CommitText:
        images = tuple(dict.fromkeys(image for target in self._targets for image in target.images))
        names = tuple(
            dict.fromkeys(
                target.settings.text("deploymentName") or target.settings.text("filePath")
                for target in self._targets
            )
        )
        renderers = [target.planned.renderer for target in self._targets if target.planned.renderer]
        text = commit_text(self._task, self._task.settings, names, images)
        return replace(
            text,
            renderer=lambda: ", ".join(
                dict.fromkeys(renderer.version() for renderer in dict.fromkeys(renderers))
            ),
        )


def _paths(settings: Settings) -> tuple[str, ...]:
    """Paths and globs that hold all that any of the tools asks for or writes."""
    chart = settings.text("chartPath").strip("/")
    return (
        settings.text("filePath"),
        *([f"{chart}/**"] if chart else []),
        *settings.texts("helmValues"),
    )
