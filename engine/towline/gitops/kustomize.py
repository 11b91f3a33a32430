"""Pure.

Tool `kustomize`: the entry of an image in a kustomization file's `images`, edited in place; order,
other entries and comments stay.

What `kustomize edit set image` does, without its faults: it sorts the list, moves comments and
rewrites every known field (facts/gitops.md section 2.3).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from towline.console import silent
from towline.errors import ConfigError, RenderError
from towline.gitops.candidates import ANY_CHOICE, Candidate, Choice
from towline.gitops.change import Note, Replaced, match, select
from towline.gitops.kustomize_images import (
    ImageUse,
    flux_image_names,
    image_names,
    kustomization_paths,
    near_image,
)
from towline.gitops.manifest_images import last_part
from towline.gitops.yaml_lookup import map_texts, resource_at
from towline.record import frozen, replace
from towline.suggest import list_some, nearest
from towline.yaml import marks
from towline.yaml.aliases import REFUSE_ALIASES, AliasPolicy, resolve_alias
from towline.yaml.edit import ValueEdit, edit, value_with_merge, value_without_merge
from towline.yaml.marks import Node, Path, ScalarNode
from towline.yaml.plain_data import load_documents
from towline.yaml.plain_scalar import resolve_plain
from towline.yaml.source import YamlSource, read_source

_KINDS = ("Kustomization", "Component")
_OLD_IMAGES_KEY = "imageTags"
_FLUX = "kustomize.toolkit.fluxcd.io"


@frozen
class KustomizeImage:
    """Sets new name and new tag, or digest, of image `name` in every kustomization file that fits `pattern`; a Change.

    `warn` is told of an entry for an image that no resource runs; with `strict` it is an error if
    the entry was there and is to get another image. Neither is looked for without `check_use`.
    """

    pattern: str
    name: str
    new_name: str
    new_tag: str
    digest: str = ""
    note: Note = silent
    sharing: AliasPolicy = REFUSE_ALIASES
    choice: Choice = ANY_CHOICE
    warn: Callable[[str], None] = silent
    check_use: bool = True
    strict: bool = False

    def wants(self, listing: Sequence[str]) -> Sequence[str]:
        """Every file that fits the pattern; raises ConfigError where none does."""
        return select(self.pattern, listing)

    def context(self, _listing: Sequence[str], files: Mapping[str, bytes]) -> Collection[str]:
        """What the kustomizations read: it tells whether an entry is run, and which of several files is for the image."""
        ours = match(self.pattern, sorted(files))
        return (
            {one for path in ours for one in kustomization_paths(path, files)}
            if self.check_use or len(ours) > 1
            else set()
        )

    def apply(self, files: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """Edit or append the image's entry; raises ConfigError for a file that is no kustomization, RenderError where an edit is not safe."""
        uses: list[ImageUse] = []
        changed = {
            source.name: self._edited(source, places, files, uses)
            for source, places in self._chosen(
                [read_source(path, files[path]) for path in match(self.pattern, sorted(files))],
                files,
            )
        }
        self._judge(uses)
        return {path: data for path, data in changed.items() if data != files[path]}

    def _judge(self, uses: Sequence[ImageUse]) -> None:
        """Say which entries nothing runs; raises ConfigError if there is no other, and one was to change."""
        if self.strict and all(use.none for use in uses):
            for use in uses:
                if use.sure:
                    raise ConfigError(
                        use.told,
                        where=use.path,
                        hint=(
                            "name in deploymentName or containers the image as the resources have"
                            " it; imageCheck: warn makes it a warning"
                        ),
                    )
        for use in uses:
            if use.told:
                self.warn(use.told)

    def _edited(
        self,
        source: YamlSource,
        places: Sequence[_ImageList],
        files: Mapping[str, bytes],
        uses: list[ImageUse],
    ) -> bytes:
        edits: list[ValueEdit] = []
        for place in places:
            for entry in place.found:
                self._check_merged(source, place.items[entry], place.targets)
                edits += self._edits(place, entry)
            if not place.found:
                edits.append(self._appended(source, place))
            if self.check_use:
                uses.append(self._use(source, files, place))
            for texts in [
                _entry_texts(place.items[entry], place.targets) for entry in place.found
            ] or [{}]:
                self.note(
                    Replaced(
                        file=source.name,
                        name=self.name,
                        old=_entry_image(self.name, texts),
                        new=_entry_image(self.name, self._wanted()),
                    )
                )
        return edit(source, edits, self.sharing)

    def _place(self, source: YamlSource, number: int, prefix: Path) -> _ImageList:
        """The images of one document, and which of them have our name."""
        root = source.documents[number].root
        targets = source.targets(root)
        node: Node | None = root
        for key in prefix:
            node = resolve_alias(value_without_merge(source, node, str(key), targets), targets)
        images = resolve_alias(value_without_merge(source, node, "images", targets), targets)
        items = (
            tuple(resolve_alias(item, targets) for item in images.items)
            if isinstance(images, marks.SequenceNode)
            else ()
        )
        names = [value_with_merge(source, item, "name", targets) for item in items]
        called = tuple(name.value if isinstance(name, ScalarNode) else "" for name in names)
        resource = resource_at(source, number, ())
        return _ImageList(
            document=number,
            resource=resource,
            path=(*prefix, "images"),
            images=images,
            items=items,
            names=called,
            targets=targets,
            found=tuple(entry for entry, name in enumerate(called) if name == self.name),
        )

    def _chosen(
        self, sources: Sequence[YamlSource], files: Mapping[str, bytes]
    ) -> list[tuple[YamlSource, Sequence[_ImageList]]]:
        """The kustomizations of each file that are meant, without the entries that are for another image; raises ConfigError."""
        every: Sequence[tuple[YamlSource, list[_ImageList]]] = [
            (
                source,
                [self._place(source, number, prefix) for number, prefix in kustomizations(source)],
            )
            for source in sources
        ]
        every = self._named(every) if self.choice.resource else every
        having = self._having([(source, places) for source, places in every if places], files)
        found = [
            (source, place, entry)
            for source, places in having
            for place in places
            for entry in place.found
        ]
        candidates = [self._candidate(*one) for one in found]
        choice = replace(self.choice, resource="")  # by which the places are chosen already
        kept = choice.select(
            f"image {self.name!r}", candidates, _entry_image(self.name, self._wanted())
        )
        ours = {
            (source.name, place.document, entry)
            for (source, place, entry), keep in zip(found, kept, strict=True)
            if keep
        }
        return [
            (
                source,
                [
                    left
                    for place in places
                    if (
                        left := place.of(
                            [
                                entry
                                for entry in place.found
                                if (source.name, place.document, entry) in ours
                            ]
                        )
                    )
                ],
            )
            for source, places in having
        ]

    def _named(
        self, every: Sequence[tuple[YamlSource, list[_ImageList]]]
    ) -> Sequence[tuple[YamlSource, list[_ImageList]]]:
        """Those of the resource that is chosen, in all files; a single one, or those that have no names, it cannot choose.

        Raises ConfigError.
        """
        named = [
            (source, [place for place in places if self.choice.names_resource(place.resource)])
            for source, places in every
        ]
        known = [place.resource for _, places in every for place in places]
        if any(places for _, places in named):
            return named
        if len(known) > 1 and any(known):
            where = every[0][0].name
            raise ConfigError(
                f"{self.choice.resource} is not in {where}",
                where=where,
                hint=nearest(self.choice.resource, [one for one in known if one]),
            )
        return every

    def _having(
        self, every: Sequence[tuple[YamlSource, Sequence[_ImageList]]], files: Mapping[str, bytes]
    ) -> list[tuple[YamlSource, Sequence[_ImageList]]]:
        """The kustomizations with an entry for the image, else those that run it, of each file.

        Files without such are left alone beside others. If all are, it is each file's only
        kustomization, but for those that are known to run no such image, beside others.
        Raises ConfigError where a file has several.
        """
        having: list[tuple[YamlSource, Sequence[_ImageList]]] = []
        unknown: list[tuple[YamlSource, Sequence[_ImageList]]] = []
        several = len(every) > 1 or any(len(places) > 1 for _, places in every)
        for source, places in every:
            found = [place for place in places if place.found]
            uses = (
                [self._use(source, files, place) for place in places]
                if several and not found
                else []
            )
            found = found or [place for place, use in zip(places, uses, strict=False) if use.runs]
            having += [(source, found)] if found else []
            unknown += [] if uses and all(use.none for use in uses) else [(source, places)]
        for source, places in [] if having else unknown or every:
            if len(places) > 1:
                raise ConfigError(
                    f"no kustomization of {source.name} has an image called {self.name!r}, and"
                    f" there are {len(places)}",
                    where=source.name,
                    hint=(
                        "resource: kind/name chooses one:"
                        f" {list_some([place.resource for place in places])}"
                    ),
                )
        chosen = having or unknown or list(every)
        names = {source.name for source, _ in chosen}
        if left := [source.name for source, _ in every if source.name not in names]:
            self.choice.say(
                f"  image {self.name!r} gets no entry in {list_some(left)}, where no resource is known"
                f" to run it, unlike in {list_some(sorted(names))}"
            )
        return chosen

    def _candidate(self, source: YamlSource, place: _ImageList, entry: int) -> Candidate:
        """An entry with the image that it makes; of a bare placeholder as `name` that is not known."""
        texts = _entry_texts(place.items[entry], place.targets)
        telling = (
            texts.get("newName")
            or "/" in self.name
            or last_part(self.name) == last_part(self.new_name)
        )
        return Candidate(
            file=source.name,
            resource=place.resource,
            image=_entry_image(self.name, texts) if telling else "",
        )

    def _use(self, source: YamlSource, files: Mapping[str, bytes], place: _ImageList) -> ImageUse:
        """Whether what the kustomization reads runs the image, as far as that can be read."""
        path = source.name
        documents, own = load_documents(files[path]) or [], place.path == ("images",)
        shown = documents[place.document] if len(documents) == len(source.documents) else None
        images = image_names(path, files) if own else flux_image_names(shown, files)
        entries = [
            (name, _entry_texts(item, place.targets))
            for name, item in zip(place.names, place.items, strict=True)
        ]
        before = [
            texts.get("newName", "")
            for _, texts in entries[: max(place.found, default=len(entries))]
        ]
        # entries work one after the other
        known = None if images is None else {*images, *filter(None, before)}
        renamed = [
            name
            for name, texts in entries
            if name != self.name and texts.get("newName") == self.new_name
        ]
        ours = [entries[number][1] for number in place.found]
        return ImageUse(
            path=path,
            name=self.name,
            images=known,
            own=own,
            added=not ours,
            changed=any(
                _entry_image(self.name, texts) != _entry_image(self.name, self._wanted())
                for texts in ours
            ),
            near=renamed[0] if renamed else near_image(self.name, {*(images or ()), *place.names}),
        )

    def _wanted(self) -> dict[str, str]:
        fields = (
            {"newName": self.new_name, "digest": self.digest}
            if self.digest
            else {"newName": self.new_name, "newTag": self.new_tag}
        )
        return {key: value for key, value in fields.items() if value}

    def _check_merged(
        self, source: YamlSource, entry: Node | None, targets: Mapping[int, Node]
    ) -> None:
        """Refuse a digest or tag that a merge key brings in, and that would stand beside ours."""
        unwanted = "newTag" if self.digest else "digest"
        if (
            entry is not None
            and unwanted not in _entry_texts(entry, targets)
            and value_with_merge(source, entry, unwanted, targets) is not None
        ):
            raise RenderError(
                f"{unwanted} of {self.name} comes from a merge key, and would count too",
                where=source.where(entry.start),
                hint="take it out of what is merged, or write it out in the entry",
            )

    def _edits(self, place: _ImageList, number: int) -> list[ValueEdit]:
        """Changes of one entry: where a digest takes the place of a tag, or a tag that of a digest, it stands in the same line."""
        keys = set(_entry_texts(place.items[number], place.targets))
        wanted, unwanted = ("digest", "newTag") if self.digest else ("newTag", "digest")
        after = "newName" if "newName" in keys else "name"
        edits = [
            place.edit(number, key, value, after=after) for key, value in self._wanted().items()
        ]
        if unwanted not in keys or wanted not in self._wanted():
            return edits
        if wanted in keys:
            return [*edits, place.edit(number, unwanted, None)]
        return [
            *edits[:-1],
            replace(place.edit(number, unwanted, self._wanted()[wanted]), rename=wanted),
        ]

    def _appended(self, source: YamlSource, place: _ImageList) -> ValueEdit:
        entry, images = {"name": self.name, **self._wanted()}, place.images
        old = value_without_merge(
            source, source.documents[place.document].root, _OLD_IMAGES_KEY, place.targets
        )
        if images is None and old is not None:
            raise RenderError(
                f"{_OLD_IMAGES_KEY} is what kustomize called images once, and it takes no file with both",
                where=source.where(old.start),
                hint=f"rename {_OLD_IMAGES_KEY} to images",
            )
        if isinstance(images, marks.SequenceNode):
            return ValueEdit(
                document=place.document, path=(*place.path, len(images.items)), value=entry
            )
        if images is None or (
            isinstance(images, ScalarNode)
            and not images.style
            and resolve_plain(images.value) is None
        ):
            return ValueEdit(document=place.document, path=place.path, value=(entry,))
        raise RenderError(
            "images is no list",
            where=source.where(images.start),
            hint="make it a list of entries with a name",
        )


@frozen
class _ImageList:
    """The `images` of a kustomization, at `path` of a document: entries and their names, and the numbers of those that are `found`."""

    document: int
    resource: str
    path: Path
    images: Node | None
    items: tuple[Node | None, ...]
    names: tuple[str, ...]
    found: tuple[int, ...]
    targets: Mapping[int, Node]

    def of(self, found: Sequence[int]) -> _ImageList | None:
        """The same for some of the `found` only; None where of several none is left."""
        return replace(self, found=tuple(found)) if found or not self.found else None

    def edit(self, number: int, key: str, value: str | None, *, after: str = "") -> ValueEdit:
        """The edit of a key of an entry."""
        return ValueEdit(
            document=self.document, path=(*self.path, number, key), value=value, after=after
        )


def kustomizations(source: YamlSource) -> list[tuple[int, Path]]:
    """Where kustomizations are in a file: the number of the document, and the path of what holds `images`; raises ConfigError where there is none.

    Kustomize's own file is one document; Flux has its Kustomization as a resource, among others
    too, with the images in its `spec`.
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
            f"{source.name} is no kustomization file",
            where=source.name,
            hint=(
                "name a file with one document of kind Kustomization, or with Kustomizations of"
                " Flux"
            ),
        )
    return [(0, ())]


def _head(source: YamlSource, number: int) -> tuple[str | None, str]:
    """Kind and group of the API of a document; no kind where there is none."""
    root = source.documents[number].root
    kind = (
        value_without_merge(source, root, "kind", source.targets(root))
        if root is not None
        else None
    )
    group = map_texts(source, number, ()).get("apiVersion", "").partition("/")[0]
    return kind.value if isinstance(kind, ScalarNode) else None, group


def _entry_texts(entry: Node | None, targets: Mapping[int, Node]) -> dict[str, str]:
    pairs = entry.pairs if isinstance(entry, marks.MappingNode) else ()
    values = {
        key.value: resolve_alias(value, targets)
        for key, value in pairs
        if isinstance(key, ScalarNode)
    }
    return {
        key: value.value if isinstance(value, ScalarNode) else "" for key, value in values.items()
    }


def _entry_image(name: str, fields: Mapping[str, str]) -> str:
    """The image that an entry makes of `name`; empty for no entry."""
    tag, digest = fields.get("newTag", ""), fields.get("digest", "")
    return (
        f"{fields.get('newName') or name}{f':{tag}' if tag else ''}{f'@{digest}' if digest else ''}"
        if fields
        else ""
    )
