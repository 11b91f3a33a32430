"""Pure.

Tool `kubectl`: sets the image of a named container in plain manifests, and changes nothing else of
the file.

Kinds are not listed: anything with a pod specification counts, so Deployment, CronJob, Pod, Argo
Rollout and Knative Service all work (facts/gitops.md section 4.5). It is an error if no file has
the container; Piper's `kubectl patch` adds one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import compress, groupby

from towline.console import silent
from towline.errors import ConfigError, placed
from towline.file_patterns import select_files
from towline.gitops.candidates import ANY_CHOICE, Candidate, Choice
from towline.gitops.image_parts import with_image
from towline.gitops.notes import Note, Replaced
from towline.gitops.yaml_lookup import resource_at
from towline.record import frozen
from towline.suggest import nearest
from towline.yaml import marks
from towline.yaml.aliases import REFUSE_ALIASES, AliasPolicy, resolve_alias
from towline.yaml.edit import (
    ValueEdit,
    edit,
    resolved_value,
    value_with_merge,
)
from towline.yaml.marks import Node, Path, ScalarNode
from towline.yaml.source import YamlSource, read_source

_CONTAINER_LISTS = ("containers", "initContainers", "ephemeralContainers")


@frozen
class ContainerImage:
    """A Change that sets the image of `container` to `image` in each file that matches `pattern`.

    `note` gets what it replaced. If several containers have the name, `choice` selects among them.
    """

    pattern: str
    container: str
    image: str
    note: Note = silent
    sharing: AliasPolicy = REFUSE_ALIASES
    choice: Choice = ANY_CHOICE

    def wants(self, listing: Sequence[str]) -> Sequence[str]:
        """Each file that matches the pattern; raises ConfigError if none does."""
        return select_files(self.pattern, listing)

    def apply(self, files: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """Edit each place that has the container.

        Raises ConfigError if no file has it, RenderError if an edit is not safe.
        """
        names: set[str] = set()
        found: list[tuple[YamlSource, _Container]] = []
        for path, data in sorted(files.items()):
            source = read_source(path, data)
            containers = tuple(_containers(source))
            names.update(container.name for container in containers)
            found += [
                (source, container) for container in containers if container.name == self.container
            ]
        if not found:
            where = ", ".join(sorted(files)) or self.pattern
            raise ConfigError(
                f"container {self.container!r} is not in {where}",
                where=where,
                hint=_hint(self.container, names),
            )
        candidates = [_candidate(source, container) for source, container in found]
        chosen = self.choice.select(f"container {self.container!r}", candidates, self.image)
        changed = dict(
            self._edited(matches)
            for _, matches in groupby(
                compress(found, chosen), key=lambda container: container[0].name
            )
        )
        return {path: data for path, data in changed.items() if data != files[path]}

    def _edited(self, matches: Iterable[tuple[YamlSource, _Container]]) -> tuple[str, bytes]:
        """A file's name and new content; raises RenderError."""
        edits: list[ValueEdit] = []
        for source, container in matches:
            image = self._image(source.name, container)
            edits.append(
                ValueEdit(
                    document=container.document,
                    path=(*container.path, "image"),
                    value=image,
                    after="name",
                )
            )
            self.note(
                Replaced(file=source.name, name=self.container, old=container.image, new=image)
            )
        return source.name, edit(source, edits, self.sharing)

    def _image(self, path: str, container: _Container) -> str:
        """The new image of the container; raises RenderError.

        A template is replaced as a whole: the edit then refuses it.
        """
        with placed(path):
            return (
                self.image if "{{" in container.image else with_image(container.image, self.image)
            )


def _candidate(source: YamlSource, container: _Container) -> Candidate:
    resource = resource_at(source, container.document, container.path)
    return Candidate(file=source.name, resource=resource, image=container.image)


def _hint(wanted: str, names: set[str]) -> str:
    if not names:
        return (
            "no container has a name: is this the right file? imagePath leads to one without a name"
        )
    listed = f"known containers: {', '.join(sorted(names))}"
    guess = nearest(wanted, names)
    return f"{guess} {listed}" if guess.startswith("did") else listed


@frozen
class _ContainerSearch:
    """Finds the containers of one document; `targets` are the nodes of its aliases."""

    source: YamlSource
    targets: Mapping[int, Node]

    def value(self, node: Node | None, key: str) -> Node | None:
        """The value of a mapping's own key, aliases followed.

        Raises RenderError if it is ambiguous.
        """
        return resolved_value(self.source, node, key, self.targets)

    def name(self, entry: Node) -> str | None:
        """A container's name: its own, else the first that its merge keys bring in, else None."""
        found = value_with_merge(
            self.source, resolve_alias(entry, self.targets), "name", self.targets
        )
        return self.source.shown(found) if isinstance(found, ScalarNode) else None

    def image(self, entry: Node) -> str:
        """The own image of a container; empty if it has none."""
        value = self.value(entry, "image")
        return self.source.shown(value) if isinstance(value, ScalarNode) else ""

    def containers(self, node: Node, path: Path) -> Iterator[tuple[Path, str, str]]:
        """Path, name and image of each container below `node` as written.

        Aliases are not followed down.
        """
        specification = self.value(node, "spec")
        for key in _CONTAINER_LISTS if specification is not None else ():
            listed = self.value(specification, key)
            for number, entry in enumerate(
                listed.items if isinstance(listed, marks.SequenceNode) else ()
            ):
                container = self.name(entry)
                if container is not None:
                    yield (*path, "spec", key, number), container, self.image(entry)
        if isinstance(node, marks.MappingNode):
            for key_node, value in node.pairs:
                key_text = resolve_alias(key_node, self.targets)
                if isinstance(key_text, ScalarNode):
                    yield from self.containers(value, (*path, key_text.value))
        for number, value in enumerate(node.items if isinstance(node, marks.SequenceNode) else ()):
            yield from self.containers(value, (*path, number))


@frozen
class _Container:
    document: int
    path: Path
    name: str
    image: str


def _containers(source: YamlSource) -> Iterator[_Container]:
    """The containers of a file."""
    for number, document in enumerate(source.documents):
        if document.root is not None:
            search = _ContainerSearch(source=source, targets=source.targets(document.root))
            yield from (
                _Container(document=number, path=path, name=name, image=image)
                for path, name, image in search.containers(document.root, ())
            )
