"""Pure.

The plan of a copy, as data, and the source of its image.

A plan names blobs, largest first, then manifests, children before parents, then tags. A source is
a registry, or files and the daemon of this machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Protocol, Self

from towline.errors import RegistryError
from towline.image import Registry
from towline.record import frozen
from towline.registry.manifest import Descriptor, Manifest

DEPTH, MANIFESTS = 4, 1000
BYTES = 128 * 1024 * 1024  # of the manifests together
_AT_ONCE = 32  # manifests that are asked for before their sum is looked at


@frozen
class TargetRepository:
    """A repository of a target registry."""

    registry: Registry
    repository: str


@frozen
class CopyBlob:
    """Bring a blob from a repository of the source to a place that may not have it yet; `mount_from` names a repository of that registry that does."""

    source: str
    place: TargetRepository
    digest: str
    size: int
    mount_from: str = ""


@frozen
class PutManifest:
    """Store a manifest under a tag or its own digest; `level` is its height above the images, which go first.

    `believed`: the target is known to hold the manifest with all it names, so only its tag is new.
    """

    place: TargetRepository
    target: str
    manifest: Manifest
    level: int = 0
    believed: bool = False


@frozen
class ManifestTree:
    """An image or index with all that hangs on it, each once; manifests come children first with their levels, the root last."""

    root: Manifest
    manifests: tuple[tuple[Manifest, int], ...]
    blobs: tuple[Descriptor, ...]


@frozen
class CopyPlan:
    """What is to be done at one place, in this order, and the blobs that are there already, as far as that is known.

    `refers`: it brings what refers to an image, so it goes before the image's tags; `optional`:
    where it is refused, the image goes without it.
    """

    blobs: tuple[CopyBlob, ...] = ()
    manifests: tuple[PutManifest, ...] = ()
    tags: tuple[PutManifest, ...] = ()
    skipped: tuple[Descriptor, ...] = ()
    refers: bool = False
    optional: bool = False


@frozen
class Route:
    """From which repository to which place, and under which tags (a digest is its own); `mounts`: both are in one registry, and not in one repository."""

    source: str
    place: TargetRepository
    targets: tuple[str, ...]
    mounts: bool = False


class Manifests(Protocol):
    """Who knows manifests."""

    def find_manifests(self, repository: str, digests: Sequence[str], /) -> Sequence[Manifest]:
        """The manifests of these digests; raises where one is not there."""


class AsksForBlobs(Protocol):
    """Who knows what the targets have, or will have by plans made before."""

    def missing(self, place: TargetRepository, blobs: Sequence[Descriptor]) -> frozenset[str]:
        """The digests of those blobs that `place` may not have."""


def read_tree(manifests: Manifests, repository: str, root: Manifest) -> ManifestTree:
    """All that hangs on `root`, asked for level by level; raises RegistryError for an index that goes too deep or too wide."""
    found, level = {root.digest: root}, [root]
    for _ in range(DEPTH + 1):
        wanted = list(
            dict.fromkeys(
                child.digest
                for parent in level
                for child in parent.children
                if child.digest not in found
            )
        )
        if not wanted:
            ordered = _ordered(root, found)
            return ManifestTree(
                root=root,
                manifests=tuple(ordered.values()),
                blobs=_blobs(manifest for manifest, _ in ordered.values()),
            )
        if len(found) + len(wanted) > MANIFESTS:
            break
        level = []
        for first in range(0, len(wanted), _AT_ONCE):
            level += manifests.find_manifests(repository, wanted[first : first + _AT_ONCE])
            if sum(len(manifest.body) for manifest in (*found.values(), *level)) > BYTES:
                raise RegistryError(
                    f"the manifests of the index have more than {BYTES} bytes together",
                    where=repository,
                )
        found.update({manifest.digest: manifest for manifest in level})
    raise RegistryError(
        f"the index has more than {DEPTH} levels or {MANIFESTS} manifests", where=repository
    )


def plan_copy(tree: ManifestTree, route: Route, holdings: AsksForBlobs) -> CopyPlan:
    """The plan that brings `tree` to its place; the root is stored by its targets alone."""
    missing = holdings.missing(route.place, tree.blobs)
    needed = sorted(
        (blob for blob in tree.blobs if blob.digest in missing), key=lambda blob: -blob.size
    )
    mount_from = route.source if route.mounts else ""
    return CopyPlan(
        blobs=tuple(
            CopyBlob(
                source=route.source,
                place=route.place,
                digest=blob.digest,
                size=blob.size,
                mount_from=mount_from,
            )
            for blob in needed
        ),
        manifests=tuple(
            PutManifest(place=route.place, target=manifest.digest, manifest=manifest, level=level)
            for manifest, level in tree.manifests
            if manifest.digest != tree.root.digest
        ),
        tags=plan_tags(tree.root, route.place, route.targets),
        skipped=tuple(blob for blob in tree.blobs if blob.digest not in missing),
    )


def plan_tags(
    root: Manifest, place: TargetRepository, targets: Sequence[str], *, believed: bool = False
) -> tuple[PutManifest, ...]:
    """One PUT for each tag."""
    return tuple(
        PutManifest(place=place, target=target, manifest=root, believed=believed)
        for target in targets
    )


def as_data(plan: CopyPlan) -> tuple[Mapping[str, object], ...]:
    """The plan for `--dry-run` and JSON."""
    blobs = [
        {
            "do": "mount blob" if b.mount_from else "copy blob",
            **_named(b.place),
            "digest": b.digest,
            "bytes": b.size,
        }
        for b in plan.blobs
    ]
    puts = [
        {
            "do": what,
            **_named(put.place),
            "target": put.target,
            "digest": put.manifest.digest,
            "bytes": len(put.manifest.body),
        }
        for what, entries in (("put manifest", plan.manifests), ("put tag", plan.tags))
        for put in entries
    ]
    return (*blobs, *puts)


def _named(place: TargetRepository) -> Mapping[str, object]:
    return {"registry": place.registry.host, "repository": place.repository}


def _ordered(root: Manifest, found: Mapping[str, Manifest]) -> dict[str, tuple[Manifest, int]]:
    """Every manifest after all its children, with its height above the lowest of them."""
    done: dict[str, tuple[Manifest, int]] = {}
    waiting = [root]
    while waiting:
        manifest = waiting[-1]
        open_ones = [found[child.digest] for child in manifest.children if child.digest not in done]
        if open_ones:
            waiting += reversed(open_ones)
        else:
            waiting.pop()
            level = max((done[child.digest][1] + 1 for child in manifest.children), default=0)
            done.setdefault(manifest.digest, (manifest, level))
    return done


def _blobs(manifests: Iterable[Manifest]) -> tuple[Descriptor, ...]:
    return tuple({blob.digest: blob for manifest in manifests for blob in manifest.blobs}.values())


class Content(Protocol):
    """A blob that is read once, from where it was opened to its end."""

    def readinto(self, buffer: memoryview) -> int:
        """Fill `buffer` as far as the blob goes, 0 at its end; raises TransferInterrupted where the rest may be asked for again."""

    def __enter__(self) -> Self:
        """The blob itself."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Done with it."""


class ImageSource(Protocol):
    """Manifests and blobs by repository and digest; shared by threads.

    Local places know one image or several, and call every repository the empty text.
    """

    def __str__(self) -> str:
        """What messages call it: `source registry host`, `OCI layout build/image`."""

    def head_manifest(self, repository: str, target: str) -> Descriptor | None:
        """Digest, size and media type of a tag or digest; None where it is not there."""

    def get_manifest(self, repository: str, target: str) -> Manifest:
        """The manifest of a tag or digest, checked; raises RegistryError or ConfigError where it is not there, and DigestMismatch."""

    def open_blob(self, repository: str, digest: str, *, start: int = 0) -> Content:
        """A blob from its byte `start` on; nothing of it is checked yet.

        Raises TransferInterrupted and what the place itself raises.
        """
