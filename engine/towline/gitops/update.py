"""One commit on a branch to which others push as well.

The change and its commit are planned in a private clone, then pushed. If the branch has moved, they
are planned again on its new tip.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial

from towline.console import Console
from towline.errors import ConfigError, GitError, GitUnreachable, RenderError
from towline.git.objects import Author
from towline.git.repository import BranchTip, GitRepository, PushResult
from towline.git.sparse import scope_of
from towline.gitops.change import Change
from towline.gitops.commit_message import compose_message, parse_provenance
from towline.gitops.deployment_history import (
    BranchHistory,
    NewerDeployment,
    find_newer,
    needs_history,
)
from towline.gitops.file_edits import FileEdit, edits_of, edits_or_widen, named_paths
from towline.gitops.host_files import check_files
from towline.gitops.provenance import Provenance
from towline.gitops.secret_values import Marks, mask_secrets
from towline.record import frozen, replace

_MOST_REFUSALS = 3  # of one commit, until the fault is the server's


@frozen
class CommitText:
    """The parts of a commit message, and the author of the commit.

    `text` is for people, `provenance` says where the deployment comes from. `renderer` returns the
    name and version of the program that rendered the files; it is called only for a commit.
    """

    text: str
    provenance: Provenance
    author: Author
    renderer: Callable[[], str] = str

    def message(self) -> str:
        """The whole message of the commit."""
        return compose_message(self.text, replace(self.provenance, renderer=self.renderer()))


@frozen
class UpdateOptions:
    """The options of an update.

    `max_attempts` limits the pushes; with 0, only the deadline does. `dry_run` makes the diff and
    no commit. `console` gets progress lines. `within` are paths and globs for all files that the
    change reads or writes; if they are empty, or not enough, the whole tree is fetched. With
    `allow_older`, a later build of the same pipeline is replaced as well. `allowed_paths` are the
    files of code hosts and CI systems that may be written. `history` is told the commits of the
    branch.
    """

    max_attempts: int = 0
    dry_run: bool = False
    console: Console | None = None
    within: tuple[str, ...] = ()
    create_branch: bool = False
    allow_older: bool = False
    allowed_paths: tuple[str, ...] = ()
    history: BranchHistory | None = None


@frozen
class Update:
    """The result of an update: the new commit (empty for none), its branch and base, and its files.

    `attempts` counts the pushes, `diff` is the unified diff of a dry run. If there is a `newer`
    deployment, a later build of the same pipeline is in place, and nothing was changed. If it is
    `idle`, the change had nothing to do, and the commit only brings the branch up to date with its
    base.
    """

    commit: str
    branch: str
    base: str
    files: tuple[str, ...]
    attempts: int
    diff: str
    newer: NewerDeployment | None = None
    idle: bool = False


@frozen
class UpdateJob:
    """One update of an open repository: a change on `branch`, and the text of its commit.

    An empty branch is the remote's HEAD.
    """

    repository: GitRepository
    branch: str
    change: Change
    text: CommitText
    options: UpdateOptions


@frozen
class CommitPlan:
    """A planned update: `commit`, on top of `tip`, exists in the clone only.

    It is empty if there is nothing to push.
    """

    tip: BranchTip
    update: Update
    commit: str = ""


def plan_update(job: UpdateJob) -> CommitPlan:
    """Fetch the branch, make the change and its commit in the clone: the plan.

    If there is nothing to change, it has no commit.

    Raises ConfigError, CredentialError, GitUnreachable, and what the change itself raises.
    """
    repository, options = job.repository, job.options
    tip = repository.fetch(job.branch, scope=scope_of(options.within), create=options.create_branch)
    last = next(repository.history(tip), None)
    if last and not options.allow_older and needs_history(last.message, job.text.provenance):
        repository.expect_history(tip)
    planned = _planned(job, tip, 0)
    if planned.tip.new and not planned.update.newer:
        _say_branch_created(planned.tip, options, needed=bool(planned.update.files))
    return planned


def plan_again(job: UpdateJob, planned: CommitPlan) -> CommitPlan:
    """The plan on the present tip of the branch; raises as `plan_update` does."""
    return _planned(job, job.repository.refetch(planned.tip), planned.update.attempts)


def check_push(job: UpdateJob, planned: CommitPlan) -> CommitPlan:
    """Rehearse the push of a plan that has a commit: the plan, made again if the branch has moved.

    Raises as `push` does, for example if the server does not let this user push.
    """
    repository, tip = job.repository, planned.tip
    refused = PushResult(done=False, refused=False, text="")
    for attempt in range(_MOST_REFUSALS):
        refused = repository.push(planned.commit, tip, dry_run=True)
        if refused.done:
            return planned
        repository.pause(
            attempt, f"branch {tip.branch} could not be asked for, and the deadline is over"
        )
        now = repository.refetch(tip)
        if _has_moved(tip, now):
            return _planned(job, now, planned.update.attempts)
    raise _refusal(repository, tip, refused)


def push(job: UpdateJob, planned: CommitPlan) -> Update:
    """Push the planned commit; as long as the branch moves, plan and push again until the deadline.

    Raises ConfigError, CredentialError, GitError (the server refuses), GitUnreachable, and what the
    change itself raises.
    """
    repository, options = job.repository, job.options
    while planned.commit:
        tip, attempts = planned.tip, planned.update.attempts + 1
        landed = _push_commit(
            repository, tip, planned.commit, request=job.text.provenance.request, attempt=attempts
        )
        if isinstance(landed, str):
            return replace(planned.update, commit=landed, attempts=attempts)
        if attempts == options.max_attempts:
            raise GitUnreachable(
                f"branch {tip.branch} kept moving: {attempts} pushes came too late",
                where=repository.remote.url,
                hint="leave maxPushAttempts out: then pushDeadline alone decides",
            )
        if options.console:
            options.console.say(
                f"  {tip.branch} moved meanwhile; again on top of {landed.commit[:12]}"
            )
        planned = _planned(job, landed, attempts)
    return planned.update


def _planned(job: UpdateJob, tip: BranchTip, attempts: int) -> CommitPlan:
    """The plan of the job on this tip."""
    repository, text, options = job.repository, job.text, job.options
    if options.history:
        options.history.learn(partial(_messages, repository, tip), text.provenance)
    tip, edits, done = _edits_on_tip(job, tip)
    check_files((edit.path for edit in edits), options.allowed_paths)
    done = replace(done, attempts=attempts)
    if newer := _newer_deployment(job, tip, edits):
        return CommitPlan(tip=tip, update=replace(done, files=(), newer=newer))
    if not (edits or tip.merged_from) or options.dry_run:
        return CommitPlan(
            tip=tip, update=replace(done, diff=_diff(repository, tip, edits) if edits else "")
        )
    changes = {edit.path: edit.new for edit in edits}
    commit = (
        repository.commit(tip, changes, message=text.message(), author=text.author)
        if edits
        else tip.commit
    )
    return CommitPlan(tip=tip, update=done, commit=commit)


def _newer_deployment(
    job: UpdateJob, tip: BranchTip, edits: Sequence[FileEdit]
) -> NewerDeployment | None:
    """The deployment of a later build of the same pipeline, which the edits would take back."""
    if not edits or job.options.allow_older:
        return None
    now = datetime.fromtimestamp(job.repository.deadline.clock.wall(), UTC)
    before = [edit.old for edit in edits if edit.old is not None]
    return find_newer(_messages(job.repository, tip), job.text.provenance, before, now=now)


def _say_branch_created(tip: BranchTip, options: UpdateOptions, *, needed: bool) -> None:
    """Print that a missing branch is created, and from where; or that it is not `needed`."""
    if not options.console:
        return
    verb = "would be made" if options.dry_run else "is made"
    origin = (
        f"from {tip.base}, commit {tip.commit[:12]}"
        if tip.commit
        else "with the first commit of the repository, which is empty"
    )
    ending = (
        f": it {verb} {origin}"
        if needed
        else (
            f", and is not made: {tip.base or 'the repository'}, where it would begin, leaves"
            " nothing to do"
        )
    )
    options.console.say(f"  branch {tip.branch} is not there{ending}")


def _diff(repository: GitRepository, tip: BranchTip, edits: Sequence[FileEdit]) -> str:
    """The unified diff of the edits, without the values of Secrets."""
    marks = Marks()
    before = mask_secrets({edit.path: edit.old for edit in edits if edit.old is not None}, marks)
    after = {edit.path: edit.new for edit in edits}
    return repository.diff(tip, after | mask_secrets(after, marks), before=before)


def _messages(repository: GitRepository, tip: BranchTip) -> Iterator[tuple[str, str]]:
    """Id and message of each commit up to `tip`, newest first."""
    return ((commit.id, commit.message) for commit in repository.history(tip))


def _edits_on_tip(job: UpdateJob, tip: BranchTip) -> tuple[BranchTip, tuple[FileEdit, ...], Update]:
    """The tip on which the change is made, its edits there, and the update of the server's branch.

    With `create_branch`, the branch first gets what its base has besides; edits may be none then.
    """
    repository, change, options = job.repository, job.change, job.options
    while True:
        edits: tuple[FileEdit, ...] = ()
        fault: ConfigError | RenderError | None = None
        try:
            tip, edits = edits_or_widen(repository, tip, change, options.within)
        except (ConfigError, RenderError) as caught:
            fault = caught
        on_base = repository.merge_base_branch(tip, author=job.text.author)
        if fault and on_base == tip:
            raise fault
        if on_base.server_commit == tip.server_commit:
            break
        tip = on_base
    files, idle = tuple(edit.path for edit in edits), False
    if on_base.merged_from:
        on_branch, edits = edits, edits_of(repository, on_base, change, options.within)
        files = (
            files
            or tuple(edit.path for edit in edits)
            or _files_from_base(repository, on_base, change)
        )
        idle = not (on_branch or edits or fault)
    return (
        on_base,
        edits,
        Update(
            commit="",
            branch=on_base.branch,
            base=on_base.server_commit,
            files=files,
            attempts=0,
            diff="",
            idle=idle,
        ),
    )


def _files_from_base(repository: GitRepository, tip: BranchTip, change: Change) -> tuple[str, ...]:
    """The files of the change that the branch gets from its base: new ones, and changed ones."""
    before = {(entry.path, entry.mode, entry.oid) for entry in repository.listing(tip.merged_from)}
    entries = {entry.path: entry for entry in repository.listing(tip.commit)}
    wanted = [entries[path] for path in change.wants(named_paths(repository, tip))]
    return tuple(
        entry.path for entry in wanted if (entry.path, entry.mode, entry.oid) not in before
    )


def _push_commit(
    repository: GitRepository, tip: BranchTip, commit: str, *, request: str, attempt: int
) -> str | BranchTip:
    """Push `commit`: its id on the branch now, or the new tip if the branch has moved.

    The branch tells what happened, never a message (facts 3.5): a push whose answer was lost may
    have landed. `request` is the Towline-Request trailer, by which a commit is recognized.
    """
    refused = PushResult(done=False, refused=False, text="")
    for refusal in range(_MOST_REFUSALS):
        pushed = repository.push(commit, tip)
        if pushed.done:
            return commit
        refused = pushed
        repository.pause(
            attempt + refusal - 1,
            f"{attempt} times branch {tip.branch} could not be pushed to, and the deadline is over",
        )
        now = repository.refetch(tip)
        if now.commit == commit:
            return commit
        for found in repository.commits_since(tip, now):
            if found.id == commit or (
                request and parse_provenance(found.message).request == request
            ):
                return found.id
        if _has_moved(tip, now):
            return now
    raise _refusal(repository, tip, refused)


def _has_moved(tip: BranchTip, now: BranchTip) -> bool:
    """Whether the branch has another commit now, or somebody else created it meanwhile."""
    return (now.server_commit, now.new) != (tip.server_commit, tip.new)


def _refusal(repository: GitRepository, tip: BranchTip, pushed: PushResult) -> GitError:
    where = repository.remote.url
    if not pushed.refused:
        return GitUnreachable(
            f"the push to branch {tip.branch} broke off {_MOST_REFUSALS} times: {pushed.text}",
            where=where,
            hint="run the step again later",
        )
    return GitError(
        f"the server refused the push to branch {tip.branch}: {pushed.text}",
        where=where,
        hint=(
            "the branch may be protected, or a hook of the server refuses, and Towline never"
            " forces: let this user push to it, or deploy to a branch of its own (branchName,"
            " createBranch: true) and open a review request from there; a server that checks who"
            " commits wants an address that it knows (authorEmail)"
        ),
    )
