"""Pure.

What the entries of a layout's index.json are called and what they are: images, or what refers to
one (OCI image-spec 1.1, image-layout).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from towline.registry.manifest import Descriptor

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


@dataclass(frozen=True, kw_only=True)
class Entry:
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


def read_entries(body: bytes, descriptors: Sequence[Descriptor]) -> tuple[Entry, ...]:
    """The entries of an index that was checked before, which are these, in their order."""
    listed = json.loads(body).get("manifests") or []
    entries = [_entry(fields, one) for fields, one in zip(listed, descriptors, strict=True)]
    return tuple(_saved(entry, entries) for entry in entries)


def _entry(fields: Mapping[str, object], descriptor: Descriptor) -> Entry:
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
        return Entry(descriptor=descriptor, name=name, artifact=artifact, kind=kind)
    lists = "" if along[3] else along[2].replace("-", ":")
    return Entry(descriptor=descriptor, name=along[1], artifact=artifact, along=True, lists=lists)


def _saved(entry: Entry, entries: Sequence[Entry]) -> Entry:
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
