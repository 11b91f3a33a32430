"""A shallow, partial clone of one branch; missing objects are fetched by their ids.

It has no blobs, and of a large repository only the trees that are needed.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from towline.errors import ConfigError, GitError
from towline.git import errors
from towline.git.limits import ServerSendsTooMuch
from towline.git.program import GitProgram
from towline.git.remote import Remote
from towline.git.sparse import WHOLE_TREE, Scope
from towline.git.tree import TreeEntry, parse_listing, parse_tree
from towline.suggest import nearest

_BARE_FILES = {"HEAD": "ref: refs/heads/none\n", "refs/heads/.keep": "", "objects/.keep": ""}
_SHA1 = 40
_CONFIGS = {  # by the length of an object's id
    _SHA1: "[core]\n\trepositoryformatversion = 0\n\tbare = true\n",
    64: (
        "[core]\n\trepositoryformatversion = 1\n\tbare = true\n[extensions]\n\tobjectFormat ="
        " sha256\n"
    ),
}
_SMALL_FILES = "combine:tree:1+blob:limit=16k"  # the small files directly in a folder
_HISTORY_COMMITS = 500  # about 100 KB without their trees (facts 5)
_TRIES = 3
_MANY_FOLDERS = 100  # one of so many folders has a small part of the files
_PROBE_AUTHOR = {
    f"GIT_{role}_{part}": "none" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")
}
_REFERENCES = ("ls-remote", "--")
_FETCH_OBJECTS = (
    "-c",
    "fetch.negotiationAlgorithm=noop",
    "fetch",
    "--no-tags",
    "--no-write-fetch-head",
)


class MissingBranch(ConfigError):
    """The repository does not have the branch that was asked for, or has no branch at all."""


class OutOfScope(ConfigError):
    """A path or object was not fetched; a clone of the whole repository would have it."""


class PartialClone:
    """A bare clone in `folder`, made anew by each `clone`; `say` gets notes on why it is slow.

    `plain` is a second repository that borrows the clone's objects; commits are made in it and
    pushed from it. In the clone itself git takes objects that were left out for fetchable, so a
    push would fetch them tree by tree (facts 3.2, 2).
    """

    def __init__(
        self, git: GitProgram, remote: Remote, *, folder: Path, say: Callable[[str], None]
    ) -> None:
        self._git, self._remote, self._folder, self._say = git, remote, folder, say
        self._number = 0
        self._partial = self._filtered = True
        self._history_of = self._history_due = ""
        self._listed: tuple[str, tuple[TreeEntry, ...]] = "", ()
        self.scope = WHOLE_TREE
        self.plain = git.at(folder / "plain")

    @property
    def path(self) -> Path:
        """The folder of the clone."""
        return self._folder / f"copy-{self._number}"

    def clone(self, branch: str, scope: Scope) -> dict[str, str]:
        """Fetch the tip of `branch`, or of the remote's HEAD if it is empty; return name -> commit.

        The result has one branch, or none if the remote has no commit. Raises MissingBranch,
        CredentialError, ConfigError, MachineError, GitUnreachable.
        """
        # The listing of another scope must not be taken for the listing of this scope.
        self.scope, self._listed, self._history_due = scope, ("", ()), ""
        filters = [f"--filter={self._filter(scope)}", "--filter=blob:none"] if self._partial else []
        branch_option, attempt = [f"--branch={branch}"] if branch else [], 0
        while True:
            self._number += 1
            self._git = self._git.at(self.path)
            done = self._git.run_remote(
                "clone",
                "--quiet",
                "--bare",
                "--depth=1",
                "--single-branch",
                "--no-tags",
                *filters[:1],
                "--template=",
                "--origin=origin",
                *branch_option,
                "--",
                self._remote.url,
                str(self.path),
            )
            text = self._git.message(done)
            if not done.code:
                break
            self.check_branch(branch)
            if filters and errors.is_filter_refusal(text):
                filters = filters[1:] if filters[0] != filters[-1] else []
            else:
                self._git.pause_or_fail(attempt, text)
                attempt += 1
        self._filtered = bool(filters) and "filtering not recognized" not in text
        if not self._filtered:
            self._say(
                f"{self._remote.host} does not support partial clones: the branch was fetched with"
                " all its files"
            )
        self._share_objects()
        return self.branches()

    def extend_scope(self, more: Scope) -> None:
        """Add `more` to the scope; `listing` fetches what is missing of it."""
        wider = Scope(
            lists=tuple(sorted({*self.scope.lists, *more.lists})),
            trees=tuple(sorted({*self.scope.trees, *more.trees})),
        )
        if wider != self.scope:
            self.scope, self._listed = wider, ("", ())

    def fetch(self, reference: str) -> str:
        """Fetch a branch again by its full name, with all commits since, and return its tip.

        Raises as `clone` does.
        """
        branch = reference.removeprefix("refs/heads/")
        filters = [f"--filter={self._filter(self.scope)}"] if self._partial else []
        self._git.retry_remote(
            "fetch",
            "--no-tags",
            *filters,
            "origin",
            f"+{reference}:{reference}",
            explain=lambda: self.check_branch(branch),
        )
        self._share_objects()
        return self.branches()[branch]

    def branches(self) -> dict[str, str]:
        """The branches of the clone: short name -> commit."""
        lines = (
            self._git.output("for-each-ref", "--format=%(objectname) %(refname)", "refs/heads/")
            .decode("utf-8", "surrogateescape")
            .splitlines()
        )
        return {
            name.removeprefix("refs/heads/"): commit
            for commit, name in (line.split(" ", 1) for line in lines)
        }

    def unborn_branch(self) -> str:
        """The branch that HEAD of an empty repository names."""
        return (
            self._git.output("symbolic-ref", "HEAD")
            .decode("utf-8", "surrogateescape")
            .strip()
            .removeprefix("refs/heads/")
        )

    def adopt_object_format(self) -> None:
        """Give the plain repository the object format (SHA-1, SHA-256) of a server without commits.

        Before git 2.41 the clone of an empty repository does not tell the format, so the server is
        asked whether it would take a commit of it. Raises as `GitProgram.run_remote`.
        """
        for length in _CONFIGS:
            folder = self._folder / f"asking-{length}"
            make_bare_repository(folder, length, {})
            git = self._git.at(folder)
            tree = git.output("mktree").decode().strip()
            commit = git.output("commit-tree", tree, variables=_PROBE_AUTHOR).decode().strip()
            if not git.run_remote(
                "push", "--quiet", "--dry-run", "--", self._remote.url, f"{commit}:refs/heads/none"
            ).code:
                make_bare_repository(self._folder / "plain", length, {})
                return  # if no format is accepted, the push of the commit will say why

    def check_branch(self, branch: str) -> None:
        """Raise MissingBranch if the remote answers and does not have the branch.

        Does nothing if the remote does not answer.
        """
        done = self._git.run_remote(*_REFERENCES, self._remote.url, "HEAD", "refs/heads/*")
        found = [
            line.partition("\t")[2] for line in done.out.decode("utf-8", "replace").splitlines()
        ]
        names = [
            name.removeprefix("refs/heads/") for name in found if name.startswith("refs/heads/")
        ]
        if done.code or branch in names or (not branch and "HEAD" in found):
            return
        if not names:
            raise MissingBranch(
                "the repository is empty: it has no commit yet",
                where=self._remote.url,
                hint="push a first commit to it, or set createBranch",
            )
        if branch:
            raise MissingBranch(
                f"there is no branch {branch!r} in the repository",
                where=self._remote.url,
                hint=f"{nearest(branch, names)}; createBranch: true makes it",
            )
        raise ConfigError(
            "the repository's HEAD names a branch that does not exist",
            where=self._remote.url,
            hint=f"configure the branch; {nearest('', names)}",
        )

    def check_empty(self) -> None:
        """Check that the remote has no branch, so that a first commit has nothing to build on.

        Raises ConfigError, GitUnreachable.
        """
        found = (
            self._git.retry_remote(*_REFERENCES, self._remote.url, "refs/heads/*")
            .out.decode("utf-8", "replace")
            .splitlines()
        )
        if names := [line.partition("\trefs/heads/")[2] for line in found]:
            raise ConfigError(
                "the repository's HEAD names a branch that does not exist, so there is no commit"
                " at which a new branch could begin",
                where=self._remote.url,
                hint=(
                    "correct the default branch of the repository, or make the branch by hand;"
                    f" {nearest('', names)}"
                ),
            )

    def listing(self, commit: str) -> tuple[TreeEntry, ...]:
        """All entries of the commit's tree that are in scope, folders too, sorted by path."""
        if self._listed[0] != commit:
            is_whole = self.scope.whole
            entries = self._tree_listing(commit) if is_whole else self._scoped_listing(commit)
            self._listed = commit, entries
        return self._listed[1]

    def fetch_objects(self, oids: Iterable[str], *, along: str = "blob:none") -> None:
        """Fetch these objects in one request, and objects they name unless `along` filters them.

        Objects that the clone has already cost no request.
        """
        words = [*_FETCH_OBJECTS, f"--filter={along}", "--stdin", "origin"]
        stdin = "".join(f"{oid}\n" for oid in sorted(set(oids))).encode()
        done = self._git.run_remote(*words, stdin=stdin)
        if (
            done.code
            and along == _SMALL_FILES
            and errors.is_filter_refusal(self._git.message(done))
        ):
            words[-3] = "--filter=tree:0"
            done = self._git.run_remote(*words, stdin=stdin)
        if done.code and errors.is_object_refusal(self._git.message(done)) and self._partial:
            self._partial = False
            raise OutOfScope("the server gives out whole branches only", where=self._remote.url)
        if done.code:
            self._git.retry_remote(*words, stdin=stdin)

    def can_fetch(self, oids: Iterable[str]) -> bool:
        """Whether the server's answer for these objects alone stays within the limits of git.

        The objects are removed again, since they would count for the next question. Raises as
        `fetch_objects`.
        """
        before = set(self._object_files())
        try:
            self.fetch_objects(oids)
        except ServerSendsTooMuch:
            return False
        finally:
            for file in set(self._object_files()) - before:
                file.unlink(missing_ok=True)
        return True

    def _object_files(self) -> list[Path]:
        return [path for path in (self.path / "objects").glob("??*/*") if path.is_file()]

    @property
    def history_is_due(self) -> bool:
        """Whether the history comes along with the next contents that have to be fetched."""
        return bool(self._history_due) and self._lacks_history

    def contents(self, oids: Iterable[str]) -> dict[str, bytes]:
        """The contents of blobs by object id; missing blobs come in one request (facts 3.2, 7).

        Raises GitError if the server does not have one of them.
        """
        wanted = sorted(set(oids))
        found = self._read_objects(wanted)
        absent = [oid for oid in wanted if oid not in found]
        if absent and self._history_due and self._fetch_history(self._history_due, absent):
            found |= self._read_objects(absent, self._history_git)
        elif absent:
            self.fetch_objects(absent)
            found |= self._read_objects(absent)
        if lost := [oid for oid in absent if oid not in found]:
            raise GitError(
                f"the repository does not give out object {lost[0]}", where=self._remote.host
            )
        return {oid: content for oid, (_, content) in found.items()}

    def sizes(self, oids: Iterable[str]) -> dict[str, int]:
        """The sizes in bytes of those of the objects that were fetched."""
        stdin = "".join(f"{oid}\n" for oid in oids).encode()
        lines = self.plain.output("cat-file", "--batch-check", stdin=stdin).decode().splitlines()
        return {
            oid: int(size)
            for oid, _, size in (line.split(" ") for line in lines if line.count(" ") == 2)
        }

    def expect_history(self, commit: str) -> None:
        """Fetch the commits before `commit` along with the next contents, for `history`."""
        self._history_due = commit

    def history(self, commit: str) -> tuple[GitProgram, str]:
        """A repository with `commit` and the commits before it, and the id of `commit`.

        `commit` is the oldest one of the clone; the second value is empty if the server gives no
        history. The commits have no trees, so they are in a repository of their own: in
        negotiations with the server, the clone would seem to have their trees, too. The history is
        fetched once.
        """
        for attempt in range(_TRIES):
            if self._history_of == commit or not self._lacks_history or self._fetch_history(commit):
                break
            self._git.pause(attempt, f"the history of {self._remote.url} was not given out")
        else:
            self._filtered = False  # not asked again
            self._say(
                f"{self._remote.host} does not give out the history: a newer deployment is noticed"
                " only if the last commit is one"
            )
        return self._history_git, commit if self._history_of == commit else ""

    def fetch_commits(self, oids: Iterable[str]) -> None:
        """Fetch these commits with all their trees, but without their parents.

        Raises OutOfScope if the server gives out whole branches only.
        """
        words = (
            "fetch",
            "--no-tags",
            "--no-write-fetch-head",
            "--depth=1",
            *(["--filter=blob:none"] if self._partial else []),
            "--stdin",
            "origin",
        )
        stdin = "".join(f"{oid}\n" for oid in sorted(set(oids))).encode()
        done = self._git.run_remote(*words, stdin=stdin)
        if done.code and errors.is_object_refusal(self._git.message(done)):
            raise OutOfScope("the server gives out whole branches only", where=self._remote.url)
        if done.code:
            self._git.retry_remote(*words, stdin=stdin)
        self._share_objects()

    @property
    def _history_git(self) -> GitProgram:
        """Git for the repository with the history."""
        return self._git.at(self._folder / "past")

    @property
    def _lacks_history(self) -> bool:
        """Whether older commits are missing here and the server gives out commits without trees."""
        return self._filtered and (self.path / "shallow").exists()

    def _fetch_history(self, commit: str, along: Sequence[str] = ()) -> bool:
        """Fetch the commits before `commit` and objects `along` at once; return success."""
        self._history_of = self._history_due = ""
        if not self._lacks_history:
            return False
        shutil.rmtree(self._folder / "past", ignore_errors=True)
        make_bare_repository(self._folder / "past", len(commit), {})
        done = self._history_git.run_remote(
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            f"--depth={_HISTORY_COMMITS}",
            "--filter=tree:0",
            "--stdin",
            "--",
            self._remote.url,
            stdin="".join(f"{oid}\n" for oid in (commit, *along)).encode(),
        )
        self._history_of = "" if done.code else commit
        return not done.code

    def _scoped_listing(self, commit: str) -> tuple[TreeEntry, ...]:
        """The entries in scope: the directories level by level, the trees below them as a whole."""
        levels = self._levels(commit)
        fetched: set[str] = set()
        while True:  # once more only if a missing folder is in another missing folder
            missing = [name for name, known in levels.items() if known is None]
            wanted = {
                entry.oid
                for known in levels.values()
                for entry in known or ()
                if entry.kind == "tree" and entry.path in (*missing, *self.scope.trees)
            } - fetched
            if not wanted:
                break
            if self.scope.trees:
                along = "blob:none"
            elif all(_is_one_of_many(name, levels) for name in missing):
                along = _SMALL_FILES
            else:
                along = "tree:0"
            self.fetch_objects(wanted, along=along)
            fetched |= wanted
            levels = self._levels(commit)
        found = {entry.path: entry for known in levels.values() for entry in known or ()}
        trees = [
            f"{folder}/"
            for folder in self.scope.trees
            if folder in found and found[folder].kind == "tree"
        ]
        if trees:
            found |= {entry.path: entry for entry in self._tree_listing(commit, "--", *trees)}
        return tuple(found[path] for path in sorted(found))

    def _tree_listing(self, commit: str, *words: str) -> tuple[TreeEntry, ...]:
        """The commit's tree as `git ls-tree` lists it."""
        command = ("ls-tree", "-r", "-t", "-z", "--full-tree", commit)
        return parse_listing(self.plain.output(*command, *words))

    def _levels(self, commit: str) -> dict[str, tuple[TreeEntry, ...] | None]:
        """The entries of each level's directory; None for a directory that was not fetched."""
        names = {f"{commit}:{folder}": folder for folder in self.scope.levels}
        found = self._read_objects(list(names))
        levels: dict[str, tuple[TreeEntry, ...] | None] = {}
        for name, folder in names.items():
            kind, content = found.get(name, ("", b""))
            levels[folder] = (
                parse_tree(content, folder, len(commit) // 2) if kind == "tree" else None
            )
        return levels

    def _read_objects(
        self, names: Sequence[str], git: GitProgram | None = None
    ) -> dict[str, tuple[str, bytes]]:
        """Kind and content of those named objects that the repository of `git` (plain) has."""
        stdin = "".join(f"{name}\n" for name in names).encode("utf-8", "surrogateescape")
        data = (git or self.plain).output("cat-file", "--batch", stdin=stdin)
        found, index = {}, 0
        for name in names:
            start = data.index(b"\n", index) + 1
            *_, kind, size = data[index : start - 1].decode("utf-8", "surrogateescape").split(" ")
            index = start
            if size.isdigit():
                index += int(size) + 1
                found[name] = kind, data[start : index - 1]
        return found

    def _share_objects(self) -> None:
        """Let the plain repository use the clone's objects, and know where its history ends."""
        plain, shallow = self._folder / "plain", self.path / "shallow"
        length = next(map(len, self.branches().values()), _SHA1)
        make_bare_repository(
            plain, length, {"objects/info/alternates": f"{self.path / 'objects'}\n"}
        )
        if shallow.exists():
            shutil.copyfile(shallow, plain / "shallow")

    @staticmethod
    def _filter(scope: Scope) -> str:
        """The filter of a clone: all directories on the way to those in scope are few objects.

        The directories below, in a large repository, are most of its objects (facts 3.1).
        """
        return "blob:none" if scope.whole else f"combine:blob:none+tree:{max(1, scope.depth)}"


def make_bare_repository(folder: Path, length: int, more: Mapping[str, str]) -> None:
    """Write a bare repository to `folder`, without git: ids have `length` digits.

    `more` are further files in it: name -> text.
    """
    for name, text in {**_BARE_FILES, "config": _CONFIGS[length], **more}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def _is_one_of_many(folder: str, levels: Mapping[str, tuple[TreeEntry, ...] | None]) -> bool:
    """Whether the repository has so many directories like this one that its files may come along.

    That saves a request and costs few bytes. The number is an estimate: the product of the numbers
    of directories beside each one on the way to it.
    """
    count, parts = 1, folder.split("/")
    for depth in range(len(parts)):
        count *= sum(entry.kind == "tree" for entry in levels.get("/".join(parts[:depth])) or ())
    return count >= _MANY_FOLDERS
