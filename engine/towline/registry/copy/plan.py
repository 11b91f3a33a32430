"""Pure.

The plan of a copy, as data: blobs, largest first, then manifests, children before parents, then
tags.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from towline.errors import RegistryError
from towline.image import Reference, Repository
from towline.record import frozen
from towline.registry.manifest import Descriptor, Manifest

DEPTH, MANIFESTS = 4, 1000
BYTES = 128 * 1024 * 1024  # of the manifests together
_BATCH = 32  # manifests that are read before their sizes are added up


@frozen
class CopyBlob:
    """Copy a blob from the repository `source` of the source to `repository` of a target.

    `mount_from` is another repository of the target's registry that has the blob, if any.
    """

    source: Repository
    repository: Repository
    digest: str
    size: int
    mount_from: Repository | None = None


@frozen
class PutManifest:
    """Store a manifest as `reference`: under a tag, or under its own digest.

    `level` is 0 for an image and higher for an index; lower levels are stored first.
    `assumed_present`: the repository has the manifest and all that it names, as far as is known, so
    only the tag is new.
    """

    reference: Reference
    manifest: Manifest
    level: int = 0
    assumed_present: bool = False


@frozen
class ManifestTree:
    """An image or index with all its manifests and blobs, each once.

    Manifests come with their levels, children before parents, the root last.
    """

    root: Manifest
    manifests: tuple[tuple[Manifest, int], ...]
    blobs: tuple[Descriptor, ...]


@frozen
class CopyPlan:
    """What is to be done in one repository, in this order.

    `skipped` are the blobs that are known to be there. `of_referrer`: it copies a referrer, so it
    comes before the tags of the image; `optional`: if the target refuses it, the image is copied
    without it.
    """

    blobs: tuple[CopyBlob, ...] = ()
    manifests: tuple[PutManifest, ...] = ()
    tags: tuple[PutManifest, ...] = ()
    skipped: tuple[Descriptor, ...] = ()
    of_referrer: bool = False
    optional: bool = False


class ManifestLookup(Protocol):
    """Manifests by their references, with digests."""

    def find_manifests(self, references: Sequence[Reference], /) -> Sequence[Manifest]:
        """The manifests of these references; raises if one does not exist."""


class BlobLookup(Protocol):
    """The blobs that the targets have, or will have by earlier plans."""

    def missing(self, repository: Repository, blobs: Sequence[Descriptor]) -> frozenset[str]:
        """The digests of the blobs that `repository` may lack."""


def read_tree(manifests: ManifestLookup, repository: Repository, root: Manifest) -> ManifestTree:
    """All manifests and blobs of `root`, read level by level.

    Raises RegistryError for an index that is too deep or too wide.
    """
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
        for first in range(0, len(wanted), _BATCH):
            batch = [repository.reference(digest) for digest in wanted[first : first + _BATCH]]
            level += manifests.find_manifests(batch)
            if sum(len(manifest.body) for manifest in (*found.values(), *level)) > BYTES:
                raise RegistryError(
                    f"the manifests of the index have more than {BYTES} bytes together",
                    where=repository.name,
                )
        found.update({manifest.digest: manifest for manifest in level})
    raise RegistryError(
        f"the index has more than {DEPTH} levels or {MANIFESTS} manifests", where=repository.name
    )


def plan_copy(
    tree: ManifestTree,
    targets: Sequence[Reference],
    *,
    source: Repository,
    mounts: bool,
    planned: BlobLookup,
) -> CopyPlan:
    """The plan that copies `tree` from the repository `source` to `targets`, all in one repository.

    The root is stored under the targets alone. `mounts`: the source is another repository of the
    targets' registry, so its blobs can be mounted.
    """
    repository = targets[0].repository
    missing = planned.missing(repository, tree.blobs)
    needed = [blob for blob in tree.blobs if blob.digest in missing]
    needed.sort(key=lambda blob: -blob.size)
    return CopyPlan(
        blobs=tuple(
            CopyBlob(
                source=source,
                repository=repository,
                digest=blob.digest,
                size=blob.size,
                mount_from=source if mounts else None,
            )
            for blob in needed
        ),
        manifests=tuple(
            PutManifest(
                reference=repository.reference(manifest.digest),
                manifest=manifest,
                level=level,
            )
            for manifest, level in tree.manifests
            if manifest.digest != tree.root.digest
        ),
        tags=plan_tags(tree.root, targets),
        skipped=tuple(blob for blob in tree.blobs if blob.digest not in missing),
    )


def plan_tags(
    root: Manifest, targets: Iterable[Reference], *, assumed_present: bool = False
) -> tuple[PutManifest, ...]:
    """A PUT of `root` for each target, by its digest alone if the target has a tag as well."""
    references = dict.fromkeys(target.repository.reference(target.target) for target in targets)
    return tuple(
        PutManifest(reference=reference, manifest=root, assumed_present=assumed_present)
        for reference in references
    )


def as_data(plan: CopyPlan) -> tuple[Mapping[str, object], ...]:
    """The plan for `--dry-run` and JSON."""
    blobs = [
        {
            "do": "mount blob" if blob.mount_from else "copy blob",
            **_named(blob.repository),
            "digest": blob.digest,
            "bytes": blob.size,
        }
        for blob in plan.blobs
    ]
    puts = [
        {
            "do": step,
            **_named(put.reference.repository),
            "target": put.reference.target,
            "digest": put.manifest.digest,
            "bytes": len(put.manifest.body),
        }
        for step, entries in (("put manifest", plan.manifests), ("put tag", plan.tags))
        for put in entries
    ]
    return (*blobs, *puts)


def _named(repository: Repository) -> Mapping[str, object]:
    return {"registry": repository.registry.host, "repository": repository.name}


def _ordered(root: Manifest, found: Mapping[str, Manifest]) -> dict[str, tuple[Manifest, int]]:
    """Every manifest after all its children, with its height above the lowest of them."""
    done: dict[str, tuple[Manifest, int]] = {}
    waiting = [root]
    while waiting:
        manifest = waiting[-1]
        children = [found[child.digest] for child in manifest.children if child.digest not in done]
        if children:
            waiting += reversed(children)
        else:
            waiting.pop()
            level = max((done[child.digest][1] + 1 for child in manifest.children), default=0)
            done.setdefault(manifest.digest, (manifest, level))
    return done


def _blobs(manifests: Iterable[Manifest]) -> tuple[Descriptor, ...]:
    return tuple({blob.digest: blob for manifest in manifests for blob in manifest.blobs}.values())
