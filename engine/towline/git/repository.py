"""A private bare copy of one branch: read a few files of it, put a commit on top, push it.

No work tree, no force.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Self

from towline.console import silent
from towline.errors import ConfigError, GitError, GitUnreachable, MachineError
from towline.git.base_branch import Divergence, MergeConflict, find_divergence, merge_trees
from towline.git.checkout import Commit
from towline.git.limits import RepositoryTooLarge, ServerSendsTooMuch
from towline.git.lock import host_lock
from towline.git.partial_clone import MissingBranch, OutOfScope, PartialClone
from towline.git.program import GitProgram
from towline.git.remote import Remote
from towline.git.signing import SigningKey, signing, signing_fault
from towline.git.sparse import WHOLE_TREE, Scope, scope_of
from towline.git.tree import TreeEntry, rewrite_tree
from towline.printable import masked, tame_lines
from towline.private_folder import PrivateFolder
from towline.record import frozen, replace
from towline.retry import Clock, Deadline
from towline.suggest import list_some

_SECONDS = 600.0
_HISTORY = (1000, 100, 10)
_FEWER_FILES = (
    "name fewer files, or smaller ones; what a chart does not use can stand in its .helmignore, or"
    " outside of its folder"
)
_SHORT_NAME = "give the branch's short name, such as main"
# What git takes for an option, or for another reference or commit (gitrevisions(7)): whoever asked
# for that later would get the new branch.
_SHADOWS = re.compile(
    r"-.*|@|[A-Z_]*HEAD|(refs|heads|tags|remotes|origin)/.*|[0-9a-f]{40}|[0-9a-f]{64}"
)


@frozen
class BranchTip:
    """A branch, by its short name, and the commit that it pointed to when it was read.

    Of a branch that is still to be made (`new`) the commit is the one that it begins at, the tip
    of branch `base`; both are empty if there is none. If the commit was made here, of the branch
    and its base, `there` is the commit that the server has for the branch.
    """

    branch: str
    commit: str
    new: bool = False
    there: str = ""
    base: str = ""

    @property
    def reference(self) -> str:
        """The branch's full name."""
        return f"refs/heads/{self.branch}"

    @property
    def expected(self) -> str:
        """What the server must still have for the branch when it is pushed to; empty: nothing."""
        return "" if self.new else self.seen

    @property
    def seen(self) -> str:
        """The commit that was read from the server."""
        return self.there or self.commit


@frozen
class Author:
    """Who a commit names as author and committer, and the key that signs it; the e-mail address may be empty."""

    name: str
    email: str = ""
    key: SigningKey | None = None


@frozen
class PushResult:
    """Whether git calls a push done, whether it or the server refused the reference (else it broke off), and what they said."""

    done: bool
    refused: bool
    text: str


class Repository:
    """A bare repository in a folder of its own (mode 0700, removed on every way out), shallow and without what nobody reads."""

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
        self._asked: tuple[str, bool] = "", False
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
            self._copy = PartialClone(self._git, remote, folder=self._folder, say=say)
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

    def alone(self, branch: str) -> AbstractContextManager[bool]:
        """Hold off other writers of this user on this host while a block runs, where that can be done."""
        return host_lock(
            f"{self.remote.url} {branch}", environ=self._environ, deadline=self.deadline
        )

    def fetch(self, branch: str, *, scope: Scope = WHOLE_TREE, create: bool = False) -> BranchTip:
        """Read the tip of `branch`, of the remote's HEAD where it is empty: one commit, and those of its trees that are in `scope`.

        With `create`, a branch that is not there is one to be made from the remote's HEAD. Raises
        ConfigError (no such branch, no commit yet), CredentialError, GitUnreachable, MachineError.
        """
        if branch and (
            not branch.isprintable()
            or self._git.check("check-ref-format", f"refs/heads/{branch}").code
        ):
            raise ConfigError(
                f"{branch!r} is not a branch name", where=self.remote.url, hint=_SHORT_NAME
            )
        self._asked = branch, create
        try:
            found = self._copy.clone(branch, scope)
            if branch and not found:  # a tag has that name
                self._copy.explain(branch)
        except MissingBranch:
            if not create or not branch:
                raise
            if _SHADOWS.fullmatch(branch):
                raise ConfigError(
                    f"no branch {branch!r} is made: git takes that for something else",
                    where=self.remote.url,
                    hint=_SHORT_NAME,
                ) from None
            found = self._copy.clone("", scope)
            if not found:
                self._copy.check_empty()
            base, commit = next(iter(found.items()), ("", ""))
            return BranchTip(branch=branch, commit=commit, new=True, base=base)
        if not found and create:
            self._copy.check_empty()
            return BranchTip(branch=branch or self._copy.unborn(), commit="", new=True)
        if len(found) != 1 or (branch and branch not in found):
            self._copy.explain(branch)
            raise ConfigError(
                f"{branch or 'HEAD'} of the repository is no branch",
                where=self.remote.url,
                hint="configure the branch by its name",
            )
        ((name, commit),) = found.items()
        return BranchTip(branch=name, commit=commit)

    def refetch(self, tip: BranchTip) -> BranchTip:
        """Read the branch once more, with every commit since `tip`; raises as `fetch` does."""
        if tip.new:
            return self.fetch(tip.branch, scope=self._copy.scope, create=True)
        return BranchTip(branch=tip.branch, commit=self._copy.fetch(tip.reference))

    @property
    def narrow(self) -> bool:
        """Whether there may be more in the repository than its listing shows."""
        return not self._copy.scope.whole

    def widen(self) -> BranchTip:
        """Read the branch anew with everything in scope."""
        branch, create = self._asked
        return self.fetch(branch, create=create)

    def cover(self, paths: Iterable[str]) -> None:
        """Raise OutOfScope where one of `paths` may be there without being listed."""
        for path in paths:
            if not self._copy.scope.covers(path):
                raise OutOfScope(f"{path} is outside of what was fetched", where=self.remote.url)

    def extend(self, paths: Iterable[str]) -> None:
        """Have the folders of `paths` listed, too; one with a slash behind it with all that is below it."""
        if more := [
            f"{path}**" if path.endswith("/") else path
            for path in paths
            if not self._copy.scope.covers(f"{path}x")
        ]:
            self._copy.extend(scope_of(more))

    def listing(self, commit: str) -> tuple[TreeEntry, ...]:
        """Everything of the commit's tree that is in scope, folders too; empty for no commit."""
        return self._copy.listing(commit) if commit else ()

    def read(self, entries: Iterable[TreeEntry]) -> dict[str, bytes]:
        """The contents of these files by path; what is not here yet comes in one request (facts 3.2, 7), what is here in none.

        Raises ConfigError where they are too large together, GitError where one is that the server
        sends; each is named.
        """
        wanted = {entry.path: entry.oid for entry in entries}
        if unknown := set(wanted.values()) - self._contents.keys():
            past = self._copy.awaits_past
            try:
                self._contents |= self._copy.contents(unknown)
            except (RepositoryTooLarge, ServerSendsTooMuch) as fault:
                absent = {path: oid for path, oid in wanted.items() if oid in unknown}
                raise (
                    self._too_large(absent)
                    if isinstance(fault, RepositoryTooLarge)
                    else self._sent(absent, fault, past=past)
                ) from fault
        return {path: self._contents[oid] for path, oid in wanted.items()}

    def commit(
        self, tip: BranchTip, changes: Mapping[str, bytes], *, message: str, author: Author
    ) -> str:
        """Write `changes` (path -> new content) on top of `tip` and give the commit's id; modes stay, new files are 100644.

        Raises ConfigError (a path that is none, or leads over a link, a submodule or a file),
        CredentialError (a key that does not sign).
        """
        if not author.name.strip():
            raise ConfigError(
                "a commit needs an author's name", hint="configure the user for the repository"
            )
        if not tip.commit:
            self._copy.settle()
        tree = self._tree(tip, changes)
        return self._commit(
            tree, [tip.commit] if tip.commit else [], message=message, author=author
        )

    def caught_up(self, tip: BranchTip, *, author: Author) -> BranchTip:
        """The tip with what its base, the branch of the remote's HEAD, has besides, as a commit that is only here; as it is where there is nothing.

        Where the branch has moved meanwhile, its tip of now. A branch that was not asked for by
        name, or not with `create`, has no base. Raises Apart (both have changed one place), and as
        `fetch`.
        """
        if tip.new or tip.there or not all(self._asked):
            return tip
        for whole in (False, True):
            ends = find_divergence(
                self._git.at(self._folder / "ends"),
                url=self.remote.url,
                branch=tip.reference,
                tip=tip.commit,
                whole=whole,
            )
            if ends is None:
                self._say(
                    f"{self.remote.host} does not tell where branch {tip.branch} stands to its"
                    " base, so it stays where it is"
                )
            if ends is None or not ends.behind:
                return tip
            try:
                return self._put_together(tip, ends, author)
            except MergeConflict as fault:
                if ends.whole:
                    hint = (
                        "merge the base into the branch by hand, or delete the branch once its"
                        " changes are in the base: the next deployment makes it anew"
                    )
                    raise MergeConflict(
                        f"branch {tip.branch} does not go together with its base: {fault.message}",
                        where=self.remote.url,
                        hint=hint,
                    ) from fault
        return tip

    def _put_together(self, tip: BranchTip, ends: Divergence, author: Author) -> BranchTip:
        """The branch and its base as one commit, which is the base's where the branch has none of its own."""
        if not ends.common:
            raise MergeConflict("they have no commit in common")
        now = self.fetch(tip.branch, create=True)
        if now.commit != tip.commit or ends.own != tip.commit:
            return now
        self._copy.bring_commits({ends.base, ends.common} - {ends.own})
        if ends.common == ends.own:
            return replace(tip, commit=ends.base, there=ends.own)
        tree = merge_trees(
            self._copy.plain, ends, folder=self._folder, read=self._copy.contents, write=self._write
        )
        message = f"Bring {tip.branch} up to date with {ends.base[:12]} of its base"
        return replace(
            tip,
            commit=self._commit(tree, [ends.own, ends.base], message=message, author=author),
            there=ends.own,
        )

    def _commit(self, tree: str, parents: Sequence[str], *, message: str, author: Author) -> str:
        """Make a commit and give its id; raises CredentialError and MachineError."""
        identity = {
            f"GIT_{role}_{part}": masked(value.replace("\0", ""))
            for role in ("AUTHOR", "COMMITTER")
            for part, value in (("NAME", author.name), ("EMAIL", author.email))
        }
        text = tame_lines(masked(message.replace("\0", "").strip())) + "\n"
        words = ("commit-tree", tree, *(word for parent in parents for word in ("-p", parent)))
        if author.key is None:
            return (
                self._copy.plain.local(*words, stdin=text.encode(), variables=identity)
                .decode()
                .strip()
            )
        return self._sign(words, text, identity, author.key)

    def diff(
        self,
        tip: BranchTip,
        changes: Mapping[str, bytes],
        *,
        before: Mapping[str, bytes] | None = None,
    ) -> str:
        """What a commit of `changes` on top of `tip` would change, as a patch that git can apply; bytes that are no text are replaced; raises as `commit`.

        The files that are there already must have been read. `before` stands for what some of them
        hold: then git cannot apply the patch, which is to be read.

        """
        old = [entry.oid for entry in self.listing(tip.commit) if entry.path in changes]
        # what came with the history is not in here
        self._write(self._contents[oid] for oid in old if oid in self._contents)
        base = self._tree(tip, before) if before else tip.commit or self._make_trees([[]])[0]
        words = (
            "diff-tree",
            "-r",
            "--patch",
            "--no-renames",
            "--no-color",
            "--no-ext-diff",
            "--no-textconv",
            base,
            self._tree(tip, changes),
        )
        return self._copy.plain.local(*words).decode("utf-8", "replace")

    def push(self, commit: str, tip: BranchTip, *, rehearsed: bool = False) -> PushResult:
        """Move the branch from `tip` to `commit`, its child, where it has not moved meanwhile; raises CredentialError.

        With `rehearsed`, nothing is moved: the server is only asked whether this user may push, and
        where the branch is.
        """
        apart = not rehearsed and (tip.there or (tip.new and tip.commit))
        # else what the server has long had is sent (facts 3.2, 3)
        negotiated = ["-c", "push.negotiate=true"] if apart else []
        dry = ["--dry-run"] if rehearsed else []
        done = self._copy.plain.ask(
            *negotiated,
            "push",
            "--porcelain",
            *dry,
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
            text="\n".join([*reasons, self._git.text(done)]),
        )

    def since(self, base: BranchTip, tip: BranchTip) -> tuple[Commit, ...]:
        """The commits that came on top of `base`, newest first, at most a thousand."""
        beyond = [] if base.new else [f"^{base.commit}"]
        if tip.new:
            return ()
        return _commits(self._copy.plain, tip.commit, *beyond)

    def history(self, tip: BranchTip) -> Iterator[Commit]:
        """The commits up to `tip`, newest first: those that are here, then, asked for once and only when they are wanted, some hundred before them."""
        here = _commits(self._copy.plain, tip.seen) if tip.commit else ()
        yield from here
        if here:
            past, begin = self._copy.past(here[-1].id)
            yield from _commits(past, begin)[1:] if begin else ()

    def expect_history(self, tip: BranchTip) -> None:
        """Let the history up to `tip` come along with the next files that are read, where they come from the server: two requests less."""
        self._copy.expect_past(tip.commit)

    def wait(self, attempt: int, over: str) -> None:
        """Pause after failed attempt number `attempt` (from 0); raises GitUnreachable with the text `over` where the deadline leaves no time for it."""
        self._git.wait(attempt, over)

    def _too_large(self, wanted: Mapping[str, str]) -> ConfigError:
        """The fault of files that are too large together: which ones make it so."""
        sizes = self._copy.sizes(set(wanted.values()))
        largest = sorted(wanted, key=lambda path: -sizes.get(wanted[path], 0))
        shown = list_some(
            [f"{path} ({sizes.get(wanted[path], 0) / 2**20:.1f} MiB)" for path in largest], most=3
        )
        total = sum(sizes.values()) / 2**20
        what = (
            f"{len(wanted)} files are wanted, and they are too large together ({total:.1f} MiB)"
            if len(wanted) > 1
            else "a file is too large to be read"
        )
        return ConfigError(f"{what}: {shown}", where=self.remote.url, hint=_FEWER_FILES)

    def _sent(
        self, wanted: Mapping[str, str], fault: ServerSendsTooMuch, *, past: bool
    ) -> GitError:
        """The fault of a server that sends too much: the file that is too large by itself, else all that are so together.

        How large a file is only the server knows, so one half of them is asked for without the
        other, and so on. Where that is cut short it may be one of what is left, or all of it.
        """
        left, what = sorted(wanted), ""
        with contextlib.suppress(GitUnreachable, MachineError):
            while not what:
                middle = len(left) // 2
                halves = [half for half in (left[:middle], left[middle:]) if half]
                over = next((half for half in halves if not self._fits(wanted, half)), None)
                left = over or left
                if over is None:
                    what = _together(left, past=past)
                elif len(left) == 1:
                    what = f"the file {left[0]}"
        what = what or f"one of {list_some(left, most=3)}, or all of them together"
        return GitError(f"{fault.message} for {what}", where=fault.where, hint=_FEWER_FILES)

    def _fits(self, wanted: Mapping[str, str], paths: Iterable[str]) -> bool:
        return self._copy.fits({wanted[path] for path in paths})

    def _tree(self, tip: BranchTip, changes: Mapping[str, bytes]) -> str:
        self.cover(changes)
        return rewrite_tree(
            self.listing(tip.commit),
            dict(zip(changes, self._write(changes.values()), strict=True)),
            self._make_trees,
        )

    def _sign(
        self, words: tuple[str, ...], text: str, identity: Mapping[str, str], key: SigningKey
    ) -> str:
        with signing(key, self._environ) as by:
            done = self._copy.plain.check(
                *by.settings,
                *words,
                *by.options,
                stdin=text.encode(),
                variables={**identity, **by.variables},
            )
        if done.code:
            raise signing_fault(self._git.text(done), key)
        return done.out.decode().strip()

    def _write(self, contents: Iterable[bytes]) -> list[str]:
        """Make a blob of each content and give their ids; one process for all, so by way of files in the private folder."""
        paths = []
        for number, content in enumerate(contents):
            paths.append(self._folder / f"blob-{number}")
            paths[-1].write_bytes(content)
        names = "".join(f"{path}\n" for path in paths)
        return (
            self._copy.plain.local(
                "hash-object", "-w", "--no-filters", "--stdin-paths", stdin=os.fsencode(names)
            )
            .decode()
            .split()
        )

    def _make_trees(self, folders: Iterable[Iterable[TreeEntry]]) -> list[str]:
        """Write folders and give their ids; `--missing` because most of what they name was never fetched (facts 3.1)."""
        trees = (
            "".join(
                f"{entry.mode} {entry.kind} {entry.oid}\t{entry.path.rpartition('/')[2]}\0"
                for entry in folder
            )
            for folder in folders
        )
        data = "".join(f"{tree}\0" for tree in trees).encode("utf-8", "surrogateescape")
        return (
            self._copy.plain.local("mktree", "-z", "--missing", "--batch", stdin=data)
            .decode()
            .split()
        )


def _together(paths: Sequence[str], *, past: bool) -> str:
    """What is too large though none of it is so by itself."""
    files = (
        f"the file {paths[0]}"
        if len(paths) == 1
        else f"{len(paths)} files together: {list_some(paths, most=3)}"
    )
    return f"{files}; the history came along" if past else files


def _commits(git: GitProgram, *words: str) -> tuple[Commit, ...]:
    """The commits of a repository that `words` choose, newest first, at most a thousand; fewer where their messages are too long for that.

    Who may push must not keep out everybody else by what he writes there.
    """
    for most in _HISTORY:
        with contextlib.suppress(RepositoryTooLarge):
            return _log(git, most, *words)
    return _log(git, 1, *words)


def _log(git: GitProgram, most: int, *words: str) -> tuple[Commit, ...]:
    """At most so many of them; raises TooLarge."""
    data, found = git.local("rev-list", f"--max-count={most}", "--format=%B%x00", *words), []
    for text in data.decode("utf-8", "replace").split("\0\n")[:-1]:
        head, _, message = text.partition("\n")
        found.append(Commit(id=head.removeprefix("commit "), message=message))
    return tuple(found)
