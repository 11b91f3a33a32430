"""Pure.

Places of images as skopeo's users write them: `docker://host/name:tag`, `oci:FOLDER:tag`,
`docker-archive:FILE:name:tag` and the like.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from towline.errors import ConfigError
from towline.image import Image, Reference, parse_image, parse_reference, parse_registry
from towline.record import frozen, replace

# OCI image-spec, annotations
_REF_NAME = re.compile(
    r"[A-Za-z0-9]+(?:(?:[-._:@+]|--)[A-Za-z0-9]+)*(?:/[A-Za-z0-9]+(?:(?:[-._:@+]|--)[A-Za-z0-9]+)*)*"
)
_IMAGE_ID = re.compile(r"sha256:[0-9a-f]{64}")
_KINDS = (
    "docker://host/name:tag, oci:FOLDER[:tag], oci-archive:FILE[:tag],"
    " docker-archive:FILE[:name:tag] or docker-daemon:name:tag"
)
_OTHERS = ("atomic", "containers-storage", "dir", "docker-tar", "ostree", "sif", "tarball")
_HUB = ("docker.io/", "index.docker.io/", "registry-1.docker.io/")


@frozen
class RegistryLocation:
    """An image in a registry."""

    reference: Reference

    @property
    def target(self) -> str:
        """What the registry is asked for: digest or tag."""
        return self.reference.target

    def __str__(self) -> str:
        return f"docker://{self.reference}"


@frozen
class OciFolder:
    """An OCI image layout in a folder; `target` is a tag of its index, empty where it has one image only."""

    path: str
    target: str = ""

    def __str__(self) -> str:
        return _written("oci", self.path, self.target)


@frozen
class OciArchive:
    """An OCI image layout in a tar archive, likewise."""

    path: str
    target: str = ""

    def __str__(self) -> str:
        return _written("oci-archive", self.path, self.target)


@frozen
class DockerArchiveFile:
    """What `docker save` wrote; `target` is `name:tag`, empty where it has one image only."""

    path: str
    target: str = ""

    def __str__(self) -> str:
        return _written("docker-archive", self.path, self.target)


@frozen
class DaemonImage:
    """An image in the Docker daemon of this machine: `name:tag`, `name@digest` or the image's id."""

    name: str
    target: str = ""  # what the daemon gives is one image

    def __str__(self) -> str:
        return f"docker-daemon:{self.name}"


@frozen
class LocalPath:
    """A folder or file that says itself which of these it is."""

    path: str
    target: str = ""

    def __str__(self) -> str:
        return self.path


LocalLocation = OciFolder | OciArchive | DockerArchiveFile | DaemonImage | LocalPath
ImageLocation = RegistryLocation | LocalLocation


def parse_location(text: str) -> ImageLocation:
    """A place with its prefix, or bare `host/name:tag`; raises ConfigError."""
    kind, colon, rest = text.partition(":")
    if text.startswith("docker://"):
        return RegistryLocation(reference=_registry_reference(text.removeprefix("docker://")))
    if text.lower().startswith(("http://", "https://")):
        return RegistryLocation(reference=_reference_by_url(text))
    if colon and kind in _PARSERS:
        return _PARSERS[kind](rest)
    if colon and (kind in _OTHERS or kind == "docker"):
        raise ConfigError(
            f"{text!r} is no place that images are copied from or to", hint=f"expected {_KINDS}"
        )
    if "/" not in text or text.startswith(("/", ".")):
        raise ConfigError(f"{text!r} names no place", hint=f"expected {_KINDS}")
    return RegistryLocation(reference=_registry_reference(text))


def parse_local_location(text: str) -> LocalLocation:
    """A local place with its prefix, or the path of a folder or file (`localDockerImagePath`); raises ConfigError."""
    kind, colon, rest = text.partition(":")
    if colon and kind in _PARSERS:
        return _PARSERS[kind](rest)
    if "://" in text or (colon and kind in _OTHERS):
        raise ConfigError(
            f"{text!r} is no local image",
            hint=(
                f"expected a path, or {_KINDS.partition(', ')[2]}; a registry's image is what"
                " sourceImages names"
            ),
        )
    return LocalPath(path=_checked_path(text))


def local_name(text: str) -> str:
    """`[host/]name[:tag]` in the one form that all its spellings have: `app`, `app:latest` and `docker.io/library/app` are one; raises ConfigError."""
    image, host = _local_image(text)
    name = image.name if host else image.name.removeprefix("library/")
    plain = Image(
        name=name, tag=image.tag or ("" if image.digest else "latest"), digest=image.digest
    )
    return f"{host}{plain}"


def _local_image(text: str) -> tuple[Image, str]:
    """The image and its host with a slash; the host is empty for Docker Hub, as it may be left out."""
    host, slash, rest = text.partition("/")
    if slash and f"{host}/" in _HUB:
        return parse_image(rest), ""
    if slash and ("." in host or ":" in host or host == "localhost"):
        reference = parse_reference(text)
        return reference.image, f"{reference.registry.host}/"
    return parse_image(text), ""


def _registry_reference(text: str) -> Reference:
    """`host/name:tag`; this machine is spoken to over http, as other tools do (`https://` says otherwise)."""
    try:
        reference = parse_reference(text)
        home = reference.registry.loopback
        return (
            replace(reference, registry=replace(reference.registry, scheme="http"))
            if home
            else reference
        )
    except ConfigError as fault:
        if "names no registry" not in fault.message:
            raise
        raise ConfigError(
            f"{text!r} names no registry",
            hint="expected host/name:tag; an image of Docker Hub is docker.io/library/name:tag",
        ) from fault


def _reference_by_url(text: str) -> Reference:
    """A URL says the scheme, so `http://` too."""
    scheme, _, rest = text.partition("://")
    host, _, image = rest.partition("/")
    registry, _ = parse_registry(f"{scheme}://{host}")
    return Reference(registry=registry, image=parse_image(image))


def _split(rest: str) -> tuple[str, str]:
    """Path and what comes after the first colon."""
    path, _, name = rest.partition(":")
    return _checked_path(path), name


def _checked_path(path: str) -> str:
    if not path or "\0" in path:
        raise ConfigError(f"{path!r} is no path", hint=f"expected {_KINDS.partition(', ')[2]}")
    return path


def _tagged(rest: str) -> tuple[str, str]:
    path, tag = _split(rest)
    if (tag or rest.endswith(":")) and not _REF_NAME.fullmatch(tag):
        raise ConfigError(
            f"{tag!r} is no tag of an OCI layout",
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
            f"{name!r} chooses by a digest, and archives of docker save know their images by name"
            " and tag",
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
