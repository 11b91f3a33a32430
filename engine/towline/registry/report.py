"""Pure. What copies came to: as a line for people, and as the outputs of docs/contract.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from towline.registry.job import COPIED, MOUNTED, SKIPPED, CopyReport


@dataclass(frozen=True, kw_only=True)
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
