"""Pure.

Image references, digests, registries and platforms, parsed once (OCI distribution-spec 1.1, section
3).

`parse_reference` reads a text with a registry, `parse_image` one without, and `parse_familiar` what
manifests and users write (`nginx` means Docker Hub's `library/nginx`).
"""

from __future__ import annotations

import re
from ipaddress import IPv6Address
from typing import NamedTuple

from towline.errors import ConfigError
from towline.record import frozen, replace

_NAME = re.compile(
    r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*"
)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_PORT = r"[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]"
_HOST = re.compile(
    rf"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::(?:{_PORT}))?"
)
_LOOPBACK = re.compile(r"localhost|127(?:\.[0-9]{1,3}){3}|\[::1\]")
# the registry of a name without one; its images with a name of one part are in `library`
_HUB = "docker.io"


@frozen
class Registry:
    """The origin of a registry: scheme, and host with port."""

    scheme: str
    host: str

    @property
    def loopback(self) -> bool:
        """Whether the host is this machine."""
        return is_loopback(self.host)

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}"


@frozen
class Image:
    """The name of an image in its registry: `name[:tag][@digest]`; absent parts are empty."""

    name: str
    tag: str = ""
    digest: str = ""

    def __str__(self) -> str:
        return (
            self.name
            + (f":{self.tag}" if self.tag else "")
            + (f"@{self.digest}" if self.digest else "")
        )


class RegistryUrl(NamedTuple):
    """A registry, and the path that all names of images in it begin with; empty for none."""

    registry: Registry
    path: str

    def reference(self, image: Image) -> Reference:
        """The reference of `image`, whose name goes below the path."""
        name = f"{self.path}/{image.name}" if self.path else image.name
        return Reference(registry=self.registry, image=replace(image, name=name))


@frozen
class Repository:
    """A repository of a registry: `host/name`."""

    registry: Registry
    name: str

    def reference(self, target: str) -> Reference:
        """The reference of an image in this repository, whose tag or digest is `target`."""
        image = Image(name=self.name)
        image = replace(image, digest=target) if ":" in target else replace(image, tag=target)
        return Reference(registry=self.registry, image=image)

    def __str__(self) -> str:
        return f"{self.registry.host}/{self.name}"


@frozen
class Reference:
    """An image in a registry, as a container runtime names it: `host/name[:tag][@digest]`."""

    registry: Registry
    image: Image

    @property
    def repository(self) -> Repository:
        """The repository that the image is in."""
        return Repository(registry=self.registry, name=self.image.name)

    @property
    def target(self) -> str:
        """The last part of the manifest's URL: the digest if there is one, else the tag."""
        return self.image.digest or self.image.tag or "latest"

    def __str__(self) -> str:
        return f"{self.registry.host}/{self.image}"


@frozen
class Platform:
    """The platform of an image: `os/architecture[/variant][:version of the os]`.

    Source: OCI image-spec, image index.
    """

    os: str
    architecture: str
    variant: str = ""
    os_version: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part) + (
            f":{self.os_version}" if self.os_version else ""
        )


def is_loopback(host: str) -> bool:
    """Whether `host[:port]` names this machine by a literal address or `localhost`."""
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    return _LOOPBACK.fullmatch(name) is not None


def _is_host(text: str) -> bool:
    """Whether `text` is `name[:port]` or `[address][:port]`."""
    try:
        return _HOST.fullmatch(text) is not None and (
            text[0] != "[" or IPv6Address(text[1:].partition("]")[0]) is not None
        )
    except ValueError:
        return False


def parse_digest(text: str) -> str:
    """The digest that `text` is; raises ConfigError."""
    if not _DIGEST.fullmatch(text):
        raise ConfigError(
            f"{text!r} is not a digest",
            hint="expected sha256: and 64 lower-case hexadecimal digits",
        )
    return text


def parse_image(text: str) -> Image:
    """The image that `name[:tag][@digest]`, without a registry, names; raises ConfigError."""
    rest, at, digest = text.partition("@")
    name, colon, tag = rest.partition(":")
    if "/" in tag:
        raise ConfigError(
            f"{text!r} is not an image name but has a registry in it",
            hint="name the registry by its own parameter, and the image as name:tag",
        )
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{text!r} is not an image name",
            hint="expected name, name:tag or name:tag@sha256:..., in lower case",
        )
    if colon and not _TAG.fullmatch(tag):
        raise ConfigError(
            f"{text!r} has an invalid tag",
            hint="expected up to 128 letters, digits, '_', '.' and '-' behind the colon",
        )
    return Image(name=name, tag=tag, digest=parse_digest(digest) if at else "")


def parse_registry(text: str) -> RegistryUrl:
    """The registry and path of `[scheme://]host[:port][/path]`, without slashes around the path.

    Raises ConfigError.
    """
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "https", text
    host, _, path = rest.partition("/")
    path = path.strip("/")
    if "@" in rest:
        raise ConfigError(
            "a registry URL must not hold a user or a password",
            hint="configure user and password as parameters of their own",
        )
    if (
        scheme.lower() not in ("http", "https")
        or not _is_host(host)
        or (path and not _NAME.fullmatch(path))
    ):
        raise ConfigError(
            f"{text!r} is not a registry URL", hint="expected https://host[:port][/path]"
        )
    return RegistryUrl(Registry(scheme=scheme.lower(), host=host), path)


def parse_reference(text: str) -> Reference:
    """The reference `host[:port]/name[:tag][@digest]`, over https; raises ConfigError."""
    host, _, rest = text.partition("/")
    if not has_registry(text):
        raise ConfigError(f"{text!r} names no registry", hint="expected host/name:tag")
    registry, _ = parse_registry(host)
    return Reference(registry=registry, image=parse_image(rest))


def has_registry(text: str) -> bool:
    """Whether the first part of a reference is a registry, as a container runtime reads it."""
    first, slash, _ = text.partition("/")
    return bool(slash) and ("." in first or ":" in first or first == "localhost")


def parse_familiar(text: str) -> Reference | None:
    """The reference that a container runtime reads in `text`, None if it is not one.

    Short names are those of Docker Hub, and are written out.
    """
    host, _, rest = text.partition("/") if has_registry(text) else (_HUB, "", text)
    host = _HUB if host == f"index.{_HUB}" else host
    try:
        image = parse_image(rest)
    except ConfigError:
        return None
    if not _is_host(host):
        return None
    name = f"library/{image.name}" if host == _HUB and "/" not in image.name else image.name
    return Reference(registry=Registry(scheme="https", host=host), image=replace(image, name=name))


def without_version(text: str) -> str:
    """The `[host/]name` of an image text without its tag and digest, which are not checked."""
    name, _, _ = text.partition("@")
    folder, slash, last = name.rpartition("/")
    return folder + slash + last.partition(":")[0]


def parse_platforms(text: str) -> tuple[Platform, ...]:
    """The platforms of a list with commas, each once, none for an empty text.

    Raises ConfigError.
    """
    if not text:
        return ()
    return tuple(dict.fromkeys(parse_platform(part.strip()) for part in text.split(",")))


def parse_platform(text: str) -> Platform:
    """The platform `os/architecture[/variant][:osversion]`; raises ConfigError."""
    name, _, version = text.partition(":")
    parts = name.split("/")
    if len(parts) not in (2, 3) or not all(parts):
        raise ConfigError(
            f"{text!r} is not a platform",
            hint="expected os/architecture or os/architecture/variant",
        )
    return Platform(
        os=parts[0],
        architecture=parts[1],
        variant=parts[2] if len(parts) == 3 else "",
        os_version=version,
    )
