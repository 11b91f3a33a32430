"""A private bare clone of one branch: read some of its files, commit on top of it, push it.

There is no work tree, and nothing is pushed by force.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Self

from towline.console import silent
from towline.errors import ConfigError
from towline.git.base_branch import Divergence, MergeConflict, find_divergence, merge_trees
from towline.git.checkout import Commit
from towline.git.large_files import files_too_large, server_sends_too_much
from towline.git.limits import RepositoryTooLarge, ServerSendsTooMuch
from towline.git.lock import host_lock
from towline.git.objects import (
    Author,
    NewCommit,
    list_commits,
    write_blobs,
    write_commit,
    write_trees,
)
from towline.git.partial_clone import MissingBranch, OutOfScope, PartialClone
from towline.git.program import GitProgram
from towline.git.remote import Remote
from towline.git.sparse import WHOLE_TREE, Scope, scope_of
from towline.git.tree import TreeEntry, rewrite_tree
from towline.private_folder import PrivateFolder
from towline.record import frozen, replace
from towline.retry import Clock, Deadline

_SECONDS = 600.0
_SHORT_NAME = "give the branch's short name, such as main"
# Names that git takes for an option, or for another reference or commit (gitrevisions(7)): a branch
# of such a name would later be read instead of that reference.
_SHADOWS = re.compile(
    r"-.*|@|[A-Z_]*HEAD|(refs|heads|tags|remotes|origin)/.*|[0-9a-f]{40}|[0-9a-f]{64}"
)


@frozen
class BranchTip:
    """A branch, by its short name, and the commit that it pointed to when it was read.

    If the branch is still to be made (`new`), `commit` is the tip of branch `base`, at which it
    will begin; both are empty if there is none. If `commit` is a local merge of the branch and its
    base branch, `merged_from` is the commit that the server has for the branch.
    """

    branch: str
    commit: str
    new: bool = False
    merged_from: str = ""
    base: str = ""

    @property
    def reference(self) -> str:
        """The branch's full name."""
        return f"refs/heads/{self.branch}"

    @property
    def expected(self) -> str:
        """The commit that the branch must still have on the server for a push (its lease).

        Empty: the branch must not be there.
        """
        return "" if self.new else self.server_commit

    @property
    def server_commit(self) -> str:
        """The commit that was read from the server."""
        return self.merged_from or self.commit


@frozen
class PushResult:
    """Whether a push succeeded or was refused, and the messages of git and the server.

    `refused` is for a refusal by git or the server; if neither is true, the push broke off.
    """

    done: bool
    refused: bool
    text: str


class GitRepository:
    """A bare repository in a private folder, shallow and without objects that are not needed.

    The folder has mode 0700 and is removed at the end, also after a fault.
    """

    def __init__(
        self,
        remote: Remote,
        *,
        environ: Mapping[str, str],
        deadline: Deadline | None = None,
        say: Callable[[str], None] = silent,
    ) -> None:
        self.remote = remote
        self.deadline = deadline or Deadline.after(_SECONDS, Clock())
        self._environ = environ
        self._private = PrivateFolder(environ)
        self._folder = self._private.path
        self._say = say
        self._secrets = self._private
        self._fetched_as: tuple[str, bool] = "", False
        self._contents: dict[str, bytes] = {}
        try:
            if remote.key:
                self._secrets = PrivateFolder(environ, secret=True)
            self._git = GitProgram(
                remote,
                folder=self._folder,
                secrets=self._secrets.path,
                environ=environ,
                deadline=self.deadline,
            )
            self._clone = PartialClone(self._git, remote, folder=self._folder, say=say)
        except BaseException:
            self._close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        self._secrets.close()
        self._private.close()

    def lock(self, branch: str) -> AbstractContextManager[bool]:
        """Keep other writers of this user on this host waiting while a block runs, if possible."""
        return host_lock(
            f"{self.remote.url} {branch}", environ=self._environ, deadline=self.deadline
        )

    def fetch(self, branch: str, *, scope: Scope = WHOLE_TREE, create: bool = False) -> BranchTip:
        """Fetch the tip of `branch`, or of the remote's HEAD if `branch` is empty: one commit.

        `scope` says which of its trees are fetched, too. With `create`, a missing branch becomes a
        new branch from the remote's HEAD. Raises ConfigError (no such branch, no commit yet),
        CredentialError, GitUnreachable, MachineError.
        """
        if branch and (
            not branch.isprintable()
            or self._git.run_local("check-ref-format", f"refs/heads/{branch}").code
        ):
            raise ConfigError(
                f"{branch!r} is not a branch name", where=self.remote.url, hint=_SHORT_NAME
            )
        self._fetched_as = branch, create
        try:
            found = self._clone.clone(branch, scope)
            if branch and not found:  # there is only a tag of that name
                self._clone.check_branch(branch)
        except MissingBranch:
            if not create or not branch:
                raise
            if _SHADOWS.fullmatch(branch):
                raise ConfigError(
                    f"no branch {branch!r} is created: git reads that name as something else",
                    where=self.remote.url,
                    hint=_SHORT_NAME,
                ) from None
            found = self._clone.clone("", scope)
            if not found:
                self._clone.check_empty()
            base, commit = next(iter(found.items()), ("", ""))
            return BranchTip(branch=branch, commit=commit, new=True, base=base)
        if not found and create:
            self._clone.check_empty()
            return BranchTip(branch=branch or self._clone.unborn_branch(), commit="", new=True)
        if len(found) != 1 or (branch and branch not in found):
            self._clone.check_branch(branch)
            raise ConfigError(
                f"{branch or 'HEAD'} of the repository is not a branch",
                where=self.remote.url,
                hint="configure the branch by its name",
            )
        ((name, commit),) = found.items()
        return BranchTip(branch=name, commit=commit)

    def refetch(self, tip: BranchTip) -> BranchTip:
        """Fetch the branch again with all commits since `tip`; raises as `fetch` does."""
        if tip.new:
            return self.fetch(tip.branch, scope=self._clone.scope, create=True)
        return BranchTip(branch=tip.branch, commit=self._clone.fetch(tip.reference))

    @property
    def is_partial(self) -> bool:
        """Whether the repository may have files outside of the scope."""
        return not self._clone.scope.whole

    def fetch_whole(self) -> BranchTip:
        """Fetch the branch again with all of its trees in scope."""
        branch, create = self._fetched_as
        return self.fetch(branch, create=create)

    def check_scope(self, paths: Iterable[str]) -> None:
        """Raise OutOfScope if one of `paths` may be in the repository without being listed."""
        for path in paths:
            if not self._clone.scope.covers(path):
                raise OutOfScope(f"{path} is outside of what was fetched", where=self.remote.url)

    def extend_scope(self, paths: Iterable[str]) -> None:
        """Add the folders of `paths` to the scope; of a path ending in a slash all below it."""
        uncovered = [path for path in paths if not self._clone.scope.covers(f"{path}x")]
        if uncovered:
            patterns = [f"{path}**" if path.endswith("/") else path for path in uncovered]
            self._clone.extend_scope(scope_of(patterns))

    def listing(self, commit: str) -> tuple[TreeEntry, ...]:
        """All entries of the commit's tree that are in scope, folders too; empty for no commit."""
        return self._clone.listing(commit) if commit else ()

    def read(self, entries: Iterable[TreeEntry]) -> dict[str, bytes]:
        """The contents of the files of `entries` by path.

        Contents that were not fetched yet come in one request (facts 3.2, 7), others in none.
        Raises ConfigError if the files are too large together, GitError if the server sends too
        much for them; both name the files.
        """
        wanted = {entry.path: entry.oid for entry in entries}
        if unknown := set(wanted.values()) - self._contents.keys():
            absent = {path: oid for path, oid in wanted.items() if oid in unknown}
            with_history = self._clone.history_is_due
            try:
                self._contents |= self._clone.contents(unknown)
            except RepositoryTooLarge as fault:
                raise files_too_large(self._clone, absent, url=self.remote.url) from fault
            except ServerSendsTooMuch as fault:
                raise server_sends_too_much(
                    self._clone, absent, fault, with_history=with_history
                ) from fault
        return {path: self._contents[oid] for path, oid in wanted.items()}

    def commit(
        self, tip: BranchTip, changes: Mapping[str, bytes], *, message: str, author: Author
    ) -> str:
        """Write `changes` (path -> new content) on top of `tip` and return the commit's id.

        Modes stay, new files get 100644. Raises ConfigError (a path that is invalid, or leads over
        a symbolic link, a submodule or a file), CredentialError (a key that does not sign).
        """
        if not author.name.strip():
            raise ConfigError(
                "a commit needs an author's name", hint="configure the user for the repository"
            )
        if not tip.commit:
            self._clone.adopt_object_format()
        return self._write_commit(
            NewCommit(
                tree=self._write_tree(tip, changes),
                parents=[tip.commit] if tip.commit else [],
                message=message,
                author=author,
            )
        )

    def merge_base_branch(self, tip: BranchTip, *, author: Author) -> BranchTip:
        """The tip merged with its base branch (the remote's HEAD) as a local commit.

        If the base branch has nothing new, `tip` itself; if the branch has moved meanwhile, its new
        tip. There is no base branch unless the branch was fetched by its name and with `create`.
        Raises MergeConflict (both have changed the same lines), and as `fetch`.
        """
        if tip.new or tip.merged_from or not all(self._fetched_as):
            return tip
        for complete in (False, True):
            divergence = find_divergence(
                self._git.at(self._folder / "divergence"),
                url=self.remote.url,
                branch=tip.reference,
                tip=tip.commit,
                complete=complete,
            )
            if divergence is None:
                self._say(
                    f"{self.remote.host} does not give out the commits of branch {tip.branch} and"
                    " its base alone, so the branch is not merged with its base"
                )
            if divergence is None or not divergence.is_behind:
                return tip
            try:
                return self._merge(tip, divergence, author)
            except MergeConflict as fault:
                if divergence.complete:
                    hint = (
                        "merge the base into the branch by hand, or delete the branch once its"
                        " changes are in the base: the next deployment makes it anew"
                    )
                    raise MergeConflict(
                        f"branch {tip.branch} cannot be merged with its base: {fault.message}",
                        where=self.remote.url,
                        hint=hint,
                    ) from fault
        return tip

    def _merge(self, tip: BranchTip, divergence: Divergence, author: Author) -> BranchTip:
        """Merge the branch and its base; a fast-forward if the branch has no commits of its own."""
        if not divergence.merge_base:
            raise MergeConflict("they have no commit in common")
        now = self.fetch(tip.branch, create=True)
        if now.commit != tip.commit or divergence.branch != tip.commit:
            return now
        self._clone.fetch_commits({divergence.base, divergence.merge_base} - {divergence.branch})
        if divergence.merge_base == divergence.branch:
            return replace(tip, commit=divergence.base, merged_from=divergence.branch)
        tree = merge_trees(
            self._clone.plain,
            divergence,
            folder=self._folder,
            read=self._clone.contents,
            write=self._write_blobs,
        )
        commit = NewCommit(
            tree=tree,
            parents=[divergence.branch, divergence.base],
            message=f"Bring {tip.branch} up to date with {divergence.base[:12]} of its base",
            author=author,
        )
        return replace(tip, commit=self._write_commit(commit), merged_from=divergence.branch)

    def diff(
        self,
        tip: BranchTip,
        changes: Mapping[str, bytes],
        *,
        before: Mapping[str, bytes] | None = None,
    ) -> str:
        """The patch that a commit of `changes` on top of `tip` would make, for `git apply`.

        Bytes that are not UTF-8 are replaced. Files that exist already must have been read before.
        `before` replaces the old content of some files; then the patch is for people to read only,
        and git cannot apply it. Raises as `commit`.
        """
        old = [entry.oid for entry in self.listing(tip.commit) if entry.path in changes]
        # Files that were fetched with the history are not in the plain repository.
        self._write_blobs(self._contents[oid] for oid in old if oid in self._contents)
        base = tip.commit or self._write_trees([[]])[0]
        if before:
            base = self._write_tree(tip, before)
        words = (
            "diff-tree",
            "-r",
            "--patch",
            "--no-renames",
            "--no-color",
            "--no-ext-diff",
            "--no-textconv",
            base,
            self._write_tree(tip, changes),
        )
        return self._clone.plain.output(*words).decode("utf-8", "replace")

    def push(self, commit: str, tip: BranchTip, *, dry_run: bool = False) -> PushResult:
        """Move the branch from `tip` to its child `commit`, unless it has moved meanwhile.

        With `dry_run`, the branch is not moved: the server is only asked whether this user may
        push, and where the branch is. Raises CredentialError.
        """
        # The commit is not a child of the server's branch: without negotiation, objects that the
        # server has are sent again (facts 3.2, 3).
        negotiates = not dry_run and (tip.merged_from or (tip.new and tip.commit))
        settings = ["-c", "push.negotiate=true"] if negotiates else []
        options = ["--dry-run"] if dry_run else []
        done = self._clone.plain.run_remote(
            *settings,
            "push",
            "--porcelain",
            *options,
            f"--force-with-lease={tip.reference}:{tip.expected}",
            "--",
            self.remote.url,
            f"{commit}:{tip.reference}",
        )
        reasons = [
            line.split("\t")[-1]
            for line in done.out.decode("utf-8", "replace").splitlines()
            if line.startswith("!")
        ]
        return PushResult(
            done=not done.code,
            refused=bool(reasons),
            text="\n".join([*reasons, self._git.message(done)]),
        )

    def commits_since(self, base: BranchTip, tip: BranchTip) -> tuple[Commit, ...]:
        """The commits that came on top of `base`, newest first, at most a thousand."""
        if tip.new:
            return ()
        excluded = [] if base.new else [f"^{base.commit}"]
        return list_commits(self._clone.plain, tip.commit, *excluded)

    def history(self, tip: BranchTip) -> Iterator[Commit]:
        """The commits up to `tip`, newest first.

        First those that were fetched already, then some hundred before them, which are fetched
        once, and only if they are asked for.
        """
        if not tip.commit:
            return
        fetched = list_commits(self._clone.plain, tip.server_commit)
        yield from fetched
        if fetched:
            git, begin = self._clone.history(fetched[-1].id)
            yield from list_commits(git, begin)[1:] if begin else ()

    def expect_history(self, tip: BranchTip) -> None:
        """Fetch the history up to `tip` along with the next files: this saves two requests."""
        self._clone.expect_history(tip.commit)

    def pause(self, attempt: int, over: str) -> None:
        """Pause after failed attempt number `attempt` (from 0).

        Raises GitUnreachable with the text `over` if the deadline leaves no time for the pause.
        """
        self._git.pause(attempt, over)

    def _write_tree(self, tip: BranchTip, changes: Mapping[str, bytes]) -> str:
        """Write the tree of `tip` with `changes` made, and return its id."""
        self.check_scope(changes)
        blobs = dict(zip(changes, self._write_blobs(changes.values()), strict=True))
        return rewrite_tree(self.listing(tip.commit), blobs, self._write_trees)

    def _write_blobs(self, contents: Iterable[bytes]) -> list[str]:
        return write_blobs(self._clone.plain, contents, folder=self._folder)

    def _write_trees(self, folders: Iterable[Iterable[TreeEntry]]) -> list[str]:
        return write_trees(self._clone.plain, folders)

    def _write_commit(self, commit: NewCommit) -> str:
        return write_commit(self._clone.plain, commit, environ=self._environ)
