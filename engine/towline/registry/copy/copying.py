"""What all jobs of a copy share: its source, its targets, and the blobs that are planned."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from towline.console import silent
from towline.http.client import Transport
from towline.image import Registry, Repository
from towline.record import frozen
from towline.registry.client import RegistryClient
from towline.registry.copy.progress import Progress
from towline.registry.manifest import Descriptor
from towline.registry.parallel import in_parallel
from towline.registry.source import ImageSource


@frozen
class Copying:
    """The source and the target registries of a copy, and how it is done.

    All requests go through the one transport of the targets. Repositories in `doubted` get the
    whole image, whatever their tags say. `warn` takes a line for people.
    """

    source: ImageSource
    targets: Mapping[Registry, RegistryClient]
    progress: Progress
    dry_run: bool = False
    doubted: frozenset[Repository] = frozenset()
    warn: Callable[[str], None] = silent

    @property
    def transport(self) -> Transport:
        """The one transport of the targets."""
        return next(iter(self.targets.values())).transport


class PlannedBlobs:
    """The blobs that the plans of a copy have so far, by repository.

    A real run does not ask which blobs a registry has: the registry says so when an upload begins.
    A dry run asks.
    """

    def __init__(self, copying: Copying) -> None:
        self._copying = copying
        self._planned: set[tuple[Repository, str]] = set()

    def missing(self, repository: Repository, blobs: Sequence[Descriptor]) -> frozenset[str]:
        """The digests of the blobs that no plan has yet, and that a dry run does not find.

        In a doubted repository, a blob of another size counts as missing.
        """
        wanted = [blob for blob in blobs if (repository, blob.digest) not in self._planned]
        if self._copying.dry_run:
            client = self._copying.targets[repository.registry]
            doubted = repository in self._copying.doubted
            present = in_parallel(
                lambda blob: client.has_blob(repository, blob.digest, blob.size if doubted else -1),
                wanted,
            )
            wanted = [blob for blob, has in zip(wanted, present, strict=True) if not has]
        self._planned.update((repository, blob.digest) for blob in wanted)
        return frozenset(blob.digest for blob in wanted)
