"""A private bare copy of one branch: read a few files of it, put a commit on top, push it. No work tree, no force."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

from towline.errors import ConfigError, GitError, MachineError
from towline.git.program import Program
from towline.git.remote import Remote
from towline.git.tree import Entry, parse_listing, rewrite
from towline.retry import Clock, Deadline
from towline.suggest import nearest

_SECONDS = 600.0
_HISTORY = 1000


@dataclass(frozen=True, kw_only=True)
class Tip:
    """A branch, by its short name, and the commit that it pointed to when it was read."""

    branch: str
    commit: str

    @property
    def reference(self) -> str:
        """The branch's full name."""
        return f"refs/heads/{self.branch}"


@dataclass(frozen=True, kw_only=True)
class Author:
    """Who a commit names as author and committer; the e-mail address may be empty."""

    name: str
    email: str = ""


@dataclass(frozen=True, kw_only=True)
class Commit:
    """A commit's id and message."""

    id: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Pushed:
    """Whether git calls a push done, whether it or the server refused the reference (else it broke off), and what they said."""

    done: bool
    refused: bool
    text: str


def _folder_of_its_own(environ: Mapping[str, str]) -> TemporaryDirectory[str]:
    try:
        return TemporaryDirectory(prefix="towline-git-", dir=environ.get("TMPDIR"), ignore_cleanup_errors=True)
    except OSError as fault:
        raise MachineError(f"no temporary folder can be made: {fault.strerror}", where=environ.get("TMPDIR", ""),
                           hint="free space, or set TMPDIR on the agent to a folder that can be written to") from fault


class Repository:
    """A bare repository in a folder of its own (mode 0700, removed on every way out), shallow and without the blobs nobody reads."""

    def __init__(self, remote: Remote, *, environ: Mapping[str, str], deadline: Deadline | None = None) -> None:
        self.remote = remote
        self.deadline = deadline or Deadline.after(_SECONDS, Clock())
        self._temporary = _folder_of_its_own(environ)
        self._folder = Path(self._temporary.name)
        self._listed: tuple[str, tuple[Entry, ...]] = "", ()
        try:
            self._git = Program(remote, folder=self._folder, environ=environ, deadline=self.deadline)
        except BaseException:
            self._temporary.cleanup()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._temporary.cleanup()

    def fetch(self, branch: str) -> Tip:
        """Read the tip of `branch`, of the remote's HEAD where it is empty: one commit and its trees.

        Raises ConfigError (no such branch, no commit yet), CredentialError, GitUnreachable.
        """
        if branch and (not branch.isprintable() or self._git.check("check-ref-format", f"refs/heads/{branch}").code):
            raise ConfigError(f"{branch!r} is not a branch name", hint="give the branch's short name, such as main")
        chosen = [f"--branch={branch}"] if branch else []
        self._git.insist("clone", "--quiet", "--bare", "--depth=1", "--single-branch", "--no-tags", "--filter=blob:none", "--template=", "--origin=origin",
                         *chosen, "--", self.remote.url, str(self._folder / "repository"), explain=lambda: self._explain(branch))
        found = self._branches()
        if len(found) != 1 or (branch and branch not in found):
            self._explain(branch)
            raise ConfigError(f"{branch or 'HEAD'} of the repository is no branch", where=self.remote.url, hint="configure the branch by its name")
        (name, commit), = found.items()
        return Tip(branch=name, commit=commit)

    def refetch(self, tip: Tip) -> Tip:
        """Read the branch once more, with every commit since `tip`; raises as `fetch` does."""
        self._git.insist("fetch", "--no-tags", "--filter=blob:none", "origin", f"+{tip.reference}:{tip.reference}", explain=lambda: self._explain(tip.branch))
        return Tip(branch=tip.branch, commit=self._branches()[tip.branch])

    def listing(self, commit: str) -> tuple[Entry, ...]:
        """Everything in the commit's tree, folders too, sorted as git sorts."""
        if self._listed[0] != commit:
            self._listed = commit, parse_listing(self._git.local("ls-tree", "-r", "-t", "-z", "--full-tree", commit))
        return self._listed[1]

    def read(self, entries: Iterable[Entry]) -> dict[str, bytes]:
        """The contents of these files by path; what is not here yet comes in one request (facts 3.2, 7), what is here in none."""
        wanted = {entry.path: entry.oid for entry in entries}
        if not wanted:
            return {}
        oids = "".join(f"{oid}\n" for oid in sorted(set(wanted.values()))).encode()
        self._git.insist("-c", "fetch.negotiationAlgorithm=noop", "fetch", "--no-tags", "--no-write-fetch-head", "--filter=blob:none", "--stdin", "origin",
                         stdin=oids)
        contents = _contents(self._git.local("cat-file", "--batch", stdin=oids))
        return {path: contents[oid] for path, oid in wanted.items()}

    def commit(self, tip: Tip, changes: Mapping[str, bytes], *, message: str, author: Author) -> str:
        """Write `changes` (path -> new content) on top of `tip` and give the commit's id; modes stay, new files are 100644.

        Raises ConfigError (a path that is none, or leads over a link, a submodule or a file).
        """
        if not author.name.strip():
            raise ConfigError("a commit needs an author's name", hint="configure the user for the repository")
        entries = self.listing(tip.commit)
        tree = rewrite(entries, dict(zip(changes, self._write(changes.values()), strict=True)), self._make_trees)
        identity = {f"GIT_{role}_{part}": value.replace("\0", "") for role in ("AUTHOR", "COMMITTER")
                    for part, value in (("NAME", author.name), ("EMAIL", author.email))}
        text = message.replace("\0", "").strip() + "\n"
        return self._git.local("commit-tree", tree, "-p", tip.commit, stdin=text.encode(), variables=identity).decode().strip()

    def push(self, commit: str, tip: Tip) -> Pushed:
        """Move the branch from `tip` to `commit`, its child, where it has not moved meanwhile; raises CredentialError."""
        done = self._git.ask("push", "--porcelain", f"--force-with-lease={tip.reference}:{tip.commit}", "origin", f"{commit}:{tip.reference}")
        reasons = [line.split("\t")[-1] for line in done.out.decode("utf-8", "replace").splitlines() if line.startswith("!")]
        return Pushed(done=not done.code, refused=bool(reasons), text="\n".join([*reasons, self._git.text(done)]))

    def since(self, base: Tip, tip: Tip) -> tuple[Commit, ...]:
        """The commits that came on top of `base`, newest first, at most a thousand."""
        data = self._git.local("rev-list", f"--max-count={_HISTORY}", "--format=%B%x00", f"{base.commit}..{tip.commit}")
        found = []
        for text in data.decode("utf-8", "replace").split("\0\n")[:-1]:
            head, _, message = text.partition("\n")
            found.append(Commit(id=head.removeprefix("commit "), message=message))
        return tuple(found)

    def wait(self, attempt: int, over: str) -> None:
        """Pause after failed attempt number `attempt` (from 0); raises GitUnreachable with the text `over` where the deadline leaves no time for it."""
        self._git.wait(attempt, over)

    def _branches(self) -> dict[str, str]:
        """The branches that are here: short name -> commit."""
        lines = self._git.local("for-each-ref", "--format=%(objectname) %(refname)", "refs/heads/").decode("utf-8", "surrogateescape").splitlines()
        return {name.removeprefix("refs/heads/"): commit for commit, name in (line.split(" ", 1) for line in lines)}

    def _explain(self, branch: str) -> None:
        """Raise ConfigError where the remote answers and does not have the branch; a remote that does not answer explains nothing."""
        done = self._git.ask("ls-remote", "--heads", "--", self.remote.url)
        names = [line.partition("\trefs/heads/")[2] for line in done.out.decode("utf-8", "replace").splitlines()]
        if done.code or branch in names:
            return
        if not names:
            raise ConfigError("the repository is empty: it has no commit yet", where=self.remote.url, hint="push a first commit to it")
        if branch:
            raise ConfigError(f"there is no branch {branch!r} in the repository", where=self.remote.url, hint=nearest(branch, names))
        raise ConfigError("the repository's HEAD names no branch that is there", where=self.remote.url, hint=f"configure the branch; {nearest('', names)}")

    def _write(self, contents: Iterable[bytes]) -> list[str]:
        """Make a blob of each content and give their ids; one process for all, so by way of files in the private folder."""
        paths = []
        for number, content in enumerate(contents):
            paths.append(self._folder / f"blob-{number}")
            paths[-1].write_bytes(content)
        names = "".join(f"{path}\n" for path in paths)
        return self._git.local("hash-object", "-w", "--no-filters", "--stdin-paths", stdin=os.fsencode(names)).decode().split()

    def _make_trees(self, folders: Iterable[Iterable[Entry]]) -> list[str]:
        """Write folders and give their ids; `--missing` because most of what they name was never fetched (facts 3.1)."""
        trees = ("".join(f"{entry.mode} {entry.kind} {entry.oid}\t{entry.path.rpartition('/')[2]}\0" for entry in folder) for folder in folders)
        data = "".join(f"{tree}\0" for tree in trees).encode("utf-8", "surrogateescape")
        return self._git.local("mktree", "-z", "--missing", "--batch", stdin=data).decode().split()


def _contents(data: bytes) -> dict[str, bytes]:
    """The output of `git cat-file --batch` by object id; raises GitError (an object that is not there)."""
    found, at = {}, 0
    while at < len(data):
        start = data.index(b"\n", at) + 1
        oid, kind, *size = data[at : start - 1].decode().split(" ")
        if not size:
            raise GitError(f"the repository does not give out object {oid}: {kind}")
        at = start + int(size[0]) + 1
        found[oid] = data[start : at - 1]
    return found
