"""The checkout in the workspace, read only: the URL of its remote, its branches and its commits."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from email.utils import formataddr
from pathlib import Path

from towline.errors import TowlineError
from towline.limits import ProcessLimits
from towline.process import Overrun, find, run
from towline.record import frozen

_GIT_LIMITS = ProcessLimits(seconds=10.0)
_ID = re.compile(r"[0-9a-fA-F]{40}(?:[0-9a-fA-F]{24})?")
_HISTORY = 100
_ORIGIN = "refs/remotes/origin/"
_BRANCH = re.compile(r"[^\s~^:?*\[\\\x00-\x1f\x7f@-][^\s~^:?*\[\\\x00-\x1f\x7f]*")
_QUIET = ("-c", "log.showSignature=false", "log")


@frozen
class Commit:
    """A commit's id and message."""

    id: str
    message: str


@frozen
class CommitDescription:
    """A commit as git describes it; unknown parts are empty.

    `author` is an address (RFC 5322), `date` the author's date and `time` the committer's (ISO
    8601).
    """

    id: str = ""
    author: str = ""
    date: str = ""
    time: str = ""
    subject: str = ""
    body: str = ""


def origin_url(folder: Path, environ: Mapping[str, str]) -> str:
    """The URL of the remote `origin` in the git configuration of the checkout in `folder`.

    Empty without a checkout, without git, or without such a remote.

    Only this one file is read: no settings of the machine, and no file that it includes.
    """
    root = _root(folder)
    settings = root / ".git" / "config" if root else None
    if settings is None or not settings.is_file():
        return ""
    return _ask(
        folder,
        environ,
        "config",
        "--file",
        str(settings),
        "--no-includes",
        "--get",
        "remote.origin.url",
    ).strip()


def history(folder: Path, environ: Mapping[str, str]) -> tuple[Commit, ...]:
    """HEAD of the checkout in `folder` and its first parents, newest first, if fetched.

    Empty without a checkout or without git.
    """
    words = (*_QUIET, "--first-parent", f"--max-count={_HISTORY}", "--format=%H%n%B%x00")
    entries = [
        entry.strip("\n").partition("\n") for entry in _ask(folder, environ, *words).split("\0")
    ]
    return tuple(Commit(id=name, message=message) for name, _, message in entries if name)


def head_branch(folder: Path, environ: Mapping[str, str]) -> str:
    """The branch that HEAD is on in the checkout in `folder`; empty if there is none."""
    return _ask(folder, environ, "symbolic-ref", "--quiet", "--short", "HEAD").strip()


def default_branch(folder: Path, environ: Mapping[str, str]) -> str:
    """The default branch of the remote `origin`, as the clone recorded it; else empty."""
    return (
        _ask(folder, environ, "symbolic-ref", "--quiet", f"{_ORIGIN}HEAD")
        .strip()
        .removeprefix(_ORIGIN)
    )


def file_on_branch(folder: Path, environ: Mapping[str, str], branch: str, path: str) -> str | None:
    """The text of a file of `folder` at the tip of a branch of the remote `origin`.

    None if the branch, or the file, was not fetched.
    """
    if not _BRANCH.fullmatch(branch) or ".." in branch:
        return None
    reference = f"{_ORIGIN}{branch}"
    if not _ask(folder, environ, "cat-file", "-t", reference).strip():
        return None
    return _ask(folder, environ, "cat-file", "blob", f"{reference}:./{path}")


def describe_commit(folder: Path, environ: Mapping[str, str], commit: str) -> CommitDescription:
    """Describe the commit with this id, or HEAD if it is empty.

    All parts are empty if the checkout in `folder` does not have the commit.
    """
    if commit and not _ID.fullmatch(commit):
        return CommitDescription()
    form = "--format=%H%x00%an%x00%ae%x00%aI%x00%cI%x00%s%x00%b"
    parts = (
        _ask(folder, environ, *_QUIET, "--max-count=1", form, commit or "HEAD", "--")
        .rstrip("\n")
        .split("\0")
    )
    if len(parts) != 7:
        return CommitDescription()
    found, name, email, date, time, subject, body = parts
    return CommitDescription(
        id=found,
        author=_address(name, email),
        date=date,
        time=time,
        subject=subject,
        body=body.strip(),
    )


def _root(folder: Path) -> Path | None:
    """The work tree's root: the nearest folder with `.git` that is `folder` or above it; else None.

    A project may be a part of its repository. Git itself would also accept what a commit can bring
    along: a bare repository among the files, and a submodule, which belongs to its author.
    """
    absolute = folder.absolute()
    checkouts = [path for path in (absolute, *absolute.parents) if (path / ".git").exists()]
    return next((path for path in checkouts if not _is_submodule(path)), None)


def _is_submodule(checkout: Path) -> bool:
    """Whether the checkout is a submodule of a checkout around it.

    The submodule may be a clone, or a work tree beside one.
    """
    repository = _git_folder(checkout)
    if repository is None:
        return False
    repositories_around = [_git_folder(folder) for folder in checkout.resolve().parents]
    return any(
        repository_around is not None and repository.is_relative_to(repository_around / "modules")
        for repository_around in repositories_around
    )


def _git_folder(checkout: Path) -> Path | None:
    """The repository of a checkout: its `.git` folder, or the folder that a `.git` file names.

    None if there is none.
    """
    entry = checkout.resolve() / ".git"
    try:
        if entry.is_dir():
            return entry.resolve()
        target = entry.read_text(encoding="utf-8").removeprefix("gitdir:").strip()
        return Path(os.path.realpath(entry.parent / target))
    except (OSError, ValueError):  # a null byte in the path, or not UTF-8
        return None


def _address(name: str, email: str) -> str:
    """Name and email address as one text; empty if RFC 5322 does not allow the address."""
    try:
        return formataddr((name, email)) if email else ""
    except UnicodeEncodeError:
        return ""


def _ask(folder: Path, environ: Mapping[str, str], *words: str) -> str:
    """The output of git in the checkout; empty without a checkout or git, and if git fails."""
    program, root = find("git", environ), _root(folder)
    if not program or not root:
        return ""
    environment = {
        "PATH": environ.get("PATH", os.defpath),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        # These two let git fetch no missing objects.
        "GIT_ALLOW_PROTOCOL": "",
        "GIT_NO_LAZY_FETCH": "1",
    }
    try:
        done = run(
            [program, f"--git-dir={root / '.git'}", f"--work-tree={root}", *words],
            environment=environment,
            folder=folder,
            limits=_GIT_LIMITS,
        )
    except (TowlineError, Overrun):
        return ""
    return done.out.decode("utf-8", "replace") if done.code == 0 else ""
