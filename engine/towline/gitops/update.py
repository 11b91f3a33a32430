"""One commit on a branch that others push to as well: planned in a copy, then pushed, and planned again where the branch moved."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial

from towline.console import Console
from towline.errors import ConfigError, GitError, GitUnreachable, RenderError, placed
from towline.git.partial_clone import OutOfScope
from towline.git.repository import Author, BranchTip, PushResult, Repository
from towline.git.sparse import scope_of
from towline.git.tree import TreeEntry, check_path, is_path, is_pointer, link_target
from towline.gitops.change import Change, context_of, dependencies_of
from towline.gitops.host_files import check_files
from towline.gitops.provenance import (
    BranchHistory,
    NewerDeployment,
    Provenance,
    compose,
    find_newer,
    needs_history,
    parse,
)
from towline.gitops.secret_values import Marks, mask_secrets
from towline.record import frozen, replace

_REFUSALS = 3
_LINKS = 8  # one after the other


@frozen
class CommitText:
    """What a commit says: the text for people, where the deployment comes from, and who signs for it.

    `renderer` says what has rendered its files; it is asked where there is a commit to make.
    """

    text: str
    provenance: Provenance
    author: Author
    renderer: Callable[[], str] = str

    def message(self) -> str:
        """All of it as the commit has it."""
        return compose(self.text, replace(self.provenance, renderer=self.renderer()))


@frozen
class UpdateOptions:
    """How an update goes about it: pushes at most (0: the deadline alone decides), whether it only shows the diff, who is told.

    With `allow_older` it goes back behind a later build of the same pipeline, too. `allowed_paths`
    are those of code hosts and CI systems that may be written. `past` is told where to look for
    what was deployed before. `within` are paths and globs that hold all the change may ask for or
    write; where they do not, or are empty, the whole tree is fetched.
    """

    max_attempts: int = 0
    dry_run: bool = False
    console: Console | None = None
    within: tuple[str, ...] = ()
    create_branch: bool = False
    allow_older: bool = False
    allowed_paths: tuple[str, ...] = ()
    past: BranchHistory | None = None


@frozen
class Update:
    """What became of it: the new commit (empty: none was made), its branch and base, changed files, pushes tried; under `dry_run` the unified diff.

    With `newer`, a later build of the same pipeline is in place, and nothing was changed. With
    `idle`, the change itself has nothing to do, and the commit only brings the branch up to date
    with its base.
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
class FileEdit:
    """One file before (None: it was not there) and after."""

    path: str
    old: bytes | None
    new: bytes


@frozen
class UpdateJob:
    """One update of a repository that is open: which branch (empty: the remote's HEAD), what is changed there, and under which text and terms."""

    repository: Repository
    branch: str
    change: Change
    text: CommitText
    terms: UpdateOptions


@frozen
class CommitPlan:
    """What a job comes to: the commit `made` on top of `tip`, which is only here, and empty if nothing is to be pushed; and what has become of it so far."""

    tip: BranchTip
    update: Update
    made: str = ""


def plan_update(job: UpdateJob) -> CommitPlan:
    """Read the branch, and make the change and its commit in the copy alone.

    Nothing to change is a success without a commit.

    Raises ConfigError, CredentialError, GitUnreachable, and what the change itself raises.
    """
    repository, terms = job.repository, job.terms
    tip = repository.fetch(job.branch, scope=scope_of(terms.within), create=terms.create_branch)
    last = next(repository.history(tip), None)
    if last and not terms.allow_older and needs_history(last.message, job.text.provenance):
        repository.expect_history(tip)
    planned = _planned(job, tip, 0)
    if planned.tip.new and not planned.update.newer:
        _say_new(planned.tip, terms, needed=bool(planned.update.files))
    return planned


def plan_again(job: UpdateJob, planned: CommitPlan) -> CommitPlan:
    """The plan on the branch as it is now; raises as `plan` does."""
    return _planned(job, job.repository.refetch(planned.tip), planned.update.attempts)


def check_push(job: UpdateJob, planned: CommitPlan) -> CommitPlan:
    """A plan with something to push, once the server would let this user push it; made again where the branch has moved.

    Raises as `push` does.
    """
    repository, tip = job.repository, planned.tip
    refused = PushResult(done=False, refused=False, text="")
    for attempt in range(_REFUSALS):
        refused = repository.push(planned.made, tip, rehearsed=True)
        if refused.done:
            return planned
        repository.wait(
            attempt, f"branch {tip.branch} could not be asked for, and the deadline is over"
        )
        now = repository.refetch(tip)
        if _has_moved(tip, now):
            return _planned(job, now, planned.update.attempts)
    raise _refusal(repository, tip, refused)


def push(job: UpdateJob, planned: CommitPlan) -> Update:
    """Push what is planned, planned again where the branch has moved, until it is there or the repository's deadline is over.

    Raises ConfigError, CredentialError, GitError (the server refuses), GitUnreachable, and what the
    change itself raises.
    """
    repository, terms = job.repository, job.terms
    while planned.made:
        tip, attempts = planned.tip, planned.update.attempts + 1
        landed = _land(
            repository, tip, planned.made, request=job.text.provenance.request, attempt=attempts
        )
        if isinstance(landed, str):
            return replace(planned.update, commit=landed, attempts=attempts)
        if attempts == terms.max_attempts:
            raise GitUnreachable(
                f"branch {tip.branch} kept moving: {attempts} pushes came too late",
                where=repository.remote.url,
                hint="leave maxPushAttempts out: then pushDeadline alone decides",
            )
        if terms.console:
            terms.console.say(
                f"  {tip.branch} moved meanwhile; again on top of {landed.commit[:12]}"
            )
        planned = _planned(job, landed, attempts)
    return planned.update


def _planned(job: UpdateJob, tip: BranchTip, attempts: int) -> CommitPlan:
    """What the job comes to on this tip."""
    repository, text, terms = job.repository, job.text, job.terms
    if terms.past:
        terms.past.learn(partial(_messages, repository, tip), text.provenance)
    tip, edits, done = _changes(job, tip)
    check_files((edit.path for edit in edits), terms.allowed_paths)
    done = replace(done, attempts=attempts)
    if newer := _newer(job, tip, edits):
        return CommitPlan(tip=tip, update=replace(done, files=(), newer=newer))
    if not (edits or tip.there) or terms.dry_run:
        return CommitPlan(
            tip=tip, update=replace(done, diff=_shown(repository, tip, edits) if edits else "")
        )
    changes = {edit.path: edit.new for edit in edits}
    made = (
        repository.commit(tip, changes, message=text.message(), author=text.author)
        if edits
        else tip.commit
    )
    return CommitPlan(tip=tip, update=done, made=made)


def _newer(job: UpdateJob, tip: BranchTip, edits: Sequence[FileEdit]) -> NewerDeployment | None:
    """The later build of the same pipeline that the edits would take back."""
    if not edits or job.terms.allow_older:
        return None
    now = datetime.fromtimestamp(job.repository.deadline.clock.wall(), UTC)
    before = [edit.old for edit in edits if edit.old is not None]
    return find_newer(_messages(job.repository, tip), job.text.provenance, before, now=now)


def _say_new(tip: BranchTip, terms: UpdateOptions, *, needed: bool) -> None:
    """Say that a branch is made, and from what; or that it is not, since what it would begin at is as wanted."""
    if not terms.console:
        return
    made = "would be made" if terms.dry_run else "is made"
    begin = (
        f"from {tip.base}, commit {tip.commit[:12]}"
        if tip.commit
        else "with the first commit of the repository, which is empty"
    )
    told = (
        f": it {made} {begin}"
        if needed
        else (
            f", and is not made: {tip.base or 'the repository'}, where it would begin, leaves"
            " nothing to do"
        )
    )
    terms.console.say(f"  branch {tip.branch} is not there{told}")


def _shown(repository: Repository, tip: BranchTip, edits: Sequence[FileEdit]) -> str:
    """What the edits change, without the values of Secrets."""
    marks = Marks()
    before = mask_secrets({edit.path: edit.old for edit in edits if edit.old is not None}, marks)
    after = {edit.path: edit.new for edit in edits}
    return repository.diff(tip, after | mask_secrets(after, marks), before=before)


def _messages(repository: Repository, tip: BranchTip) -> Iterator[tuple[str, str]]:
    """The commits up to `tip`, newest first: id and message."""
    return ((commit.id, commit.message) for commit in repository.history(tip))


def _changes(job: UpdateJob, tip: BranchTip) -> tuple[BranchTip, tuple[FileEdit, ...], Update]:
    """What the change comes to: the tip that it is made on, the edits there, and what becomes of the branch as the server has it.

    A branch of its own gets what its base has besides first; edits may be none then.
    """
    repository, change, terms = job.repository, job.change, job.terms
    while True:
        edits: tuple[FileEdit, ...] = ()
        fault: ConfigError | RenderError | None = None
        try:
            tip, edits = _prepared(repository, tip, change, terms.within)
        except (ConfigError, RenderError) as caught:
            fault = caught
        on_base = repository.caught_up(tip, author=job.text.author)
        if fault and on_base == tip:
            raise fault
        if on_base.seen == tip.seen:
            break
        tip = on_base
    files, idle = tuple(edit.path for edit in edits), False
    if on_base.there:
        on_branch, edits = edits, prepare(repository, on_base, change, terms.within)
        files = files or tuple(edit.path for edit in edits) or _brought(repository, on_base, change)
        idle = not (on_branch or edits or fault)
    return (
        on_base,
        edits,
        Update(
            commit="",
            branch=on_base.branch,
            base=on_base.seen,
            files=files,
            attempts=0,
            diff="",
            idle=idle,
        ),
    )


def _brought(repository: Repository, tip: BranchTip, change: Change) -> tuple[str, ...]:
    """What the change looks at and the branch gets from its base: another file than the server has for the branch, or a new one."""
    before = {(entry.path, entry.mode, entry.oid) for entry in repository.listing(tip.there)}
    entries = {entry.path: entry for entry in repository.listing(tip.commit)}
    wanted = [entries[path] for path in change.wants(_named(repository, tip))]
    return tuple(one.path for one in wanted if (one.path, one.mode, one.oid) not in before)


def _named(repository: Repository, tip: BranchTip) -> list[str]:
    """The paths of everything in scope with a name that is text, sorted."""
    return sorted(entry.path for entry in repository.listing(tip.commit) if entry.named)


def _prepared(
    repository: Repository, tip: BranchTip, change: Change, within: Iterable[str]
) -> tuple[BranchTip, tuple[FileEdit, ...]]:
    """The tip and what the change makes of it; where that fails on a part of the repository, once more on the whole, which may be newer."""
    try:
        return tip, prepare(repository, tip, change, within)
    except (ConfigError, RenderError) as fault:
        if not repository.narrow and not isinstance(fault, OutOfScope):
            raise
    tip = repository.widen()
    return tip, prepare(repository, tip, change, within)


def prepare(
    repository: Repository, tip: BranchTip, change: Change, within: Iterable[str] = ()
) -> tuple[FileEdit, ...]:
    """What `change` comes to on this tip, unchanged files left out; raises ConfigError (a path that is no editable file)."""
    entries = {entry.path: entry for entry in repository.listing(tip.commit)}
    listing = sorted(path for path, entry in entries.items() if entry.named)
    with placed(repository.remote.url):
        try:
            wanted = change.wants(listing)
        except ConfigError:
            _check_obstacles(entries, within)
            raise
    repository.cover(wanted)
    files = _read(repository, entries, wanted)
    asked: set[str] = set()
    while more := sorted(dependencies_of(change, listing, files) - asked):
        asked |= set(more)
        repository.cover(more)
        files |= _read(
            repository,
            entries,
            [path for path in more if path in entries and entries[path].kind == "blob"],
        )
    files |= _glanced(repository, tip, change, files)
    with placed(repository.remote.url):
        changed = change.apply(files)
    repository.cover(map(check_path, changed))
    old = files | _read(
        repository, entries, [path for path in changed if check_path(path) not in files]
    )
    edits = tuple(
        FileEdit(path=path, old=old.get(path), new=new)
        for path, new in sorted(changed.items())
        if old.get(path) != new and not _behind_link(repository, entries.get(path), changed, new)
    )
    _check_places(repository, (entries[edit.path] for edit in edits if edit.path in entries))
    return edits


def _glanced(
    repository: Repository, tip: BranchTip, change: Change, files: Mapping[str, bytes]
) -> dict[str, bytes]:
    """What the change would like to look at besides `files`, of that what can be read as it is; raises OutOfScope."""
    found: dict[str, bytes] = {}
    asked: set[str] = set()
    while more := _besides(repository, tip, change, {**files, **found}) - asked:
        asked |= more
        repository.extend(more)
        there = [
            entry
            for entry in repository.listing(tip.commit)
            if entry.path in more and entry.named and not entry.obstacle
        ]
        try:
            read = repository.read(there)
        except OutOfScope:
            raise
        except ConfigError:  # too large to be looked at
            break
        found |= {path: data for path, data in read.items() if not is_pointer(data)}
    return found


def _besides(
    repository: Repository, tip: BranchTip, change: Change, files: Mapping[str, bytes]
) -> set[str]:
    """What the change would like to look at, paths inside of the repository alone."""
    return {
        path
        for path in context_of(change, _named(repository, tip), files)
        if is_path(path.removesuffix("/"))
    }


def _check_obstacles(entries: Mapping[str, TreeEntry], paths: Iterable[str]) -> None:
    """Raises ConfigError where one of `paths` is a folder, or leads over what is none: a Change is not shown these, and cannot tell."""
    for parts in (path.split("/") for path in paths):
        for depth in range(1, len(parts) + 1):
            entry, wanted = (
                entries.get("/".join(parts[:depth])),
                ("file" if depth == len(parts) else "folder"),
            )
            if entry and entry.obstacle and (entry.kind == "tree") == (wanted == "file"):
                raise ConfigError(
                    f"{entry.path} is {entry.obstacle}, not a {wanted}",
                    hint="give the path of a file, as git has it",
                )


def _read(
    repository: Repository, entries: Mapping[str, TreeEntry], paths: Iterable[str]
) -> dict[str, bytes]:
    """Those of `paths` that are there, links followed; raises ConfigError where one is no file whose text could be edited."""
    wanted = _followed(
        repository, entries, [entries[path] for path in dict.fromkeys(paths) if path in entries]
    )
    _check_places(repository, wanted)
    files = repository.read(wanted)
    for path, content in files.items():
        if is_pointer(content):
            raise ConfigError(
                f"{path} is kept in Git LFS: only a pointer to it is in the repository",
                where=repository.remote.url,
                hint="keep files that are deployed outside of LFS",
            )
    return files


def _followed(
    repository: Repository, entries: Mapping[str, TreeEntry], wanted: Iterable[TreeEntry]
) -> list[TreeEntry]:
    """`wanted` with the files that links lead to in the place of the links, under their names; raises ConfigError and OutOfScope."""
    found = {entry.path: entry for entry in wanted}
    for _ in range(_LINKS):
        links = {name: entry for name, entry in found.items() if entry.link}
        targets = repository.read(links.values()) if links else {}
        for name, link in links.items():
            with placed(repository.remote.url):
                path = link_target(link.path, targets[link.path])
            repository.cover([path])
            if path in entries and entries[path].kind == "tree" and _in_chart(name, found):
                repository.cover([f"{path}/Chart.yaml"])
                del found[name]
                found |= _below(name, path, entries)
                continue
            if path not in entries or entries[path].kind == "tree":
                raise ConfigError(
                    f"{name} is a symbolic link to {path}, which is no file",
                    where=repository.remote.url,
                    hint="put the files themselves there",
                )
            found[name] = entries[path]
    return [entry if entry.link else replace(entry, path=name) for name, entry in found.items()]


def _in_chart(name: str, found: Mapping[str, TreeEntry]) -> bool:
    """Whether a path lies in a chart that is read: there, folders may be links."""
    return any(
        f"{'/'.join(name.split('/')[:depth])}/Chart.yaml".lstrip("/") in found
        for depth in range(name.count("/") + 1)
    )


def _below(name: str, folder: str, entries: Mapping[str, TreeEntry]) -> dict[str, TreeEntry]:
    """What is in a folder, under the name of the link to it; raises ConfigError where the link lies in it."""
    if f"{name}/".startswith(f"{folder}/"):
        raise ConfigError(
            f"{name} is a symbolic link to {folder}, in which it lies itself",
            hint="put the files themselves there",
        )
    return {
        f"{name}{path.removeprefix(folder)}": entry
        for path, entry in entries.items()
        if path.startswith(f"{folder}/") and entry.kind != "tree"
    }


def _behind_link(
    repository: Repository, entry: TreeEntry | None, changed: Mapping[str, bytes], new: bytes
) -> bool:
    """Whether the entry is a link to a file that becomes the same: a glob has found both."""
    return (
        entry is not None
        and entry.link
        and changed.get(link_target(entry.path, repository.read([entry])[entry.path])) == new
    )


def _check_places(repository: Repository, entries: Iterable[TreeEntry]) -> None:
    """Pass where all of them are files; raises ConfigError."""
    for entry in entries:
        if entry.obstacle:
            raise ConfigError(
                f"{entry.path} is {entry.obstacle}, not a file",
                where=repository.remote.url,
                hint="give the path of a file, or put the file itself there",
            )


def _land(
    repository: Repository, tip: BranchTip, made: str, *, request: str, attempt: int
) -> str | BranchTip:
    """Push `made`: the id of the commit that is on the branch now, or the tip that came before it.

    What happened is read off the branch, never off a message (facts 3.5): a push whose answer was
    lost has landed all the same.
    """
    refused = PushResult(done=False, refused=False, text="")
    for refusal in range(_REFUSALS):
        pushed = repository.push(made, tip)
        if pushed.done:
            return made
        refused = pushed
        repository.wait(
            attempt + refusal - 1,
            f"{attempt} times branch {tip.branch} could not be pushed to, and the deadline is over",
        )
        now = repository.refetch(tip)
        if now.commit == made:
            return made
        for commit in repository.since(tip, now):
            if commit.id == made or (request and parse(commit.message).request == request):
                return commit.id
        if _has_moved(tip, now):
            return now
    raise _refusal(repository, tip, refused)


def _has_moved(tip: BranchTip, now: BranchTip) -> bool:
    """Whether the branch is no longer what it was: also one that is there now, at the commit where it was to begin."""
    return (now.seen, now.new) != (tip.seen, tip.new)


def _refusal(repository: Repository, tip: BranchTip, pushed: PushResult) -> GitError:
    where = repository.remote.url
    if not pushed.refused:
        return GitUnreachable(
            f"the push to branch {tip.branch} broke off {_REFUSALS} times: {pushed.text}",
            where=where,
            hint="run the step again later",
        )
    return GitError(
        f"the server refused the push to branch {tip.branch}: {pushed.text}",
        where=where,
        hint=(
            "the branch may be protected, or a hook of the server objects, and Towline never"
            " forces: let this user push to it, or deploy to a branch of its own (branchName,"
            " createBranch: true) and open a review request from there; a server that checks who"
            " commits wants an address that it knows (authorEmail)"
        ),
    )
