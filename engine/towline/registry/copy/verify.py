"""Verifies a copy (`verify: true`): reads the targets again, and repairs those that lost a part."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from towline.errors import ConfigError, DigestMismatch, RegistryError
from towline.image import Reference, Repository
from towline.record import compact, replace
from towline.registry.client import RegistryClient
from towline.registry.copy.copying import Copying
from towline.registry.copy.images import copy_images
from towline.registry.copy.job import OPTIONAL, SKIPPED, CopyReport
from towline.registry.copy.plan import read_tree
from towline.registry.copy.referrers import ReferrerLists
from towline.registry.manifest import Descriptor, Manifest
from towline.registry.parallel import deadline_check, in_parallel
from towline.retry import poll_attempts

_HINT_WRONG_CONTENT = (
    "the registry keeps the content that it has, so copying cannot heal it: "
    "have that digest deleted there, and in a cache before it, then run it again"
)


class DamagedTarget(RegistryError):
    """A target lacks a part of the image that its tag names, or has other content for it."""


class WrongContent(DamagedTarget):
    """A target has other content for a part of the image.

    A registry that knows content by its digest may keep the wrong content, whatever it is sent.
    """


def verify_images(reports: Sequence[CopyReport], copying: Copying) -> tuple[CopyReport, ...]:
    """Read all manifests of every target again, ask for every blob, and repair damaged targets.

    A damaged target gets the whole image once more, and is read again. Returns the reports, without
    the OPTIONAL referrers that a target has taken and does not keep; these are warnings. A dry run
    reads what is there already, and says what would be copied again. Raises RegistryError if
    something is still missing, or is not what was copied.
    """
    damaged = _damaged(reports, copying)
    if not damaged:
        return tuple(reports)
    for fault in damaged.values():
        copying.warn(f"{fault.message}: it {'would be' if copying.dry_run else 'is'} copied again")
    again = _again(reports, damaged, copying)
    if copying.dry_run:
        return again
    dropped = _dropped(again, _damaged(again, copying), copying)
    joined = (_joined(first, second) for first, second in zip(reports, again, strict=True))
    return tuple(
        replace(
            report,
            referrers=tuple(
                referrer for referrer in report.referrers if not dropped & set(referrer.job.targets)
            ),
        )
        for report in joined
    )


def _dropped(
    reports: Sequence[CopyReport], damaged: Mapping[Reference, DamagedTarget], copying: Copying
) -> frozenset[Reference]:
    """The targets of OPTIONAL referrers that are still damaged; raises RegistryError for others."""
    optional: set[Reference] = set()
    for report in _with_referrers(reports):
        if report.job.as_referrer == OPTIONAL:
            optional.update(report.job.targets)
    for report in reports:
        optional.difference_update(report.job.targets)
    for target, fault in damaged.items():
        if target not in optional or isinstance(fault, WrongContent):
            raise _not_repaired(fault)
    for fault in damaged.values():
        copying.warn(
            "a referrer of the image (signature, attestation, SBOM) was accepted, but is missing:"
            f" {fault.message}"
        )
    return frozenset(damaged)


def _again(
    reports: Sequence[CopyReport], damaged: Mapping[Reference, DamagedTarget], copying: Copying
) -> tuple[CopyReport, ...]:
    """Copy everything once more, assuming nothing of the damaged repositories.

    Raises the errors of `copy_images`, with the damage in their message.
    """
    doubted = frozenset(target.repository for target in damaged)
    for repository in doubted:
        copying.targets[repository.registry].uploads.distrust(repository)
    try:
        return copy_images([report.job for report in reports], replace(copying, doubted=doubted))
    except (RegistryError, ConfigError) as fault:
        damage = next(iter(damaged.values())).message
        raise type(fault)(
            f"{damage}, and it could not be copied again: {fault.message}",
            where=fault.where,
            hint=fault.hint,
        ) from fault


def _not_repaired(fault: DamagedTarget) -> RegistryError:
    """The error for a target that is still damaged after the second copy."""
    if not isinstance(fault, WrongContent):
        return fault
    return DigestMismatch(
        f"{fault.message}, although it was copied again",
        where=fault.where,
        hint=_HINT_WRONG_CONTENT,
    )


def _damaged(reports: Iterable[CopyReport], copying: Copying) -> Mapping[Reference, DamagedTarget]:
    """The damaged targets, each with its fault.

    Raises RegistryError for a target that holds another image.
    """
    found: dict[Reference, DamagedTarget] = {}
    checked: set[tuple[Repository, str, bool]] = set()
    lists: dict[Repository, ReferrerLists] = {}
    for report in _with_referrers(reports):
        is_referrer = bool(report.job.as_referrer)
        seconds = 10.0 if report.plan and not copying.dry_run else 0.0
        for target in _unplanned(report) if copying.dry_run else report.job.targets:
            repository, client = target.repository, copying.targets[target.registry]
            if repository not in lists:
                lists[repository] = ReferrerLists(client, repository)
            verification = _Verification(target, client, seconds=seconds)
            try:
                root = verification.root(report.digest)
                # an image with several tags is checked once
                if (repository, root.digest, is_referrer) not in checked:
                    verification.check(root, lists[repository] if is_referrer else None)
                    checked.add((repository, root.digest, is_referrer))
            except DamagedTarget as fault:
                found[target] = fault
    return found


def _unplanned(report: CopyReport) -> list[Reference]:
    """The targets for which a dry run has planned nothing."""
    planned = {
        (entry["registry"], entry["repository"], entry["target"])
        for entry in report.plan
        if "target" in entry
    }
    return [
        target
        for target in report.job.targets
        if (target.registry.host, target.image.name, target.target) not in planned
    ]


def _with_referrers(reports: Iterable[CopyReport]) -> Iterator[CopyReport]:
    """Each report, followed by those of its referrers."""
    for report in reports:
        yield report
        yield from report.referrers


def _joined(first: CopyReport, second: CopyReport) -> CopyReport:
    """The report on a copy and its repair together."""
    blobs = (
        *first.blobs,
        *(blob for blob in second.blobs if blob.outcome.how != SKIPPED or not first.plan),
    )
    return replace(
        second,
        blobs=blobs,
        tags_set=tuple(dict.fromkeys(first.tags_set + second.tags_set)),
        plan=first.plan + second.plan,
        source_asked=first.source_asked or second.source_asked,
    )


@compact
class _Verification:
    """Reads one image at one target, which may take `seconds` to show what was just stored."""

    target: Reference
    client: RegistryClient
    seconds: float

    def root(self, digest: str) -> Manifest:
        """The image's own manifest; raises RegistryError if its digest is not `digest`."""
        root = self._manifest(self.target, digest)
        if root.digest != digest:
            raise self._fault(RegistryError, f"is {root.digest}, not {digest}")
        return root

    def check(self, root: Manifest, lists: ReferrerLists | None) -> None:
        """Check that all manifests and blobs exist, and that `lists` name the image if it refers.

        Raises DamagedTarget.
        """
        tree = read_tree(self, self.target.repository, root)
        in_parallel(self._check_blob, tree.blobs, tick=deadline_check(self.client.transport))
        if lists and root.subject:
            self._check_listed(root, lists)

    def _check_listed(self, referrer: Manifest, lists: ReferrerLists) -> None:
        for _ in poll_attempts(
            self.client.transport.clock, seconds=self.seconds, sleep=self.client.transport.wait
        ):
            if referrer.digest in {entry.digest for entry in lists.now(referrer.subject)}:
                return
        raise self._fault(DamagedTarget, f"is not listed as a referrer of {referrer.subject}")

    def find_manifests(self, references: Sequence[Reference], /) -> Sequence[Manifest]:
        """The manifests of these references, checked."""
        return in_parallel(self._manifest, references, tick=deadline_check(self.client.transport))

    def _check_blob(self, blob: Descriptor) -> None:
        size: int | None = None
        for _ in poll_attempts(
            self.client.transport.clock, seconds=self.seconds, sleep=self.client.transport.wait
        ):
            size = self.client.blob_size(self.target.repository, blob.digest)
            if size in (-1, blob.size):  # some registries do not say
                return
        if size is None:
            raise self._fault(DamagedTarget, f"lacks the blob {blob.digest}")
        raise self._fault(
            WrongContent, f"has {size} bytes for the blob {blob.digest}, not {blob.size}"
        )

    def _manifest(self, reference: Reference, digest: str = "") -> Manifest:
        for _ in poll_attempts(
            self.client.transport.clock, seconds=self.seconds, sleep=self.client.transport.wait
        ):
            try:
                found = self.client.find_manifest(reference)
            except DigestMismatch as fault:
                raise self._fault(
                    WrongContent, f"has other content for the manifest {digest or reference.target}"
                ) from fault
            if found is not None:
                return found
        raise self._fault(DamagedTarget, f"lacks the manifest {reference.target}")

    def _fault(self, kind: type[RegistryError], finding: str) -> RegistryError:
        return kind(
            f"{self.target} {finding} when it is read again",
            where=str(self.target.registry),
            hint="run it again; if it stays so, the registry or a cache before it is at fault",
        )
