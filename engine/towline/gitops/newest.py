"""Pure. Whether what is in place comes from a later build of the same pipeline: then a deployment must not go back to an older one."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from datetime import UTC, datetime

from towline.errors import Superseded
from towline.gitops.provenance import Provenance, compose, parse


def needs_past(message: str, ours: Provenance) -> bool:
    """Whether it takes the commits before the last one, of this message, to tell what `check_newest` asks."""
    return _comparable(ours) and not _same(parse(message), parse(compose("", ours)))


def check_newest(history: Iterable[tuple[str, str]], ours: Provenance, files: Collection[bytes], *, where: str) -> None:
    """Raises Superseded where the last deployment of ours in `history` (id and message, newest first) is a later one, and `files` still hold it.

    Where somebody has taken it back since, by hand for example, it is no longer in place. `history` is read no further than needed.
    """
    ours = parse(compose("", ours))  # as it would be read again
    if not _comparable(ours):
        return
    for commit, message in history:
        theirs = parse(message)
        if not _same(theirs, ours):
            continue
        if _later(theirs, ours) and _in_place(theirs, ours, files):
            by = f"build {theirs.build_number}" if theirs.build_number else f"source commit {theirs.source_commit[:12]}"
            raise Superseded(f"a newer deployment of {ours.deployment} is in place: {by}, commit {commit[:12]}", where=where,
                             hint="nothing is to be done: the newer deployment stays; allowOlder: true goes back on purpose")
        return


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
