"""Pure.

What is to be copied, and what became of it.

What copies came to: as a line for people, and as the outputs of docs/contract.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from towline.image import Platform, Reference, Registry
from towline.record import frozen

COPIED, MOUNTED, SKIPPED = "copied", "mounted", "skipped"
# what refers to an image: stays behind, travels as far as both sides let it, or is a fault if it
# cannot
LEFT, TAKEN, DEMANDED = "", "taken", "demanded"


@frozen
class Moved:
    """How a blob came to its place (`copied`, `mounted`, `skipped`: it was there), and what that took; of one digest for several places together."""

    how: str
    seconds: float
    requests: int
    retries: int


@frozen
class CopyJob:
    """One image: its repository in the source and what it is called there (tag or digest), and the references that it gets (a digest is its own tag).

    `digest` is the one the source is known to have, where it is known: targets that have it need no
    source, and a tag that has moved on does not matter. Where it is but `claimed`, the source is
    asked for it first. `platforms` takes one platform's image out of an index, or makes an index of
    several; `chosen` is the digest of that, where it is known from an earlier copy. `referrers` is
    LEFT, TAKEN or DEMANDED: signatures, attestations, SBOMs. `refers` says that this is such a one,
    with one of these for itself. `name` is what reports call the source.
    """

    repository: str
    target: str
    name: str
    targets: tuple[Reference, ...]
    digest: str = ""
    claimed: bool = False
    platforms: tuple[Platform, ...] = ()
    chosen: str = ""
    referrers: str = LEFT
    refers: str = LEFT


def target_names(jobs: Iterable[CopyJob]) -> Mapping[Registry, Sequence[str]]:
    """The names of the images that each target registry gets, each once."""
    names: dict[Registry, dict[str, None]] = {}
    for target in (target for job in jobs for target in job.targets):
        names.setdefault(target.registry, {})[target.image.name] = None
    return {registry: tuple(found) for registry, found in names.items()}


@frozen
class BlobReport:
    """What became of one blob at one place: `copied`, `mounted`, `skipped`, and what that took."""

    registry: str
    repository: str
    digest: str
    size: int
    way: Moved


@frozen
class CopyReport:
    """What was done for one job (under `dry_run`: what would be).

    Blobs that another job was the first to need are that one's.

    `whole` is the digest of the index that platforms were chosen from, empty where nothing was left
    out.
    """

    job: CopyJob
    digest: str
    whole: str
    platforms: tuple[str, ...]
    blobs: tuple[BlobReport, ...]
    tags_set: tuple[str, ...]
    source_asked: bool
    plan: tuple[Mapping[str, object], ...]
    referrers: tuple[CopyReport, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether anything was to be done, for what refers to the image too."""
        return bool(self.plan) or any(report.changed for report in self.referrers)

    def count(self, how: str) -> int:
        """How many blobs came so."""
        return sum(blob.way.how == how for blob in self.blobs) + sum(
            report.count(how) for report in self.referrers
        )

    def size(self, how: str) -> int:
        """The bytes of those blobs."""
        return sum(blob.size for blob in self.blobs if blob.way.how == how) + sum(
            report.size(how) for report in self.referrers
        )


@frozen
class _Words:
    """How a line speaks of what was done, or of what a dry run has left to do."""

    pushed: str
    moved: str
    copied: str
    mounted: str
    skipped: str


_DONE = _Words(
    pushed="pushed", moved="moved", copied="copied", mounted="mounted", skipped="skipped"
)
_TO_DO = _Words(
    pushed="to push", moved="to move", copied="to copy", mounted="to mount", skipped="to skip"
)


def line(report: CopyReport, *, dry_run: bool) -> str:
    """What happened to one image, for people."""
    tags = ", ".join(str(target) for target in report.job.targets)
    platforms = f" ({', '.join(report.platforms)})" if report.platforms else ""
    platforms += f", chosen from {report.whole}" if report.whole else ""
    if not report.changed:
        why = (
            "the target holds it already"
            if report.source_asked
            else "the target holds it already, the source was not asked"
        )
        return f"{tags}: {report.digest}{platforms}: {why}"
    if not report.count(COPIED) + report.count(MOUNTED) + report.count(SKIPPED):
        return (
            f"{tags}: {report.digest}{platforms}: the target {'will get' if dry_run else 'got'} the"
            " tag, it holds the image already"
        )
    words = _TO_DO if dry_run else _DONE
    blobs = (
        f"{report.count(COPIED)} blobs {words.copied}, {report.count(MOUNTED)} {words.mounted},"
        f" {report.count(SKIPPED)} {words.skipped}"
    )
    along = f", with {len(report.referrers)} that refer to it" if report.referrers else ""
    return (
        f"{tags}: {report.digest}{platforms}{along}: {report.size(COPIED)} bytes {words.moved},"
        f" {report.size(SKIPPED)} {words.skipped} ({blobs})"
    )


def summary(reports: Sequence[CopyReport], *, dry_run: bool) -> str:
    """What happened to all of them, on one line."""
    if len(reports) == 1:
        return line(reports[0], dry_run=dry_run)
    changed = sum(report.changed for report in reports)
    moved, skipped = (sum(report.size(how) for report in reports) for how in (COPIED, SKIPPED))
    words = _TO_DO if dry_run else _DONE
    return (
        f"{changed} of {len(reports)} images {words.pushed}, {moved} bytes {words.moved}, {skipped}"
        f" {words.skipped}"
    )


def outputs(reports: Sequence[CopyReport], *, dry_run: bool) -> Mapping[str, object]:
    """The outputs of a call; under `dry_run` with the plan."""
    return {
        "images": [_record(report) for report in reports],
        "bytes": {
            "moved": sum(report.size(COPIED) for report in reports),
            "skipped": sum(report.size(SKIPPED) for report in reports),
        },
        **({"plan": [entry for report in reports for entry in report.plan]} if dry_run else {}),
        "blobs": {
            kind: sum(report.count(kind) for report in reports)
            for kind in (COPIED, MOUNTED, SKIPPED)
        },
    }


def _record(report: CopyReport) -> dict[str, object]:
    blobs = [
        {
            "registry": blob.registry,
            "repository": blob.repository,
            "digest": blob.digest,
            "bytes": blob.size,
            "how": blob.way.how,
            "seconds": round(blob.way.seconds, 3),
            "requests": blob.way.requests,
            "retries": blob.way.retries,
        }
        for blob in report.blobs
    ]
    whole = {"chosenFrom": report.whole} if report.whole else {}
    along = (
        {"referrers": [_record(referrer) for referrer in report.referrers]}
        if report.referrers
        else {}
    )
    return {
        "source": report.job.name,
        "target": str(report.job.targets[0]),
        "targets": [str(target) for target in report.job.targets],
        "digest": report.digest,
        "platforms": list(report.platforms),
        "tags": list(dict.fromkeys(target.image.tag for target in report.job.targets)),
        "blobs": blobs,
        **whole,
        **along,
    }
