"""The copy of one branch that is read: shallow, without blobs, of a large repository without most trees; what is missing is asked for by name."""

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

_PLAIN = {"HEAD": "ref: refs/heads/none\n", "refs/heads/.keep": "", "objects/.keep": ""}
_SHA1 = 40
_CONFIGS = {  # by the length of an object's id
    _SHA1: "[core]\n\trepositoryformatversion = 0\n\tbare = true\n",
    64: (
        "[core]\n\trepositoryformatversion = 1\n\tbare = true\n[extensions]\n\tobjectFormat ="
        " sha256\n"
    ),
}
_FILES = "combine:tree:1+blob:limit=16k"  # of a folder: the small files right in it
_PAST = 500  # commits: about 100 KB without what they hold (facts 5)
_TRIES = 3
_MANY = 100  # folders, from which on one of them holds few of the files
_NOBODY = {
    f"GIT_{role}_{part}": "none" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")
}
_REFERENCES = ("ls-remote", "--")
_SINGLE = ("-c", "fetch.negotiationAlgorithm=noop", "fetch", "--no-tags", "--no-write-fetch-head")


class MissingBranch(ConfigError):
    """The branch that was asked for, or any branch, is not there."""


class OutOfScope(ConfigError):
    """What is wanted was not fetched; with the whole of the repository it would be."""


class PartialClone:
    """A bare clone in `folder`, made anew for each `clone`; `say` is told what makes it slower than it should be.

    `plain` is a second repository that borrows its objects, and in which commits are made and
    pushed. To git in the clone itself what was left out is there, only not yet: a push would fetch
    it tree by tree (facts 3.2, 2).
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
        """Where the clone lies."""
        return self._folder / f"copy-{self._number}"

    def clone(self, branch: str, scope: Scope) -> dict[str, str]:
        """Fetch the tip of `branch`, of the remote's HEAD where it is empty, and give the branches that came: one, none where there is no commit.

        Raises Missing, CredentialError, ConfigError, MachineError, GitUnreachable.
        """
        # a part of a commit must never pass for the whole of it
        self.scope, self._listed, self._history_due = scope, ("", ()), ""
        filters = [f"--filter={self._filter(scope)}", "--filter=blob:none"] if self._partial else []
        chosen, attempt = [f"--branch={branch}"] if branch else [], 0
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
                *chosen,
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
                f"{self._remote.host} knows no partial clones: the branch was fetched with all its"
                " files"
            )
        self._share_objects()
        return self.branches()

    def extend_scope(self, more: Scope) -> None:
        """Have `more` in scope, too: `listing` fetches by name what of it is not here."""
        wider = Scope(
            lists=tuple(sorted({*self.scope.lists, *more.lists})),
            trees=tuple(sorted({*self.scope.trees, *more.trees})),
        )
        if wider != self.scope:
            self.scope, self._listed = wider, ("", ())

    def fetch(self, reference: str) -> str:
        """Fetch a branch once more by its full name, with every commit since, and give its tip; raises as `clone` does."""
        branch = reference.removeprefix("refs/heads/")
        chosen = [f"--filter={self._filter(self.scope)}"] if self._partial else []
        self._git.retry_remote(
            "fetch",
            "--no-tags",
            *chosen,
            "origin",
            f"+{reference}:{reference}",
            explain=lambda: self.check_branch(branch),
        )
        self._share_objects()
        return self.branches()[branch]

    def branches(self) -> dict[str, str]:
        """The branches that are here: short name -> commit."""
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
        """The branch that an empty repository calls its own."""
        return (
            self._git.output("symbolic-ref", "HEAD")
            .decode("utf-8", "surrogateescape")
            .strip()
            .removeprefix("refs/heads/")
        )

    def adopt_object_format(self) -> None:
        """Give the plain repository ids as long as those of the server's, which has no commit: before git 2.41 the clone of such a one does not tell.

        So the server is asked whether it would take one. Raises as `Program.ask`.
        """
        for length in _CONFIGS:
            place = self._folder / f"asking-{length}"
            make_bare_repository(place, length, {})
            git = self._git.at(place)
            tree = git.output("mktree").decode().strip()
            commit = git.output("commit-tree", tree, variables=_NOBODY).decode().strip()
            if not git.run_remote(
                "push", "--quiet", "--dry-run", "--", self._remote.url, f"{commit}:refs/heads/none"
            ).code:
                make_bare_repository(self._folder / "plain", length, {})
                return  # else the push of the commit itself will say why not

    def check_branch(self, branch: str) -> None:
        """Raise Missing where the remote answers and does not have the branch; a remote that does not answer explains nothing."""
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
            "the repository's HEAD names no branch that is there",
            where=self._remote.url,
            hint=f"configure the branch; {nearest('', names)}",
        )

    def check_empty(self) -> None:
        """Pass where the remote has no branch at all: then nothing is there that a first commit should stand on.

        Raises ConfigError, GitUnreachable.
        """
        found = (
            self._git.retry_remote(*_REFERENCES, self._remote.url, "refs/heads/*")
            .out.decode("utf-8", "replace")
            .splitlines()
        )
        if names := [line.partition("\trefs/heads/")[2] for line in found]:
            raise ConfigError(
                "the repository's HEAD names no branch that is there, so a new branch has nothing"
                " to begin at",
                where=self._remote.url,
                hint=(
                    "correct the default branch of the repository, or make the branch by hand;"
                    f" {nearest('', names)}"
                ),
            )

    def listing(self, commit: str) -> tuple[TreeEntry, ...]:
        """Everything of the commit's tree that is in scope, folders too, sorted by path."""
        if self._listed[0] != commit:
            whole = (
                parse_listing(self.plain.output("ls-tree", "-r", "-t", "-z", "--full-tree", commit))
                if self.scope.whole
                else self._scoped_listing(commit)
            )
            self._listed = commit, whole
        return self._listed[1]

    def fetch_objects(self, oids: Iterable[str], *, along: str = "blob:none") -> None:
        """Fetch these objects, and what `along` (a filter) leaves of what they name, in one request; what is here already costs none."""
        words = [*_SINGLE, f"--filter={along}", "--stdin", "origin"]
        stdin = "".join(f"{oid}\n" for oid in sorted(set(oids))).encode()
        done = self._git.run_remote(*words, stdin=stdin)
        if done.code and along == _FILES and errors.is_filter_refusal(self._git.message(done)):
            words[-3] = "--filter=tree:0"
            done = self._git.run_remote(*words, stdin=stdin)
        if done.code and errors.is_object_refusal(self._git.message(done)) and self._partial:
            self._partial = False
            raise OutOfScope("the server gives out whole branches only", where=self._remote.url)
        if done.code:
            self._git.retry_remote(*words, stdin=stdin)

    def can_fetch(self, oids: Iterable[str]) -> bool:
        """Whether git may take what the server sends for these objects without any others; they do not stay, since they would count for the next.

        Raises as `bring`.
        """
        before = set(self._stored())
        try:
            self.fetch_objects(oids)
        except ServerSendsTooMuch:
            return False
        finally:
            for one in set(self._stored()) - before:
                one.unlink(missing_ok=True)
        return True

    def _stored(self) -> list[Path]:
        return [one for one in (self.path / "objects").glob("??*/*") if one.is_file()]

    @property
    def history_is_due(self) -> bool:
        """Whether the commits before the tip come along with the next contents that are not here."""
        return bool(self._history_due) and self._lacks_history

    def contents(self, oids: Iterable[str]) -> dict[str, bytes]:
        """The contents of files by object id, those that are not here yet fetched in one request (facts 3.2, 7); raises GitError where one is nowhere."""
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
        """How many bytes the objects have that are here."""
        stdin = "".join(f"{oid}\n" for oid in oids).encode()
        lines = self.plain.output("cat-file", "--batch-check", stdin=stdin).decode().splitlines()
        return {
            oid: int(size)
            for oid, _, size in (line.split(" ") for line in lines if line.count(" ") == 2)
        }

    def expect_history(self, commit: str) -> None:
        """Let the commits before `commit` come along with the next contents that are not here: `past` asks nothing then."""
        self._history_due = commit

    def history(self, commit: str) -> tuple[GitProgram, str]:
        """A repository with the commits before `commit`, an end of what is here, without what they hold; and where they begin, empty where there are none.

        It is one of its own: to a server that were told of them the clone would seem to have their
        trees, too. Asked for once.
        """
        for attempt in range(_TRIES):
            if self._history_of == commit or not self._lacks_history or self._fetch_history(commit):
                break
            self._git.pause(attempt, f"the history of {self._remote.url} was not given out")
        else:
            self._filtered = False  # not asked again
            self._say(
                f"{self._remote.host} does not give out the history: a newer deployment is noticed"
                " only where the last commit is one"
            )
        return self._history_git, commit if self._history_of == commit else ""

    def fetch_commits(self, oids: Iterable[str]) -> None:
        """Fetch these commits with all their folders, and nothing that came before them; raises OutOfScope where the server gives out branches only."""
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
        """Where the commits of the past lie."""
        return self._git.at(self._folder / "past")

    @property
    def _lacks_history(self) -> bool:
        """Whether there is a past that is not here, on a server that gives out commits without what they hold."""
        return self._filtered and (self.path / "shallow").exists()

    def _fetch_history(self, commit: str, along: Sequence[str] = ()) -> bool:
        """Fetch the commits before `commit`, and the objects `along`, in one request; whether they are there now."""
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
            f"--depth={_PAST}",
            "--filter=tree:0",
            "--stdin",
            "--",
            self._remote.url,
            stdin="".join(f"{oid}\n" for oid in (commit, *along)).encode(),
        )
        self._history_of = "" if done.code else commit
        return not done.code

    def _scoped_listing(self, commit: str) -> tuple[TreeEntry, ...]:
        """What the scope says: the levels one by one, the trees below it as a whole."""
        levels = self._levels(commit)
        brought: set[str] = set()
        while True:  # once, but for folders in folders that are not here either
            missing = [name for name, known in levels.items() if known is None]
            wanted = {
                entry.oid
                for known in levels.values()
                for entry in known or ()
                if entry.kind == "tree" and entry.path in (*missing, *self.scope.trees)
            } - brought
            if not wanted:
                break
            self.fetch_objects(
                wanted,
                along=(
                    "blob:none"
                    if self.scope.trees
                    else (
                        _FILES
                        if all(_is_one_of_many(name, levels) for name in missing)
                        else "tree:0"
                    )
                ),
            )
            brought |= wanted
            levels = self._levels(commit)
        found = {entry.path: entry for known in levels.values() for entry in known or ()}
        trees = [
            f"{folder}/"
            for folder in self.scope.trees
            if folder in found and found[folder].kind == "tree"
        ]
        if trees:
            found.update(
                {
                    entry.path: entry
                    for entry in parse_listing(
                        self.plain.output(
                            "ls-tree", "-r", "-t", "-z", "--full-tree", commit, "--", *trees
                        )
                    )
                }
            )
        return tuple(found[path] for path in sorted(found))

    def _levels(self, commit: str) -> dict[str, tuple[TreeEntry, ...] | None]:
        """The entries of each level's folder; None for one that is not here, which may be on the server."""
        names = {f"{commit}:{folder}": folder for folder in self.scope.levels}
        found = self._read_objects(list(names))
        return {
            folder: (
                parse_tree(found[name][1], folder, len(commit) // 2)
                if name in found and found[name][0] == "tree"
                else None
            )
            for name, folder in names.items()
        }

    def _read_objects(
        self, names: Sequence[str], git: GitProgram | None = None
    ) -> dict[str, tuple[str, bytes]]:
        """Those of the named objects that are here, or where `git` is: kind and content."""
        stdin = "".join(f"{name}\n" for name in names).encode("utf-8", "surrogateescape")
        data, found, at = (git or self.plain).output("cat-file", "--batch", stdin=stdin), {}, 0
        for name in names:
            start = data.index(b"\n", at) + 1
            *_, kind, size = data[at : start - 1].decode("utf-8", "surrogateescape").split(" ")
            at = start
            if size.isdigit():
                at += int(size) + 1
                found[name] = kind, data[start : at - 1]
        return found

    def _share_objects(self) -> None:
        """Let the plain repository have the clone's objects, and know where its history divergence."""
        plain, shallow = self._folder / "plain", self.path / "shallow"
        length = next(map(len, self.branches().values()), _SHA1)
        make_bare_repository(
            plain, length, {"objects/info/alternates": f"{self.path / 'objects'}\n"}
        )
        if shallow.exists():
            shutil.copyfile(shallow, plain / "shallow")

    @staticmethod
    def _filter(scope: Scope) -> str:
        """All folders down to the one that is wanted are few; the ones below it, in a large repository, are most of it (facts 3.1)."""
        return "blob:none" if scope.whole else f"combine:blob:none+tree:{max(1, scope.depth)}"


def make_bare_repository(folder: Path, length: int, more: Mapping[str, str]) -> None:
    """Make a bare repository at `folder` whose ids have this length, without asking git, and files of these names in it."""
    for name, text in {**_PLAIN, "config": _CONFIGS[length], **more}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def _is_one_of_many(folder: str, levels: Mapping[str, tuple[TreeEntry, ...] | None]) -> bool:
    """Whether the repository has so many folders like this one that its files may come along unseen: one request less, and few bytes more.

    The folders on the way to it tell how many there are, as far as those beside them look like
    them.
    """
    count, parts = 1, folder.split("/")
    for depth in range(len(parts)):
        count *= sum(entry.kind == "tree" for entry in levels.get("/".join(parts[:depth])) or ())
    return count >= _MANY
