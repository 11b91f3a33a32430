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
from towline.gitops.choice import Candidate
from towline.gitops.image_effect import composed
from towline.gitops.image_parts import (
    JOINED,
    REGISTRY,
    ImagePart,
    ImageParts,
    map_of,
)
from towline.gitops.surroundings import (
    image_paths,
    neighbouring_text,
    neighbouring_texts,
    resource_at,
)
from towline.record import frozen
from towline.suggest import close, some
from towline.yaml import plain_data
from towline.yaml.edit import ValueEdit, path_text
from towline.yaml.marks import Path
from towline.yaml.paths import PathMatch, parse_dotted
from towline.yaml.source import YamlSource

_OTHERWISE = {
    "repository": ("name", "image", "imagename", "repo", "ref", "reference", "uri", "url", "path"),
    "tag": ("version", "imagetag", "ref", "reference"),
}
_NAMES = ("name", "path", "url", "ref")  # keys that call other things as well
_MOST = 1000  # parameters of one list
_NO_VALUES: Mapping[str, Any] = {}

Site = tuple[str, tuple[tuple[int, Path], ...], int, Path]


@frozen
class Around:
    """The texts of a map by their keys, and the paths of these; or the parameters of a list that have the beginning of their names in common."""

    path: Path
    texts: Mapping[str, str]
    paths: Mapping[str, Path]

    def called(self, path: Path) -> str:
        """The key of what stands at a path."""
        return next((key for key, one in self.paths.items() if one == path), str(path[-1]))


def around(place: PathMatch, parent: Path) -> Around:
    """What a map holds, or a list of `{name: image.tag, value: ...}` in the place of one, as Argo CD gives parameters to Helm."""
    source, document = place.source, place.document
    own = neighbouring_texts(source, document, parent)
    if (
        place.path[-1:] != ("value",)
        or "name" not in own
        or not parent
        or not isinstance(parent[-1], int)
    ):
        return Around(path=parent, texts=own, paths={key: (*parent, key) for key in own})
    first = own["name"].rpartition(".")[0]
    items: dict[str, int] = {}
    for number in range(_MOST):
        name = neighbouring_texts(source, document, (*parent[:-1], number)).get("name")
        if name is None:
            break
        before, _, last = name.rpartition(".")
        items |= {last: number} if before == first else {}
    paths: dict[str, Path] = {
        last: (*parent[:-1], number, "value") for last, number in items.items()
    }
    return Around(
        path=(*parent[:-1], first),
        texts={last: neighbouring_text(source, document, path) for last, path in paths.items()},
        paths=paths,
    )


@frozen
class Spot:
    """A place that the dotted path `text` leads to, in the file `file`, and what is wanted there."""

    text: str
    file: YamlSource
    place: PathMatch
    wanted: str | ImagePart

    @property
    def parent(self) -> Path:
        """Where the map is that holds the place, as far as it is there."""
        return self.place.path if self.place.missing else self.place.path[:-1]

    @cached_property
    def around(self) -> Around:
        """What stands beside it."""
        return around(self.place, self.parent)

    @property
    def map_path(self) -> Path:
        """Where the map is, or would be, that holds the place."""
        return (*self.parent, *map(str, self.place.missing[:-1]))

    @property
    def site(self) -> Site:
        """The map that holds the place, or what is one."""
        missing = self.map_path[len(self.parent) :]
        path = (*self.around.path, *missing)
        return self.file.name, self.place.inside, self.place.document, path

    @property
    def leaf(self) -> str:
        """The key of the place itself."""
        return (
            str(self.place.missing[-1])
            if self.place.missing
            else self.around.called(self.place.path)
        )

    @property
    def old(self) -> str:
        """The text that stands there; empty for none."""
        whole = not self.place.missing and self.place.path
        return (
            neighbouring_text(self.place.source, self.place.document, self.place.path)
            if whole
            else ""
        )

    @property
    def beside(self) -> Mapping[str, str]:
        """The texts beside it; none where the map itself is missing."""
        return {} if len(self.place.missing) > 1 else self.around.texts

    def beside_path(self, key: str) -> str:
        """The dotted path of a key beside it."""
        end = f"{self.leaf}].value" if self.text.endswith("].value") else self.leaf
        return f"{self.text.removesuffix(end)}{key}{end.removeprefix(self.leaf)}"

    @property
    def resource(self) -> str:
        """`kind/name` of what it belongs to."""
        for document, path in self.place.inside[:1]:
            return resource_at(self.file, document, path)
        return resource_at(self.place.source, self.place.document, self.parent)


def by_site(spots: Iterable[Spot]) -> list[tuple[ImageParts, list[Spot]]]:
    """The spots that ask for parts of an image, those of one image in one map together."""
    asked = [
        (spot.site, spot.wanted.image, spot) for spot in spots if isinstance(spot.wanted, ImagePart)
    ]
    keys = list(dict.fromkeys((site, image) for site, image, _ in asked))
    asked.sort(key=lambda one: keys.index(one[:2]))
    return [
        (key[1], [spot for *_, spot in group])
        for key, group in groupby(asked, key=lambda one: one[:2])
    ]


def candidate(
    spots: Sequence[Spot], base: Mapping[str, Any] = _NO_VALUES, chart: str = ""
) -> Candidate:
    """The image that stands at spots of one map, as far as its name can be told there, or by the values `base` of the chart around."""
    first = spots[0]
    image = _standing(spots, {**plain_data.texts_at(map_in(base, first)), **first.beside})
    return Candidate(file=first.file.name, resource=first.resource, image=image, chart=chart)


@frozen
class Beside:
    """A registry that is to stand under `key` beside a spot, and the text that stands there now; empty for none."""

    spot: Spot
    key: str
    old: str
    new: str

    @property
    def edit(self) -> ValueEdit:
        """The edit that writes it, into a map that is there."""
        place, around = self.spot.place, self.spot.around
        path = around.paths.get(self.key, (*self.spot.parent, self.key))
        return ValueEdit(
            document=place.document,
            path=path,
            value=self.new,
            inside=place.inside,
            after=self.spot.leaf,
        )


def map_in(base: Mapping[str, Any], spot: Spot) -> Mapping[str, Any] | None:
    """What the chart's own values have for the map of a spot; None for no map, and for the top."""
    steps = parse_dotted(spot.text)[:-1]
    found = plain_data.value_at(base, *steps)
    return found if steps and isinstance(found, Mapping) else None


def check_map(spot: Spot) -> None:
    """Pass where a part of an image is not wanted inside of a text, which may be the whole image; raises ConfigError."""
    place = spot.place
    text = (
        neighbouring_text(place.source, place.document, place.path)
        if place.missing and place.path and isinstance(spot.wanted, ImagePart)
        else ""
    )
    if text:
        raise ConfigError(
            f"{spot.text} leads through {path_text(place.path)}, which holds a text",
            where=place.source.where(place.node.start),
            hint=(
                f"if that is the whole image, write it by valuesPaths: {{{path_text(place.path)}:"
                " image}"
            ),
        )


def in_chart(spot: Spot, base: Mapping[str, Any]) -> bool:
    """Whether the chart's own values have a spot's key."""
    top = base if len(parse_dotted(spot.text)) == 1 else None
    return spot.leaf in (top or map_in(base, spot) or {})


def check_read(spot: Spot, base: Mapping[str, Any]) -> None:
    """Pass where a missing key is one that somebody reads, as far as the file or the chart's own values `base` tell; raises ConfigError."""
    place, file = spot.place, spot.file.name
    below = map_in(base, spot)
    if len(place.missing) > 1 and below is None:
        likely = image_paths(place.source)
        near = close(spot.text, likely)
        hint = (
            f"did you mean {near!r}? "
            if near
            else f"keys that an image may be in: {some(likely)}. "
            if likely
            else ""
        )
        above = path_text((*place.path, *map(str, place.missing[:-1])))
        raise ConfigError(
            f"{spot.text} is not in {file}, and {above} is not either",
            where=place.source.where(place.node.start),
            hint=f"{hint}createPaths: true adds it",
        )
    if others := _instead_of(spot, below or {}):
        beside = some([f"{spot.text.removesuffix(spot.leaf)}{key}" for key in others])
        raise ConfigError(
            f"{spot.text} is not in {file}, but {beside} is there",
            where=place.source.where(place.node.start),
            hint=(
                "say in valuesPaths which key is which part of the image; createPaths: true adds it"
            ),
        )


def _instead_of(spot: Spot, below: Mapping[str, Any]) -> list[str]:
    """Keys beside a missing one, or in the chart's own map `below`, by which the image seems to be called."""
    texts = {**plain_data.texts_at(below), **spot.beside}
    if spot.leaf in below or not isinstance(spot.wanted, ImagePart) or not map_of(spot.text):
        return []
    usual = {REGISTRY, "repository", "tag", "digest"} & texts.keys()
    others = _OTHERWISE.get(spot.leaf, ())
    return [
        key
        for key, text in texts.items()
        if text and key.lower() in others and (not usual or (spot.leaf in JOINED and "/" in text))
        if spot.leaf != "repository" or key.lower() not in _NAMES or _is_like_image(text)
    ]


def _is_like_image(text: str) -> bool:
    """Whether what a key such as `name` holds may be an image: `frontend`, `/shop` and a URL may not."""
    return "://" not in text and ("/" in text.strip("/") or ":" in text)


def _standing(spots: Sequence[Spot], beside: Mapping[str, str]) -> str:
    by_part = {spot.wanted.part: spot for spot in spots if isinstance(spot.wanted, ImagePart)}
    if "image" in by_part:
        leaf = by_part["image"].leaf
        old = beside.get(leaf, "")
        return composed(beside.get(registry_key(leaf), ""), old, "", "") if old else ""
    named = by_part.get("repository") or by_part.get("name")
    keys = (named.leaf,) if named else ("repository", "name", "image")
    name = next(filter(None, map(beside.get, keys)), "")
    tag = beside.get(by_part["tag"].leaf if "tag" in by_part else "tag", "")
    return composed(beside.get(REGISTRY, ""), name, tag or "latest", "") if name else ""


def registry_key(leaf: str) -> str:
    """Where the registry would stand beside a key: `imageRegistry` beside `imageRepository`, else `registry`."""
    return leaf.replace("epository", "egistry") if "epository" in leaf else REGISTRY
