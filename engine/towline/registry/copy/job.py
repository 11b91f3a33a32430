"""Pure.

The jobs of a copy and the reports on them, as data, as a line for people, and as the outputs of
docs/contract.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from towline.image import Platform, Reference, Registry, Repository
from towline.record import frozen

COPIED, MOUNTED, SKIPPED = "copied", "mounted", "skipped"
# an image's referrers: are not copied, are copied as far as both sides let them, or must be copied
NOT_COPIED, OPTIONAL, REQUIRED = "", "taken", "demanded"


@frozen
class BlobOutcome:
    """How a blob came to its repository: COPIED, MOUNTED, or SKIPPED because it was there.

    Seconds, requests and retries are those of one digest for all its repositories together.
    """

    how: str
    seconds: float
    requests: int
    retries: int


@frozen
class CopyJob:
    """One image to copy: its reference in the source and its targets.

    The reference of a local image is in the repository LOCAL, without tag and digest.

    `digest` is what the source is known to have, if it is known: targets that have it need no
    source, and it does not matter if a tag of the source has moved. If the digest is only
    `claimed`, the source is asked for it first. `platforms` selects one platform's image of an
    index, or makes an index of several; `chosen` is the digest of that, if it is known from an
    earlier copy. `referrers` is NOT_COPIED, OPTIONAL or REQUIRED and says what becomes of the
    image's referrers (signatures, attestations, SBOMs); in the job of a referrer `as_referrer` says
    the same of the referrer itself. `name` is what messages and reports call the source.
    """

    source: Reference
    name: str
    targets: tuple[Reference, ...]
    digest: str = ""
    claimed: bool = False
    platforms: tuple[Platform, ...] = ()
    chosen: str = ""
    referrers: str = NOT_COPIED
    as_referrer: str = NOT_COPIED

    @property
    def asked(self) -> Reference:
        """The reference that the source is asked for: by digest if it is known."""
        return self.source.repository.reference(self.digest) if self.digest else self.source


def target_repositories(jobs: Iterable[CopyJob]) -> Mapping[Registry, Sequence[Repository]]:
    """The repositories of each target registry that get an image, each once."""
    found: dict[Registry, list[Repository]] = {}
    for repository in dict.fromkeys(target.repository for job in jobs for target in job.targets):
        found.setdefault(repository.registry, []).append(repository)
    return {registry: tuple(repositories) for registry, repositories in found.items()}


@frozen
class BlobReport:
    """The outcome of one blob in one repository, and its cost."""

    repository: Repository
    digest: str
    size: int
    outcome: BlobOutcome


@frozen
class CopyReport:
    """What was done for one job, or would be done if this is a dry run.

    A blob that several jobs need is in the report of the first one.

    `chosen_from` is the digest of the index that platforms were selected from, empty if all were
    copied.
    """

    job: CopyJob
    digest: str
    chosen_from: str
    platforms: tuple[str, ...]
    blobs: tuple[BlobReport, ...]
    tags_set: tuple[str, ...]
    source_asked: bool
    plan: tuple[Mapping[str, object], ...]
    referrers: tuple[CopyReport, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether the image or one of its referrers needed a change."""
        return bool(self.plan) or any(report.changed for report in self.referrers)

    def count(self, how: str) -> int:
        """How many blobs were `how`: COPIED, MOUNTED or SKIPPED; those of referrers count."""
        return sum(blob.outcome.how == how for blob in self.blobs) + sum(
            report.count(how) for report in self.referrers
        )

    def size(self, how: str) -> int:
        """The bytes of the blobs that were `how`; those of referrers count."""
        return sum(blob.size for blob in self.blobs if blob.outcome.how == how) + sum(
            report.size(how) for report in self.referrers
        )


@frozen
class _Words:
    """The verbs of a report line: in the past tense, or for a dry run."""

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


def report_line(report: CopyReport, *, dry_run: bool) -> str:
    """One line on what happened to an image, for people."""
    tags = ", ".join(str(target) for target in report.job.targets)
    platforms = f" ({', '.join(report.platforms)})" if report.platforms else ""
    platforms += f", chosen from {report.chosen_from}" if report.chosen_from else ""
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
    number = len(report.referrers)
    referrers = f", with {number} referrer{'s' * (number > 1)}" if number else ""
    return (
        f"{tags}: {report.digest}{platforms}{referrers}: {report.size(COPIED)} bytes {words.moved},"
        f" {report.size(SKIPPED)} {words.skipped} ({blobs})"
    )


def summary(reports: Sequence[CopyReport], *, dry_run: bool) -> str:
    """One line on what happened to all images."""
    if len(reports) == 1:
        return report_line(reports[0], dry_run=dry_run)
    changed = sum(report.changed for report in reports)
    moved, skipped = (sum(report.size(how) for report in reports) for how in (COPIED, SKIPPED))
    words = _TO_DO if dry_run else _DONE
    return (
        f"{changed} of {len(reports)} images {words.pushed}, {moved} bytes {words.moved}, {skipped}"
        f" {words.skipped}"
    )


def outputs(reports: Sequence[CopyReport], *, dry_run: bool) -> Mapping[str, object]:
    """The outputs of a call (docs/contract.md), with the plan if this is a dry run."""
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
    record: dict[str, object] = {
        "source": report.job.name,
        "target": str(report.job.targets[0]),
        "targets": [str(target) for target in report.job.targets],
        "digest": report.digest,
        "platforms": list(report.platforms),
        "tags": list(dict.fromkeys(target.image.tag for target in report.job.targets)),
        "blobs": [_blob_record(blob) for blob in report.blobs],
    }
    if report.chosen_from:
        record["chosenFrom"] = report.chosen_from
    if report.referrers:
        record["referrers"] = [_record(referrer) for referrer in report.referrers]
    return record


def _blob_record(blob: BlobReport) -> dict[str, object]:
    return {
        "registry": blob.repository.registry.host,
        "repository": blob.repository.name,
        "digest": blob.digest,
        "bytes": blob.size,
        "how": blob.outcome.how,
        "seconds": round(blob.outcome.seconds, 3),
        "requests": blob.outcome.requests,
        "retries": blob.outcome.retries,
    }
