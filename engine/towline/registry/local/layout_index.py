"""The index.json of an OCI layout: its entries, images or referrers, and their tags.

Source: OCI image-spec 1.1, image-layout. The referrers of a manifest are those that a registry
would list (OCI distribution-spec 1.1, "Listing Referrers").
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from threading import Lock

from towline.errors import ConfigError, DigestMismatch, MachineError
from towline.record import frozen, replace
from towline.registry.manifest import Descriptor, Manifest

_REF_NAME = "org.opencontainers.image.ref.name"
_REFERRER_TAG = re.compile(
    r"(?:.*:)?((sha256-[0-9a-f]{64}|sha512-[0-9a-f]{128})(\.(?:sig|att|sbom))?)"
)
# some tools write these as the artifact type of images
_IMAGE_CONFIGS = (
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
)
_COSIGN = "dev.cosignproject.cosign/"  # in `kind`, by `cosign save` (cosign, pkg/oci/layout)
_SAVED = {f"{_COSIGN}sigs": ".sig", f"{_COSIGN}atts": ".att"}
_SAVED_IMAGES = (f"{_COSIGN}image", f"{_COSIGN}imageIndex")


@frozen
class LayoutEntry:
    """One entry of index.json: its tag or empty, whether it has an artifact type, cosign's kind.

    `is_referrer`: the entry is a signature of cosign, or the list of referrers of the manifest
    `lists`.
    """

    descriptor: Descriptor
    name: str = ""
    artifact: bool = False
    kind: str = ""
    is_referrer: bool = False
    lists: str = ""


def read_entries(body: bytes, descriptors: Sequence[Descriptor]) -> tuple[LayoutEntry, ...]:
    """The entries of an index, whose descriptors were parsed before, in their order."""
    listed = json.loads(body).get("manifests") or []
    entries = [
        _entry(fields, descriptor) for fields, descriptor in zip(listed, descriptors, strict=True)
    ]
    return tuple(_saved(entry, entries) for entry in entries)


def _entry(fields: Mapping[str, object], descriptor: Descriptor) -> LayoutEntry:
    annotations = fields.get("annotations")
    texts = annotations if isinstance(annotations, dict) else {}
    name, kind = texts.get(_REF_NAME), texts.get("kind")
    name = name if isinstance(name, str) else ""
    kind = kind if isinstance(kind, str) else ""
    artifact = fields.get("artifactType") not in (None, "", *_IMAGE_CONFIGS)
    match = _REFERRER_TAG.fullmatch(name)
    if not match:
        return LayoutEntry(descriptor=descriptor, name=name, artifact=artifact, kind=kind)
    return LayoutEntry(
        descriptor=descriptor,
        name=match[1],
        artifact=artifact,
        is_referrer=True,
        lists="" if match[3] else match[2].replace("-", ":"),
    )


def _saved(entry: LayoutEntry, entries: Sequence[LayoutEntry]) -> LayoutEntry:
    """An entry with the tag that cosign gives it in a registry.

    `cosign save` writes signatures and attestations under the name of their image.
    """
    suffix = _SAVED.get(entry.kind, "")
    if not suffix:
        return entry
    images = {
        other.descriptor.digest
        for other in entries
        if other.kind in _SAVED_IMAGES and other.name == entry.name
    }
    name = images.pop().replace(":", "-") + suffix if len(images) == 1 else ""
    return replace(entry, name=name, is_referrer=True)


_MOST_MANIFESTS = 10_000


class LayoutReferrers:
    """The referrers in a layout, by the subject that they name or the list that names them.

    All manifests are read at the first question. Shared by threads.
    """

    def __init__(
        self, entries: Sequence[LayoutEntry], find: Callable[[str], Manifest | None], *, name: str
    ) -> None:
        """`find` reads a manifest by its digest, `name` is what messages call the layout."""
        self._entries = entries
        self._find = find
        self._name = name
        self._lock = Lock()
        self._referrers: dict[str, dict[str, Descriptor]] | None = None
        self._unread: dict[str, Descriptor] = {}

    def of(self, digest: str) -> tuple[Descriptor, ...]:
        """The referrers of a manifest, and the manifests that cannot be read and may be referrers.

        Raises ConfigError for a layout of more than 10,000 manifests.
        """
        with self._lock:
            if self._referrers is None:
                self._referrers = self._read()
            return tuple({**self._referrers.get(digest, {}), **self._unread}.values())

    def _read(self) -> dict[str, dict[str, Descriptor]]:
        found: dict[str, dict[str, Descriptor]] = {}
        waiting, seen = [entry.descriptor for entry in self._entries], set[str]()
        listing = {entry.descriptor.digest: entry.lists for entry in self._entries if entry.lists}
        unclear = {
            entry.descriptor.digest for entry in self._entries if entry.artifact or not entry.name
        }
        while waiting:
            descriptor = waiting.pop()
            if descriptor.digest in seen:
                continue
            if len(seen) == _MOST_MANIFESTS:
                raise ConfigError(
                    f"the {self._name} has more than {_MOST_MANIFESTS} manifests", where=self._name
                )
            seen.add(descriptor.digest)
            manifest = self._readable(descriptor.digest)
            if manifest is None:
                if descriptor.digest in unclear:
                    self._unread[descriptor.digest] = descriptor
                continue
            if manifest.subject:
                found.setdefault(manifest.subject, {})[descriptor.digest] = descriptor
            if descriptor.digest in listing:
                found.setdefault(listing[descriptor.digest], {}).update(
                    _by_digest(manifest.children)
                )
            waiting += manifest.children
        return found

    def _readable(self, digest: str) -> Manifest | None:
        """A manifest, None if it does not exist or is damaged.

        That is an error only if the manifest is needed.
        """
        try:
            return self._find(digest)
        except (ConfigError, DigestMismatch, MachineError):
            return None


def _by_digest(descriptors: Iterable[Descriptor]) -> dict[str, Descriptor]:
    return {descriptor.digest: descriptor for descriptor in descriptors}
