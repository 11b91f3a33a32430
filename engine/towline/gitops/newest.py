"""Pure. Whether what is in place comes from a later build of the same pipeline: then a deployment must not go back to an older one."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from towline.gitops.provenance import Provenance, compose, parse


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
        by = f"build {theirs.build_number}" if theirs.build_number else f"source commit {theirs.source_commit[:12]}"
        return f"{self.deployment} is in place: {by}, commit {self.commit[:12]}"


def find_newer(history: Iterable[tuple[str, str]], ours: Provenance, files: Collection[bytes]) -> Newer | None:
    """The last deployment of ours in `history` (id and message, newest first), where it is a later one and `files` still hold it.

    Where somebody has taken it back since, by hand for example, it is no longer in place. `history` is read no further than needed.
    """
    ours = parse(compose("", ours))  # as it would be read again
    same = ((commit, theirs) for commit, message in history if _same(theirs := parse(message), ours))
    commit, theirs = next(same, ("", ours)) if _comparable(ours) else ("", ours)
    if not commit or not _later(theirs, ours) or not _in_place(theirs, ours, files):
        return None
    return Newer(deployment=ours.deployment, commit=commit, provenance=theirs)


def _comparable(ours: Provenance) -> bool:
    return bool(_job(ours)[0] or (ours.source and _time(ours)))


def _same(theirs: Provenance, ours: Provenance) -> bool:
    """Whether both deploy the same in the same stage."""
    return theirs.stage == ours.stage and bool(_names(theirs) & _names(ours))


def _names(provenance: Provenance) -> set[str]:
    return set(provenance.deployment.split(", ")) - {""}


def _later(theirs: Provenance, ours: Provenance) -> bool:
    """By number among the builds of one job; builds of others, of another branch for example, by the time of the source commit, in one source repository."""
    (job, number), (other, later) = _job(ours), _job(theirs)
    if job and job == other:
        return later > number
    now, then = _time(ours), _time(theirs)
    return ours.source != "" and ours.source == theirs.source and now is not None and then is not None and then > now


def _job(provenance: Provenance) -> tuple[str, int]:
    """The URL of the build's job and the build's number; an empty URL where the two do not belong together."""
    number, url = provenance.build_number, provenance.build.rstrip("/")
    if not re.fullmatch(r"[0-9]{1,18}", number) or not url.endswith(f"/{number}"):
        return "", 0
    return url.removesuffix(number), int(number)


def _time(provenance: Provenance) -> datetime | None:
    try:
        time = datetime.fromisoformat(provenance.source_time)
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
    return any(re.search(rb"(?<![\w.-])" + re.escape(part.encode()) + rb"(?![\w.-])", data) for part in (digest, tag) if part)
