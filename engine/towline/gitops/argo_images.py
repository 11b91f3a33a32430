"""Pure.

The `kustomize.images` of Argo CD Applications, compared with the kustomization of the same
repository that they are for.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from towline.gitops.kustomize_images import (
    KUSTOMIZATION_FILES,
    old_and_new_names,
    referenced_paths,
)
from towline.image import without_version
from towline.record import frozen
from towline.yaml.plain_data import list_at, load_documents, map_at, maps_at, text_at

_OTHER_CHANGES = ("patches", "components")


@frozen
class Override:
    """An entry of `kustomize.images`: the `name` of the image it replaces, and the new `image`.

    `roots` are the files that may be the kustomization of `folder`.
    """

    name: str
    image: str
    folder: str
    roots: tuple[str, ...]


def overrides(data: bytes, is_ours: Callable[[str], bool]) -> list[Override]:
    """The entries in a file that are for this repository; `is_ours` tells by its URL."""
    if b"argoproj.io" not in data or b"kustomize" not in data:
        return []
    return [
        override
        for document in load_documents(data) or ()
        for override in _overrides_in(document, is_ours)
    ]


def override_paths(
    data: bytes, files: Mapping[str, bytes], is_ours: Callable[[str], bool]
) -> set[str]:
    """The files that may be the kustomizations of a file's entries, and what these read."""
    roots = {root for override in overrides(data, is_ours) for root in override.roots}
    return roots.union(*(referenced_paths(root, files) for root in roots))


def images_of_override(override: Override, files: Mapping[str, bytes]) -> set[str] | None:
    """The names of the images that an entry may be for; None if they are not known."""
    root = next((name for name in override.roots if name in files), "")
    return old_and_new_names(root, files) if root else None


def _overrides_in(document: Any, is_ours: Callable[[str], bool]) -> Iterator[Override]:
    if isinstance(document, dict) and text_at(document, "apiVersion").startswith("argoproj.io/"):
        specs = (map_at(document, "spec"), map_at(document, "spec", "template", "spec"))
        several = [source_map for spec in specs for source_map in maps_at(spec, "sources")]
        for source in (*(map_at(spec, "source") for spec in specs), *several):
            if is_ours(text_at(source, "repoURL")):
                yield from _overrides_of(source)


def _overrides_of(source: Mapping[str, Any]) -> Iterator[Override]:
    kustomize, path = map_at(source, "kustomize"), source.get("path")
    if (
        not isinstance(path, str)
        or "{" in path
        or any(kustomize.get(key) for key in _OTHER_CHANGES)
    ):
        return
    folder = posixpath.normpath(path.lstrip("/") or ".")
    roots = tuple(posixpath.normpath(posixpath.join(folder, name)) for name in KUSTOMIZATION_FILES)
    for text in list_at(kustomize, "images"):
        if isinstance(text, str) and "{" not in text:
            name, _, image = text.rpartition("=")
            yield Override(
                name=name or without_version(image), image=image, folder=folder, roots=roots
            )
