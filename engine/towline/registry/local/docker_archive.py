"""Images that `docker save` wrote, read in place; their layers are packed into a spool.

Both forms are read: the old one (`<id>/layer.tar`) and the new one (`blobs/sha256/...`).
"""

from __future__ import annotations

import json
import re
from threading import Lock
from typing import Self

from towline.errors import ConfigError, DigestMismatch
from towline.image import Image, Reference, Repository
from towline.literals import json_object, json_value
from towline.record import frozen
from towline.registry.gzip import LIBRARY, Packer, sha256_of
from towline.registry.local.growing_blob import GrowingBlob, PackingObserver
from towline.registry.local.layout import OciLayout, is_digest
from towline.registry.local.locations import local_name
from towline.registry.local.spool import FileSlice, Spool
from towline.registry.local.tar import Member, Tar
from towline.registry.manifest import (
    DOCKER_IMAGE,
    MANIFEST_LIMIT,
    OCI_IMAGE,
    Descriptor,
    Manifest,
    digest_of,
    parse_manifest,
)
from towline.registry.source import LOCAL

_DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
_DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
_OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
_OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+"
_PACKED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_DIGEST_NAME = re.compile(r"blobs/sha256/([0-9a-f]{64})|([0-9a-f]{64})\.json")
_CONFIG_LIMIT = 8 * 1024 * 1024
_HINT = "save the image anew"


@frozen
class SavedImage:
    """One image of an archive: its names, and the members that hold configuration and layers."""

    names: tuple[str, ...]
    config: str
    layers: tuple[str, ...]


@frozen
class _Layer:
    """A layer as a registry gets it: `packing` is its compression.

    Its bytes are those of a member, or those of the spool from `offset` on.
    """

    digest: str
    size: int
    packing: str
    offset: int | None = None
    member: str = ""


class DockerArchive:
    """The images of an archive as an ImageSource; shared by threads.

    Layers are packed when their manifest is asked for first. Leaving the context ends the threads.
    """

    def __init__(self, tar: Tar, *, name: str, target: str = "", library: object = LIBRARY) -> None:
        """`name` is what messages call the archive, `target` the image if none is named.

        Raises ConfigError if the file is not such an archive.
        """
        self._tar = tar
        self._target = target
        self._name = name
        self._images = _read_index(tar, name)
        self._layout = (
            OciLayout(tar, name=name) if "index.json" in tar and "oci-layout" in tar else None
        )
        self._spool = Spool()
        self._packer = Packer(library)
        self.observers: list[PackingObserver] = []
        self._lock = Lock()
        self._manifests: dict[str, Manifest] = {}
        self._made: dict[SavedImage, Manifest] = {}
        self._layers: dict[Member, tuple[str, _Layer]] = {}
        self._blobs: dict[str, _Layer] = {}

    def __str__(self) -> str:
        return self._name

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._packer.close()
        self._spool.close()

    def head_manifest(self, reference: Reference, /) -> Descriptor | None:
        """Digest, size and media type of an image, or of the only one if the name is empty.

        None if it does not exist. Packs the layers of the image.
        """
        found = self._find(reference.image)
        return None if found is None else found.descriptor

    def get_manifest(self, reference: Reference, /) -> Manifest:
        """The manifest of an image, or of a digest that was returned before.

        Raises ConfigError if it does not exist, and DigestMismatch.
        """
        found = self._find(reference.image)
        if found is None:
            raise ConfigError(
                f"the {self._name} has no image {reference.image.tag or self._target!r}",
                where=self._name,
                hint=f"it has: {self._offers()}",
            )
        return found

    def open_blob(self, _repository: Repository, digest: str, /, *, start: int = 0) -> FileSlice:
        """A blob of a manifest that was returned before, from its byte `start` on.

        Raises ConfigError for any other blob.
        """
        blob = self._blobs.get(digest)
        content = None
        if blob is not None:
            content = self._content(blob)
        elif self._layout:
            content = self._layout.open_blob(LOCAL, digest)
        if content is None:
            raise ConfigError(
                f"the {self._name} lacks the blob {digest}", where=self._name, hint=_HINT
            )
        return content.skip(start)

    def _content(self, blob: _Layer) -> FileSlice | None:
        return (
            self._tar.open(blob.member)
            if blob.offset is None
            else self._spool.slice(blob.offset, blob.size)
        )

    def _find(self, image: Image) -> Manifest | None:
        if image.digest:
            return self._manifests.get(image.digest)
        saved = self._chosen(image.tag)
        if saved is None:
            return None
        with self._lock:
            if saved not in self._made:
                made = self._made[saved] = self._make(saved)
                self._manifests[made.digest] = made
            return self._made[saved]

    def _chosen(self, target: str) -> SavedImage | None:
        """The image named `target`, else the one the archive was opened for, else the only one."""
        target = target or self._target
        wanted = local_name(target) if target else ""
        found = list(
            dict.fromkeys(image for image in self._images if not wanted or wanted in image.names)
        )
        if len(found) > 1:
            raise ConfigError(
                f"the {self._name} holds several images",
                where=self._name,
                hint=f"say which by :name:tag; it has: {self._offers()}",
            )
        if not self._images:
            raise ConfigError(f"the {self._name} has no image", where=self._name, hint=_HINT)
        return found[0] if found else None

    def _offers(self) -> str:
        return (
            ", ".join(sorted({name for image in self._images for name in image.names}))
            or "no image with a name"
        )

    def _make(self, saved: SavedImage) -> Manifest:
        """The archive's own manifest if a registry can take it as it is, else a new one.

        A new one has the image's configuration and the packed layers.
        """
        body = self._read(saved.config, "the image's configuration", _CONFIG_LIMIT)
        self._check_name(saved.config, digest_of(body))
        diff_ids = _diff_ids(body, self._name)
        if len(diff_ids) != len(saved.layers):
            raise ConfigError(
                f"the image's configuration has {len(diff_ids)} layers, and the archive has"
                f" {len(saved.layers)}",
                where=self._name,
                hint=_HINT,
            )
        own = self._own(digest_of(body))
        if own is not None and self._is_ready(own):
            return own
        layers = self._all_layers(saved, diff_ids, digest_of(body))
        self._blobs[digest_of(body)] = _Layer(
            digest=digest_of(body), size=len(body), packing="", member=saved.config
        )
        return _manifest(body, layers, oci=own is not None and own.media_type == OCI_IMAGE)

    def _own(self, config: str) -> Manifest | None:
        """The archive's own manifest with that configuration."""
        images = self._layout.images() if self._layout else ()
        return next((manifest for manifest in images if manifest.blobs[0].digest == config), None)

    def _is_ready(self, own: Manifest) -> bool:
        """Whether all layers of a manifest exist and are packed."""
        assert self._layout
        layout, layers = self._layout, own.blobs[1:]
        return all(layer.media_type.endswith(("gzip", "zstd")) for layer in layers) and all(
            layout.has_blob(blob.digest) for blob in own.blobs
        )

    def _all_layers(
        self, saved: SavedImage, diff_ids: tuple[str, ...], config: str
    ) -> list[_Layer]:
        return [
            self._layer(name, diff_id, f"layer {number} ({name[:100]})", config=config)
            for number, (name, diff_id) in enumerate(
                zip(saved.layers, diff_ids, strict=True), start=1
            )
        ]

    def _layer(self, name: str, diff_id: str, shown: str, *, config: str) -> _Layer:
        """A layer for the registry.

        A layer that is packed already is taken as it is, and none is packed twice.
        """
        member = self._tar.find(name)
        content = self._tar.open(name)
        if member is None or content is None:
            raise ConfigError(f"the {self._name} lacks {shown}", where=self._name, hint=_HINT)
        if member not in self._layers:
            packing = _packing(self._tar, name)
            self._layers[member] = (
                self._as_it_is(name, member, packing)
                if packing
                else self._pack(content, diff_id, config)
            )
        plain, layer = self._layers[member]
        if plain and plain != diff_id:
            raise DigestMismatch(
                f"{shown} of the {self._name} is {plain}, and the image's configuration says"
                f" {diff_id}",
                where=self._name,
                hint=_HINT,
            )
        self._blobs[layer.digest] = layer
        return layer

    def _as_it_is(self, name: str, member: Member, packing: str) -> tuple[str, _Layer]:
        content = self._tar.open(name)
        assert content is not None
        digest = sha256_of(content)
        self._check_name(name, digest)
        return "", _Layer(digest=digest, size=member.size, packing=packing, member=name)

    def _pack(self, content: FileSlice, diff_id: str, config: str) -> tuple[str, _Layer]:
        growing, packed = GrowingBlob(self._spool, config=config, plain=diff_id), None
        for observer in self.observers:
            observer.begin(growing)
        try:
            packed = self._packer.pack(content, growing.append, algorithm=diff_id.partition(":")[0])
        finally:
            growing.end(packed)
        return packed.plain, _Layer(
            digest=packed.digest, size=packed.size, packing="gzip", offset=growing.offset
        )

    def _read(self, name: str, what: str, limit: int) -> bytes:
        body = self._tar.read(name, limit)
        if body is None:
            raise ConfigError(
                f"the {self._name} lacks {what} ({name[:100]})", where=self._name, hint=_HINT
            )
        return body

    def _check_name(self, name: str, digest: str) -> None:
        """Raise DigestMismatch if a member is named by a digest that it does not have."""
        match = _DIGEST_NAME.fullmatch(name)
        if match and f"sha256:{match.group(1) or match.group(2)}" != digest:
            raise DigestMismatch(
                f"the {self._name} is damaged: {name[:100]} has the digest {digest}",
                where=self._name,
                hint=_HINT,
            )


def _read_index(tar: Tar, name: str) -> tuple[SavedImage, ...]:
    """The images that manifest.json lists; raises ConfigError."""
    body = tar.read("manifest.json", MANIFEST_LIMIT)
    if body is None:
        raise ConfigError(
            f"the {name} has no manifest.json",
            where=name,
            hint="an OCI layout in a tar archive is written oci-archive:FILE",
        )
    data = json_value(body)
    if not isinstance(data, list):
        raise ConfigError(f"manifest.json of the {name} is not a JSON list", where=name, hint=_HINT)
    return tuple(_saved(entry, name) for entry in data)


def _saved(entry: object, name: str) -> SavedImage:
    fields = entry if isinstance(entry, dict) else {}
    config, layers, tags = (
        fields.get("Config"),
        fields.get("Layers") or [],
        fields.get("RepoTags") or [],
    )
    if not isinstance(config, str) or not _are_texts(layers) or not _are_texts(tags):
        raise ConfigError(
            f"manifest.json of the {name} has an entry in an unknown form",
            where=name,
            hint=_HINT,
        )
    return SavedImage(names=tuple(_name(tag) for tag in tags), config=config, layers=tuple(layers))


def _name(tag: str) -> str:
    """A name in its normal form; an invalid name is returned unchanged, for messages."""
    try:
        return local_name(tag)
    except ConfigError:
        return tag[:200]


def _are_texts(entries: object) -> bool:
    return isinstance(entries, list) and all(isinstance(entry, str) for entry in entries)


def _diff_ids(config: bytes, name: str) -> tuple[str, ...]:
    """The digests of the unpacked layers in a configuration (OCI image-spec, config).

    Raises ConfigError.
    """
    data = json_object(config)
    rootfs = data.get("rootfs") if data is not None else None
    entries = rootfs.get("diff_ids") or [] if isinstance(rootfs, dict) else []
    if data is None or not _are_texts(entries) or not all(map(is_digest, entries)):
        raise ConfigError(
            f"the configuration of an image in the {name} cannot be read", where=name, hint=_HINT
        )
    return tuple(entries)


def _packing(tar: Tar, name: str) -> str:
    """The compression of a member, empty for none."""
    content = tar.open(name)
    head = b"" if content is None else content.part(4)
    return next((packing for mark, packing in _PACKED.items() if head.startswith(mark)), "")


def _manifest(config: bytes, layers: list[_Layer], *, oci: bool) -> Manifest:
    """A manifest of Docker's schema 2, or OCI's if `oci`, or if a layer is packed with zstd.

    Docker has no media type for zstd.
    """
    oci = oci or any(layer.packing == "zstd" for layer in layers)
    kinds = [(_OCI_LAYER + layer.packing) if oci else _DOCKER_LAYER for layer in layers]
    media_type = OCI_IMAGE if oci else DOCKER_IMAGE
    body = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": {
                "mediaType": _OCI_CONFIG if oci else _DOCKER_CONFIG,
                "size": len(config),
                "digest": digest_of(config),
            },
            "layers": [
                {"mediaType": kind, "size": layer.size, "digest": layer.digest}
                for kind, layer in zip(kinds, layers, strict=True)
            ],
        },
        separators=(",", ":"),
    ).encode()
    return parse_manifest(body, media_type)
