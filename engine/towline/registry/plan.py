"""Pure. What a copy will do, as data: blobs largest first, then manifests with children before parents, then the tags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from towline.errors import RegistryError
from towline.registry.manifest import Descriptor, Manifest

DEPTH, MANIFESTS = 4, 1000


@dataclass(frozen=True, kw_only=True)
class CopyBlob:
    """Bring a blob from a repository of the source into one of the target; `mount_from` names a repository of the target that has it already."""

    source: str
    repository: str
    digest: str
    size: int
    mount_from: str = ""


@dataclass(frozen=True, kw_only=True)
class PutManifest:
    """Store a manifest under a tag or its own digest."""

    repository: str
    target: str
    manifest: Manifest


@dataclass(frozen=True, kw_only=True)
class Tree:
    """An image or index with all that hangs on it, each once; manifests come children first, the root last."""

    root: Manifest
    manifests: tuple[Manifest, ...]
    blobs: tuple[Descriptor, ...]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be done in one repository of the target, in this order, and the blobs that are there already."""

    blobs: tuple[CopyBlob, ...] = ()
    manifests: tuple[PutManifest, ...] = ()
    tags: tuple[PutManifest, ...] = ()
    skipped: tuple[Descriptor, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Route:
    """From which repository to which, and under which tags; `mounts`: both are in one registry."""

    source: str
    repository: str
    tags: tuple[str, ...]
    mounts: bool = False


class Manifests(Protocol):
    """Who knows manifests."""

    def find_manifest(self, repository: str, target: str) -> Manifest | None:
        """The manifest of a tag or digest, or None."""


class Holdings(Protocol):
    """Who knows what the target has."""

    def missing(self, repository: str, digests: Sequence[str]) -> frozenset[str]:
        """Those of the digests that the repository has no blob for."""


def read_tree(manifests: Manifests, repository: str, root: Manifest) -> Tree | None:
    """All that hangs on `root`; None where a part of it is not there. Raises RegistryError for an index that goes too deep or too wide."""
    found: dict[str, Manifest] = {}
    if not _collect(manifests, repository, root, found, DEPTH):
        return None
    blobs = {blob.digest: blob for manifest in found.values() for blob in manifest.blobs}
    return Tree(root=root, manifests=tuple(found.values()), blobs=tuple(blobs.values()))


def plan_copy(tree: Tree, route: Route, holdings: Holdings) -> Plan:
    """The plan that brings `tree` into the target; the root is stored by its tags alone."""
    missing = holdings.missing(route.repository, [blob.digest for blob in tree.blobs])
    needed = sorted((blob for blob in tree.blobs if blob.digest in missing), key=lambda blob: -blob.size)
    mount_from = route.source if route.mounts and route.source != route.repository else ""
    return Plan(
        blobs=tuple(
            CopyBlob(source=route.source, repository=route.repository, digest=blob.digest, size=blob.size, mount_from=mount_from) for blob in needed
        ),
        manifests=tuple(
            PutManifest(repository=route.repository, target=manifest.digest, manifest=manifest)
            for manifest in tree.manifests if manifest.digest != tree.root.digest
        ),
        tags=plan_tags(tree.root, route.repository, route.tags),
        skipped=tuple(blob for blob in tree.blobs if blob.digest not in missing),
    )


def plan_tags(root: Manifest, repository: str, tags: Sequence[str]) -> tuple[PutManifest, ...]:
    """One PUT for each tag."""
    return tuple(PutManifest(repository=repository, target=tag, manifest=root) for tag in tags)


def as_data(plan: Plan) -> tuple[Mapping[str, object], ...]:
    """The plan for `--dry-run` and JSON."""
    blobs = [{"do": "mount blob" if b.mount_from else "copy blob", "repository": b.repository, "digest": b.digest, "bytes": b.size} for b in plan.blobs]
    puts = [
        {"do": what, "repository": put.repository, "target": put.target, "digest": put.manifest.digest, "bytes": len(put.manifest.body)}
        for what, entries in (("put manifest", plan.manifests), ("put tag", plan.tags)) for put in entries
    ]
    return (*blobs, *puts)


def _collect(manifests: Manifests, repository: str, manifest: Manifest, found: dict[str, Manifest], depth: int) -> bool:
    """Add `manifest` after all its children; a digest is visited once. False where a child is not there."""
    if depth < 0 or len(found) >= MANIFESTS:
        raise RegistryError(f"the index has more than {DEPTH} levels or {MANIFESTS} manifests", where=repository)
    for child in manifest.children:
        if child.digest in found:
            continue
        below = manifests.find_manifest(repository, child.digest)
        if below is None or not _collect(manifests, repository, below, found, depth - 1):
            return False
    found[manifest.digest] = manifest
    return True
