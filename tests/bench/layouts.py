"""Writes images to disk for the benches: OCI layouts and a `docker save` archive of any size.

They are written piece by piece. The same seed gives the same bytes.
"""

from __future__ import annotations

import hashlib
import http.client
import io
import json
import random
import ssl
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

MIB = 1024 * 1024
_MANIFEST, _CONFIG = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.config.v1+json",
)
_LAYER, _INDEX = (
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.oci.image.index.v1+json",
)
# bytes that compress to about 40 %
_SKEWED = bytes(b"eeeeeeeetttttaaaoooinnshr dlu\n"[value % 30] for value in range(256))


@dataclass(frozen=True, kw_only=True)
class Layer:
    """The size of a layer in bytes, and the seed for its content."""

    size: int
    seed: int


@dataclass(frozen=True, kw_only=True)
class Layout:
    """An OCI layout with one image: folder, digest of the manifest, digests of the blobs."""

    folder: Path
    digest: str
    blobs: tuple[str, ...]

    def read(self, digest: str) -> Path:
        """The path of a blob or of the manifest."""
        return self.folder / "blobs" / "sha256" / digest.partition(":")[2]


class _Hashed:
    """A file that counts and hashes the bytes written to it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._hash, self.size = file, hashlib.sha256(), 0

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"

    def write(self, data: bytes) -> None:
        self._hash.update(data)
        self.size += len(data)
        self._file.write(data)


def make_layout(folder: Path, layers: Sequence[Layer]) -> Layout:
    """Write an image of these layers; their gzip does not compress, like that of noise."""
    place = folder / "blobs" / "sha256"
    place.mkdir(parents=True)
    made = [_layer(place, layer) for layer in layers]
    config = _put(
        place,
        _json(
            {
                "architecture": "amd64",
                "os": "linux",
                "config": {},
                "rootfs": {"type": "layers", "diff_ids": [diff for _, diff in made]},
            }
        ),
    )
    manifest = _put(
        place,
        _json(
            {
                "schemaVersion": 2,
                "mediaType": _MANIFEST,
                "config": {"mediaType": _CONFIG, **config},
                "layers": [{"mediaType": _LAYER, **descriptor} for descriptor, _ in made],
            }
        ),
    )
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    (folder / "index.json").write_bytes(
        _json(
            {
                "schemaVersion": 2,
                "mediaType": _INDEX,
                "manifests": [{"mediaType": _MANIFEST, **manifest}],
            }
        )
    )
    blobs = (*(str(descriptor["digest"]) for descriptor, _ in made), str(config["digest"]))
    return Layout(folder=folder, digest=str(manifest["digest"]), blobs=tuple(dict.fromkeys(blobs)))


def make_archive(path: Path, size: int) -> Path:
    """Write a `docker save` archive of an image with one uncompressed layer of `size` bytes."""
    layer = path.with_suffix(".layer")
    with layer.open("wb") as file:
        hashed = _Hashed(file)
        for piece in _tar(Layer(size=size, seed=0), skewed=True):
            hashed.write(piece)
    config = _json(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [hashed.digest]},
        }
    )
    name = f"{hashlib.sha256(config).hexdigest()}.json"
    with tarfile.open(path, "w") as archive:
        archive.add(layer, "layer/layer.tar")
        for member, data in (
            (name, config),
            (
                "manifest.json",
                _json([{"Config": name, "RepoTags": ["app:1"], "Layers": ["layer/layer.tar"]}]),
            ),
        ):
            info = tarfile.TarInfo(member)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    layer.unlink()
    return path


def push(
    layout: Layout, host: str, repository: str, tag: str, *, certificate: Path | None = None
) -> None:
    """Push the image to a registry without login; over https if there is a certificate."""
    trusting = ssl.create_default_context(cafile=certificate) if certificate else None
    opened = (
        http.client.HTTPSConnection(host, timeout=60, context=trusting)
        if trusting
        else http.client.HTTPConnection(host, timeout=60)
    )
    with closing(opened) as connection:
        for digest in layout.blobs:
            place = urlsplit(
                _send(connection, "POST", f"/v2/{repository}/blobs/uploads/").headers["Location"]
            )
            with layout.read(digest).open("rb") as file:
                query = f"{place.query}&digest={digest}" if place.query else f"digest={digest}"
                _send(
                    connection,
                    "PUT",
                    f"{place.path}?{query}",
                    file,
                    kind="application/octet-stream",
                )
        with layout.read(layout.digest).open("rb") as file:
            _send(connection, "PUT", f"/v2/{repository}/manifests/{tag}", file, kind=_MANIFEST)


def _send(
    connection: http.client.HTTPConnection,
    method: str,
    target: str,
    file: BinaryIO | None = None,
    *,
    kind: str = "",
) -> http.client.HTTPResponse:
    size = file.seek(0, io.SEEK_END) if file else 0
    if file:
        file.seek(0)
    connection.request(
        method,
        target,
        body=file,
        headers={"Content-Length": str(size), **({"Content-Type": kind} if kind else {})},
    )
    answer = connection.getresponse()
    text = answer.read()
    if answer.status not in (201, 202):
        raise RuntimeError(f"{method} {target.partition('?')[0]}: {answer.status} {text[:400]!r}")
    return answer


def _layer(place: Path, layer: Layer) -> tuple[dict[str, object], str]:
    """Write a layer into `place`; returns its descriptor, and the digest of its tar."""
    plain, packer, path = hashlib.sha256(), zlib.compressobj(0, wbits=31), place / "being written"
    with path.open("wb") as file:
        hashed = _Hashed(file)
        for piece in _tar(layer):
            plain.update(piece)
            hashed.write(packer.compress(piece))
        hashed.write(packer.flush())
    path.rename(place / hashed.digest.partition(":")[2])
    return {"digest": hashed.digest, "size": hashed.size}, f"sha256:{plain.hexdigest()}"


def _tar(layer: Layer, *, skewed: bool = False) -> Iterator[bytes]:
    info = tarfile.TarInfo(f"file-{layer.seed}")
    info.size = layer.size
    yield info.tobuf(tarfile.USTAR_FORMAT)
    noise = random.Random(layer.seed)
    for start in range(0, layer.size, MIB):
        piece = noise.randbytes(min(MIB, layer.size - start))
        yield piece.translate(_SKEWED) if skewed else piece
    yield bytes(-layer.size % 512 + 1024)


def _put(place: Path, data: bytes) -> dict[str, object]:
    digest = hashlib.sha256(data).hexdigest()
    (place / digest).write_bytes(data)
    return {"digest": f"sha256:{digest}", "size": len(data)}


def _json(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
