"""Pure.

The source of a copy: a registry, or images in files or in the Docker daemon of this machine.
"""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

from towline.image import Reference, Registry, Repository
from towline.registry.manifest import Descriptor, Manifest


class Content(Protocol):
    """A blob that is read once, from where it was opened to its end."""

    def readinto(self, buffer: memoryview) -> int:
        """Fill `buffer` with the next bytes; returns how many, 0 at the end.

        Raises TransferInterrupted if the rest can be asked for again.
        """

    def __enter__(self) -> Self:
        """The blob itself."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the blob."""


# the repository of local images, which have neither a registry nor a name there
LOCAL = Repository(registry=Registry(scheme="", host=""), name="")


class ImageSource(Protocol):
    """Manifests by their reference, and blobs by repository and digest; shared by threads.

    A local source has one image or several, all in the repository LOCAL. There, a reference without
    tag and digest is the image that the source's location names.
    """

    def __str__(self) -> str:
        """What messages call the source: `source registry host`, `OCI layout build/image`."""

    def head_manifest(self, reference: Reference, /) -> Descriptor | None:
        """Digest, size and media type of a manifest; None if it does not exist."""

    def get_manifest(self, reference: Reference, /) -> Manifest:
        """The manifest of a reference, checked.

        Raises RegistryError or ConfigError if it does not exist, and DigestMismatch.
        """

    def open_blob(self, repository: Repository, digest: str, /, *, start: int = 0) -> Content:
        """A blob from its byte `start` on; nothing of it is checked yet.

        Raises TransferInterrupted, and the errors of the source.
        """
