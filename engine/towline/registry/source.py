"""Pure.

The source of a copy: a registry, or images in files or in the Docker daemon of this machine.
"""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

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


class ImageSource(Protocol):
    """Manifests and blobs by the name of their repository and a tag or digest; shared by threads.

    A local source has one image or several, and ignores the repository, which is empty then.
    """

    def __str__(self) -> str:
        """What messages call the source: `source registry host`, `OCI layout build/image`."""

    def head_manifest(self, repository: str, target: str, /) -> Descriptor | None:
        """Digest, size and media type of a tag or digest; None if it does not exist."""

    def get_manifest(self, repository: str, target: str, /) -> Manifest:
        """The manifest of a tag or digest, checked.

        Raises RegistryError or ConfigError if it does not exist, and DigestMismatch.
        """

    def open_blob(self, repository: str, digest: str, /, *, start: int = 0) -> Content:
        """A blob from its byte `start` on; nothing of it is checked yet.

        Raises TransferInterrupted, and the errors of the source.
        """
