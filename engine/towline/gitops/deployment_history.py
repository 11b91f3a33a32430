"""Pure.

The deployments in the history of a branch, by the provenance in their commit messages.

It tells whether the deployment in place comes from a later build of the same pipeline, behind which
an older one must not go back; which images were deployed before; and whether a commit of the source
repository is nothing but a deployment.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from towline.git.remote import host_and_path
from towline.gitops.commit_message import compose_message, parse_provenance
from towline.gitops.provenance import Provenance
from towline.record import frozen

_LARGEST_SKEW = timedelta(minutes=10)  # between two clocks


def is_deployment(history: Sequence[tuple[str, str]]) -> bool:
    """Whether the newest commit is a deployment, with only deployments since the deployed commit.

    `history` has id and message of each commit, newest first. If the source repository is also the
    GitOps repository, a build of such a commit would deploy it again, and so on. A commit of
    somebody else in between has yet to be built.
    """
    built: set[str] = set()
    for number, (commit, message) in enumerate(history):
        provenance = parse_provenance(message)
        if not provenance.deployment:
            return number > 0 and (commit in built or built == {""})
        built.add(provenance.source_commit)
    return bool(history)  # a shallow checkout: older commits are unknown


def needs_history(message: str, ours: Provenance) -> bool:
    """Whether `find_newer` needs more commits than the last one, which has this `message`."""
    return _is_comparable(ours) and not _is_same_deployment(
        parse_provenance(message), parse_provenance(compose_message("", ours))
    )


@frozen
class NewerDeployment:
    """A later deployment that is in place: the deployment's name, its commit and provenance."""

    deployment: str
    commit: str
    provenance: Provenance

    @property
    def text(self) -> str:
        """The deployment and its build or source commit, for messages."""
        theirs = self.provenance
        by = (
            f"build {theirs.build_number}"
            if theirs.build_number
            else f"source commit {theirs.source_commit[:12]}"
        )
        return f"{self.deployment} is in place: {by}, commit {self.commit[:12]}"


def is_plausible_time(time: str, now: datetime) -> bool:
    """Whether a commit's time (ISO 8601) is plausible.

    A time in the future comes from a wrong clock, or was made up, and does not tell the order.
    """
    parsed = _parse_time(time)
    return parsed is not None and parsed <= now + _LARGEST_SKEW


def find_newer(
    history: Iterable[tuple[str, str]], ours: Provenance, files: Collection[bytes], *, now: datetime
) -> NewerDeployment | None:
    """The last deployment of the same name and stage, if it is later than ours and still in place.

    `history` has id and message of each commit, newest first, and is read as far as needed. `files`
    are the contents now: if somebody has taken the deployment back, it is no longer in them.
    """
    ours = parse_provenance(compose_message("", ours))  # as it is parsed from a commit
    if not _is_comparable(ours):
        return None
    for commit, message in history:
        theirs = parse_provenance(message)
        if _is_same_deployment(theirs, ours):
            if not _is_later(theirs, ours, now) or not _is_in_place(theirs, ours, files):
                return None
            return NewerDeployment(deployment=ours.deployment, commit=commit, provenance=theirs)
    return None


def same_deployment(message: str, ours: Provenance) -> Provenance | None:
    """The provenance in a commit message, if it is of the same deployment as ours; else None."""
    theirs = parse_provenance(message)
    return (
        theirs if _is_same_deployment(theirs, parse_provenance(compose_message("", ours))) else None
    )


def _is_comparable(ours: Provenance) -> bool:
    return bool(
        _job_and_number(ours)[0] or (host_and_path(ours.source) and _parse_time(ours.source_time))
    )


def _is_same_deployment(theirs: Provenance, ours: Provenance) -> bool:
    """Whether both deploy the same name in the same stage."""
    return theirs.stage == ours.stage and bool(_names(theirs) & _names(ours))


def _names(provenance: Provenance) -> set[str]:
    return set(provenance.deployment.split(", ")) - {""}


def _is_later(theirs: Provenance, ours: Provenance, now: datetime) -> bool:
    """Whether theirs is the later build (docs/contract.md, "Trailers").

    Within one job by number, unless the counter has started again: a later commit of the same
    source was built under the lower number then. Between jobs, of two branches for example, by the
    commits of the same source. Unknown values make no deployment the later one.
    """
    (job, number), (their_job, their_number), commit_order = (
        _job_and_number(ours),
        _job_and_number(theirs),
        _compare_source_commits(theirs, ours, now),
    )
    if job and job == their_job:
        return their_number > number and commit_order >= 0
    return commit_order > 0


def _compare_source_commits(theirs: Provenance, ours: Provenance, now: datetime) -> int:
    """1 if their source commit is later, -1 if ours is; 0 if neither is, or it is unknown."""
    times = [
        _parse_time(deployed.source_time)
        for deployed in (theirs, ours)
        if is_plausible_time(deployed.source_time, now)
    ]
    if (
        len(times) < 2
        or not host_and_path(ours.source)
        or host_and_path(theirs.source) != host_and_path(ours.source)
    ):
        return 0
    their_time, our_time = times
    assert their_time
    assert our_time
    return (their_time > our_time) - (their_time < our_time)


def _job_and_number(provenance: Provenance) -> tuple[str, int]:
    """A name of the build's job, empty if it is unknown, and the build's number.

    If the build's URL ends in the number, the name is the URL without it; else it is the job's name
    and the host of that URL.
    """
    number, url = provenance.build_number, provenance.build.rstrip("/")
    if not re.fullmatch(r"[0-9]{1,18}", number):
        return "", 0
    if url.endswith(f"/{number}"):
        return url.removesuffix(number), int(number)
    host = url.partition("://")[2].partition("/")[0]
    return (f"{provenance.job} {host}", int(number)) if provenance.job and host else ("", 0)


def _parse_time(text: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _is_in_place(theirs: Provenance, ours: Provenance, files: Collection[bytes]) -> bool:
    """Whether a file contains, by digest or tag, an image that only they have deployed.

    It is true if they have deployed no such image.
    """
    images = [image for image in theirs.images if image not in ours.images]
    return not images or any(_contains(image, data) for image in images for data in files)


def _contains(image: str, data: bytes) -> bool:
    name, _, digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    return any(
        re.search(rb"(?<![\w.-])" + re.escape(part.encode()) + rb"(?![\w.-])", data)
        for part in (digest, tag)
        if part
    )


def _no_history() -> Iterable[tuple[str, str]]:
    return ()


class BranchHistory:
    """The deployments before this one, by the branch's history, once that is fetched."""

    def __init__(self) -> None:
        self._history: Callable[[], Iterable[tuple[str, str]]] = _no_history
        self._ours = Provenance()

    def learn(self, history: Callable[[], Iterable[tuple[str, str]]], ours: Provenance) -> None:
        """Set `history` (id and message of each commit, newest first), and our deployment."""
        self._history, self._ours = history, ours

    def images(self) -> tuple[str, ...]:
        """The images of the last deployment of the same name and stage; none if unknown."""
        return next(self._deployed(), ())

    def _deployed(self) -> Iterator[tuple[str, ...]]:
        return (
            theirs.images
            for _, message in self._history()
            if (theirs := same_deployment(message, self._ours))
        )
