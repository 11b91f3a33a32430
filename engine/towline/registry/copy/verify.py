"""The proof after a copy, on demand: what the targets say that they hold is read again and compared, and what they have lost is brought once more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from towline.errors import ConfigError, DigestMismatch, RegistryError
from towline.image import Reference, Repository
from towline.parallel import in_parallel
from towline.record import compact, replace
from towline.registry.client import RegistryClient
from towline.registry.copy.copying import Copying
from towline.registry.copy.deadline import deadline_check
from towline.registry.copy.images import copy_images
from towline.registry.copy.job import OPTIONAL, SKIPPED, CopyReport
from towline.registry.copy.plan import read_tree
from towline.registry.copy.referrers import ReferrerLists
from towline.registry.manifest import Descriptor, Manifest
from towline.retry import poll_attempts

_KEPT = (
    "the registry keeps the content that it has, so copying cannot heal it: "
    "have that digest deleted there, and in a cache before it, then run it again"
)


class DamagedTarget(RegistryError):
    """A target that lacks a part of what its tag names, or has other content for it."""


class WrongContent(DamagedTarget):
    """One that has other content for it: a registry that takes content for known by its digest may keep that, whatever it is sent."""


def verify_images(reports: Sequence[CopyReport], copying: Copying) -> tuple[CopyReport, ...]:
    """Read every target's manifests again, and ask for every blob; a target that has lost a part gets all of it once more, and is read again.

    What came of it; what refers to an image and may stay behind is left out, with a warning, where
    a target has taken it and does not keep it. A dry run reads what is there already, and says what
    would be brought again. Raises RegistryError where something is missing or another than was
    copied.
    """
    damaged = _damaged(reports, copying)
    if not damaged:
        return tuple(reports)
    for fault in damaged.values():
        copying.warn(f"{fault.message}: it {'would be' if copying.dry_run else 'is'} brought again")
    again = _again(reports, damaged, copying)
    if copying.dry_run:
        return again
    dropped = _dropped(again, _damaged(again, copying), copying)
    joined = (_joined(first, second) for first, second in zip(reports, again, strict=True))
    return tuple(
        replace(
            report,
            referrers=tuple(one for one in report.referrers if not dropped & set(one.job.targets)),
        )
        for report in joined
    )


def _dropped(
    reports: Sequence[CopyReport], damaged: Mapping[Reference, DamagedTarget], copying: Copying
) -> frozenset[Reference]:
    """Those that are damaged still, and may be; raises RegistryError for any other."""
    images = {target for report in reports for target in report.job.targets}
    may = {
        target
        for report in _everything(reports)
        if report.job.as_referrer == OPTIONAL
        for target in report.job.targets
    } - images
    for target, fault in damaged.items():
        if target not in may or isinstance(fault, WrongContent):
            raise _unhealed(fault)
    for fault in damaged.values():
        copying.warn(
            "what refers to the image (signatures, attestations, SBOMs) was taken and is not kept:"
            f" {fault.message}"
        )
    return frozenset(damaged)


def _again(
    reports: Sequence[CopyReport], damaged: Mapping[Reference, DamagedTarget], copying: Copying
) -> tuple[CopyReport, ...]:
    """The copy once more, that believes nothing of the damaged places; raises what that raises, with what it was for."""
    doubted = frozenset(target.repository for target in damaged)
    for place in doubted:
        copying.targets[place.registry].uploads.doubt(place.name)
    try:
        return copy_images([report.job for report in reports], replace(copying, doubted=doubted))
    except (RegistryError, ConfigError) as fault:
        what = next(iter(damaged.values())).message
        raise type(fault)(
            f"{what}, and it could not be brought again: {fault.message}",
            where=fault.where,
            hint=fault.hint,
        ) from fault


def _unhealed(fault: DamagedTarget) -> RegistryError:
    """What stays wrong although it was sent again."""
    if not isinstance(fault, WrongContent):
        return fault
    return DigestMismatch(
        f"{fault.message}, although it was brought again", where=fault.where, hint=_KEPT
    )


def _damaged(reports: Iterable[CopyReport], copying: Copying) -> Mapping[Reference, DamagedTarget]:
    """The targets that lack something, with what it is; raises RegistryError for one that holds another image."""
    found: dict[Reference, DamagedTarget] = {}
    whole: set[tuple[Repository, str, bool]] = set()
    lists: dict[Repository, ReferrerLists] = {}
    for report in _everything(reports):
        refers = bool(report.job.as_referrer)
        seconds = 10.0 if report.plan and not copying.dry_run else 0.0
        for target in _unplanned(report) if copying.dry_run else report.job.targets:
            place, client = target.repository, copying.targets[target.registry]
            proof = _Proof(target, client, seconds=seconds)
            try:
                root = proof.root(report.digest)
                # else it has been walked through under another tag
                if (place, root.digest, refers) not in whole:
                    proof.check(
                        root,
                        (
                            lists.setdefault(place, ReferrerLists(client, place.name))
                            if refers
                            else None
                        ),
                    )
                    whole.add((place, root.digest, refers))
            except DamagedTarget as fault:
                found[target] = fault
    return found


def _unplanned(report: CopyReport) -> list[Reference]:
    """The targets that a dry run has nothing to bring to."""
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


def _everything(reports: Iterable[CopyReport]) -> Iterator[CopyReport]:
    for report in reports:
        yield report
        yield from report.referrers


def _joined(first: CopyReport, second: CopyReport) -> CopyReport:
    """What a copy and its repair came to together."""
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
class _Proof:
    """One image at one target; what was stored just now may need some `seconds` to be seen."""

    target: Reference
    client: RegistryClient
    seconds: float

    def root(self, digest: str) -> Manifest:
        """The image's own manifest, compared with `digest`."""
        root = self._manifest(self.target.target, digest)
        if root.digest != digest:
            raise self._wrong(RegistryError, f"is {root.digest}, not {digest}")
        return root

    def check(self, root: Manifest, lists: ReferrerLists | None) -> None:
        """See that all that hangs on it is there; and that `lists` name it as a referrer, where it is one."""
        tree = read_tree(self, self.target.image.name, root)
        in_parallel(self._check_blob, tree.blobs, tick=deadline_check(self.client.transport))
        if lists and root.subject:
            self._check_listed(root, lists)

    def _check_listed(self, referrer: Manifest, lists: ReferrerLists) -> None:
        for _ in poll_attempts(
            self.client.transport.clock, seconds=self.seconds, sleep=self.client.transport.wait
        ):
            if referrer.digest in {entry.digest for entry in lists.now(referrer.subject)}:
                return
        raise self._wrong(DamagedTarget, f"is not listed as a referrer of {referrer.subject}")

    def find_manifests(self, _repository: str, digests: Sequence[str], /) -> Sequence[Manifest]:
        """The manifests of these digests, checked."""
        return in_parallel(self._manifest, digests, tick=deadline_check(self.client.transport))

    def _check_blob(self, blob: Descriptor) -> None:
        size: int | None = None
        for _ in poll_attempts(
            self.client.transport.clock, seconds=self.seconds, sleep=self.client.transport.wait
        ):
            size = self.client.blob_size(self.target.image.name, blob.digest)
            if size in (-1, blob.size):  # some registries do not say
                return
        if size is None:
            raise self._wrong(DamagedTarget, f"lacks the blob {blob.digest}")
        raise self._wrong(
            WrongContent, f"has {size} bytes for the blob {blob.digest}, not {blob.size}"
        )

    def _manifest(self, target: str, digest: str = "") -> Manifest:
        for _ in poll_attempts(
            self.client.transport.clock, seconds=self.seconds, sleep=self.client.transport.wait
        ):
            try:
                found = self.client.find_manifest(self.target.image.name, target)
            except DigestMismatch as fault:
                raise self._wrong(
                    WrongContent, f"has other content for the manifest {digest or target}"
                ) from fault
            if found is not None:
                return found
        raise self._wrong(DamagedTarget, f"lacks the manifest {target}")

    def _wrong(self, kind: type[RegistryError], what: str) -> RegistryError:
        return kind(
            f"{self.target} {what} when it is read again",
            where=str(self.target.registry),
            hint="run it again; where it stays so, the registry or a cache before it is at fault",
        )
