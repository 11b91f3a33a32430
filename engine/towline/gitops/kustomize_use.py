"""Pure. Whether what a kustomization reads runs the image that an entry of its `images` is for."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from towline.gitops.kustomize_names import FILES, image_names, read_further
from towline.gitops.plain_data import at, load, maps_at, text_at
from towline.suggest import close, some

_PATTERN = re.compile(r"[*+?\[\](){}|^$\\@]|:[^/]*\Z")  # kustomize takes names for patterns
_MORE = ("patches", "components")  # by which Flux changes what it has read


@dataclass(frozen=True, kw_only=True)
class Use:
    """What is known of the entry for `name` in file `path`: the images that are there to be run.

    `images` is None if not all can be read. The entry is `added`, or `changed`, or neither.
    With `own` it is kustomize's file itself, else one of Flux, which may mean the files of
    another repository. `near` is the name that was probably meant.
    """

    path: str
    name: str
    images: Collection[str] | None
    own: bool
    added: bool
    changed: bool
    near: str

    @property
    def runs(self) -> bool:
        """Whether it is known that something runs the image."""
        return self.name in (self.images or ())

    @property
    def none(self) -> bool:
        """Whether it is known that nothing runs the image."""
        known = self.images is not None and not _PATTERN.search(self.name)
        return known and self.name not in (self.images or ())

    @property
    def sure(self) -> bool:
        """Whether to deploy to this entry is without effect for certain."""
        return self.none and self.own and self.changed and bool(self.images)

    @property
    def told(self) -> str:
        """What people should know of it; empty for nothing."""
        guess = f"; did you mean {self.near}?" if self.near else ""
        verb = "gets" if self.added else "has"
        if self.none:
            return (
                f"{self.path} {verb} an entry for an image called {self.name}, which none of its "
                "resources runs; images that are there: "
                f"{some(sorted(self.images or ())) or 'none'}{guess}"
            )
        if self.images is None and self.added and self.near:
            return f"{self.path} has no entry for an image called {self.name}, and gets one{guess}"
        return ""


def alike(name: str, known: Collection[str]) -> str:
    """The known name that was probably meant; empty for none."""
    return close(name, set(known) - {name}, cutoff=0.7)


def looks(path: str, files: Mapping[str, bytes]) -> set[str]:
    """What the kustomizations of a file read, itself or by way of those in `files`."""
    found = read_further(path, files)
    for document in load(files.get(path, b"")) or ():
        for candidate in _of_flux(document):
            found |= {candidate} | read_further(candidate, files)
    return found


def images_for(document: Any, files: Mapping[str, bytes]) -> Collection[str] | None:
    """Names of the images that a Kustomization of Flux gets; None where that is not known."""
    root = next((name for name in _of_flux(document) if name in files), "")
    if not root or any(at(document, "spec", key) for key in _MORE):
        return None
    used = names_after(root, files)
    # Flux fills variables in
    return None if used is None or any("$" in name for name in used) else used


def names_after(path: str, files: Mapping[str, bytes]) -> set[str] | None:
    """Names of the images that the kustomization at `path` gets and gives; None if unknown."""
    used = image_names(path, files)
    documents = load(files.get(path, b""))
    entries = maps_at(documents[0], "images") if documents else []
    new = {text_at(item, "newName") for item in entries} - {""}
    return None if used is None else used | new


def _of_flux(document: Any) -> tuple[str, ...]:
    """Where the kustomization may lie that a Kustomization of Flux is about."""
    path = text_at(document, "spec", "path")
    folder = posixpath.normpath(path.lstrip("/")) if path else ""
    if not folder or folder.startswith(".."):
        return ()
    return tuple(posixpath.normpath(posixpath.join(folder, name)) for name in FILES)
