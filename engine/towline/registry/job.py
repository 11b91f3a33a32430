"""Pure. What is to be copied, and what became of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from towline.image import Platform, Reference, Registry

COPIED, MOUNTED, SKIPPED = "copied", "mounted", "skipped"
# what refers to an image: stays behind, travels as far as both sides let it, or is a fault if it
# cannot
LEFT, TAKEN, DEMANDED = "", "taken", "demanded"


@dataclass(frozen=True, kw_only=True)
class Moved:
    """How a blob came to its place (`copied`, `mounted`, `skipped`: it was there), and what that took; of one digest for several places together."""

    how: str
    seconds: float
    requests: int
    retries: int


@dataclass(frozen=True, kw_only=True)
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


@dataclass(frozen=True, kw_only=True)
class BlobReport:
    """What became of one blob at one place: `copied`, `mounted`, `skipped`, and what that took."""

    registry: str
    repository: str
    digest: str
    size: int
    way: Moved


@dataclass(frozen=True, kw_only=True)
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
