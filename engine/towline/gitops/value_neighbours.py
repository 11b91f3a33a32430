"""Pure.

What the parts of an image become at paths of values whose registry stands in a key of its own,
beside the name or for all images.

Whether a path leads by its index to another image, while its own stands in another item of the same
list.

What else beside a tag or a whole image says which version runs: a digest, which becomes the new
one's or empty, and a tag, which is refused.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from towline.errors import ConfigError
from towline.gitops.choice import last_of, repository_of
from towline.gitops.helm.chart_around import merged
from towline.gitops.image_effect import composed
from towline.gitops.image_parts import (
    JOINED,
    ImagePart,
    ImageParts,
    before,
    digest_stem,
    global_paths,
    is_digest,
    is_filled_later,
    registries_above,
    stem,
)
from towline.gitops.surroundings import (
    document_texts,
    neighbouring_text,
    neighbouring_texts,
    where_at,
)
from towline.gitops.value_images import Beside, Spot, map_in, registry_key
from towline.image import has_registry, parse_familiar
from towline.suggest import some
from towline.yaml import plain_data
from towline.yaml.edit import path_text
from towline.yaml.marks import Path
from towline.yaml.paths import parse_dotted
from towline.yaml.plain_data import texts_at


def check_items(spots: Iterable[Spot]) -> None:
    """Pass where no index leads past the image; raises ConfigError.

    A `[name=...]` is taken as it is.
    """
    for spot in spots:
        if not (indexes := list(_indexes(spot))):
            continue
        texts = dict(document_texts(spot.place.source, spot.place.document))
        held = texts.get(spot.place.path, "")
        if others := _elsewhere(spot, texts, held, indexes):
            raise ConfigError(
                f"{spot.text} holds another image, and {spot.wanted} belongs at {some(others)}",
                where=spot.place.source.where(spot.place.node.start),
                hint=(
                    "correct the index; [name=...] says by its name which item of the list is meant"
                ),
            )


def _elsewhere(
    spot: Spot, texts: Mapping[Path, str], held: str, indexes: Collection[int]
) -> list[str]:
    """The paths of the same list that have the image of a spot, where another is `held`."""
    if not isinstance(spot.wanted, ImagePart) or spot.wanted.part != "image":
        return []
    wanted = spot.wanted.image.whole
    if not repository_of(held) or last_of(held) == last_of(wanted):
        return []
    return [
        path_text(path)
        for path, text in texts.items()
        if any(_differ_at(index, path, spot.place.path) for index in indexes)
        and repository_of(text) == repository_of(wanted)
    ]


def _indexes(spot: Spot) -> Iterator[int]:
    """Where the path of a spot has an index, counted from its end, as it was written."""
    path, steps = spot.place.path, parse_dotted(spot.text)
    for back in range(1, min(len(path), len(steps)) + 1):
        if isinstance(steps[-back], int) and steps[-back] == path[-back]:
            yield -back


def _differ_at(index: int, one: Path, other: Path) -> bool:
    """Whether two paths are the same but for what stands at an index."""
    if len(one) != len(other) or one[index] == other[index]:
        return False
    return (*one[:index], 0, *one[len(one) + index + 1 :]) == (
        *other[:index],
        0,
        *other[len(other) + index + 1 :],
    )


_EMPTY = re.compile(
    r"|~|null|<[^<>]*>|todo|tbd|placeholder|(?:change|replace)[-_ ]?me", re.IGNORECASE
)


def placed_texts(
    spots: Sequence[Spot],
    base: Mapping[str, Any],
    others: Sequence[Spot] = (),
    *,
    joined: bool | None = None,
) -> tuple[dict[str, str], list[Beside]]:
    """What spots of one image in one map become, by their paths, and the registries beside them.

    `base` are the values of the chart around, `others` all that is written into the file, `joined`
    says whether this chart puts a registry that the values have for all images before theirs; None
    if that is not known. Raises ConfigError where the values have another registry for all images.
    """
    texts: dict[str, str] = {}
    more: dict[str, Beside] = {}
    for spot in spots:
        assert isinstance(spot.wanted, ImagePart)
        image, part = spot.wanted.image, spot.wanted.part
        texts[spot.text] = str(spot.wanted)
        if part not in JOINED:
            continue
        key, below = registry_key(spot.leaf), plain_data.texts_at(map_in(base, spot))
        apart = spot.beside.get(key, below.get(key, ""))
        # its value is known elsewhere, and that a chart joins the two is
        if is_filled_later(apart):
            texts[spot.text] = str(spot.wanted).removeprefix(f"{image.host}/")
            continue
        there = spot.old or below.get(spot.leaf, "")
        if there and not apart and image.repository in _joined(there, spot, base):
            texts[spot.text] = there + _version(spot)
            continue
        common = "" if joined is False else _common(spot, base, others)
        if joined is None and _is_untold(image, apart, there, common):
            # nothing says yet that the chart puts it before this image: a host of its own
            common = ""
        # an empty one takes away that of the chart's own values
        now = there if spot.place.missing else spot.old
        registry, rest = image.spread(now, apart, common)
        _check_common(spot, before(rest, registry or apart, common), rest, common)
        texts[spot.text] = rest + _version(spot)
        if registry and registry != apart and all(other.leaf != key for other in spots):
            more[key] = Beside(spot=spot, key=key, old=spot.beside.get(key, ""), new=registry)
    return texts, list(more.values())


def _joined(name: str, spot: Spot, base: Mapping[str, Any]) -> list[str]:
    """What a name is behind each registry that the values have above it in keys of their own choice."""
    return [f"{above}/{name}" for above in _above(name, spot, base)]


def _above(name: str, spot: Spot, base: Mapping[str, Any]) -> list[str]:
    """The registries that the values have above a name in such keys; none for a name that has one itself."""
    if has_registry(name):
        return []
    path = spot.map_path
    maps = [_registries_at(spot, path[:depth]) for depth in range(1, len(path))]
    maps.append(merged(base, _registries_at(spot, ())))
    return [above for one in maps for above in registries_above(one)]


def _registries_at(spot: Spot, path: Path) -> Mapping[str, Any]:
    """The texts of a map in a spot's document, and those of `global` in it."""
    source, document = spot.place.source, spot.place.document
    image = neighbouring_texts(source, document, (*path, "global", "image"))
    common = {**neighbouring_texts(source, document, (*path, "global")), "image": image}
    return {**neighbouring_texts(source, document, path), "global": common}


def _version(spot: Spot) -> str:
    """What stands behind the name where a whole image is written."""
    assert isinstance(spot.wanted, ImagePart)
    image = spot.wanted.image
    return image.whole.removeprefix(image.repository) if spot.wanted.part == "image" else ""


def doubts(
    spots: Sequence[Spot], base: Mapping[str, Any], others: Sequence[Spot], *, joined: bool | None
) -> list[str]:
    """What a chart that nobody knows would run of those that get a name with a host below a registry for several images."""
    found: list[str] = []
    for spot in spots:
        if not isinstance(spot.wanted, ImagePart) or spot.wanted.part not in JOINED:
            continue
        image, below = spot.wanted.image, plain_data.texts_at(map_in(base, spot))
        key, common = registry_key(spot.leaf), _common(spot, base, others)
        apart, there = (
            spot.beside.get(key, below.get(key, "")),
            spot.old or below.get(spot.leaf, ""),
        )
        if common and joined is None and _is_untold(image, apart, there, common):
            found.append(
                f"{spot.text} was empty, and gets {image.repository}; a chart that puts"
                f" global.imageRegistry before it would run {common}/{image.repository}"
                " (valuesPaths can set it: registry)"
            )
        above = (
            _above(there, spot, base) if not (apart or common or _EMPTY.fullmatch(there)) else []
        )
        if (
            above
            and image.repository not in _joined(there, spot, base)
            and not is_filled_later(above[0])
        ):
            found.append(
                f"{spot.text} was {there}, and gets {image.repository}; a chart that puts the"
                f" registry of its values before it would run {above[0]}/{image.repository}"
                " (valuesPaths can set that one: registry)"
            )
    return found


def _is_untold(image: ImageParts, apart: str, there: str, common: str) -> bool:
    """Whether nothing tells that the registry for all images, which is another one, is put before what stands there."""
    fits = image.repository.startswith(f"{common}/") or is_filled_later(common)
    return not apart and not fits and _EMPTY.fullmatch(there) is not None


def _common(spot: Spot, base: Mapping[str, Any], others: Sequence[Spot]) -> str:
    """The registry that the values give all images once `others` are written; empty for none."""
    paths = global_paths(tuple(map(str, spot.map_path)))
    found = next(filter(None, (_becomes(spot, path, others) for path in paths)), "")
    if found or not paths or _has(spot, paths[-1]):
        return found
    return plain_data.text_at(base, *paths[-1])


def _has(spot: Spot, path: Path) -> bool:
    """Whether a spot's document has a text of its own at a path, if only an empty one: then that of the chart's own values is none."""
    return path[-1] in neighbouring_texts(spot.place.source, spot.place.document, path[:-1])


def _becomes(spot: Spot, path: Path, others: Sequence[Spot]) -> str:
    """What stands in a spot's document at a path in the end."""
    place = spot.place
    wanted = (spot.file.name, place.inside, place.document, path)
    for one in others:
        whole = (*one.place.path, *map(str, one.place.missing))
        if (one.file.name, one.place.inside, one.place.document, whole) == wanted:
            return str(one.wanted)
    return neighbouring_text(place.source, place.document, path)


def _check_common(spot: Spot, above: str, rest: str, common: str) -> None:
    """Pass where the registry `above` the image makes it the wanted one, if it is the `common` one; raises ConfigError."""
    assert isinstance(spot.wanted, ImagePart)
    image = spot.wanted.image
    there = composed(above, rest, "", "")
    if not common or above != common or is_filled_later(common) or there == image.repository:
        return
    paths = global_paths(tuple(map(str, spot.map_path)))
    place = spot.place
    own = [path for path in paths if neighbouring_text(place.source, place.document, path)]
    key = path_text((own or paths[-1:])[0])
    raise ConfigError(
        f"{key} is {common}, so that a chart would run {there}, not {image.repository}",
        where=where_at(place.source, place.document, own[0]) if own else spot.file.name,
        hint=(
            f"set {key} to {image.host} (valuesPaths may have {{{key}: registry}}), or, "
            f"if the chart does not put it before this image, give {spot.text} a host in the file"
        ),
    )


_VERSIONED = ("tag", "image")  # parts that a digest beside would win over
_IMAGE_KEY = re.compile(r"(?:image|tag|repository)$", re.IGNORECASE)
_DIGEST_NAME = re.compile(r"@sha\d+$")  # `name@sha256`, with the rest of the digest as the tag


def digests_beside(spots: Sequence[Spot], base: Mapping[str, Any]) -> list[Beside]:
    """The digests that a chart would run instead of what `spots`, of one image in one map, become; each with what it becomes itself.

    It is the image's own where that is pinned; else it is emptied. `base` are the values of the
    chart around.
    """
    found: dict[str, Beside] = {}
    written = {spot.leaf for spot in spots}
    for spot in spots:
        below = texts_at(map_in(base, spot))
        for key, old in {**below, **spot.beside}.items():
            if key not in written and _is_digest_of(spot, key, old):
                new = _instead(spot, old)
                found.setdefault(
                    key, Beside(spot=spot, key=key, old=spot.beside.get(key, ""), new=new)
                )
    return list(found.values())


def check_joined(spots: Sequence[Spot], base: Mapping[str, Any]) -> None:
    """Pass where nothing beside is put behind the image once more; raises ConfigError."""
    for spot in spots:
        texts = {**texts_at(map_in(base, spot)), **spot.beside}
        part = _part(spot)
        if part == "image" and spot.old and not _versioned(spot.old):
            _check_tag(spot, texts)
        if part == "tag":
            written = {one.leaf for one in spots}
            names = {key: text for key, text in texts.items() if key not in written}
            _check_name(spot, names)


def _check_tag(spot: Spot, texts: Mapping[str, str]) -> None:
    """Pass where a whole image is written in the place of a whole image."""
    for key, text in texts.items():
        is_tag = key.lower().endswith("tag") and stem(key) == stem(spot.leaf)
        if is_tag and text:
            path, own = spot.beside_path(key), spot.text
            raise ConfigError(
                f"{own} has no tag in it so far, and {path} beside it has one: a chart that joins"
                " the two would run none that is there",
                where=where_at(spot.place.source, spot.place.document, spot.place.path),
                hint=(
                    f"valuesPaths: {{{own}: repository, {path}: tag}}; if the chart reads {own}"
                    f" alone, take {path} out"
                ),
            )


def _check_name(spot: Spot, texts: Mapping[str, str]) -> None:
    """Pass where a tag is not the rest of a digest."""
    for key, text in texts.items():
        if _DIGEST_NAME.search(text) and stem(key) == stem(spot.leaf):
            path = spot.beside_path(key)
            raise ConfigError(
                f"{path} ends with {text.rpartition('@')[2]}, so that {spot.text} beside it is the"
                " rest of a digest, not a tag",
                where=where_at(spot.place.source, spot.place.document, spot.parent),
                hint=f"valuesPaths: {{{path}: repository, {spot.text}: tag}} writes both",
            )


def _is_digest_of(spot: Spot, key: str, text: str) -> bool:
    """Whether a key holds the digest of what a spot is a part of."""
    called, own = digest_stem(key), stem(spot.leaf)
    if called is None or not text or _part(spot) not in _VERSIONED:
        return False
    if not ("digest" in key.lower() or is_digest(text)):
        return False
    if any(text.startswith(("http://", "https://")) for text in spot.beside.values()):
        return False  # the checksum of a download
    others = {stem(one) for one in spot.beside if _IMAGE_KEY.search(one)} - {own}
    return called == own or (not called and not others)


def _part(spot: Spot) -> str:
    """Which part of an image a spot is; empty for none."""
    return spot.wanted.part if isinstance(spot.wanted, ImagePart) else ""


def _instead(spot: Spot, old: str) -> str:
    """What becomes of a digest beside a spot; a whole image that is pinned has its own in itself."""
    assert isinstance(spot.wanted, ImagePart)
    image, part = spot.wanted.image, spot.wanted.part
    known = image.digest if part == "tag" and "@" in image.whole else ""
    return known if ":" in old else known.rpartition(":")[2]


def _versioned(text: str) -> bool:
    """Whether an image has a tag or a digest of its own, or may get one."""
    there = parse_familiar(text)
    return is_filled_later(text) or bool(there and (there.image.tag or there.image.digest))
