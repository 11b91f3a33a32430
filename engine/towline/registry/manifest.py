"""Pure.

Manifests and indexes, checked on arrival and kept byte for byte (OCI image-spec 1.1; Docker image
manifest v2, schema 2).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

from towline.errors import ConfigError, DigestMismatch, RegistryError
from towline.image import Platform, parse_digest
from towline.literals import json_object
from towline.printable import words
from towline.record import field, frozen, replace

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_IMAGE = "application/vnd.oci.image.manifest.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_IMAGE = "application/vnd.docker.distribution.manifest.v2+json"
SCHEMA_1 = (
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
)
INDEXES = frozenset({OCI_INDEX, DOCKER_LIST})
IMAGES = frozenset({OCI_IMAGE, DOCKER_IMAGE})
ACCEPT = ", ".join((OCI_INDEX, OCI_IMAGE, DOCKER_LIST, DOCKER_IMAGE, *SCHEMA_1))
MANIFEST_LIMIT = 4 * 1024 * 1024
_FOREIGN = (".foreign.", ".nondistributable.")


@frozen
class Descriptor:
    """Content by its digest, size in bytes and media type; `platform` if an index names it."""

    digest: str
    size: int
    media_type: str = ""
    platform: Platform | None = None


@frozen
class Manifest:
    """A manifest's bytes with their digest.

    An index has `children`, an image has `blobs`: its configuration, then its layers, without
    those that are kept at another host. A referrer (a signature, an SBOM) has the digest of its
    `subject`.
    """

    body: bytes = field(repr=False)
    media_type: str
    digest: str
    children: tuple[Descriptor, ...] = ()
    blobs: tuple[Descriptor, ...] = ()
    subject: str = ""

    @property
    def descriptor(self) -> Descriptor:
        """The manifest's descriptor, as an index would have it."""
        return Descriptor(digest=self.digest, size=len(self.body), media_type=self.media_type)

    @property
    def platforms(self) -> tuple[Platform, ...]:
        """The platforms of an index, without those of attestations (`unknown/unknown`)."""
        return tuple(
            child.platform
            for child in self.children
            if child.platform is not None and child.platform.os != "unknown"
        )


def digest_of(body: bytes, like: str = "sha256:") -> str:
    """The digest of `body` by the algorithm of the digest `like`."""
    algorithm = like.partition(":")[0]
    return f"{algorithm}:{hashlib.new(algorithm, body).hexdigest()}"


def parse_manifest(
    body: bytes, content_type: str, *, pinned: str = "", where: str = ""
) -> Manifest:
    """The manifest in a body, checked.

    Raises DigestMismatch if its digest is not `pinned`, and RegistryError.
    """
    digest = digest_of(body, pinned or "sha256:")
    if pinned and digest != pinned:
        raise DigestMismatch(
            f"the manifest {pinned} arrived as {digest}",
            where=where,
            hint="the registry or a proxy before it serves wrong content",
        )
    data = _decoded(body, content_type, where)
    media_type = _media_type(data, content_type.partition(";")[0].strip().lower(), where)
    subject = _descriptor(data["subject"], where).digest if data.get("subject") is not None else ""
    if media_type in INDEXES:
        return Manifest(
            body=body,
            media_type=media_type,
            digest=digest,
            children=_descriptors(data, "manifests", where),
            subject=subject,
        )
    config = _descriptor(data.get("config"), where)
    layers = tuple(
        layer
        for layer in _descriptors(data, "layers", where)
        if not any(index_part in layer.media_type for index_part in _FOREIGN)
    )
    return Manifest(
        body=body, media_type=media_type, digest=digest, blobs=(config, *layers), subject=subject
    )


def select_platform(index: Manifest, platform: Platform) -> Descriptor:
    """The child of an index for `platform`, the first one if the platform has no variant.

    Raises ConfigError with the platforms that the index has.
    """
    return index.children[_position(index, platform)]


def select_platforms(index: Manifest, platforms: Sequence[Platform]) -> Manifest:
    """The index with only the children for `platforms`, in their order, and their attestations.

    Everything else in the index stays. Attestations are those of BuildKit, found by the annotations
    of their entries (moby/buildkit, docs/attestations/attestation-storage.md). Raises ConfigError.
    """
    entries = json.loads(index.body)["manifests"] or []
    chosen = list(dict.fromkeys(_position(index, platform) for platform in platforms))
    digests = {entries[position]["digest"] for position in chosen}
    attestations = [
        position for position, entry in enumerate(entries) if _attested(entry) in digests
    ]
    return index_part(index, chosen + attestations)


def index_part(index: Manifest, positions: Sequence[int]) -> Manifest:
    """The index with only the entries at `positions`, in this order; everything else stays."""
    data = json.loads(index.body)
    entries = data["manifests"] or []
    kept = [entries[position] for position in positions]
    if kept == entries:
        return index
    body = json.dumps(
        {**data, "manifests": kept}, separators=(",", ":"), ensure_ascii=False
    ).encode()
    return parse_manifest(body, index.media_type)


def _attested(entry: Mapping[str, object]) -> str:
    """The digest of the image whose attestation an entry of an index is, else empty."""
    annotations = entry.get("annotations")
    fields = annotations if isinstance(annotations, dict) else {}
    if fields.get("vnd.docker.reference.type") != "attestation-manifest":
        return ""
    return str(fields.get("vnd.docker.reference.digest", ""))


def _position(index: Manifest, platform: Platform) -> int:
    """The position of the child for a platform: an exact match, else the first that fits."""
    wanted = _normal(platform)
    offered = [
        (position, _normal(child.platform))
        for position, child in enumerate(index.children)
        if child.platform is not None
    ]
    for position, found in offered:
        if found == wanted:
            return position
    for position, found in offered:
        if _fits(found, wanted):
            return position
    names = ", ".join(sorted({str(found) for found in index.platforms}))
    raise ConfigError(
        f"the image has no variant for the platform {platform}",
        hint=f"its platforms are: {names or 'none'}",
    )


def check_platform(config: bytes, platform: Platform) -> None:
    """Raise ConfigError if an image's configuration names another platform; it may name none."""
    found = _platform(json_object(config))
    if found is None:
        return
    wanted = platform if found.os_version else replace(platform, os_version="")
    if not _fits(_normal(found), _normal(wanted)):
        raise ConfigError(
            f"the image is for the platform {found}, not for {platform}",
            hint="build it for that platform, or ask for the platform that it has",
        )


def _fits(found: Platform, wanted: Platform) -> bool:
    """Whether an image for `found` runs on `wanted`.

    Parts that `wanted` leaves open may be anything, and so may the end of an os version.
    """
    return (
        (found.os, found.architecture) == (wanted.os, wanted.architecture)
        and wanted.variant in ("", found.variant)
        and f"{found.os_version}.".startswith(f"{wanted.os_version}." if wanted.os_version else "")
    )


def _normal(platform: Platform) -> Platform:
    """The platform without its variant if that is the default (`arm64/v8`)."""
    plain = platform.architecture == "arm64" and platform.variant == "v8"
    return replace(platform, variant="") if plain else platform


def _decoded(body: bytes, content_type: str, where: str) -> Mapping[str, object]:
    data = json_object(body)
    if data is None:
        page = "html" in content_type.lower()
        raise RegistryError(
            f"the manifest is {'a web page' if page else 'not a JSON object'}",
            where=where,
            hint=(
                "check the registry's URL: a login page or a proxy may answer there" if page else ""
            ),
        )
    return data


def _media_type(data: Mapping[str, object], content_type: str, where: str) -> str:
    """The media type that header, body and content agree on.

    An image must not pass for an index (CVE-2021-41190).
    """
    named = data.get("mediaType")
    known = INDEXES | IMAGES | set(SCHEMA_1)
    media_type = content_type if content_type in known or not isinstance(named, str) else named
    if media_type in SCHEMA_1 or data.get("schemaVersion") == 1:
        raise RegistryError(
            "the image has a manifest of schema 1, which is not supported any more",
            where=where,
            hint="build or push the image with a current tool",
        )
    if media_type not in known:
        raise RegistryError(
            f"manifests of the type {words(media_type, 100)!r} are not supported", where=where
        )
    if isinstance(named, str) and named != media_type:
        raise RegistryError(
            f"a manifest of the type {words(named, 100)!r} came as {words(content_type, 100)!r}",
            where=where,
        )
    key, others = "layers", ["manifests"]
    if media_type in INDEXES:
        key, others = "manifests", ["layers", "config"]
    if key not in data or any(data.get(other) is not None for other in others):
        raise RegistryError(
            f"a manifest of the type {media_type!r} does not have that type's content", where=where
        )
    return media_type


def _descriptors(data: Mapping[str, object], key: str, where: str) -> tuple[Descriptor, ...]:
    entries = data.get(key)
    if entries is None:  # as Go writes an empty list
        return ()
    if not isinstance(entries, list):
        raise RegistryError(f"{key!r} of a manifest is not a list", where=where)
    return tuple(_descriptor(entry, where) for entry in entries)


def _descriptor(entry: object, where: str) -> Descriptor:
    fields = entry if isinstance(entry, dict) else {}
    digest, size, media_type = fields.get("digest"), fields.get("size"), fields.get("mediaType", "")
    if (
        not isinstance(digest, str)
        or not isinstance(size, int)
        or isinstance(size, bool)
        or size < 0
        or not isinstance(media_type, str)
    ):
        raise RegistryError("a manifest has an entry without digest and size", where=where)
    try:
        return Descriptor(
            digest=parse_digest(digest),
            size=size,
            media_type=media_type,
            platform=_platform(fields.get("platform")),
        )
    except ConfigError as fault:
        raise RegistryError(
            f"a manifest has an entry without a valid digest: {words(fault.message, 200)}",
            where=where,
        ) from fault


def _platform(entry: object) -> Platform | None:
    fields = entry if isinstance(entry, dict) else {}
    system, architecture = fields.get("os"), fields.get("architecture")
    variant, version = fields.get("variant"), fields.get("os.version")
    if (
        not isinstance(system, str)
        or not isinstance(architecture, str)
        or not system
        or not architecture
    ):
        return None
    return Platform(
        os=system,
        architecture=architecture,
        variant=variant if isinstance(variant, str) else "",
        os_version=version if isinstance(version, str) else "",
    )
