"""Pure.

Targets: the places in YAML files that dotted paths lead to, and the value that each is to get; the
keys beside a target, and the image that stands there now.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import groupby
from typing import Any

from towline.errors import ConfigError
from towline.gitops.candidates import Candidate
from towline.gitops.image_parts import (
    REGISTRY,
    REPOSITORY_PARTS,
    ImagePart,
    ImageParts,
    parent_path,
)
from towline.gitops.manifest_images import compose_image
from towline.gitops.yaml_lookup import (
    image_key_paths,
    map_texts,
    resource_at,
    scalar_text,
)
from towline.record import frozen
from towline.suggest import close, list_some
from towline.yaml import plain_data
from towline.yaml.edit import ValueEdit, path_text
from towline.yaml.marks import Path
from towline.yaml.paths import PathMatch, parse_dotted
from towline.yaml.source import YamlSource

_OTHER_KEYS = {
    "repository": ("name", "image", "imagename", "repo", "ref", "reference", "uri", "url", "path"),
    "tag": ("version", "imagetag", "ref", "reference"),
}
_GENERIC_KEYS = ("name", "path", "url", "ref")  # keys that may name other things than an image
_MOST_PARAMETERS = 1000  # of one list
_NO_VALUES: Mapping[str, Any] = {}

MapKey = tuple[str, tuple[tuple[int, Path], ...], int, Path]


@frozen
class SiblingTexts:
    """The texts of a map by their keys, and the paths of these texts.

    It also stands for the parameters in a list whose names begin alike (`image.repository`,
    `image.tag`).
    """

    path: Path
    texts: Mapping[str, str]
    paths: Mapping[str, Path]

    def key_of(self, path: Path) -> str:
        """The key of the text at a path."""
        return next((key for key, own in self.paths.items() if own == path), str(path[-1]))


def sibling_texts(path_match: PathMatch, parent: Path) -> SiblingTexts:
    """The texts beside a target: those of its map, or of its list of parameters.

    Argo CD gives parameters to Helm in a list of `{name: image.tag, value: ...}`; such a list is
    read as if it were a map.
    """
    source, document = path_match.source, path_match.document
    texts = map_texts(source, document, parent)
    if (
        path_match.path[-1:] != ("value",)
        or "name" not in texts
        or not parent
        or not isinstance(parent[-1], int)
    ):
        return SiblingTexts(path=parent, texts=texts, paths={key: (*parent, key) for key in texts})
    first = texts["name"].rpartition(".")[0]
    items: dict[str, int] = {}
    for number in range(_MOST_PARAMETERS):
        name = map_texts(source, document, (*parent[:-1], number)).get("name")
        if name is None:
            break
        before, _, last = name.rpartition(".")
        items |= {last: number} if before == first else {}
    paths: dict[str, Path] = {
        last: (*parent[:-1], number, "value") for last, number in items.items()
    }
    return SiblingTexts(
        path=(*parent[:-1], first),
        texts={last: scalar_text(source, document, path) for last, path in paths.items()},
        paths=paths,
    )


@frozen
class ValueTarget:
    """A place that the dotted path `text` leads to in `file`, and the value `wanted` there."""

    text: str
    file: YamlSource
    path_match: PathMatch
    wanted: str | ImagePart

    @property
    def parent(self) -> Path:
        """The path of the map that holds the target, as far as the file has it."""
        return self.path_match.path if self.path_match.missing else self.path_match.path[:-1]

    @cached_property
    def siblings(self) -> SiblingTexts:
        """The texts beside the target."""
        return sibling_texts(self.path_match, self.parent)

    @property
    def map_path(self) -> Path:
        """The path of the map that holds the target, also if the file does not have the map yet."""
        return (*self.parent, *map(str, self.path_match.missing[:-1]))

    @property
    def map_key(self) -> MapKey:
        """The identity of the map (or list of parameters) that holds the target."""
        missing = self.map_path[len(self.parent) :]
        path = (*self.siblings.path, *missing)
        return self.file.name, self.path_match.inside, self.path_match.document, path

    @property
    def key(self) -> str:
        """The key of the target itself."""
        return (
            str(self.path_match.missing[-1])
            if self.path_match.missing
            else self.siblings.key_of(self.path_match.path)
        )

    @property
    def old(self) -> str:
        """The text of the target now; empty if there is none."""
        exists = not self.path_match.missing and self.path_match.path
        return (
            scalar_text(self.path_match.source, self.path_match.document, self.path_match.path)
            if exists
            else ""
        )

    @property
    def sibling_texts(self) -> Mapping[str, str]:
        """The texts beside the target by their keys; none if the map itself is missing."""
        return {} if len(self.path_match.missing) > 1 else self.siblings.texts

    def sibling_path(self, key: str) -> str:
        """The dotted path of a key beside the target."""
        end = f"{self.key}].value" if self.text.endswith("].value") else self.key
        return f"{self.text.removesuffix(end)}{key}{end.removeprefix(self.key)}"

    @property
    def resource(self) -> str:
        """`kind/name` of the resource that the target belongs to."""
        for document, path in self.path_match.inside[:1]:
            return resource_at(self.file, document, path)
        return resource_at(self.path_match.source, self.path_match.document, self.parent)


def group_by_map(targets: Iterable[ValueTarget]) -> list[tuple[ImageParts, list[ValueTarget]]]:
    """The targets that want a part of an image, grouped by image and map."""
    asked = [
        (target.map_key, target.wanted.image, target)
        for target in targets
        if isinstance(target.wanted, ImagePart)
    ]
    keys = list(dict.fromkeys((site, image) for site, image, _ in asked))
    asked.sort(key=lambda entry: keys.index(entry[:2]))
    return [
        (key[1], [target for *_, target in group])
        for key, group in groupby(asked, key=lambda entry: entry[:2])
    ]


def candidate_of(
    targets: Sequence[ValueTarget], base: Mapping[str, Any] = _NO_VALUES, chart: str = ""
) -> Candidate:
    """The candidate for targets of one map, with the image that stands there, if its name is known.

    The name may come from the targets, from keys beside them, or from `base`, the chart's default
    values.
    """
    first = targets[0]
    image = _current_image(
        targets, {**plain_data.texts_at(default_map(base, first)), **first.sibling_texts}
    )
    return Candidate(file=first.file.name, resource=first.resource, image=image, chart=chart)


@frozen
class SiblingEdit:
    """A registry or digest to be written under `key` beside a target.

    `old` is the text there now.
    """

    target: ValueTarget
    key: str
    old: str
    new: str

    @property
    def edit(self) -> ValueEdit:
        """The edit that writes it into an existing map."""
        path_match, siblings = self.target.path_match, self.target.siblings
        path = siblings.paths.get(self.key, (*self.target.parent, self.key))
        return ValueEdit(
            document=path_match.document,
            path=path,
            value=self.new,
            inside=path_match.inside,
            after=self.target.key,
        )


def default_map(base: Mapping[str, Any], target: ValueTarget) -> Mapping[str, Any] | None:
    """The map of the chart's default values `base` that belongs to a target's map.

    It is None if there is no map, and for the top.
    """
    steps = parse_dotted(target.text)[:-1]
    found = plain_data.value_at(base, *steps)
    return found if steps and isinstance(found, Mapping) else None


def check_not_in_text(target: ValueTarget) -> None:
    """Pass if a part of an image is not wanted inside a text, which may be the whole image.

    Raises ConfigError.
    """
    path_match = target.path_match
    text = (
        scalar_text(path_match.source, path_match.document, path_match.path)
        if path_match.missing and path_match.path and isinstance(target.wanted, ImagePart)
        else ""
    )
    if text:
        raise ConfigError(
            f"{target.text} leads through {path_text(path_match.path)}, which holds a text",
            where=path_match.source.where(path_match.node.start),
            hint=(
                "if that is the whole image, write it by valuesPaths:"
                f" {{{path_text(path_match.path)}: image}}"
            ),
        )


def is_chart_key(target: ValueTarget, base: Mapping[str, Any]) -> bool:
    """Whether the chart's default values have the target's key."""
    top = base if len(parse_dotted(target.text)) == 1 else None
    return target.key in (top or default_map(base, target) or {})


def check_missing_key(target: ValueTarget, base: Mapping[str, Any]) -> None:
    """Pass if templates may read a missing key, as far as the file and the chart's defaults tell.

    `base` are the default values of the chart. Raises ConfigError.
    """
    path_match, file = target.path_match, target.file.name
    defaults = default_map(base, target)
    if len(path_match.missing) > 1 and defaults is None:
        likely = image_key_paths(path_match.source)
        near = close(target.text, likely)
        hint = (
            f"did you mean {near!r}? "
            if near
            else f"keys that an image may be in: {list_some(likely)}. "
            if likely
            else ""
        )
        parent = path_text((*path_match.path, *map(str, path_match.missing[:-1])))
        raise ConfigError(
            f"{target.text} is not in {file}, and {parent} is not either",
            where=path_match.source.where(path_match.node.start),
            hint=f"{hint}createPaths: true adds it",
        )
    if others := _other_image_keys(target, defaults or {}):
        beside = list_some([f"{target.text.removesuffix(target.key)}{key}" for key in others])
        raise ConfigError(
            f"{target.text} is not in {file}, but {beside} is there",
            where=path_match.source.where(path_match.node.start),
            hint=(
                "say in valuesPaths which key is which part of the image; createPaths: true adds it"
            ),
        )


def _other_image_keys(target: ValueTarget, defaults: Mapping[str, Any]) -> list[str]:
    """Keys beside a missing one, or in the chart's map `defaults`, that may hold its value."""
    texts = {**plain_data.texts_at(defaults), **target.sibling_texts}
    if (
        target.key in defaults
        or not isinstance(target.wanted, ImagePart)
        or not parent_path(target.text)
    ):
        return []
    usual = {REGISTRY, "repository", "tag", "digest"} & texts.keys()
    others = _OTHER_KEYS.get(target.key, ())
    return [
        key
        for key, text in texts.items()
        if text
        and key.lower() in others
        and (not usual or (target.key in REPOSITORY_PARTS and "/" in text))
        if target.key != "repository" or key.lower() not in _GENERIC_KEYS or _is_like_image(text)
    ]


def _is_like_image(text: str) -> bool:
    """Whether the text of a key such as `name` may be an image, unlike `frontend` or a URL."""
    return "://" not in text and ("/" in text.strip("/") or ":" in text)


def _current_image(targets: Sequence[ValueTarget], beside: Mapping[str, str]) -> str:
    """The image at targets of one map, by the texts of that map; empty if it is not known."""
    by_part = {
        target.wanted.part: target for target in targets if isinstance(target.wanted, ImagePart)
    }
    if "image" in by_part:
        leaf = by_part["image"].key
        old = beside.get(leaf, "")
        return compose_image(beside.get(registry_key(leaf), ""), old, "", "") if old else ""
    named = by_part.get("repository") or by_part.get("name")
    keys = (named.key,) if named else ("repository", "name", "image")
    name = next(filter(None, map(beside.get, keys)), "")
    tag = beside.get(by_part["tag"].key if "tag" in by_part else "tag", "")
    return compose_image(beside.get(REGISTRY, ""), name, tag or "latest", "") if name else ""


def registry_key(leaf: str) -> str:
    """The key of a registry beside `leaf`, such as imageRegistry beside imageRepository."""
    return leaf.replace("epository", "egistry") if "epository" in leaf else REGISTRY
