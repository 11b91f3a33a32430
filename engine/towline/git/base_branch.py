"""A branch and its base branch (the remote's HEAD): how far they diverge, and their merge."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from towline.errors import ConfigError
from towline.git import errors
from towline.git.partial_clone import make_bare_repository
from towline.git.program import GitProgram
from towline.record import frozen
from towline.suggest import list_some

_BASE, _BRANCH = "refs/towline/base", "refs/towline/own"
_FIRST_COMMITS = 500  # of each branch, in the first fetch
_ALL_COMMITS = 2147483647  # git's depth without an end (git fetch --unshallow)
_TRIES = 3
_FILE_MODES = ("100644", "100755")

Read = Callable[[Iterable[str]], Mapping[str, bytes]]
Write = Callable[[Iterable[bytes]], list[str]]

# Mode and object id of a path by stage: 1 is the merge base, 2 the branch, 3 its base branch.
_Stages = dict[int, tuple[str, str]]


class MergeConflict(ConfigError):
    """A branch and its base branch have conflicting changes, which only a person can merge."""


@frozen
class Divergence:
    """The tips of a branch and of its base branch, and their merge base.

    `merge_base` is empty if it is not known. `complete`: the whole history of both was fetched.
    """

    branch: str
    base: str
    merge_base: str
    complete: bool

    @property
    def is_behind(self) -> bool:
        """Whether the base branch has commits that the branch does not have."""
        return self.merge_base != self.base


def find_divergence(
    git: GitProgram, *, url: str, branch: str, tip: str, complete: bool
) -> Divergence | None:
    """Fetch the commits of a branch (by its full name) and of its base branch, and compare them.

    Without `complete`, some hundred commits of each are fetched. None if the server does not give
    out commits without files. `git` works in a repository that is made anew; `tip` is a commit of
    the server, whose id tells the object format. Raises as `GitProgram.run_remote`.
    """
    shutil.rmtree(git.repository, ignore_errors=True)
    make_bare_repository(git.repository, len(tip), {})
    words = (
        "fetch",
        "--quiet",
        "--no-tags",
        "--no-write-fetch-head",
        f"--depth={_ALL_COMMITS if complete else _FIRST_COMMITS}",
        "--filter=tree:0",
        "--",
        url,
    )
    for attempt in range(_TRIES):
        done = git.run_remote(*words, f"+HEAD:{_BASE}", f"+{branch}:{_BRANCH}")
        if not done.code:
            break
        text = git.message(done)
        if attempt + 1 == _TRIES or errors.is_filter_refusal(text):
            return None
        git.pause(attempt, text)
    own, base = (
        git.output("rev-parse", reference).decode().strip() for reference in (_BRANCH, _BASE)
    )
    found = git.run_local("merge-base", own, base)
    return Divergence(
        branch=own,
        base=base,
        merge_base="" if found.code else found.out.decode().split()[0],
        complete=not (git.repository / "shallow").exists(),
    )


def merge_trees(
    git: GitProgram, divergence: Divergence, *, folder: Path, read: Read, write: Write
) -> str:
    """Merge the trees of a branch and its base branch; return the merged tree's id.

    Renames are not followed. `git` has the three commits with their trees, and `folder` is for
    temporary files; `read` gives contents by id, `write` makes blobs of contents. Raises
    MergeConflict if both have changed the same lines.
    """
    (folder / "index").unlink(missing_ok=True)
    index = {"GIT_INDEX_FILE": str(folder / "index")}
    commits = (divergence.merge_base, divergence.branch, divergence.base)
    git.output("read-tree", "-i", "-m", "--aggressive", *commits, variables=index)
    unmerged = _unmerged(git.output("ls-files", "--unmerged", "-z", variables=index))
    merged = _merge_files(git, unmerged, folder=folder, read=read)
    conflicts = sorted(path for path in unmerged if path not in merged)
    if conflicts:
        raise MergeConflict(
            f"both have changed {list_some(conflicts)} since their last common commit"
            f" {divergence.merge_base[:12]}"
        )
    blobs = zip(merged, write(merged.values()), strict=True)
    lines = "".join(f"{_mode(unmerged[path])} {oid}\t{path}\0" for path, oid in blobs)
    stdin = lines.encode("utf-8", "surrogateescape")
    git.output("update-index", "-z", "--index-info", stdin=stdin, variables=index)
    return git.output("write-tree", "--missing-ok", variables=index).decode().strip()


def _merge_files(
    git: GitProgram, unmerged: Mapping[str, _Stages], *, folder: Path, read: Read
) -> dict[str, bytes]:
    """The merged contents of the unmerged paths that are files and have no conflict."""
    files = {path: stages for path, stages in unmerged.items() if _are_files(stages)}
    contents = read({oid for stages in files.values() for _, oid in stages.values()})
    merged = {}
    for path, stages in files.items():
        versions = [contents[stages[number][1]] for number in (2, 1, 3)]
        content = _merge_file(git, folder, versions)
        if content is not None:
            merged[path] = content
    return merged


def _unmerged(listing: bytes) -> dict[str, _Stages]:
    """The output of `git ls-files --unmerged -z` as stages by path."""
    found: dict[str, _Stages] = {}
    for line in listing.decode("utf-8", "surrogateescape").split("\0")[:-1]:
        attributes, _, path = line.partition("\t")
        mode, oid, number = attributes.split(" ")
        found.setdefault(path, {})[int(number)] = mode, oid
    return found


def _are_files(stages: _Stages) -> bool:
    """Whether all three stages are files: a deletion or change of type is not merged as text."""
    return len(stages) == 3 and all(mode in _FILE_MODES for mode, _ in stages.values())


def _mode(stages: _Stages) -> str:
    """The mode that the branch or its base has given the file, else the mode of the merge base."""
    common, own, base = (stages[number][0] for number in (1, 2, 3))
    return base if own == common else own


def _merge_file(git: GitProgram, folder: Path, versions: list[bytes]) -> bytes | None:
    """The merged content of three versions (branch, merge base, base); None if they conflict."""
    paths = [folder / f"version-{number}" for number in range(len(versions))]
    for path, content in zip(paths, versions, strict=True):
        path.write_bytes(content)
    done = git.run_local("merge-file", "-p", *map(str, paths))
    return None if done.code else done.out
