"""Where an image comes from, as a copy sees it: a registry, or files and the daemon of this machine."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

from towline.registry.manifest import Descriptor, Manifest


class Content(Protocol):
    """A blob that is read once, from where it was opened to its end."""

    def readinto(self, buffer: memoryview) -> int:
        """Fill `buffer` as far as the blob goes, 0 at its end; raises BrokenOff where the rest may be asked for again."""

    def __enter__(self) -> Self:
        """The blob itself."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Done with it."""


class Source(Protocol):
    """Manifests and blobs by repository and digest; shared by threads.

    Local places know one image or several, and call every repository the empty text.
    """

    def __str__(self) -> str:
        """What messages call it: `source registry host`, `OCI layout build/image`."""

    def head_manifest(self, repository: str, target: str) -> Descriptor | None:
        """Digest, size and media type of a tag or digest; None where it is not there."""

    def get_manifest(self, repository: str, target: str) -> Manifest:
        """The manifest of a tag or digest, checked; raises RegistryError or ConfigError where it is not there, and DigestMismatch."""

    def open_blob(self, repository: str, digest: str, *, start: int = 0) -> Content:
        """A blob from its byte `start` on; nothing of it is checked yet.

        Raises BrokenOff and what the place itself raises.
        """
