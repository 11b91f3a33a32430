"""Images in an OCI image layout, a folder or a tar archive, read in place.

Source: OCI image-spec 1.1, image-layout.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Sequence
from typing import Protocol

from towline.errors import ConfigError, DigestMismatch, MachineError, RegistryError
from towline.image import Reference, Repository, parse_digest
from towline.literals import json_object, json_value
from towline.registry.local.layout_index import LayoutReferrers, read_entries
from towline.registry.local.spool import FileSlice
from towline.registry.manifest import (
    MANIFEST_LIMIT,
    OCI_IMAGE,
    OCI_INDEX,
    Descriptor,
    Manifest,
    index_part,
    parse_manifest,
)

MANIFESTS = 1000
_HINT = "build or save the image anew"


class LayoutFiles(Protocol):
    """The files of a layout by name; None for a file that does not exist."""

    def read(self, name: str, limit: int) -> bytes | None:
        """A whole file; raises ConfigError if it has more than `limit` bytes."""

    def open(self, name: str) -> FileSlice | None:
        """A file's content."""


class LayoutFolder:
    """The files of an open folder; none outside it is read, whatever links it has."""

    def __init__(self, descriptor: int, path: str) -> None:
        """`path` is what messages call the folder."""
        self._descriptor = descriptor
        self._path = path

    def read(self, name: str, limit: int) -> bytes | None:
        """A whole file; raises ConfigError if it has more than `limit` bytes."""
        found = self._find(name)
        if found is None:
            return None
        descriptor, size = found
        with FileSlice(descriptor, 0, size, owned=True) as content:
            if size > limit:
                raise ConfigError(f"{name} is larger than {limit} bytes", where=self._path)
            return content.read()

    def open(self, name: str) -> FileSlice | None:
        """A file's content."""
        found = self._find(name)
        if found is None:
            return None
        descriptor, size = found
        return FileSlice(descriptor, 0, size, owned=True)

    def _find(self, name: str) -> tuple[int, int] | None:
        """Descriptor and size of a regular file.

        Each part of its name is opened in the folder before it, and none may be a link.
        """
        *folders, last = name.split("/")
        opened = [self._descriptor]
        try:
            for index_part in folders:
                opened.append(
                    os.open(
                        index_part,
                        os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC,
                        dir_fd=opened[-1],
                    )
                )
            descriptor = os.open(
                last, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=opened[-1]
            )
        except FileNotFoundError:
            return None
        except OSError as fault:
            raise self._unreadable(name, fault) from fault
        finally:
            for folder in opened[1:]:
                os.close(folder)
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            os.close(descriptor)
            raise ConfigError(f"{name} is not a file", where=self._path, hint=_HINT)
        return descriptor, found.st_size

    def _unreadable(self, name: str, fault: OSError) -> ConfigError | MachineError:
        index_part = os.strerror(fault.errno or 0)
        if isinstance(fault, PermissionError):
            return MachineError(
                f"cannot read {name}: {index_part}", where=self._path, hint="check the permissions"
            )
        return ConfigError(
            f"cannot read {name}: {index_part}",
            where=self._path,
            hint="in a layout it is a file, and its folders are not links",
        )


class OciLayout:
    """The images of a layout as an ImageSource; shared by threads."""

    def __init__(self, files: LayoutFiles, *, name: str, target: str = "") -> None:
        """`name` is what messages call the layout, `target` the tag if none is named.

        Raises ConfigError if the files are not a layout of version 1.
        """
        self._files = files
        self._target = target
        self._name = name
        self._check_version()
        body = files.read("index.json", MANIFEST_LIMIT)
        if body is None:
            raise ConfigError("the OCI layout has no index.json", where=name, hint=_HINT)
        self._index = self._parsed(body, _media_type(body) or OCI_INDEX)
        self._entries = read_entries(body, self._index.children)
        self._referrers = LayoutReferrers(self._entries, self._manifest, name=name)
        # indexes of images for several platforms, made of entries of index.json
        self._made: dict[str, Manifest] = {}

    def __str__(self) -> str:
        return self._name

    def head_manifest(self, reference: Reference, /) -> Descriptor | None:
        """Digest, size and media type of a manifest, or of the only image without tag and digest.

        None if it does not exist.
        """
        found = self.find_manifest(reference)
        return None if found is None else found.descriptor

    def get_manifest(self, reference: Reference, /) -> Manifest:
        """The manifest of a reference, checked.

        Raises ConfigError if it does not exist, and DigestMismatch.
        """
        found = self.find_manifest(reference)
        target = reference.image.digest or reference.image.tag
        if found is None and reference.image.digest:
            raise ConfigError(
                f"the {self._name} lacks the manifest {target}", where=self._name, hint=_HINT
            )
        if found is None:
            raise ConfigError(
                f"the {self._name} has no image {target or self._target!r}",
                where=self._name,
                hint=f"it has: {self._offers() or 'no image with a tag'}",
            )
        return found

    def find_manifest(self, reference: Reference, /) -> Manifest | None:
        """The manifest of a reference, checked; None if it does not exist."""
        digest = reference.image.digest
        if digest:
            return self._made.get(digest) or self._manifest(digest)
        return self._chosen(reference.image.tag or self._target)

    def open_blob(self, _repository: Repository, digest: str, /, *, start: int = 0) -> FileSlice:
        """A blob from its byte `start` on; raises ConfigError if it does not exist."""
        content = self._files.open(_path_of(digest))
        if content is None:
            raise ConfigError(
                f"the {self._name} lacks the blob {digest}", where=self._name, hint=_HINT
            )
        return content.skip(start)

    def has_blob(self, digest: str) -> bool:
        """Whether the blob exists."""
        content = self._files.open(_path_of(digest))
        if content is None:
            return False
        with content:
            return True

    def referrers(self, _repository: Repository, digest: str, /) -> tuple[Descriptor, ...]:
        """The referrers of a manifest, as a registry would list them.

        Raises ConfigError for a layout with too many manifests.
        """
        return self._referrers.of(digest)

    def tags(self, _repository: Repository, /) -> frozenset[str]:
        """All tags of index.json; cosign's tags in the form that they have in a registry."""
        return frozenset(entry.name for entry in self._entries if entry.name)

    def images(self) -> Iterator[Manifest]:
        """The images below the index, at any depth, that exist; at most MANIFESTS are read."""
        waiting, seen = list(self._index.children), set[str]()
        while waiting and len(seen) < MANIFESTS:
            digest = waiting.pop(0).digest
            found = None if digest in seen else self._manifest(digest)
            seen.add(digest)
            if found is not None:
                waiting += found.children
                if found.blobs:
                    yield found

    def _check_version(self) -> None:
        data = json_object(self._files.read("oci-layout", MANIFEST_LIMIT) or b"") or {}
        version = data.get("imageLayoutVersion")
        if not isinstance(version, str):
            raise ConfigError(
                "this is not an OCI layout: its file oci-layout is missing or has no version",
                where=self._name,
                hint=_HINT,
            )
        if version.partition(".")[0] != "1":
            raise ConfigError(
                f"the OCI layout has version {version[:40]!r}, and 1.0.0 is known", where=self._name
            )

    def _chosen(self, tag: str) -> Manifest | None:
        """Return the image of a tag, or the only image without a tag; None if it does not exist.

        Of several digests it picks or makes an index. Raises ConfigError for a layout without an
        image.
        """
        positions = [
            position for position, entry in enumerate(self._entries) if not tag or entry.name == tag
        ]
        if len(self._digests(positions)) > 1:
            positions = [
                position for position in positions if self._is_image(position)
            ] or positions
        if len(self._digests(positions)) > 1:
            positions = self._without_parts(positions)
        digests = self._digests(positions)
        if len(digests) > 1:
            return self._index_of(tag, positions)
        if not digests and not tag:
            raise ConfigError(f"the {self._name} has no image", where=self._name, hint=_HINT)
        return self._manifest(digests[0]) if digests else None

    def _digests(self, positions: Sequence[int]) -> list[str]:
        return list(dict.fromkeys(self._index.children[position].digest for position in positions))

    def _is_image(self, position: int) -> bool:
        """Whether an entry may be the wanted image.

        A referrer is not, nor is an entry with an artifact type and no tag.
        """
        entry, manifest = self._entries[position], self._readable(position)
        refers = entry.is_referrer or bool(manifest and manifest.subject)
        return not refers and (not entry.artifact or bool(entry.name))

    def _without_parts(self, positions: Sequence[int]) -> list[int]:
        """The entries that have a tag, or that are not part of another entry's index.

        oras lists the platforms of an image beside it.
        """
        parts: set[str] = set()
        for position in positions:
            manifest = self._readable(position)
            parts.update(child.digest for child in (manifest.children if manifest else ()))
        return [
            position
            for position in positions
            if self._entries[position].name or self._index.children[position].digest not in parts
        ]

    def _readable(self, position: int) -> Manifest | None:
        """An entry's manifest, None if it cannot be read.

        That is an error only if the entry turns out to be the wanted image.
        """
        with contextlib.suppress(ConfigError, DigestMismatch, MachineError):
            return self._manifest(self._index.children[position].digest)
        return None

    def _index_of(self, tag: str, positions: Sequence[int]) -> Manifest:
        """An index of one image whose platforms are entries of index.json itself.

        Raises ConfigError for several images.
        """
        index = index_part(self._index, positions)
        images = [
            child
            for child in index.children
            if child.platform is None or child.platform.os != "unknown"
        ]
        tags = {self._entries[position].name for position in positions}
        if len(tags) > 1 or len(set(index.platforms)) < len(images):
            raise self._unclear(tag, positions)
        self._made[index.digest] = index
        return index

    def _unclear(self, tag: str, positions: Sequence[int]) -> ConfigError:
        """The error for entries of which none is clearly the wanted image.

        One that cannot be read may be the image.
        """
        if tag:
            return ConfigError(
                f"the {self._name} has more than one image {tag!r}",
                where=self._name,
                hint=f"give each a tag of its own, or {_HINT}",
            )
        hint = f"add :tag; it has: {self._offers() or 'none that has a tag'}"
        unread = [position for position in positions if not self._readable(position)]
        problem = "has more than one image, and no tag says which"
        if unread:
            digest = self._digests(unread)[0]
            problem = (
                f"lacks the manifest {digest}, or has other content for it, and no tag says whether"
                " it is the image"
            )
        return ConfigError(f"the {self._name} {problem}", where=self._name, hint=hint)

    def _offers(self) -> str:
        return ", ".join(
            sorted({entry.name for entry in self._entries if entry.name and not entry.is_referrer})
        )

    def _manifest(self, digest: str) -> Manifest | None:
        body = self._files.read(_path_of(digest), MANIFEST_LIMIT)
        return None if body is None else self._parsed(body, _media_type(body), digest)

    def _parsed(self, body: bytes, media_type: str, pinned: str = "") -> Manifest:
        try:
            return parse_manifest(body, media_type, pinned=pinned, where=self._name)
        except DigestMismatch as fault:
            raise DigestMismatch(
                f"the {self._name} is damaged: its manifest {pinned} has other content",
                where=self._name,
                hint=_HINT,
            ) from fault
        except RegistryError as fault:
            raise ConfigError(
                f"the {self._name} cannot be read: {fault.message}", where=self._name, hint=_HINT
            ) from fault


def is_digest(text: str) -> bool:
    """Whether the whole text is a digest."""
    with contextlib.suppress(ConfigError):
        return bool(parse_digest(text))
    return False


def _path_of(digest: str) -> str:
    return "blobs/" + parse_digest(digest).replace(":", "/")


def _media_type(body: bytes) -> str:
    """The media type that a manifest names, else that of its content, as OCI's may leave it out.

    `parse_manifest` refuses content that could be both an index and an image.
    """
    data = json_value(body)
    if data is None:
        return ""
    fields = data if isinstance(data, dict) else {}
    named = fields.get("mediaType")
    if isinstance(named, str):
        return named
    return OCI_INDEX if "manifests" in fields else OCI_IMAGE
