"""Images in an OCI image layout, a folder or a tar archive, read in place (OCI image-spec 1.1, image-layout)."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Sequence
from typing import Protocol

from towline.errors import ConfigError, DigestMismatch, MachineError, RegistryError
from towline.image import parse_digest
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
    """The files of a layout by their names; None for what is not there."""

    def read(self, name: str, limit: int) -> bytes | None:
        """A whole file; raises ConfigError for one of more than `limit` bytes."""

    def open(self, name: str) -> FileSlice | None:
        """A file's content."""


class LayoutFolder:
    """An open folder; no file outside it is read, whatever links it holds."""

    def __init__(self, descriptor: int, path: str) -> None:
        """`path` is what messages call it."""
        self._descriptor = descriptor
        self._path = path

    def read(self, name: str, limit: int) -> bytes | None:
        """A whole file; raises ConfigError for one of more than `limit` bytes."""
        found = self._find(name)
        if found is None:
            return None
        descriptor, size = found
        with FileSlice(descriptor, 0, size, owned=True) as extent:
            if size > limit:
                raise ConfigError(f"{name} is larger than {limit} bytes", where=self._path)
            return extent.read()

    def open(self, name: str) -> FileSlice | None:
        """A file's content."""
        found = self._find(name)
        return None if found is None else FileSlice(*_from_start(found), owned=True)

    def _find(self, name: str) -> tuple[int, int] | None:
        """Descriptor and size of a regular file; each part of its name is opened in the one before, and none may be a link."""
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
            hint="in a layout it is a file, in folders that are no links",
        )


class OciLayout:
    """A Source of what a layout holds; shared by threads."""

    def __init__(self, files: LayoutFiles, *, name: str, target: str = "") -> None:
        """`name` is what messages call it, `target` the tag that is meant where none is named.

        Raises ConfigError for what is no layout of version 1.
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
        # images for several platforms whose index is (a part of) index.json
        self._whole: dict[str, Manifest] = {}

    def __str__(self) -> str:
        return self._name

    def head_manifest(self, repository: str, target: str) -> Descriptor | None:
        """Digest, size and media type of a tag or digest, or without one of the only image; None where it is not there."""
        found = self.find_manifest(repository, target)
        return None if found is None else found.descriptor

    def get_manifest(self, repository: str, target: str) -> Manifest:
        """The manifest of a tag or digest, checked; raises ConfigError where it is not there, and DigestMismatch."""
        found = self.find_manifest(repository, target)
        if found is None and is_digest(target):
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

    def find_manifest(self, repository: str, target: str) -> Manifest | None:  # noqa: ARG002 - a layout is no registry with repositories
        """The same, None where it is not there."""
        if is_digest(target):
            return self._whole.get(target) or self._manifest(target)
        return self._chosen(target or self._target)

    def open_blob(self, repository: str, digest: str, *, start: int = 0) -> FileSlice:  # noqa: ARG002 - as above
        """A blob from its byte `start` on; raises ConfigError where it is not there."""
        extent = self._files.open(_path_of(digest))
        if extent is None:
            raise ConfigError(
                f"the {self._name} lacks the blob {digest}", where=self._name, hint=_HINT
            )
        return extent.skip(start)

    def has_blob(self, digest: str) -> bool:
        """Whether the blob is there."""
        extent = self._files.open(_path_of(digest))
        if extent is None:
            return False
        with extent:
            return True

    def referrers(self, repository: str, digest: str) -> tuple[Descriptor, ...]:  # noqa: ARG002 - as above
        """What refers to a manifest, as a registry would list it; raises ConfigError where there is no end of it."""
        return self._referrers.of(digest)

    def tags(self, repository: str) -> frozenset[str]:  # noqa: ARG002 - as above
        """All tags of index.json, cosign's as they are in a registry."""
        return frozenset(entry.name for entry in self._entries if entry.name)

    def images(self) -> Iterator[Manifest]:
        """The images below the index, nested ones too, as far as they are there; at most MANIFESTS are looked at."""
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
                "there is no OCI layout: it has no oci-layout file that says its version",
                where=self._name,
                hint=_HINT,
            )
        if version.partition(".")[0] != "1":
            raise ConfigError(
                f"the OCI layout has version {version[:40]!r}, and 1.0.0 is known", where=self._name
            )

    def _chosen(self, tag: str) -> Manifest | None:
        """The image of a tag, or the only one there is."""
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
            return self._flat(tag, positions)
        if not digests and not tag:
            raise ConfigError(f"the {self._name} has no image", where=self._name, hint=_HINT)
        return self._manifest(digests[0]) if digests else None

    def _digests(self, positions: Sequence[int]) -> list[str]:
        return list(dict.fromkeys(self._index.children[position].digest for position in positions))

    def _is_image(self, position: int) -> bool:
        """Whether an entry may be what is meant: one that refers to another is not, and none with the type of an artifact and no tag."""
        entry, found = self._entries[position], self._readable(position)
        return not (entry.along or (found and found.subject) or (entry.artifact and not entry.name))

    def _without_parts(self, positions: Sequence[int]) -> list[int]:
        """Those that are no part of another one's index, or have a tag of their own: oras lists an image's platforms beside it."""
        indexes = [
            found
            for position in positions
            if (found := self._readable(position)) and found.children
        ]
        parts = {child.digest for index in indexes for child in index.children}
        return [
            position
            for position in positions
            if self._entries[position].name or self._index.children[position].digest not in parts
        ]

    def _readable(self, position: int) -> Manifest | None:
        """An entry's manifest, None where it cannot be read: that is told if the entry is what is meant."""
        with contextlib.suppress(ConfigError, DigestMismatch, MachineError):
            return self._manifest(self._index.children[position].digest)
        return None

    def _flat(self, tag: str, positions: Sequence[int]) -> Manifest:
        """The index of one image whose platforms stand in index.json itself; raises ConfigError for several images."""
        whole = index_part(self._index, positions)
        images = [
            child
            for child in whole.children
            if child.platform is None or child.platform.os != "unknown"
        ]
        if len({self._entries[position].name for position in positions}) > 1 or len(
            set(whole.platforms)
        ) < len(images):
            raise self._unclear(tag, positions)
        self._whole[whole.digest] = whole
        return whole

    def _unclear(self, tag: str, positions: Sequence[int]) -> ConfigError:
        """That it is not known which of these entries is meant: an image may be one that cannot be read."""
        if tag:
            return ConfigError(
                f"the {self._name} has more than one image {tag!r}",
                where=self._name,
                hint=f"give each a tag of its own, or {_HINT}",
            )
        hint = f"add :tag; it has: {self._offers() or 'none that has a tag'}"
        unread = next(
            (
                digest
                for digest in self._digests([one for one in positions if not self._readable(one)])
            ),
            "",
        )
        what = (
            f"lacks the manifest {unread}, or has other content for it, and no tag says whether it"
            " is the image"
            if unread
            else ("has more than one image, and no tag says which")
        )
        return ConfigError(f"the {self._name} {what}", where=self._name, hint=hint)

    def _offers(self) -> str:
        return ", ".join(
            sorted({entry.name for entry in self._entries if entry.name and not entry.along})
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
    """Whether it is one, as a whole."""
    with contextlib.suppress(ConfigError):
        return bool(parse_digest(text))
    return False


def _path_of(digest: str) -> str:
    return "blobs/" + parse_digest(digest).replace(":", "/")


def _from_start(found: tuple[int, int]) -> tuple[int, int, int]:
    return found[0], 0, found[1]


def _media_type(body: bytes) -> str:
    """What a manifest says it is; OCI's may leave it out, and then its content tells (parse_manifest refuses what could be both)."""
    data = json_value(body)
    if data is None:
        return ""
    fields = data if isinstance(data, dict) else {}
    said = fields.get("mediaType")
    if isinstance(said, str):
        return said
    return OCI_INDEX if "manifests" in fields else OCI_IMAGE
