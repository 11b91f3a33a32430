"""The proof after a copy, on demand: what the targets say that they hold is read again and compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from towline.errors import RegistryError
from towline.image import Reference, Registry
from towline.registry.client import RegistryClient
from towline.registry.job import CopyJob, CopyReport
from towline.registry.manifest import Descriptor, Manifest
from towline.registry.parallel import in_parallel
from towline.registry.plan import read_tree
from towline.retry import pause

_ATTEMPTS = 5


def verify_images(jobs: Sequence[CopyJob], reports: Sequence[CopyReport], targets: Mapping[Registry, RegistryClient]) -> None:
    """Read every target's manifests again, and ask for every blob; raises RegistryError where something is missing or another than was copied."""
    for job, report in zip(jobs, reports, strict=True):
        for target in job.targets:
            _Proof(target, targets[target.registry]).check(report.digest)


@dataclass(frozen=True)
class _Proof:
    """One image at one target."""

    target: Reference
    client: RegistryClient

    def check(self, digest: str) -> None:
        """Compare the image with `digest`, and see that all that hangs on it is there."""
        root = self._manifest(self.target.target)
        if root.digest != digest:
            raise self._wrong(f"is {root.digest}, not {digest}")
        tree = read_tree(self, self.target.image.name, root)
        sizes = in_parallel(lambda blob: self.client.blob_size(self.target.image.name, blob.digest), tree.blobs)
        for blob, size in zip(tree.blobs, sizes, strict=True):
            self._check_blob(blob, size)

    def find_manifests(self, _repository: str, digests: Sequence[str], /) -> Sequence[Manifest]:
        """The manifests of these digests, checked."""
        return in_parallel(self._manifest, digests)

    def _check_blob(self, blob: Descriptor, size: int | None) -> None:
        if size is None:
            raise self._wrong(f"lacks the blob {blob.digest}")
        if size not in (-1, blob.size):  # some registries do not say
            raise self._wrong(f"has {size} bytes for the blob {blob.digest}, not {blob.size}")

    def _manifest(self, target: str) -> Manifest:
        """A manifest of the target; one that has just been stored may need a moment to be seen."""
        clock = self.client.transport.clock
        for attempt in range(_ATTEMPTS):
            found = self.client.find_manifest(self.target.image.name, target)
            if found is not None:
                return found
            clock.sleep(pause(attempt, clock, base=0.5))
        raise self._wrong(f"lacks the manifest {target}")

    def _wrong(self, what: str) -> RegistryError:
        return RegistryError(f"{self.target} was pushed, but {what} when it is read again", where=str(self.target.registry),
                             hint="run the step again; where it stays so, the registry or a cache before it is at fault")
