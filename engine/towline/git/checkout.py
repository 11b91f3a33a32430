"""The workspace's own checkout, for hints and for what is not to be built again: where it comes from, and its last commits.

Read only.

What the URL of a source repository says: which one it is, and how it is shown without what opens
it.
"""

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

_LIMITS = ProcessLimits(seconds=10.0)
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
    """What a commit says of itself: id, author (RFC 5322), the author's date and the commit's own time (ISO 8601), subject, body; unknown parts are empty."""

    id: str = ""
    author: str = ""
    date: str = ""
    time: str = ""
    subject: str = ""
    body: str = ""


def origin_url(folder: Path, environ: Mapping[str, str]) -> str:
    """The URL of the remote `origin` as `folder`'s own git configuration has it; empty where there is no checkout, no git or no such remote.

    Only the one file is read: nothing of the machine's settings, and nothing that it includes.
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
    """The commit that is checked out in `folder` and its first parents, as far as they are there, newest first; empty where there is no checkout or no git."""
    words = (*_QUIET, "--first-parent", f"--max-count={_HISTORY}", "--format=%H%n%B%x00")
    entries = [
        entry.strip("\n").partition("\n") for entry in _ask(folder, environ, *words).split("\0")
    ]
    return tuple(Commit(id=name, message=message) for name, _, message in entries if name)


def head_branch(folder: Path, environ: Mapping[str, str]) -> str:
    """The branch that HEAD is on in the checkout in `folder`; empty where it is on none, or there is no checkout or no git."""
    return _ask(folder, environ, "symbolic-ref", "--quiet", "--short", "HEAD").strip()


def default_branch(folder: Path, environ: Mapping[str, str]) -> str:
    """The default branch of the remote `origin`, as the clone has kept it; empty where nothing says it, or there is no checkout or no git."""
    return (
        _ask(folder, environ, "symbolic-ref", "--quiet", f"{_ORIGIN}HEAD")
        .strip()
        .removeprefix(_ORIGIN)
    )


def file_on_branch(folder: Path, environ: Mapping[str, str], branch: str, path: str) -> str | None:
    """The text of a file of `folder` as it stands on the tip of a branch of the remote `origin`; None where that is not here, or not fetched."""
    if not _BRANCH.fullmatch(branch) or ".." in branch:
        return None
    reference = f"{_ORIGIN}{branch}"
    if not _ask(folder, environ, "cat-file", "-t", reference).strip():
        return None
    return _ask(folder, environ, "cat-file", "blob", f"{reference}:./{path}")


def describe_commit(folder: Path, environ: Mapping[str, str], commit: str) -> CommitDescription:
    """What the commit with that id says, HEAD where none is named; empty where the checkout in `folder` does not have it."""
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
    """The folder with `.git` that `folder` is or lies in: a project may be a part of its repository; None where there is none.

    Git itself would take more for one that a commit can bring along: a bare repository among the
    files, and a submodule, which is its author's.
    """
    absolute = folder.absolute()
    places = [place for place in (absolute, *absolute.parents) if (place / ".git").exists()]
    return next((place for place in places if not _is_submodule(place)), None)


def _is_submodule(place: Path) -> bool:
    """Whether what is checked out there is a submodule of a checkout around it, be that a clone or a work tree beside one."""
    there = _git_folder(place)
    around = (_git_folder(outer) for outer in place.resolve().parents)
    return there is not None and any(
        outer is not None and there.is_relative_to(outer / "modules") for outer in around
    )


def _git_folder(place: Path) -> Path | None:
    """Where the repository of a checkout is: its `.git`, or what that file leads to; None where there is none."""
    entry = place.resolve() / ".git"
    try:
        if entry.is_dir():
            return entry.resolve()
        leads = entry.read_text(encoding="utf-8").removeprefix("gitdir:").strip()
        return Path(os.path.realpath(entry.parent / leads))
    except (OSError, ValueError):  # a null byte, or no text
        return None


def _address(name: str, email: str) -> str:
    """Name and address in one; empty for an address that RFC 5322 does not have."""
    try:
        return formataddr((name, email)) if email else ""
    except UnicodeEncodeError:
        return ""


def _ask(folder: Path, environ: Mapping[str, str], *words: str) -> str:
    """What git answers of the checkout; empty where there is none, or no git, or it fails."""
    program, root = find("git", environ), _root(folder)
    if not program or not root:
        return ""
    environment = {
        "PATH": environ.get("PATH", os.defpath),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        # what is not here is not fetched
        "GIT_ALLOW_PROTOCOL": "",
        "GIT_NO_LAZY_FETCH": "1",
    }
    try:
        done = run(
            [program, f"--git-dir={root / '.git'}", f"--work-tree={root}", *words],
            environment=environment,
            folder=folder,
            limits=_LIMITS,
        )
    except (TowlineError, Overrun):
        return ""
    return done.out.decode("utf-8", "replace") if done.code == 0 else ""
