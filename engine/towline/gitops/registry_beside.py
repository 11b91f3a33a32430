"""Pure.

What the parts of an image become at paths of values whose registry stands in a key of its own,
beside the name or for all images.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from towline.errors import ConfigError
from towline.gitops import plain_data
from towline.gitops.beside import text_at, texts_at, where_at
from towline.gitops.chart_beside import merged
from towline.gitops.document import spell
from towline.gitops.image_effect import composed
from towline.gitops.image_parts import (
    JOINED,
    ImagePart,
    ImageParts,
    before,
    global_paths,
    is_filled_later,
    registries_above,
)
from towline.gitops.value_images import Beside, Spot, map_in, registry_key
from towline.image import has_registry
from towline.yaml_marks import Path

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
    image = texts_at(source, document, (*path, "global", "image"))
    common = {**texts_at(source, document, (*path, "global")), "image": image}
    return {**texts_at(source, document, path), "global": common}


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
    return path[-1] in texts_at(spot.place.source, spot.place.document, path[:-1])


def _becomes(spot: Spot, path: Path, others: Sequence[Spot]) -> str:
    """What stands in a spot's document at a path in the end."""
    place = spot.place
    wanted = (spot.file.name, place.inside, place.document, path)
    for one in others:
        whole = (*one.place.path, *map(str, one.place.missing))
        if (one.file.name, one.place.inside, one.place.document, whole) == wanted:
            return str(one.wanted)
    return text_at(place.source, place.document, path)


def _check_common(spot: Spot, above: str, rest: str, common: str) -> None:
    """Pass where the registry `above` the image makes it the wanted one, if it is the `common` one; raises ConfigError."""
    assert isinstance(spot.wanted, ImagePart)
    image = spot.wanted.image
    there = composed(above, rest, "", "")
    if not common or above != common or is_filled_later(common) or there == image.repository:
        return
    paths = global_paths(tuple(map(str, spot.map_path)))
    place = spot.place
    own = [path for path in paths if text_at(place.source, place.document, path)]
    key = spell((own or paths[-1:])[0])
    raise ConfigError(
        f"{key} is {common}, so that a chart would run {there}, not {image.repository}",
        where=where_at(place.source, place.document, own[0]) if own else spot.file.name,
        hint=(
            f"set {key} to {image.host} (valuesPaths may have {{{key}: registry}}), or, "
            f"if the chart does not put it before this image, give {spot.text} a host in the file"
        ),
    )
