"""Pure.

Images at the paths of values: where their parts stand beside each other, which image stood there,
and what each part becomes.
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
_GENERIC_KEYS = ("name", "path", "url", "ref")  # keys that call other things as well
_MOST_PARAMETERS = 1000  # parameters of one list
_NO_VALUES: Mapping[str, Any] = {}

MapKey = tuple[str, tuple[tuple[int, Path], ...], int, Path]


@frozen
class SiblingTexts:
    """The texts of a map by their keys, and the paths of these; or the parameters of a list that have the beginning of their names in common."""

    path: Path
    texts: Mapping[str, str]
    paths: Mapping[str, Path]

    def called(self, path: Path) -> str:
        """The key of what stands at a path."""
        return next((key for key, one in self.paths.items() if one == path), str(path[-1]))


def sibling_texts(path_match: PathMatch, parent: Path) -> SiblingTexts:
    """What a map holds, or a list of `{name: image.tag, value: ...}` in the place of one, as Argo CD gives parameters to Helm."""
    source, document = path_match.source, path_match.document
    own = map_texts(source, document, parent)
    if (
        path_match.path[-1:] != ("value",)
        or "name" not in own
        or not parent
        or not isinstance(parent[-1], int)
    ):
        return SiblingTexts(path=parent, texts=own, paths={key: (*parent, key) for key in own})
    first = own["name"].rpartition(".")[0]
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
    """A place that the dotted path `text` leads to, in the file `file`, and what is wanted there."""

    text: str
    file: YamlSource
    path_match: PathMatch
    wanted: str | ImagePart

    @property
    def parent(self) -> Path:
        """Where the map is that holds the place, as far as it is there."""
        return self.path_match.path if self.path_match.missing else self.path_match.path[:-1]

    @cached_property
    def siblings(self) -> SiblingTexts:
        """What stands beside it."""
        return sibling_texts(self.path_match, self.parent)

    @property
    def map_path(self) -> Path:
        """Where the map is, or would be, that holds the place."""
        return (*self.parent, *map(str, self.path_match.missing[:-1]))

    @property
    def map_key(self) -> MapKey:
        """The map that holds the place, or what is one."""
        missing = self.map_path[len(self.parent) :]
        path = (*self.siblings.path, *missing)
        return self.file.name, self.path_match.inside, self.path_match.document, path

    @property
    def key(self) -> str:
        """The key of the place itself."""
        return (
            str(self.path_match.missing[-1])
            if self.path_match.missing
            else self.siblings.called(self.path_match.path)
        )

    @property
    def old(self) -> str:
        """The text that stands there; empty for none."""
        whole = not self.path_match.missing and self.path_match.path
        return (
            scalar_text(self.path_match.source, self.path_match.document, self.path_match.path)
            if whole
            else ""
        )

    @property
    def sibling_texts(self) -> Mapping[str, str]:
        """The texts beside it; none where the map itself is missing."""
        return {} if len(self.path_match.missing) > 1 else self.siblings.texts

    def sibling_path(self, key: str) -> str:
        """The dotted path of a key beside it."""
        end = f"{self.key}].value" if self.text.endswith("].value") else self.key
        return f"{self.text.removesuffix(end)}{key}{end.removeprefix(self.key)}"

    @property
    def resource(self) -> str:
        """`kind/name` of what it belongs to."""
        for document, path in self.path_match.inside[:1]:
            return resource_at(self.file, document, path)
        return resource_at(self.path_match.source, self.path_match.document, self.parent)


def group_by_map(targets: Iterable[ValueTarget]) -> list[tuple[ImageParts, list[ValueTarget]]]:
    """The targets that ask for parts of an image, those of one image in one map together."""
    asked = [
        (target.map_key, target.wanted.image, target)
        for target in targets
        if isinstance(target.wanted, ImagePart)
    ]
    keys = list(dict.fromkeys((site, image) for site, image, _ in asked))
    asked.sort(key=lambda one: keys.index(one[:2]))
    return [
        (key[1], [target for *_, target in group])
        for key, group in groupby(asked, key=lambda one: one[:2])
    ]


def candidate_of(
    targets: Sequence[ValueTarget], base: Mapping[str, Any] = _NO_VALUES, chart: str = ""
) -> Candidate:
    """The image that stands at targets of one map, as far as its name can be told there, or by the values `base` of the chart around."""
    first = targets[0]
    image = _current_image(
        targets, {**plain_data.texts_at(default_map(base, first)), **first.sibling_texts}
    )
    return Candidate(file=first.file.name, resource=first.resource, image=image, chart=chart)


@frozen
class SiblingEdit:
    """A registry that is to stand under `key` beside a target, and the text that stands there now; empty for none."""

    target: ValueTarget
    key: str
    old: str
    new: str

    @property
    def edit(self) -> ValueEdit:
        """The edit that writes it, into a map that is there."""
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
    """What the chart's own values have for the map of a target; None for no map, and for the top."""
    steps = parse_dotted(target.text)[:-1]
    found = plain_data.value_at(base, *steps)
    return found if steps and isinstance(found, Mapping) else None


def check_not_in_text(target: ValueTarget) -> None:
    """Pass where a part of an image is not wanted inside of a text, which may be the whole image; raises ConfigError."""
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
                f"if that is the whole image, write it by valuesPaths: {{{path_text(path_match.path)}:"
                " image}"
            ),
        )


def is_chart_key(target: ValueTarget, base: Mapping[str, Any]) -> bool:
    """Whether the chart's own values have a target's key."""
    top = base if len(parse_dotted(target.text)) == 1 else None
    return target.key in (top or default_map(base, target) or {})


def check_missing_key(target: ValueTarget, base: Mapping[str, Any]) -> None:
    """Pass where a missing key is one that somebody reads, as far as the file or the chart's own values `base` tell; raises ConfigError."""
    path_match, file = target.path_match, target.file.name
    below = default_map(base, target)
    if len(path_match.missing) > 1 and below is None:
        likely = image_key_paths(path_match.source)
        near = close(target.text, likely)
        hint = (
            f"did you mean {near!r}? "
            if near
            else f"keys that an image may be in: {list_some(likely)}. "
            if likely
            else ""
        )
        above = path_text((*path_match.path, *map(str, path_match.missing[:-1])))
        raise ConfigError(
            f"{target.text} is not in {file}, and {above} is not either",
            where=path_match.source.where(path_match.node.start),
            hint=f"{hint}createPaths: true adds it",
        )
    if others := _other_image_keys(target, below or {}):
        beside = list_some([f"{target.text.removesuffix(target.key)}{key}" for key in others])
        raise ConfigError(
            f"{target.text} is not in {file}, but {beside} is there",
            where=path_match.source.where(path_match.node.start),
            hint=(
                "say in valuesPaths which key is which part of the image; createPaths: true adds it"
            ),
        )


def _other_image_keys(target: ValueTarget, below: Mapping[str, Any]) -> list[str]:
    """Keys beside a missing one, or in the chart's own map `below`, by which the image seems to be called."""
    texts = {**plain_data.texts_at(below), **target.sibling_texts}
    if (
        target.key in below
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
    """Whether what a key such as `name` holds may be an image: `frontend`, `/shop` and a URL may not."""
    return "://" not in text and ("/" in text.strip("/") or ":" in text)


def _current_image(targets: Sequence[ValueTarget], beside: Mapping[str, str]) -> str:
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
    """Where the registry would stand beside a key: `imageRegistry` beside `imageRepository`, else `registry`."""
    return leaf.replace("epository", "egistry") if "epository" in leaf else REGISTRY
