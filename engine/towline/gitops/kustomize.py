"""Pure.

Tool `kustomize`: sets the entry of an image in a kustomization's `images`; order, other entries and
comments stay.

It does what `kustomize edit set image` does, without its faults: that command sorts the list, moves
comments and rewrites each known field (facts/gitops.md section 2.3).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from towline.console import silent
from towline.errors import ConfigError, RenderError
from towline.file_patterns import match_files, select_files
from towline.gitops.candidates import ANY_CHOICE, Candidate, Choice
from towline.gitops.kustomize_images import (
    ImageList,
    ImageUse,
    entry_image,
    entry_texts,
    flux_image_names,
    image_names,
    kustomization_paths,
    kustomizations,
    near_image,
)
from towline.gitops.manifest_images import last_part
from towline.gitops.notes import Note, Replaced
from towline.gitops.yaml_lookup import resource_at
from towline.record import frozen, replace
from towline.suggest import list_some, nearest
from towline.yaml import marks
from towline.yaml.aliases import REFUSE_ALIASES, AliasPolicy, resolve_alias
from towline.yaml.edit import (
    ValueEdit,
    edit,
    resolved_value,
    value_with_merge,
    value_without_merge,
)
from towline.yaml.marks import Node, Path, ScalarNode
from towline.yaml.plain_data import load_documents
from towline.yaml.plain_scalar import resolve_plain
from towline.yaml.source import YamlSource, read_source

_OLD_IMAGES_KEY = "imageTags"


@frozen
class KustomizeImage:
    """A Change that sets new name and tag, or digest, of image `name` in kustomizations.

    It edits each file that matches `pattern`. If `check_use` is true, `warn` is called for an entry
    whose image no resource runs; with `strict` that is an error if the entry existed and is to get
    another image.
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
        """Each file that matches the pattern; raises ConfigError if none does."""
        return select_files(self.pattern, listing)

    def context(self, _listing: Sequence[str], files: Mapping[str, bytes]) -> Collection[str]:
        """The files that the kustomizations read.

        They show whether a resource runs the image, and which of several kustomizations is for it.
        """
        paths = match_files(self.pattern, sorted(files))
        return (
            {wanted for path in paths for wanted in kustomization_paths(path, files)}
            if self.check_use or len(paths) > 1
            else set()
        )

    def apply(self, files: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """Edit or append the image's entry.

        Raises ConfigError for a file that is not a kustomization, RenderError if an edit is not
        safe.
        """
        uses: list[ImageUse] = []
        changed = {
            source.name: self._edited(source, lists, files, uses)
            for source, lists in self._chosen(
                [
                    read_source(path, files[path])
                    for path in match_files(self.pattern, sorted(files))
                ],
                files,
            )
        }
        self._report_unused(uses)
        return {path: data for path, data in changed.items() if data != files[path]}

    def _report_unused(self, uses: Sequence[ImageUse]) -> None:
        """Warn of entries whose image no resource runs.

        Raises ConfigError if `strict`, if all entries are such, and if one of them was to change.
        """
        if self.strict and all(use.unused for use in uses):
            for use in uses:
                if use.certain:
                    raise ConfigError(
                        use.warning,
                        where=use.path,
                        hint=(
                            "name in deploymentName or containers the image as the resources have"
                            " it; imageCheck: warn makes it a warning"
                        ),
                    )
        for use in uses:
            if use.warning:
                self.warn(use.warning)

    def _edited(
        self,
        source: YamlSource,
        lists: Sequence[ImageList],
        files: Mapping[str, bytes],
        uses: list[ImageUse],
    ) -> bytes:
        edits: list[ValueEdit] = []
        for image_list in lists:
            for entry in image_list.found:
                self._check_merged(source, image_list.items[entry], image_list.targets)
                edits += self._edits(image_list, entry)
            if not image_list.found:
                edits.append(self._appended(source, image_list))
            if self.check_use:
                uses.append(self._image_use(source, files, image_list))
            self._note_entries(source, image_list)
        return edit(source, edits, self.sharing)

    def _note_entries(self, source: YamlSource, image_list: ImageList) -> None:
        """Note the image of each entry, before and after; an added entry had none."""
        entries = [
            entry_texts(image_list.items[entry], image_list.targets) for entry in image_list.found
        ]
        for texts in entries or [{}]:
            self.note(
                Replaced(
                    file=source.name,
                    name=self.name,
                    old=entry_image(self.name, texts),
                    new=entry_image(self.name, self._wanted()),
                )
            )

    def _image_list(self, source: YamlSource, number: int, prefix: Path) -> ImageList:
        """The `images` of one document, with the entries of our name."""
        root = source.documents[number].root
        targets = source.targets(root)
        node: Node | None = root
        for key in prefix:
            node = resolved_value(source, node, str(key), targets)
        images = resolved_value(source, node, "images", targets)
        items = (
            tuple(resolve_alias(item, targets) for item in images.items)
            if isinstance(images, marks.SequenceNode)
            else ()
        )
        names = [value_with_merge(source, item, "name", targets) for item in items]
        entry_names = tuple(name.value if isinstance(name, ScalarNode) else "" for name in names)
        resource = resource_at(source, number, ())
        return ImageList(
            document=number,
            resource=resource,
            path=(*prefix, "images"),
            images=images,
            items=items,
            names=entry_names,
            targets=targets,
            found=tuple(entry for entry, name in enumerate(entry_names) if name == self.name),
        )

    def _chosen(
        self, sources: Sequence[YamlSource], files: Mapping[str, bytes]
    ) -> list[tuple[YamlSource, Sequence[ImageList]]]:
        """The kustomizations of each file that are meant, without entries for another image.

        Raises ConfigError.
        """
        lists_by_file: Sequence[tuple[YamlSource, list[ImageList]]] = [
            (
                source,
                [
                    self._image_list(source, number, prefix)
                    for number, prefix in kustomizations(source)
                ],
            )
            for source in sources
        ]
        lists_by_file = self._of_resource(lists_by_file) if self.choice.resource else lists_by_file
        with_image = self._with_image(
            [(source, lists) for source, lists in lists_by_file if lists], files
        )
        found = [
            (source, image_list, entry)
            for source, lists in with_image
            for image_list in lists
            for entry in image_list.found
        ]
        candidates = [self._candidate(*entry_found) for entry_found in found]
        choice = replace(self.choice, resource="")  # it has chosen the kustomizations already
        selected = choice.select(
            f"image {self.name!r}", candidates, entry_image(self.name, self._wanted())
        )
        selected_entries = {
            (source.name, image_list.document, entry)
            for (source, image_list, entry), keep in zip(found, selected, strict=True)
            if keep
        }
        chosen = list[tuple[YamlSource, Sequence[ImageList]]]()
        for source, lists in with_image:
            chosen_lists: list[ImageList] = []
            for image_list in lists:
                entries = [
                    entry
                    for entry in image_list.found
                    if (source.name, image_list.document, entry) in selected_entries
                ]
                if some_entries := image_list.with_found(entries):
                    chosen_lists.append(some_entries)
            chosen.append((source, chosen_lists))
        return chosen

    def _of_resource(
        self, lists_by_file: Sequence[tuple[YamlSource, list[ImageList]]]
    ) -> Sequence[tuple[YamlSource, list[ImageList]]]:
        """The kustomizations of the configured resource, in all files.

        A single kustomization is taken whatever its name; so are those without names. Raises
        ConfigError.
        """
        of_resource = [
            (
                source,
                [
                    image_list
                    for image_list in lists
                    if self.choice.names_resource(image_list.resource)
                ],
            )
            for source, lists in lists_by_file
        ]
        resources = [image_list.resource for _, lists in lists_by_file for image_list in lists]
        if any(lists for _, lists in of_resource):
            return of_resource
        if len(resources) > 1 and any(resources):
            where = lists_by_file[0][0].name
            raise ConfigError(
                f"{self.choice.resource} is not in {where}",
                where=where,
                hint=nearest(
                    self.choice.resource, [resource for resource in resources if resource]
                ),
            )
        return lists_by_file

    def _with_image(
        self,
        lists_by_file: Sequence[tuple[YamlSource, Sequence[ImageList]]],
        files: Mapping[str, bytes],
    ) -> list[tuple[YamlSource, Sequence[ImageList]]]:
        """The kustomizations of each file with an entry for the image, else those that run it.

        If there are such, other files are left alone. If there are none, it is the only
        kustomization of each file, without those that certainly do not run the image if there are
        others. Raises ConfigError if a file then has several.
        """
        with_entry: list[tuple[YamlSource, Sequence[ImageList]]] = []
        unknown: list[tuple[YamlSource, Sequence[ImageList]]] = []
        several = len(lists_by_file) > 1 or any(len(lists) > 1 for _, lists in lists_by_file)
        for source, lists in lists_by_file:
            found = [image_list for image_list in lists if image_list.found]
            uses = (
                [self._image_use(source, files, image_list) for image_list in lists]
                if several and not found
                else []
            )
            found = found or [
                image_list for image_list, use in zip(lists, uses, strict=False) if use.runs
            ]
            with_entry += [(source, found)] if found else []
            unknown += [] if uses and all(use.unused for use in uses) else [(source, lists)]
        for source, lists in [] if with_entry else unknown or lists_by_file:
            if len(lists) > 1:
                raise ConfigError(
                    f"no kustomization of {source.name} has an image called {self.name!r}, and"
                    f" there are {len(lists)}",
                    where=source.name,
                    hint=(
                        "resource: kind/name chooses one:"
                        f" {list_some([image_list.resource for image_list in lists])}"
                    ),
                )
        chosen = with_entry or unknown or list(lists_by_file)
        names = {source.name for source, _ in chosen}
        if others := [source.name for source, _ in lists_by_file if source.name not in names]:
            self.choice.say(
                f"  image {self.name!r} gets no entry in {list_some(others)}: only resources of"
                f" {list_some(sorted(names))} are known to run it"
            )
        return chosen

    def _candidate(self, source: YamlSource, image_list: ImageList, entry: int) -> Candidate:
        """An entry as a candidate with the image that it makes.

        That image is not known if the entry's `name` is a bare placeholder.
        """
        entry_fields = entry_texts(image_list.items[entry], image_list.targets)
        identifies = (
            entry_fields.get("newName")
            or "/" in self.name
            or last_part(self.name) == last_part(self.new_name)
        )
        return Candidate(
            file=source.name,
            resource=image_list.resource,
            image=entry_image(self.name, entry_fields) if identifies else "",
        )

    def _image_use(
        self, source: YamlSource, files: Mapping[str, bytes], image_list: ImageList
    ) -> ImageUse:
        """Whether the resources of the kustomization run the image, as far as files can be read."""
        path = source.name
        documents, own = load_documents(files[path]) or [], image_list.path == ("images",)
        shown = documents[image_list.document] if len(documents) == len(source.documents) else None
        images = image_names(path, files) if own else flux_image_names(shown, files)
        entries = [
            (name, entry_texts(item, image_list.targets))
            for name, item in zip(image_list.names, image_list.items, strict=True)
        ]
        before = [
            texts.get("newName", "")
            for _, texts in entries[: max(image_list.found, default=len(entries))]
        ]
        # Each entry renames the images that the entries before it made.
        all_images = None if images is None else {*images, *filter(None, before)}
        renamed = [
            name
            for name, texts in entries
            if name != self.name and texts.get("newName") == self.new_name
        ]
        our_entries = [entries[number][1] for number in image_list.found]
        return ImageUse(
            path=path,
            name=self.name,
            images=all_images,
            own=own,
            added=not our_entries,
            changed=any(
                entry_image(self.name, texts) != entry_image(self.name, self._wanted())
                for texts in our_entries
            ),
            near_name=renamed[0]
            if renamed
            else near_image(self.name, {*(images or ()), *image_list.names}),
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
        """Pass if no merge key brings in a digest or tag that kustomize would use beside ours.

        Raises RenderError.
        """
        unwanted = "newTag" if self.digest else "digest"
        if (
            entry is not None
            and unwanted not in entry_texts(entry, targets)
            and value_with_merge(source, entry, unwanted, targets) is not None
        ):
            raise RenderError(
                f"{unwanted} of {self.name} comes from a merge key, and kustomize would use it too",
                where=source.where(entry.start),
                hint="remove it from the merged map, or write it into the entry",
            )

    def _edits(self, image_list: ImageList, number: int) -> list[ValueEdit]:
        """The edits of one entry; a digest that replaces a tag, or the reverse, keeps its line."""
        keys = set(entry_texts(image_list.items[number], image_list.targets))
        wanted, unwanted = ("digest", "newTag") if self.digest else ("newTag", "digest")
        after = "newName" if "newName" in keys else "name"
        edits = [
            image_list.edit(number, key, value, after=after)
            for key, value in self._wanted().items()
        ]
        if unwanted not in keys or wanted not in self._wanted():
            return edits
        if wanted in keys:
            return [*edits, image_list.edit(number, unwanted, None)]
        return [
            *edits[:-1],
            replace(image_list.edit(number, unwanted, self._wanted()[wanted]), rename=wanted),
        ]

    def _appended(self, source: YamlSource, image_list: ImageList) -> ValueEdit:
        entry, images = {"name": self.name, **self._wanted()}, image_list.images
        old = value_without_merge(
            source, source.documents[image_list.document].root, _OLD_IMAGES_KEY, image_list.targets
        )
        if images is None and old is not None:
            raise RenderError(
                f"{_OLD_IMAGES_KEY} is kustomize's old name of images, and a file cannot have both",
                where=source.where(old.start),
                hint=f"rename {_OLD_IMAGES_KEY} to images",
            )
        if isinstance(images, marks.SequenceNode):
            return ValueEdit(
                document=image_list.document,
                path=(*image_list.path, len(images.items)),
                value=entry,
            )
        if images is None or (
            isinstance(images, ScalarNode)
            and not images.style
            and resolve_plain(images.value) is None
        ):
            return ValueEdit(document=image_list.document, path=image_list.path, value=(entry,))
        raise RenderError(
            "images is not a list",
            where=source.where(images.start),
            hint="make it a list of entries with a name",
        )
