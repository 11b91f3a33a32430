"""A branch of its own and its base, the branch of the remote's HEAD: where the one stands to the other, and the tree that has what both have."""

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

_BASE, _OWN = "refs/towline/base", "refs/towline/own"
_PAST, _WHOLE = 500, 2147483647  # commits of each, at first; as git has a depth without an end
_TRIES = 3
_FILES = ("100644", "100755")

Read = Callable[[Iterable[str]], Mapping[str, bytes]]
Write = Callable[[Iterable[bytes]], list[str]]

_Stages = dict[
    int, tuple[str, str]
]  # mode and object id of a path in the common commit (1), in the branch (2), in its base (3)


class MergeConflict(ConfigError):
    """A branch and its base that only a person can put together."""


@frozen
class Divergence:
    """The tips of a branch and of its base, and the last commit that both have, empty where none is known; `whole`: no commit was left out."""

    own: str
    base: str
    common: str
    whole: bool

    @property
    def behind(self) -> bool:
        """Whether the base has commits that the branch does not have."""
        return self.common != self.base


def find_divergence(
    git: GitProgram, *, url: str, branch: str, tip: str, whole: bool
) -> Divergence | None:
    """Where the branch, by its full name, stands to its base, by commits alone, some hundred of each unless `whole`; None where the server does not tell.

    `git` works in a repository that is made anew; `tip` is a commit as the server has them. Raises
    as `Program.ask`.
    """
    shutil.rmtree(git.place, ignore_errors=True)
    make_bare_repository(git.place, len(tip), {})
    words = (
        "fetch",
        "--quiet",
        "--no-tags",
        "--no-write-fetch-head",
        f"--depth={_WHOLE if whole else _PAST}",
        "--filter=tree:0",
        "--",
        url,
    )
    for attempt in range(_TRIES):
        done = git.ask(*words, f"+HEAD:{_BASE}", f"+{branch}:{_OWN}")
        if not done.code:
            break
        if attempt + 1 == _TRIES or errors.is_filter_refusal(git.text(done)):
            return None
        git.wait(attempt, git.text(done))
    own, base = (git.local("rev-parse", name).decode().strip() for name in (_OWN, _BASE))
    found = git.check("merge-base", own, base)
    common = "" if found.code else found.out.decode().split()[0]
    return Divergence(own=own, base=base, common=common, whole=not (git.place / "shallow").exists())


def merge_trees(
    git: GitProgram, ends: Divergence, *, folder: Path, read: Read, write: Write
) -> str:
    """The tree that has what both have changed since their common commit, by its id; raises Apart where they have changed one place.

    `git` has the three commits with their folders, and finds files in `folder`; `read` gives
    contents by id, `write` makes blobs of them. Files that have moved are not followed.
    """
    index = {"GIT_INDEX_FILE": str(folder / "index")}
    (folder / "index").unlink(missing_ok=True)
    git.local(
        "read-tree", "-i", "-m", "--aggressive", ends.common, ends.own, ends.base, variables=index
    )
    open_paths = _unmerged(git.local("ls-files", "--unmerged", "-z", variables=index))
    contents = read(
        {oid for stages in open_paths.values() if _are_files(stages) for _, oid in stages.values()}
    )
    both = {
        path: (
            _both(git, folder, [contents[stages[number][1]] for number in (2, 1, 3)])
            if _are_files(stages)
            else None
        )
        for path, stages in open_paths.items()
    }
    if apart := sorted(path for path, content in both.items() if content is None):
        raise MergeConflict(
            f"both have changed {list_some(apart)} since their last common commit {ends.common[:12]}"
        )
    found = zip(
        both, write(content for content in both.values() if content is not None), strict=True
    )
    lines = "".join(f"{_mode(open_paths[path])} {oid}\t{path}\0" for path, oid in found)
    git.local(
        "update-index",
        "-z",
        "--index-info",
        stdin=lines.encode("utf-8", "surrogateescape"),
        variables=index,
    )
    return git.local("write-tree", "--missing-ok", variables=index).decode().strip()


def _unmerged(listing: bytes) -> dict[str, _Stages]:
    """What `git ls-files --unmerged -z` prints, by path."""
    found: dict[str, _Stages] = {}
    for line in listing.decode("utf-8", "surrogateescape").split("\0")[:-1]:
        facts, _, path = line.partition("\t")
        mode, oid, number = facts.split(" ")
        found.setdefault(path, {})[int(number)] = mode, oid
    return found


def _are_files(stages: _Stages) -> bool:
    """Whether there is a file in all three of them: what one has deleted or made something else of is not to be told from text."""
    return len(stages) == 3 and all(mode in _FILES for mode, _ in stages.values())


def _mode(stages: _Stages) -> str:
    """The mode that one of both has given the file, else the one that it had."""
    common, own, base = (stages[number][0] for number in (1, 2, 3))
    return base if own == common else own


def _both(git: GitProgram, folder: Path, contents: list[bytes]) -> bytes | None:
    """What the branch and its base make of a file together, whose contents are theirs, the common one between them; None where they differ in one place."""
    paths = [folder / f"both-{number}" for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    done = git.check("merge-file", "-p", *map(str, paths))
    return None if done.code else done.out
