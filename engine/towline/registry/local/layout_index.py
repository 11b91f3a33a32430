"""What refers to the manifests of a layout: the same answer that a registry's list of referrers gives (OCI distribution-spec 1.1, "Listing Referrers").

What the entries of a layout's index.json are called and what they are: images, or what refers to
one (OCI image-spec 1.1, image-layout).
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
_OF_ANOTHER = re.compile(
    r"(?:.*:)?((sha256-[0-9a-f]{64}|sha512-[0-9a-f]{128})(\.(?:sig|att|sbom))?)"
)
# some say these of images, as if they were artifacts
_CONFIGS = (
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
)
_COSIGN = "dev.cosignproject.cosign/"  # values of `kind`, by `cosign save` (cosign, pkg/oci/layout)
_SAVED = {f"{_COSIGN}sigs": ".sig", f"{_COSIGN}atts": ".att"}
_SAVED_IMAGES = (f"{_COSIGN}image", f"{_COSIGN}imageIndex")


@frozen
class LayoutEntry:
    """One entry: its tag, empty where it has none; whether it says that it is an artifact; cosign's kind.

    `along`: it stands for what refers to another, as cosign's signatures or as the list of
    referrers of the manifest `lists`.
    """

    descriptor: Descriptor
    name: str = ""
    artifact: bool = False
    kind: str = ""
    along: bool = False
    lists: str = ""


def read_entries(body: bytes, descriptors: Sequence[Descriptor]) -> tuple[LayoutEntry, ...]:
    """The entries of an index that was checked before, which are these, in their order."""
    listed = json.loads(body).get("manifests") or []
    entries = [_entry(fields, one) for fields, one in zip(listed, descriptors, strict=True)]
    return tuple(_saved(entry, entries) for entry in entries)


def _entry(fields: Mapping[str, object], descriptor: Descriptor) -> LayoutEntry:
    annotations = fields.get("annotations")
    notes = annotations if isinstance(annotations, dict) else {}
    name, kind = (
        text if isinstance(text := notes.get(key), str) else "" for key in (_REF_NAME, "kind")
    )
    artifact, along = (
        fields.get("artifactType")
        not in (
            None,
            "",
            *_CONFIGS,
        ),
        _OF_ANOTHER.fullmatch(name),
    )
    if not along:
        return LayoutEntry(descriptor=descriptor, name=name, artifact=artifact, kind=kind)
    lists = "" if along[3] else along[2].replace("-", ":")
    return LayoutEntry(
        descriptor=descriptor, name=along[1], artifact=artifact, along=True, lists=lists
    )


def _saved(entry: LayoutEntry, entries: Sequence[LayoutEntry]) -> LayoutEntry:
    """What `cosign save` wrote beside an image has that image's name: it gets the tag that cosign gives it in a registry."""
    suffix = _SAVED.get(entry.kind, "")
    if not suffix:
        return entry
    images = {
        one.descriptor.digest
        for one in entries
        if one.kind in _SAVED_IMAGES and one.name == entry.name
    }
    name = images.pop().replace(":", "-") + suffix if len(images) == 1 else ""
    return replace(entry, name=name, along=True)


_MOST = 10_000  # manifests that are looked at


class LayoutReferrers:
    """Every manifest that index.json leads to, by the subject that it names or the list that names it; read at the first question, shared by threads."""

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
        """What refers to a manifest, and what cannot be read and may do so; raises ConfigError where there is no end of it."""
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
            if len(seen) == _MOST:
                raise ConfigError(
                    f"the {self._name} has more than {_MOST} manifests", where=self._name
                )
            seen.add(descriptor.digest)
            manifest = self._readable(descriptor.digest)
            if manifest is None:
                self._unread |= (
                    {descriptor.digest: descriptor} if descriptor.digest in unclear else {}
                )
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
        """A manifest, None where it is not there or damaged: that is told where it is wanted."""
        try:
            return self._find(digest)
        except (ConfigError, DigestMismatch, MachineError):
            return None


def _by_digest(descriptors: Iterable[Descriptor]) -> dict[str, Descriptor]:
    return {one.digest: one for one in descriptors}
