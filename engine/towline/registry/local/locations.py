"""Pure.

Locations of images, written as skopeo does: `docker://host/name:tag`, `oci:FOLDER:tag`,
`docker-archive:FILE:name:tag` and others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from towline.errors import ConfigError
from towline.image import (
    Image,
    Reference,
    has_registry,
    parse_image,
    parse_reference,
    parse_registry,
)
from towline.record import frozen, replace

# OCI image-spec, annotations
_REF_NAME = re.compile(
    r"[A-Za-z0-9]+(?:(?:[-._:@+]|--)[A-Za-z0-9]+)*"
    r"(?:/[A-Za-z0-9]+(?:(?:[-._:@+]|--)[A-Za-z0-9]+)*)*"
)
_IMAGE_ID = re.compile(r"sha256:[0-9a-f]{64}")
_KINDS = (
    "docker://host/name:tag, oci:FOLDER[:tag], oci-archive:FILE[:tag],"
    " docker-archive:FILE[:name:tag] or docker-daemon:name:tag"
)
_UNSUPPORTED = ("atomic", "containers-storage", "dir", "docker-tar", "ostree", "sif", "tarball")
_HUB = ("docker.io/", "index.docker.io/", "registry-1.docker.io/")


@frozen
class RegistryLocation:
    """An image in a registry."""

    reference: Reference

    @property
    def target(self) -> str:
        """The digest or tag that the registry is asked for."""
        return self.reference.target

    def __str__(self) -> str:
        return f"docker://{self.reference}"


@frozen
class OciFolder:
    """An OCI layout in a folder; `target` is a tag of its index, or empty for its only image."""

    path: str
    target: str = ""

    def __str__(self) -> str:
        return _written("oci", self.path, self.target)


@frozen
class OciArchive:
    """An OCI layout in a tar archive; `target` as for OciFolder."""

    path: str
    target: str = ""

    def __str__(self) -> str:
        return _written("oci-archive", self.path, self.target)


@frozen
class DockerArchiveFile:
    """An archive of `docker save`; `target` is `name:tag`, or empty for its only image."""

    path: str
    target: str = ""

    def __str__(self) -> str:
        return _written("docker-archive", self.path, self.target)


@frozen
class DaemonImage:
    """An image in the local Docker daemon: `name:tag`, `name@digest` or the image's id."""

    name: str
    target: str = ""  # the daemon exports one image

    def __str__(self) -> str:
        return f"docker-daemon:{self.name}"


@frozen
class LocalPath:
    """A folder or file whose content says which of these it is."""

    path: str
    target: str = ""

    def __str__(self) -> str:
        return self.path


LocalLocation = OciFolder | OciArchive | DockerArchiveFile | DaemonImage | LocalPath
ImageLocation = RegistryLocation | LocalLocation


def parse_location(text: str) -> ImageLocation:
    """A location with its prefix, or `host/name:tag` without one; raises ConfigError."""
    kind, colon, rest = text.partition(":")
    if text.startswith("docker://"):
        return RegistryLocation(reference=_registry_reference(text.removeprefix("docker://")))
    if text.lower().startswith(("http://", "https://")):
        return RegistryLocation(reference=_reference_by_url(text))
    if colon and kind in _PARSERS:
        return _PARSERS[kind](rest)
    if colon and (kind in _UNSUPPORTED or kind == "docker"):
        raise ConfigError(f"images are not copied from or to {text!r}", hint=f"expected {_KINDS}")
    if "/" not in text or text.startswith(("/", ".")):
        raise ConfigError(f"{text!r} is not the location of an image", hint=f"expected {_KINDS}")
    return RegistryLocation(reference=_registry_reference(text))


def parse_local_location(text: str) -> LocalLocation:
    """A local location with its prefix, or the path of a folder or file (`localDockerImagePath`).

    Raises ConfigError.
    """
    kind, colon, rest = text.partition(":")
    if colon and kind in _PARSERS:
        return _PARSERS[kind](rest)
    if "://" in text or (colon and kind in _UNSUPPORTED):
        raise ConfigError(
            f"{text!r} is not a local image",
            hint=(
                f"expected a path, or {_KINDS.partition(', ')[2]}; sourceImages names images of a"
                " registry"
            ),
        )
    return LocalPath(path=_checked_path(text))


def local_name(text: str) -> str:
    """`[host/]name[:tag]` in its normal form; raises ConfigError.

    `app`, `app:latest` and `docker.io/library/app` have the same one.
    """
    image, host = _local_image(text)
    name = image.name if host else image.name.removeprefix("library/")
    plain = Image(
        name=name, tag=image.tag or ("" if image.digest else "latest"), digest=image.digest
    )
    return f"{host}{plain}"


def _local_image(text: str) -> tuple[Image, str]:
    """The image, and its host with a slash; the host is empty for Docker Hub, the default."""
    host, slash, rest = text.partition("/")
    if slash and f"{host}/" in _HUB:
        return parse_image(rest), ""
    if has_registry(text):
        reference = parse_reference(text)
        return reference.image, f"{reference.registry.host}/"
    return parse_image(text), ""


def _registry_reference(text: str) -> Reference:
    """The reference `host/name:tag`, over http for this machine, as other tools do.

    A URL with `https://` says otherwise.
    """
    try:
        reference = parse_reference(text)
        if not reference.registry.loopback:
            return reference
        return replace(reference, registry=replace(reference.registry, scheme="http"))
    except ConfigError as fault:
        if "names no registry" not in fault.message:
            raise
        raise ConfigError(
            f"{text!r} names no registry",
            hint="expected host/name:tag; an image of Docker Hub is docker.io/library/name:tag",
        ) from fault


def _reference_by_url(text: str) -> Reference:
    """The reference of a URL, which names the scheme."""
    scheme, _, rest = text.partition("://")
    host, _, image = rest.partition("/")
    registry, _ = parse_registry(f"{scheme}://{host}")
    return Reference(registry=registry, image=parse_image(image))


def _split(rest: str) -> tuple[str, str]:
    """The path and the text after the first colon."""
    path, _, name = rest.partition(":")
    return _checked_path(path), name


def _checked_path(path: str) -> str:
    if not path or "\0" in path:
        raise ConfigError(f"{path!r} is not a path", hint=f"expected {_KINDS.partition(', ')[2]}")
    return path


def _tagged(rest: str) -> tuple[str, str]:
    path, tag = _split(rest)
    if (tag or rest.endswith(":")) and not _REF_NAME.fullmatch(tag):
        raise ConfigError(
            f"{tag!r} is not a tag of an OCI layout",
            hint="expected oci:FOLDER:tag; a path with a colon in it cannot be written so",
        )
    return path, tag


def _oci_folder(rest: str) -> OciFolder:
    path, tag = _tagged(rest)
    return OciFolder(path=path, target=tag)


def _oci_archive(rest: str) -> OciArchive:
    path, tag = _tagged(rest)
    return OciArchive(path=path, target=tag)


def _docker_archive(rest: str) -> DockerArchiveFile:
    path, name = _split(rest)
    if "@" in name:
        raise ConfigError(
            f"{name!r} has a digest, and archives of docker save have their images by name and tag",
            hint="expected name:tag",
        )
    return DockerArchiveFile(
        path=path, target=local_name(name) if name or rest.endswith(":") else ""
    )


def _daemon_image(rest: str) -> DaemonImage:
    return DaemonImage(name=rest if _IMAGE_ID.fullmatch(rest) else local_name(rest))


def _written(kind: str, path: str, target: str) -> str:
    return f"{kind}:{path}" + (f":{target}" if target else "")


_PARSERS: Mapping[str, Callable[[str], LocalLocation]] = {
    "oci": _oci_folder,
    "oci-archive": _oci_archive,
    "docker-archive": _docker_archive,
    "docker-daemon": _daemon_image,
}
