"""The image of a job at its source: found, reduced to the wanted platforms, and read as a whole."""

from __future__ import annotations

from collections.abc import Sequence

from towline.errors import placed
from towline.image import Reference
from towline.record import compact
from towline.registry.client import RegistryClient
from towline.registry.copy.copying import Copying
from towline.registry.copy.job import CopyJob
from towline.registry.copy.plan import ManifestTree, read_tree
from towline.registry.copy.stream import read_small
from towline.registry.manifest import Manifest, check_platform, select_platform, select_platforms
from towline.registry.parallel import in_parallel
from towline.registry.source import ImageSource
from towline.retry import poll_attempts

# seconds after which a registry shows an image that a build has just pushed, at the latest
_SECONDS_UNTIL_SHOWN = 4.0


class SourceImage:
    """The image of `job` at the source of `copying`; the source is asked at the first need."""

    def __init__(self, job: CopyJob, copying: Copying) -> None:
        self._job = job
        self._copying = copying
        self._source_digest = job.asked.image.digest
        self._tree: ManifestTree | None = None
        self.root: Manifest | None = None
        self.asked = False

    @property
    def digest(self) -> str:
        """The digest that the targets are to have; empty as long as only the source knows it."""
        if self.root is not None:
            return self.root.digest
        if self._job.chosen:
            return self._job.chosen
        return "" if self._job.platforms else self._source_digest

    @property
    def chosen_from(self) -> str:
        """The digest of the index that platforms were selected from; empty if all are copied."""
        return self._source_digest if self._source_digest != self.digest else ""

    def read(self) -> ManifestTree:
        """All manifests of the image, read from the source at the first call."""
        if self._tree is None:
            if not self.asked:
                self.find()
            assert self.root is not None
            source = _SourceManifests(self._copying.source)
            self._tree = read_tree(source, self._job.source.repository, self.root)
        return self._tree

    @property
    def was_read(self) -> bool:
        """Whether all manifests are read already."""
        return self._tree is not None

    def find(self) -> None:
        """Read the root manifest: the image, one platform's image, or an index of some platforms.

        Raises what the source raises, and ConfigError if the image has no such platform.
        """
        self.asked = True
        source, job = self._copying.source, self._job
        root = self._found()
        self._source_digest = root.digest
        with placed(job.name):
            if len(job.platforms) == 1 and root.children:
                chosen = select_platform(root, job.platforms[0]).digest
                root = source.get_manifest(job.source.repository.reference(chosen))
            elif job.platforms and root.children:
                root = select_platforms(root, job.platforms)
            elif job.platforms:
                self._check_platforms(root)
        self.root = root

    def _found(self) -> Manifest:
        """The manifest that the job names.

        An image whose digest is known was pushed by a build just now, so the registry may need a
        moment to show it.
        """
        source, job = self._copying.source, self._job
        if job.digest and not job.as_referrer and isinstance(source, RegistryClient):
            clock, sleep = source.transport.clock, source.transport.wait
            for _ in poll_attempts(clock, seconds=_SECONDS_UNTIL_SHOWN, sleep=sleep):
                found = source.find_manifest(job.asked)
                if found is not None:
                    return found
        return source.get_manifest(job.asked)

    def _check_platforms(self, root: Manifest) -> None:
        """Raise ConfigError if the image's configuration says that it is for another platform."""
        config = read_small(
            self._copying.source,
            self._job.source.repository,
            root.blobs[0],
            clock=self._copying.transport.clock,
        )
        for platform in self._job.platforms:
            check_platform(config, platform)


@compact
class _SourceManifests:
    """The manifests of a source, several at a time."""

    source: ImageSource

    def find_manifests(self, references: Sequence[Reference], /) -> Sequence[Manifest]:
        """The manifests of these references, in their order."""
        return in_parallel(self.source.get_manifest, references)
