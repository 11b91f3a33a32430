"""Pure. Tool `kustomize`: the entry of an image in a kustomization file's `images`, edited in place; order, other entries and comments stay.

What `kustomize edit set image` does, without its faults: it sorts the list, moves comments and rewrites every known field (facts/gitops.md section 2.3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from towline import yaml_marks
from towline.errors import ConfigError, RenderError
from towline.gitops.aliases import REFUSING, Sharing, meant, merged
from towline.gitops.change import Note, Replaced, select, unnoted
from towline.gitops.choice import ANY, Choice
from towline.gitops.document import Edit, edit, own_value
from towline.gitops.source import Source, read
from towline.yaml_marks import Node, Path, Scalar, plain

_KINDS = ("Kustomization", "Component")


@dataclass(frozen=True, kw_only=True)
class KustomizeImage:
    """Sets new name and new tag, or digest, of image `name` in every kustomization file that fits `pattern`; a Change."""

    pattern: str
    name: str
    new_name: str
    new_tag: str
    digest: str = ""
    note: Note = unnoted
    sharing: Sharing = REFUSING
    choice: Choice = ANY

    def wants(self, listing: Sequence[str]) -> Sequence[str]:
        """Every file that fits the pattern; raises ConfigError where none does."""
        return select(self.pattern, listing)

    def apply(self, files: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """Edit or append the image's entry; raises ConfigError for a file that is no kustomization, RenderError where an edit is not safe."""
        changed = {path: self._edited(path, data) for path, data in sorted(files.items())}
        return {path: data for path, data in changed.items() if data != files[path]}

    def _edited(self, path: str, data: bytes) -> bytes:
        source = read(path, data)
        root = _root(source)
        targets = yaml_marks.aliases(root)
        images = meant(own_value(source, root, "images", targets), targets)
        items = [meant(item, targets) for item in images.items] if isinstance(images, yaml_marks.Sequence) else []
        names = [_value_of(source, item, "name", targets) for item in items]
        found = [number for number, name in enumerate(names) if isinstance(name, Scalar) and name.value == self.name]
        for entry in [items[number] for number in found] or [root]:
            texts = _texts(entry, targets) if found else {}
            self.note(Replaced(file=path, name=self.name, old=_image(self.name, texts), new=_image(self.name, self._wanted())))
        if not found:
            return edit(source, [self._appended(source, images)], self.sharing)
        for number in found:
            self._check_merged(source, items[number], targets)
        edits = [one for number in found for one in self._edits(("images", number), set(_texts(items[number], targets)))]
        return edit(source, edits, self.sharing)

    def _wanted(self) -> dict[str, str]:
        fields = {"newName": self.new_name, "digest": self.digest} if self.digest else {"newName": self.new_name, "newTag": self.new_tag}
        return {key: value for key, value in fields.items() if value}

    def _check_merged(self, source: Source, entry: Node | None, targets: Mapping[int, Node]) -> None:
        """Refuse a digest or tag that a merge key brings in, and that would stand beside ours."""
        unwanted = "newTag" if self.digest else "digest"
        if entry is not None and unwanted not in _texts(entry, targets) and _value_of(source, entry, unwanted, targets) is not None:
            raise RenderError(f"{unwanted} of {self.name} comes from a merge key, and would count too", where=source.where(entry.start),
                              hint="take it out of what is merged, or write it out in the entry")

    def _edits(self, place: Path, keys: set[str]) -> list[Edit]:
        """Changes of one entry: where a digest takes the place of a tag, or a tag that of a digest, it stands in the same line."""
        wanted, unwanted = ("digest", "newTag") if self.digest else ("newTag", "digest")
        after = "newName" if "newName" in keys else "name"
        edits = [Edit(path=(*place, key), value=value, after=after) for key, value in self._wanted().items()]
        if unwanted not in keys or wanted not in self._wanted():
            return edits
        if wanted in keys:
            return [*edits, Edit(path=(*place, unwanted), value=None)]
        return [*edits[:-1], Edit(path=(*place, unwanted), value=self._wanted()[wanted], rename=wanted)]

    def _appended(self, source: Source, images: Node | None) -> Edit:
        entry = {"name": self.name, **self._wanted()}
        if isinstance(images, yaml_marks.Sequence):
            return Edit(path=("images", len(images.items)), value=entry)
        if images is None or (isinstance(images, Scalar) and not images.style and plain(images.value) is None):
            return Edit(path=("images",), value=(entry,))
        raise RenderError("images is no list", where=source.where(images.start), hint="make it a list of entries with a name")


def _root(source: Source) -> yaml_marks.Mapping:
    """The mapping of a kustomization file; raises ConfigError."""
    roots = [document.root for document in source.documents if document.root is not None]
    root = roots[0] if len(roots) == 1 and len(source.documents) == 1 else None
    kind = own_value(source, root, "kind", yaml_marks.aliases(root)) if root else None
    if not isinstance(root, yaml_marks.Mapping) or (isinstance(kind, Scalar) and kind.value not in _KINDS):
        raise ConfigError(f"{source.name} is no kustomization file", where=source.name, hint="name a file with one document of kind Kustomization")
    return root


def _value_of(source: Source, entry: Node | None, key: str, targets: Mapping[int, Node]) -> Node | None:
    """What an entry has at a key, itself or by a merge key."""
    own = meant(own_value(source, entry, key, targets), targets)
    return own if own is not None or not isinstance(entry, yaml_marks.Mapping) else merged(entry.pairs, key, targets)


def _texts(entry: Node | None, targets: Mapping[int, Node]) -> dict[str, str]:
    pairs = entry.pairs if isinstance(entry, yaml_marks.Mapping) else ()
    values = {key.value: meant(value, targets) for key, value in pairs if isinstance(key, Scalar)}
    return {key: value.value if isinstance(value, Scalar) else "" for key, value in values.items()}


def _image(name: str, fields: Mapping[str, str]) -> str:
    """The image that an entry makes of `name`; empty for no entry."""
    tag, digest = fields.get("newTag", ""), fields.get("digest", "")
    return f"{fields.get('newName') or name}{f':{tag}' if tag else ''}{f'@{digest}' if digest else ''}" if fields else ""
