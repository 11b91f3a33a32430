"""Images that `docker save` wrote, old shape (`<id>/layer.tar`) and new (`blobs/sha256/...`): read in place, their layers packed into a spool."""

from __future__ import annotations

import json
import re
from threading import Lock
from types import TracebackType
from typing import Self

from towline.errors import ConfigError, DigestMismatch
from towline.literals import json_object, json_value
from towline.record import frozen
from towline.registry.gzip import LIBRARY, Packer, sha256_of
from towline.registry.local.growing import GrowingBlob, PackingObserver
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

_DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
_DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
_OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
_OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+"
_PACKED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_KNOWN_BY = re.compile(r"blobs/sha256/([0-9a-f]{64})|([0-9a-f]{64})\.json")
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
    """A layer as a registry gets it: `packing` is its compression; its bytes are a member's, or those of the spool from `offset` on."""

    digest: str
    size: int
    packing: str
    offset: int | None = None
    member: str = ""


class DockerArchive:
    """A Source of what an archive holds; shared by threads.

    Layers are packed when a manifest is asked for first; leave the context to end its threads.
    """

    def __init__(self, tar: Tar, *, name: str, target: str = "", library: object = LIBRARY) -> None:
        """`name` is what messages call it, `target` the image that is meant where none is named.

        Raises ConfigError for what is no such archive.
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
        self.followers: list[PackingObserver] = []
        self._lock = Lock()
        self._manifests: dict[str, Manifest] = {}
        self._made: dict[SavedImage, Manifest] = {}
        self._layers: dict[Member, tuple[str, _Layer]] = {}
        self._blobs: dict[str, _Layer] = {}

    def __str__(self) -> str:
        return self._name

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._packer.close()
        self._spool.__exit__(kind, fault, trace)

    def head_manifest(self, repository: str, target: str) -> Descriptor | None:  # noqa: ARG002 - an archive is no registry with repositories
        """Digest, size and media type of `name:tag`, or without one of the only image; None where it is not there.

        PackingSource its layers.
        """
        found = self._find(target)
        return None if found is None else found.descriptor

    def get_manifest(self, repository: str, target: str) -> Manifest:  # noqa: ARG002 - as above
        """The manifest of `name:tag`, or of a digest that was given out before; raises ConfigError where it is not there, and DigestMismatch."""
        found = self._find(target)
        if found is None:
            raise ConfigError(
                f"the {self._name} has no image {target or self._target!r}",
                where=self._name,
                hint=f"it has: {self._offers()}",
            )
        return found

    def open_blob(self, repository: str, digest: str, *, start: int = 0) -> FileSlice:  # noqa: ARG002 - as above
        """A blob of a manifest that was given out before, from its byte `start` on; raises ConfigError for any other."""
        blob = self._blobs.get(digest)
        extent = (
            self._layout.open_blob("", digest)
            if blob is None and self._layout
            else self._extent(blob)
            if blob
            else None
        )
        if extent is None:
            raise ConfigError(
                f"the {self._name} lacks the blob {digest}", where=self._name, hint=_HINT
            )
        return extent.skip(start)

    def _extent(self, blob: _Layer) -> FileSlice | None:
        return (
            self._tar.open(blob.member)
            if blob.offset is None
            else self._spool.extent(blob.offset, blob.size)
        )

    def _find(self, target: str) -> Manifest | None:
        if is_digest(target):
            return self._manifests.get(target)
        saved = self._chosen(target)
        if saved is None:
            return None
        with self._lock:
            if saved not in self._made:
                made = self._made[saved] = self._make(saved)
                self._manifests[made.digest] = made
            return self._made[saved]

    def _chosen(self, target: str) -> SavedImage | None:
        """The image of that name, else the one that the place named, else the only one."""
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
        """The manifest: the archive's own where a registry can take it as it is, else one of configuration and packed layers."""
        body = self._read(saved.config, "the image's configuration", _CONFIG_LIMIT)
        self._check_name(saved.config, digest_of(body))
        diff_ids = _diff_ids(body, self._name)
        if len(diff_ids) != len(saved.layers):
            counts = f"{len(diff_ids)} layers and the archive {len(saved.layers)}"
            raise ConfigError(
                f"the image's configuration knows {counts}", where=self._name, hint=_HINT
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
        """The manifest that the archive itself has for that configuration."""
        images = self._layout.images() if self._layout else ()
        return next((manifest for manifest in images if manifest.blobs[0].digest == config), None)

    def _is_ready(self, own: Manifest) -> bool:
        """Whether its layers are packed and all there."""
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
        """A layer for the registry; one that is packed already goes as it is, one that was met before is not packed again."""
        member = self._tar.find(name)
        extent = self._tar.open(name)
        if member is None or extent is None:
            raise ConfigError(f"the {self._name} lacks {shown}", where=self._name, hint=_HINT)
        if member not in self._layers:
            packing = _packing(self._tar, name)
            self._layers[member] = (
                self._as_it_is(name, member, packing)
                if packing
                else self._pack(extent, diff_id, config)
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
        extent = self._tar.open(name)
        assert extent is not None
        digest = sha256_of(extent)
        self._check_name(name, digest)
        return "", _Layer(digest=digest, size=member.size, packing=packing, member=name)

    def _pack(self, extent: FileSlice, diff_id: str, config: str) -> tuple[str, _Layer]:
        growing, packed = GrowingBlob(self._spool, config=config, plain=diff_id), None
        for follower in self.followers:
            follower.begin(growing)
        try:
            packed = self._packer.pack(extent, growing.append, algorithm=diff_id.partition(":")[0])
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
        """A member that is named by a digest has to have it."""
        match = _KNOWN_BY.fullmatch(name)
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
            f"manifest.json of the {name} describes an image in a way that is not known",
            where=name,
            hint=_HINT,
        )
    return SavedImage(names=tuple(_name(tag) for tag in tags), config=config, layers=tuple(layers))


def _name(tag: str) -> str:
    """Its one form; a name that is none stays, so that it can be shown."""
    try:
        return local_name(tag)
    except ConfigError:
        return tag[:200]


def _are_texts(entries: object) -> bool:
    return isinstance(entries, list) and all(isinstance(entry, str) for entry in entries)


def _diff_ids(config: bytes, name: str) -> tuple[str, ...]:
    """The digests of the unpacked layers that a configuration knows (OCI image-spec, config); raises ConfigError."""
    data = json_object(config)
    rootfs = data.get("rootfs") if data is not None else None
    entries = rootfs.get("diff_ids") or [] if isinstance(rootfs, dict) else []
    if data is None or not _are_texts(entries) or not all(map(is_digest, entries)):
        raise ConfigError(
            f"the configuration of an image in the {name} cannot be read", where=name, hint=_HINT
        )
    return tuple(entries)


def _packing(tar: Tar, name: str) -> str:
    extent = tar.open(name)
    head = b"" if extent is None else extent.part(4)
    return next((packing for mark, packing in _PACKED.items() if head.startswith(mark)), "")


def _manifest(config: bytes, layers: list[_Layer], *, oci: bool) -> Manifest:
    """Docker's schema 2, or OCI's: where the archive is OCI, and for zstd, which Docker has no name for."""
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
