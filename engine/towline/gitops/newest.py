"""Pure.

Whether what is in place comes from a later build of the same pipeline: then a deployment must not
go back to an older one.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from towline.git.source import identity
from towline.gitops.provenance import Provenance, compose, parse

_SKEW = timedelta(minutes=10)  # between two clocks


def needs_past(message: str, ours: Provenance) -> bool:
    """Whether it takes the commits before the last one, of this message, to tell what `find_newer` asks."""
    return _comparable(ours) and not _same(parse(message), parse(compose("", ours)))


@dataclass(frozen=True, kw_only=True)
class Newer:
    """A later deployment that is in place: what it and ours both deploy, its commit, and what that says of itself."""

    deployment: str
    commit: str
    provenance: Provenance

    @property
    def text(self) -> str:
        """The deployment and what it comes from, for people."""
        theirs = self.provenance
        by = (
            f"build {theirs.build_number}"
            if theirs.build_number
            else f"source commit {theirs.source_commit[:12]}"
        )
        return f"{self.deployment} is in place: {by}, commit {self.commit[:12]}"


def believable(time: str, now: datetime) -> bool:
    """Whether a commit's time (ISO 8601) can be: one in the future comes from a clock that is wrong, or was made up, and says nothing about the order."""
    known = _time(time)
    return known is not None and known <= now + _SKEW


def find_newer(
    history: Iterable[tuple[str, str]], ours: Provenance, files: Collection[bytes], *, now: datetime
) -> Newer | None:
    """The last deployment of ours in `history` (id and message, newest first), where it is a later one and `files` still hold it.

    Where somebody has taken it back since, by hand for example, it is no longer in place. `history`
    is read no further than needed.
    """
    ours = parse(compose("", ours))  # as it would be read again
    same = (
        (commit, theirs) for commit, message in history if _same(theirs := parse(message), ours)
    )
    commit, theirs = next(same, ("", ours)) if _comparable(ours) else ("", ours)
    if not commit or not _later(theirs, ours, now) or not _in_place(theirs, ours, files):
        return None
    return Newer(deployment=ours.deployment, commit=commit, provenance=theirs)


def same_deployment(message: str, ours: Provenance) -> Provenance | None:
    """What a commit's message says of a deployment of ours; None for any other commit."""
    theirs = parse(message)
    return theirs if _same(theirs, parse(compose("", ours))) else None


def _comparable(ours: Provenance) -> bool:
    return bool(_job(ours)[0] or (identity(ours.source) and _time(ours.source_time)))


def _same(theirs: Provenance, ours: Provenance) -> bool:
    """Whether both deploy the same in the same stage."""
    return theirs.stage == ours.stage and bool(_names(theirs) & _names(ours))


def _names(provenance: Provenance) -> set[str]:
    return set(provenance.deployment.split(", ")) - {""}


def _later(theirs: Provenance, ours: Provenance, now: datetime) -> bool:
    """Whether theirs is the later build (docs/contract.md, "Trailers").

    Within one job by number, unless the counter has started again: a later commit of the same
    source was built under the lower number then. Between jobs, of two branches for example, by the
    commits of the same source. What is unknown makes nothing later.
    """
    (job, number), (other, later), commits = _job(ours), _job(theirs), _commits(theirs, ours, now)
    if job and job == other:
        return later > number and commits >= 0
    return commits > 0


def _commits(theirs: Provenance, ours: Provenance, now: datetime) -> int:
    """1 where their commit is the later one, -1 where ours is; 0 where both are of one time, or it cannot be told."""
    times = [_time(one.source_time) for one in (theirs, ours) if believable(one.source_time, now)]
    if (
        len(times) < 2
        or not identity(ours.source)
        or identity(theirs.source) != identity(ours.source)
    ):
        return 0
    then, our = times
    assert then
    assert our
    return (then > our) - (then < our)


def _job(provenance: Provenance) -> tuple[str, int]:
    """What names the build's job, and the build's number; no name where that is unknown.

    The job's URL is that of the build without the number, where it ends in that; else the job has a
    name on the CI system at the build's URL.
    """
    number, url = provenance.build_number, provenance.build.rstrip("/")
    if not re.fullmatch(r"[0-9]{1,18}", number):
        return "", 0
    if url.endswith(f"/{number}"):
        return url.removesuffix(number), int(number)
    host = url.partition("://")[2].partition("/")[0]
    return (f"{provenance.job} {host}", int(number)) if provenance.job and host else ("", 0)


def _time(text: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _in_place(theirs: Provenance, ours: Provenance, files: Collection[bytes]) -> bool:
    """Whether one of the images that only they have deployed stands in one of the files, by digest or tag; true where it cannot be told."""
    images = [image for image in theirs.images if image not in ours.images]
    return not images or any(_stands(image, data) for image in images for data in files)


def _stands(image: str, data: bytes) -> bool:
    name, _, digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    return any(
        re.search(rb"(?<![\w.-])" + re.escape(part.encode()) + rb"(?![\w.-])", data)
        for part in (digest, tag)
        if part
    )
