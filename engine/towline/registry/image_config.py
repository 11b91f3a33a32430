"""An image's configuration blob: its platform and the digests of its unpacked layers (OCI image-spec 1.1, config; Docker image spec 1.2)."""

from __future__ import annotations

import json
from dataclasses import dataclass

from towline.errors import ConfigError, DigestMismatch
from towline.image import Platform, parse_digest
from towline.registry.compress import pieces
from towline.registry.manifest import Manifest, digest_of
from towline.registry.source import Source

CONFIG_LIMIT = 8 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class ImageConfig:
    """What Towline needs of it; `platform` is None where it says none."""

    platform: Platform | None
    diff_ids: tuple[str, ...]


def parse_config(body: bytes, *, where: str) -> ImageConfig:
    """The configuration in `body`; raises ConfigError."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise ConfigError("the image's configuration is not a JSON object", where=where, hint="build the image anew")
    return ImageConfig(platform=_platform(data), diff_ids=_diff_ids(data.get("rootfs"), where))


def read_config(source: Source, repository: str, manifest: Manifest) -> ImageConfig:
    """The configuration of an image in a source; raises ConfigError, DigestMismatch and what the source raises."""
    wanted = manifest.blobs[0]
    if wanted.size > CONFIG_LIMIT:
        raise ConfigError(f"the image's configuration is larger than {CONFIG_LIMIT} bytes", where=str(source))
    body = b""
    with source.open_blob(repository, wanted.digest) as content:
        for piece in pieces(content):
            body += piece
            if len(body) > wanted.size:
                break
    if len(body) != wanted.size or digest_of(body, wanted.digest) != wanted.digest:
        raise DigestMismatch(f"the image's configuration is not {wanted.digest}", where=str(source), hint="build the image anew")
    return parse_config(body, where=str(source))


def _platform(data: dict[str, object]) -> Platform | None:
    system, architecture, variant = data.get("os"), data.get("architecture"), data.get("variant")
    if not isinstance(system, str) or not isinstance(architecture, str) or not system or not architecture:
        return None
    return Platform(os=system, architecture=architecture, variant=variant if isinstance(variant, str) else "")


def _diff_ids(rootfs: object, where: str) -> tuple[str, ...]:
    entries = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if entries is None:
        return ()
    if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
        raise ConfigError("the image's configuration lists its layers in a way that is not known", where=where, hint="build the image anew")
    return tuple(parse_digest(entry) for entry in entries)
