"""Objects of a local git repository: writes blobs, trees and commits, and reads the log."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from towline.git.checkout import Commit
from towline.git.limits import RepositoryTooLarge
from towline.git.program import GitProgram
from towline.git.signing import SigningKey, signing, signing_fault
from towline.git.tree import TreeEntry
from towline.printable import masked, tame_lines
from towline.record import frozen

_MOST_COMMITS = (1000, 100, 10)


@frozen
class Author:
    """Author and committer of a commit, and the key that signs it; `email` may be empty."""

    name: str
    email: str = ""
    key: SigningKey | None = None


@frozen
class NewCommit:
    """A commit to write: ids of its tree and its parents, its message and its author."""

    tree: str
    parents: Sequence[str]
    message: str
    author: Author


def write_blobs(git: GitProgram, contents: Iterable[bytes], *, folder: Path) -> list[str]:
    """Write a blob for each content and return the blobs' ids, in the same order.

    One git process writes all of them, so it reads them from files in the private `folder`.
    """
    paths = []
    for number, content in enumerate(contents):
        path = folder / f"blob-{number}"
        path.write_bytes(content)
        paths.append(path)
    names = "".join(f"{path}\n" for path in paths)
    ids = git.output("hash-object", "-w", "--no-filters", "--stdin-paths", stdin=os.fsencode(names))
    return ids.decode().split()


def write_trees(git: GitProgram, folders: Iterable[Iterable[TreeEntry]]) -> list[str]:
    """Write a tree for the entries of each folder and return the trees' ids, in the same order.

    `--missing`, because most of the objects that the entries name were never fetched (facts 3.1).
    """
    trees = []
    for folder in folders:
        lines = [
            f"{entry.mode} {entry.kind} {entry.oid}\t{entry.path.rpartition('/')[2]}\0"
            for entry in folder
        ]
        trees.append("".join(lines))
    stdin = "".join(f"{tree}\0" for tree in trees).encode("utf-8", "surrogateescape")
    return git.output("mktree", "-z", "--missing", "--batch", stdin=stdin).decode().split()


def write_commit(git: GitProgram, commit: NewCommit, *, environ: Mapping[str, str]) -> str:
    """Write `commit`, signed if its author has a key, and return its id.

    Secrets in the message and in the author's name are masked. Raises CredentialError (the key does
    not sign) and MachineError.
    """
    author = commit.author
    identity = {
        f"GIT_{role}_{part}": masked(value.replace("\0", ""))
        for role in ("AUTHOR", "COMMITTER")
        for part, value in (("NAME", author.name), ("EMAIL", author.email))
    }
    text = tame_lines(masked(commit.message.replace("\0", "").strip())) + "\n"
    parents = [word for parent in commit.parents for word in ("-p", parent)]
    words = ("commit-tree", commit.tree, *parents)
    if author.key is None:
        return git.output(*words, stdin=text.encode(), variables=identity).decode().strip()
    with signing(author.key, environ) as options:
        done = git.run_local(
            *options.settings,
            *words,
            *options.options,
            stdin=text.encode(),
            variables={**identity, **options.variables},
        )
    if done.code:
        raise signing_fault(git.message(done), author.key)
    return done.out.decode().strip()


def list_commits(git: GitProgram, *words: str) -> tuple[Commit, ...]:
    """The commits that `git rev-list` selects by `words`, newest first, at most a thousand.

    If their messages are too long together, fewer: a person who may push must not lock out everyone
    else by the length of a message.
    """
    for most in _MOST_COMMITS:
        with contextlib.suppress(RepositoryTooLarge):
            return _log(git, most, *words)
    return _log(git, 1, *words)


def _log(git: GitProgram, most: int, *words: str) -> tuple[Commit, ...]:
    """At most `most` commits; raises RepositoryTooLarge."""
    data = git.output("rev-list", f"--max-count={most}", "--format=%B%x00", *words)
    commits = []
    for text in data.decode("utf-8", "replace").split("\0\n")[:-1]:
        head, _, message = text.partition("\n")
        commits.append(Commit(id=head.removeprefix("commit "), message=message))
    return tuple(commits)
