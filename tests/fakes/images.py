"""Small images as data, and two ways to put them into a registry.

Layers are real tar archives, configurations are real; the same seed gives the same bytes.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import random
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from urllib.parse import urlsplit

from tests.fakes.registry import FakeRegistry, digest_of

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
_OCI_CONFIG, _OCI_LAYER = (
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.oci.image.layer.v1.tar+gzip",
)
_DOCKER_CONFIG, _DOCKER_LAYER = (
    "application/vnd.docker.container.image.v1+json",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
)


@dataclass(frozen=True, kw_only=True)
class ImageParts:
    """An image or an index.

    Its manifest with media type and digest, the blobs by digest, and the children of an index in
    order.
    """

    manifest: bytes
    media_type: str
    digest: str
    platform: str = ""
    blobs: Mapping[str, bytes] = field(default_factory=dict)
    children: tuple[ImageParts, ...] = ()

    def walk(self) -> Iterable[ImageParts]:
        """The children, then this manifest: the order in which they are pushed."""
        for child in self.children:
            yield from child.walk()
        yield self

    def all_blobs(self) -> dict[str, bytes]:
        """The blobs of this manifest and of its children at all depths."""
        return {digest: data for part in self.walk() for digest, data in part.blobs.items()}


def make_image(
    platform: str = "linux/amd64",
    *,
    files: Mapping[str, bytes] | None = None,
    size: int = 1024,
    layers: int = 1,
    seed: int = 0,
    docker: bool = False,
) -> ImageParts:
    """An image of `layers` layers.

    Each layer has `files`, or else one file of `size` bytes that do not compress.
    """
    contents = [
        files if files is not None else {f"layer-{number}": _noise(platform, seed, number, size)}
        for number in range(layers)
    ]
    tars = [_tar(content) for content in contents]
    packed = [_pack(tar) for tar in tars]
    config = _json(
        {
            **_platform(platform),
            "created": "2024-01-01T00:00:00Z",
            "config": {"Cmd": ["/layer-0"], "Labels": {"seed": str(seed)}},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(tar) for tar in tars]},
            "history": [
                {"created": "2024-01-01T00:00:00Z", "created_by": f"layer {number}"}
                for number in range(layers)
            ],
        }
    )
    kind, config_kind, layer_kind = (
        (DOCKER_MANIFEST, _DOCKER_CONFIG, _DOCKER_LAYER)
        if docker
        else (OCI_MANIFEST, _OCI_CONFIG, _OCI_LAYER)
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": kind,
            "config": _descriptor(config_kind, config),
            "layers": [_descriptor(layer_kind, layer) for layer in packed],
        }
    )
    return ImageParts(
        manifest=manifest,
        media_type=kind,
        digest=digest_of(manifest),
        platform=platform,
        blobs={digest_of(blob): blob for blob in [*packed, config]},
    )


def make_index(
    platforms: Sequence[str] = ("linux/amd64", "linux/arm64"),
    *,
    size: int = 1024,
    layers: int = 1,
    seed: int = 0,
    docker: bool = False,
) -> ImageParts:
    """An index of one image per platform."""
    return index_of(
        [
            make_image(platform, size=size, layers=layers, seed=seed, docker=docker)
            for platform in platforms
        ],
        docker=docker,
    )


def index_of(children: Sequence[ImageParts], *, docker: bool = False) -> ImageParts:
    """An index of these images or indexes."""
    kind = DOCKER_LIST if docker else OCI_INDEX
    entries = [
        {
            **_descriptor(child.media_type, child.manifest),
            **({"platform": _platform(child.platform)} if child.platform else {}),
        }
        for child in children
    ]
    manifest = _json({"schemaVersion": 2, "mediaType": kind, "manifests": entries})
    return ImageParts(
        manifest=manifest, media_type=kind, digest=digest_of(manifest), children=tuple(children)
    )


def make_attested(
    platforms: Sequence[str] = ("linux/amd64", "linux/arm64"), *, size: int = 1024
) -> ImageParts:
    """An index as BuildKit makes it: each image is followed by its attestation.

    The attestation is an image for no platform, tied to the image by an annotation.
    """
    images = [make_image(platform, size=size) for platform in platforms]
    proofs = [
        make_image("unknown/unknown", files={"provenance.json": image.digest.encode()})
        for image in images
    ]
    entries = [
        {
            **_descriptor(image.media_type, image.manifest),
            "platform": _platform(image.platform),
            "annotations": {"built": image.platform},
        }
        for image in images
    ]
    entries += [
        {
            **_descriptor(proof.media_type, proof.manifest),
            "platform": _platform(proof.platform),
            "annotations": {
                "vnd.docker.reference.type": "attestation-manifest",
                "vnd.docker.reference.digest": image.digest,
            },
        }
        for image, proof in zip(images, proofs, strict=True)
    ]
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": entries,
            "annotations": {"org.opencontainers.image.title": "größe"},
        }
    )
    return ImageParts(
        manifest=manifest,
        media_type=OCI_INDEX,
        digest=digest_of(manifest),
        children=(*images, *proofs),
    )


def refer_to(
    subject: ImageParts, kind: str = "application/vnd.example.sbom", *, content: bytes = b"{}"
) -> ImageParts:
    """A referrer of an image: an artifact of one layer.

    See "Guidelines for Artifact Usage" in image-spec 1.1.
    """
    empty = b"{}"
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": kind,
            "config": _descriptor("application/vnd.oci.empty.v1+json", empty),
            "layers": [_descriptor(kind, content)],
            "subject": _descriptor(subject.media_type, subject.manifest),
            "annotations": {"example": kind},
        }
    )
    return ImageParts(
        manifest=manifest,
        media_type=OCI_MANIFEST,
        digest=digest_of(manifest),
        blobs={digest_of(empty): empty, digest_of(content): content},
    )


def put(
    parts: ImageParts,
    registry: FakeRegistry | str,
    repository: str,
    tag: str = "",
    *,
    login: tuple[str, str] | None = None,
) -> str:
    """Put the whole image into a fake's storage, or push it to a registry's URL with Basic
    credentials; the digest comes back.
    """
    if isinstance(registry, FakeRegistry):
        _store(parts, registry, repository, tag)
    else:
        _push(parts, registry, repository, tag, login)
    return parts.digest


def missing(parts: ImageParts, registry: FakeRegistry, repository: str) -> tuple[str, ...]:
    """The digests of `parts` that the repository's storage does not have byte by byte."""
    held = registry.storage.get(repository)
    wanted = {**{part.digest: part.manifest for part in parts.walk()}, **parts.all_blobs()}
    there = (
        {**{digest: data for digest, (_, data) in held.manifests.items()}, **held.blobs}
        if held
        else {}
    )
    return tuple(sorted(digest for digest, data in wanted.items() if there.get(digest) != data))


def _store(parts: ImageParts, registry: FakeRegistry, repository: str, tag: str) -> None:
    place = registry.create(repository)
    place.blobs.update(parts.all_blobs())
    place.manifests.update({part.digest: (part.media_type, part.manifest) for part in parts.walk()})
    if tag:
        place.tags[tag] = parts.digest


def _push(
    parts: ImageParts, url: str, repository: str, tag: str, login: tuple[str, str] | None
) -> None:
    headers = (
        {"Authorization": "Basic " + base64.b64encode(":".join(login).encode()).decode()}
        if login
        else {}
    )
    with closing(HTTPConnection(urlsplit(url).netloc, timeout=60)) as connection:
        for digest, data in parts.all_blobs().items():
            opened = _send(connection, "POST", f"/v2/{repository}/blobs/uploads/", headers)
            place = urlsplit(opened.headers["Location"])
            query = f"{place.query}&digest={digest}" if place.query else f"digest={digest}"
            _send(
                connection,
                "PUT",
                f"{place.path}?{query}",
                {**headers, "Content-Type": "application/octet-stream"},
                data,
            )
        for part in parts.walk():
            reference = tag if tag and part is parts else part.digest
            _send(
                connection,
                "PUT",
                f"/v2/{repository}/manifests/{reference}",
                {**headers, "Content-Type": part.media_type},
                part.manifest,
            )


def _send(
    connection: HTTPConnection,
    method: str,
    target: str,
    headers: Mapping[str, str],
    body: bytes = b"",
) -> HTTPResponse:
    connection.request(method, target, body=body, headers=dict(headers))
    answer = connection.getresponse()
    text = answer.read()
    if answer.status not in {201, 202}:
        raise RuntimeError(f"{method} {target.partition('?')[0]}: {answer.status} {text[:400]!r}")
    return answer


def _noise(platform: str, seed: int, number: int, size: int) -> bytes:
    return random.Random(f"{platform} {seed} {number}").randbytes(size)


def _tar(files: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in sorted(files.items()):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o755
            archive.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def _pack(data: bytes) -> bytes:
    stream = io.BytesIO()
    with gzip.GzipFile(filename="", fileobj=stream, mode="wb", compresslevel=1, mtime=0) as packer:
        packer.write(data)
    return stream.getvalue()


def _json(document: Mapping[str, object]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _descriptor(media_type: str, data: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": digest_of(data), "size": len(data)}


def _platform(platform: str) -> dict[str, str]:
    system, architecture, *variant = platform.split("/")
    return {
        "os": system,
        "architecture": architecture,
        **({"variant": variant[0]} if variant else {}),
    }
