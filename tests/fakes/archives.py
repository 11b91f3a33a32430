"""The images of tests.fakes.images as files, and tar members of any kind.

Files are OCI layouts and the archives that `docker save` writes, in the old and the new form.
"""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tests.fakes.images import OCI_INDEX, ImageParts
from tests.fakes.registry import digest_of

Member = tuple[tarfile.TarInfo, bytes]
Images = Sequence[tuple[Sequence[str], ImageParts]]


def member(
    name: str, data: bytes = b"", *, kind: bytes = tarfile.REGTYPE, link: str = ""
) -> Member:
    """A tar member of any kind."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, len(data)
    return info, data


def tar(members: Iterable[Member], form: int = tarfile.PAX_FORMAT) -> bytes:
    """The archive of these members."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def tar_of(files: Mapping[str, bytes]) -> bytes:
    """The archive of these files."""
    return tar(member(name, data) for name, data in files.items())


def config_of(image: ImageParts) -> bytes:
    """The configuration blob."""
    return image.blobs[json.loads(image.manifest)["config"]["digest"]]


def packed_layers(image: ImageParts) -> list[bytes]:
    """The layers as a registry has them."""
    return [image.blobs[layer["digest"]] for layer in json.loads(image.manifest)["layers"]]


def plain_layers(image: ImageParts) -> list[bytes]:
    """The layers as they are unpacked."""
    return [gzip.decompress(layer) for layer in packed_layers(image)]


def old_save(images: Images) -> list[Member]:
    """The archive of Docker up to 24: a folder for each layer, a repeated layer as a link."""
    members, index, seen = list[Member](), [], dict[bytes, str]()
    for number, (names, image) in enumerate(images):
        config, layers = config_of(image), []
        for place, layer in enumerate(plain_layers(image)):
            folder = digest_of(f"{number} {place}".encode()).removeprefix("sha256:")
            members.append(member(f"{folder}/", kind=tarfile.DIRTYPE))
            first = seen.setdefault(layer, folder)
            members.append(
                member(f"{folder}/layer.tar", layer)
                if first == folder
                else member(
                    f"{folder}/layer.tar", kind=tarfile.SYMTYPE, link=f"../{first}/layer.tar"
                )
            )
            layers.append(f"{folder}/layer.tar")
        name = digest_of(config).removeprefix("sha256:") + ".json"
        members.append(member(name, config))
        index.append({"Config": name, "RepoTags": list(names) or None, "Layers": layers})
    return [*members, member("manifest.json", json.dumps(index).encode())]


def new_save(images: Images, *, packed: bool) -> dict[str, bytes]:
    """The archive of Docker from 25 on, which is an OCI layout as well.

    `packed`: with compressed layers, as containerd's store keeps them; else as Docker's own does.
    """
    stored = [(names, image if packed else unpacked(image)) for names, image in images]
    files = layout([(name.rpartition(":")[2], image) for names, image in stored for name in names])
    index = [
        {
            "Config": _blob(digest_of(config_of(image))),
            "RepoTags": list(names),
            "Layers": [_blob(layer["digest"]) for layer in json.loads(image.manifest)["layers"]],
        }
        for names, image in stored
    ]
    return {**files, "manifest.json": json.dumps(index).encode()}


def unpacked(image: ImageParts) -> ImageParts:
    """The image with its layers as plain tar."""
    manifest = json.loads(image.manifest)
    blobs = {digest_of(data): data for data in (*plain_layers(image), config_of(image))}
    manifest["layers"] = [
        {
            "mediaType": "application/vnd.oci.image.layer.v1.tar",
            "digest": digest_of(data),
            "size": len(data),
        }
        for data in plain_layers(image)
    ]
    body = json.dumps(manifest).encode()
    return ImageParts(
        manifest=body,
        media_type=image.media_type,
        digest=digest_of(body),
        platform=image.platform,
        blobs=blobs,
    )


def layout(images: Iterable[tuple[str, ImageParts]]) -> dict[str, bytes]:
    """The files of an OCI layout; an empty tag means no tag."""
    files, entries = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}, []
    for tag, image in images:
        for part in image.walk():
            files |= {
                _blob(digest): data
                for digest, data in {**part.blobs, part.digest: part.manifest}.items()
            }
        annotations = {"annotations": {"org.opencontainers.image.ref.name": tag}} if tag else {}
        entries.append(
            {
                "mediaType": image.media_type,
                "digest": image.digest,
                "size": len(image.manifest),
                **annotations,
            }
        )
    return {
        **files,
        "index.json": (
            json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).encode()
        ),
    }


def write(folder: Path, files: Mapping[str, bytes]) -> Path:
    """The files in a folder."""
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def _blob(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")
