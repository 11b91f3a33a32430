"""Pure.

The `images` of kustomizations: their entries in a file, and the images that the resources of a
kustomization run, by the names that entries must have, as far as the files can be read.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from towline.errors import ConfigError
from towline.gitops.yaml_lookup import map_texts
from towline.image import without_version
from towline.record import frozen, replace
from towline.suggest import CUTOFF_FEW, close, list_some
from towline.yaml import marks
from towline.yaml.aliases import resolve_alias
from towline.yaml.edit import ValueEdit, value_without_merge
from towline.yaml.marks import Node, Path, ScalarNode
from towline.yaml.plain_data import (
    list_at,
    load_documents,
    maps_at,
    text_at,
    texts_below,
    value_at,
)
from towline.yaml.source import YamlSource

KUSTOMIZATION_FILES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_REMOTE = re.compile(r"://|//|\?|^(?:git@|git::|github\.com/|gitlab\.com/|bitbucket\.org/)")
_RESOURCE_LISTS = ("resources", "bases", "components", "patchesStrategicMerge")
_PATCH_LISTS = ("patches", "patchesJson6902")
_GENERATORS = (
    "helmCharts",
    "helmChartInflationGenerator",
    "generators",
    "transformers",
    "configurations",
)
_KINDS = ("Kustomization", "Component")
_FLUX = "kustomize.toolkit.fluxcd.io"
_MOST_NESTED = 100  # kustomizations, each of which includes the next


def referenced_paths(path: str, files: Mapping[str, bytes]) -> set[str]:
    """The files that the kustomization at `path` reads, directly or through other kustomizations.

    Some of them may not exist.
    """
    found: set[str] = set()
    waiting = [path]
    while waiting:
        kustomization = waiting.pop()
        for candidate in _referenced_by(kustomization, files):
            if candidate not in found:
                found.add(candidate)
                waiting += [candidate] if candidate.endswith(KUSTOMIZATION_FILES) else []
    return found


def image_names(path: str, files: Mapping[str, bytes]) -> set[str] | None:
    """The names of the images of all resources that the kustomization at `path` reads.

    None if one of these files is not in `files`, and for a component: it changes the resources of
    the kustomizations that include it.
    """
    if (_kustomization(path, files) or {}).get("kind") == "Component":
        return None
    return _names(path, files, frozenset(), {})


def _names(
    path: str,
    files: Mapping[str, bytes],
    above: frozenset[str],
    known: dict[str, set[str] | None],
) -> set[str] | None:
    """As `image_names` below the kustomizations `above`; each result is stored in `known`."""
    if path not in known or path in above:
        known[path] = _read_names(path, files, above, known)
    return known[path]


def _read_names(
    path: str,
    files: Mapping[str, bytes],
    above: frozenset[str],
    known: dict[str, set[str] | None],
) -> set[str] | None:
    data = _kustomization(path, files)
    if (
        data is None
        or path in above
        or len(above) > _MOST_NESTED
        or any(data.get(key) for key in _GENERATORS)
    ):
        return None
    if above and data.get("replacements"):  # they may copy an image
        return None
    patches = [load_documents(text.encode()) for text in _inline_patches(data)]
    if None in patches:
        return None
    found = set(_images(patches))
    for reference in _references(data):
        if _REMOTE.search(reference):
            return None
        target = _resolved(path, reference)
        nested = next((name for name in _kustomizations_in(target) if name in files), "")
        if nested:
            inner = _names(nested, files, above | {path}, known)
            if inner is None:
                return None
            read = _kustomization(nested, files) or {}
            found |= _renamed(inner, read)
            if read.get("kind") == "Component":  # its images also apply around it
                found |= _renamed(found, read)
        elif target not in files or (documents := load_documents(files[target])) is None:
            return None
        else:
            found |= set(_images(documents))
    return found


def _referenced_by(path: str, files: Mapping[str, bytes]) -> Iterator[str]:
    for reference in _references(_kustomization(path, files) or {}):
        if not _REMOTE.search(reference):
            target = _resolved(path, reference)
            yield from (target, *_kustomizations_in(target))


def _kustomization(path: str, files: Mapping[str, bytes]) -> dict[str, Any] | None:
    documents = load_documents(files.get(path, b"")) or []
    return documents[0] if len(documents) == 1 and isinstance(documents[0], dict) else None


def _references(data: Mapping[str, Any]) -> list[str]:
    listed = [item for key in _RESOURCE_LISTS for item in list_at(data, key)]
    patches = [item.get("path") for key in _PATCH_LISTS for item in maps_at(data, key)]
    return [
        reference
        for reference in (*listed, *patches)
        if isinstance(reference, str) and reference and "\n" not in reference
    ]


def _inline_patches(data: Mapping[str, Any]) -> list[str]:
    """The patches that stand in the kustomization itself."""
    listed = [
        item
        for item in list_at(data, "patchesStrategicMerge")
        if isinstance(item, str) and "\n" in item
    ]
    patches = [item.get("patch") for key in _PATCH_LISTS for item in maps_at(data, key)]
    return [patch for patch in (*listed, *patches) if isinstance(patch, str)]


def _images(documents: Any) -> Iterator[str]:
    """The texts at a key `image` or `value` (of a patch), without tag and digest."""
    for path, text in texts_below(documents):
        if path[-1] in ("image", "value"):
            yield without_version(text)


def _renamed(names: set[str], data: Mapping[str, Any]) -> set[str]:
    """The names after the `images` of a kustomization were applied, one entry after the other."""
    for item in maps_at(data, "images"):
        if new := text_at(item, "newName"):
            names = {new if name == item.get("name") else name for name in names}
    return names


def _resolved(path: str, reference: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), reference))


def _kustomizations_in(place: str) -> tuple[str, ...]:
    return tuple(posixpath.normpath(posixpath.join(place, name)) for name in KUSTOMIZATION_FILES)


_PATTERN = re.compile(r"[*+?\[\](){}|^$\\@]|:[^/]*\Z")  # kustomize reads names as patterns
_FLUX_CHANGES = ("patches", "components")  # they change what Flux has read


@frozen
class ImageUse:
    """Whether resources run the image of the entry for `name` in file `path`.

    `images` are the names of all images that the kustomization gets, None if some are not known.
    The entry is `added`, or `changed`, or neither. `own` is true for kustomize's own file, false
    for a Flux Kustomization, which may be for another repository. `near_name` is the name that was
    probably meant.
    """

    path: str
    name: str
    images: Collection[str] | None
    own: bool
    added: bool
    changed: bool
    near_name: str

    @property
    def runs(self) -> bool:
        """Whether a resource certainly runs the image."""
        return self.name in (self.images or ())

    @property
    def unused(self) -> bool:
        """Whether certainly no resource runs the image."""
        is_known = self.images is not None and not _PATTERN.search(self.name)
        return is_known and self.name not in (self.images or ())

    @property
    def certain(self) -> bool:
        """Whether a deployment to this entry certainly has no effect."""
        return self.unused and self.own and self.changed and bool(self.images)

    @property
    def warning(self) -> str:
        """The warning for people; empty if there is none."""
        guess = f"; did you mean {self.near_name}?" if self.near_name else ""
        verb = "gets" if self.added else "has"
        if self.unused:
            return (
                f"{self.path} {verb} an entry for an image called {self.name}, which none of its "
                "resources runs; known images: "
                f"{list_some(sorted(self.images or ())) or 'none'}{guess}"
            )
        if self.images is None and self.added and self.near_name:
            return f"{self.path} has no entry for an image called {self.name}, and gets one{guess}"
        return ""


def near_image(name: str, known: Collection[str]) -> str:
    """The known image that `name` probably means; empty if there is none."""
    return close(name, set(known) - {name}, cutoff=CUTOFF_FEW)


def kustomization_paths(path: str, files: Mapping[str, bytes]) -> set[str]:
    """The files that the kustomizations in a file read, directly or through others."""
    found = referenced_paths(path, files)
    for document in load_documents(files.get(path, b"")) or ():
        for candidate in _flux_roots(document):
            found |= {candidate} | referenced_paths(candidate, files)
    return found


def flux_image_names(document: Any, files: Mapping[str, bytes]) -> Collection[str] | None:
    """The names of the images that a Flux Kustomization gets; None if they are not known."""
    root = next((name for name in _flux_roots(document) if name in files), "")
    if not root or any(value_at(document, "spec", key) for key in _FLUX_CHANGES):
        return None
    used = old_and_new_names(root, files)
    # Flux replaces variables.
    return None if used is None or any("$" in name for name in used) else used


def old_and_new_names(path: str, files: Mapping[str, bytes]) -> set[str] | None:
    """The names of the images that the kustomization at `path` gets and gives; None if unknown."""
    used = image_names(path, files)
    documents = load_documents(files.get(path, b""))
    entries = maps_at(documents[0], "images") if documents else []
    new = {text_at(item, "newName") for item in entries} - {""}
    return None if used is None else used | new


def _flux_roots(document: Any) -> tuple[str, ...]:
    """The paths that the kustomization of a Flux Kustomization may have."""
    path = text_at(document, "spec", "path")
    folder = posixpath.normpath(path.lstrip("/")) if path else ""
    if not folder or folder.startswith(".."):
        return ()
    return tuple(posixpath.normpath(posixpath.join(folder, name)) for name in KUSTOMIZATION_FILES)


@frozen
class ImageList:
    """The `images` of a kustomization at `path` of a document.

    It has the entries, their names, and in `found` the numbers of the entries with our name.
    """

    document: int
    resource: str
    path: Path
    images: Node | None
    items: tuple[Node | None, ...]
    names: tuple[str, ...]
    found: tuple[int, ...]
    targets: Mapping[int, Node]

    def with_found(self, found: Sequence[int]) -> ImageList | None:
        """The same with some of the `found` entries only.

        None if there were some and none is left.
        """
        return replace(self, found=tuple(found)) if found or not self.found else None

    def edit(self, number: int, key: str, value: str | None, *, after: str = "") -> ValueEdit:
        """The edit of a key of an entry."""
        return ValueEdit(
            document=self.document, path=(*self.path, number, key), value=value, after=after
        )


def kustomizations(source: YamlSource) -> list[tuple[int, Path]]:
    """Document number, and path of the map with `images`, of each kustomization in a file.

    Kustomize's own file is one document. Flux has its Kustomization as a resource, perhaps beside
    others, with the images in its `spec`. Raises ConfigError if the file has none.
    """
    heads = [_head(source, number) for number in range(len(source.documents))]
    flux: list[tuple[int, Path]] = [
        (number, ("spec",))
        for number, (kind, group) in enumerate(heads)
        if (kind, group) == (_KINDS[0], _FLUX)
    ]
    if flux:
        return flux
    if (
        len(heads) != 1
        or not isinstance(source.documents[0].root, marks.MappingNode)
        or heads[0][0] not in (*_KINDS, None)
    ):
        raise ConfigError(
            f"{source.name} is not a kustomization file",
            where=source.name,
            hint=(
                "name a file with one document of kind Kustomization, or with Kustomizations of"
                " Flux"
            ),
        )
    return [(0, ())]


def _head(source: YamlSource, number: int) -> tuple[str | None, str]:
    """Kind and API group of a document; the kind is None if it has none."""
    root = source.documents[number].root
    kind = (
        value_without_merge(source, root, "kind", source.targets(root))
        if root is not None
        else None
    )
    group = map_texts(source, number, ()).get("apiVersion", "").partition("/")[0]
    return kind.value if isinstance(kind, ScalarNode) else None, group


def entry_texts(entry: Node | None, targets: Mapping[int, Node]) -> dict[str, str]:
    """The texts of an entry by key; a value that is not a text is empty."""
    pairs = entry.pairs if isinstance(entry, marks.MappingNode) else ()
    values = {
        key.value: resolve_alias(value, targets)
        for key, value in pairs
        if isinstance(key, ScalarNode)
    }
    return {
        key: value.value if isinstance(value, ScalarNode) else "" for key, value in values.items()
    }


def entry_image(name: str, fields: Mapping[str, str]) -> str:
    """The image that an entry makes of `name`; empty if there is no entry."""
    tag, digest = fields.get("newTag", ""), fields.get("digest", "")
    return (
        f"{fields.get('newName') or name}{f':{tag}' if tag else ''}{f'@{digest}' if digest else ''}"
        if fields
        else ""
    )
