"""Pure.

Whether a missing key would be one that nobody reads, because the image stands under other keys of
the document already.

Whether something stands over a value that is written, so that nothing reads it: Argo CD's
parameters, and the values of a chart around.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from towline.errors import ConfigError
from towline.gitops.choice import last_of
from towline.gitops.helm.chart_around import values_around
from towline.gitops.image_effect import last_part
from towline.gitops.image_parts import REGISTRY, ImagePart, ImageParts, digest_stem, stem
from towline.gitops.surroundings import document_texts, speaks_of_image
from towline.gitops.value_images import Spot
from towline.image import Reference, parse_familiar
from towline.yaml.edit import path_text
from towline.yaml.marks import Path
from towline.yaml.paths import parse_dotted
from towline.yaml.plain_data import text_at

_SIBLINGS = {REGISTRY, "repository", "tag", "digest"}
_JOINED = ("image", "repository", "name")  # parts that say which image it is


def held_elsewhere(spot: Spot, spots: Collection[Spot]) -> list[str]:
    """The paths that hold the image of a missing key, where none of `spots`, all that is written, is there; empty where it may be added.

    A tag, digest or registry may be added beside the repository, and a repository beside one of
    these.
    """
    if not isinstance(spot.wanted, ImagePart):
        return []
    image, part = spot.wanted.image, spot.wanted.part
    written = [one.place.path for one in spots if _together(one, spot) and not one.place.missing]
    holding = {
        path: there
        for path, text in document_texts(spot.place.source, spot.place.document)
        if path not in written and "metadata" not in path and (there := _ours(text, image))
    }
    beside = {path: there for path, there in holding.items() if path[:-1] == spot.parent}
    if beside and part in _JOINED:
        return _spelled(beside)
    if part == "tag" and (tagged := [path for path, there in beside.items() if there.image.tag]):
        return _spelled(tagged)
    if _SIBLINGS & {key for key, text in spot.beside.items() if text}:
        return []
    return (
        _spelled(_versions(spot, image) if part == "tag" else []) if beside else _spelled(holding)
    )


def lonely(spot: Spot, spots: Collection[Spot]) -> list[str]:
    """The paths that images of the document stand at, where a missing key is beside no other part of one; empty where it may be added.

    It may where the document has no image at all, in a map that is called as an image, or after
    this one, and where maps beside have this key.
    """
    if not isinstance(spot.wanted, ImagePart) or len(spot.place.missing) > 1:
        return []
    steps = (*map(str, spot.parent), spot.leaf)
    called = {stem(last_part(spot.wanted.image.name))} - {""}
    if called & {stem(step) for step in steps} or speaks_of_image("".join(steps[-2:-1])):
        return []
    if spot.wanted.part == REGISTRY and steps[-2:-1] == ("global",):
        return []
    own = stem(spot.leaf)
    if any(_is_part(key) and stem(key) == own for key, text in spot.beside.items()):
        return []
    if any(one.site == spot.site and not one.place.missing for one in spots):
        return []
    there = {
        path
        for path, text in document_texts(spot.place.source, spot.place.document)
        if "metadata" not in path and speaks_of_image(str(path[-1])) and text
    }
    if any(path[-1] == spot.leaf and path[:-2] == spot.parent[:-1] for path in there if path[1:]):
        return []
    return _spelled(sorted(there, key=str))


def _is_part(key: str) -> bool:
    """Whether a key is called as a part of an image."""
    of_it = speaks_of_image(key) or digest_stem(key) is not None
    return of_it or key.lower() in (REGISTRY, *_JOINED)


def _together(one: Spot, other: Spot) -> bool:
    """Whether two spots are in the same document."""
    return (one.file.name, one.place.inside, one.place.document) == (
        other.file.name,
        other.place.inside,
        other.place.document,
    )


def _ours(text: str, image: ImageParts) -> Reference | None:
    """The image that a text is, if it is one of the same repository."""
    there = parse_familiar(text) if "/" in text else None
    ours = parse_familiar(image.repository)
    same = there and ours and (there.registry, there.image.name) == (ours.registry, ours.image.name)
    return there if same else None


def _versions(spot: Spot, image: ImageParts) -> list[Path]:
    """Keys beside a missing tag that seem to be it: `webVersion` of an image web, or plain `version`."""
    befores = ("", "image", last_part(image.name).replace("-", "").lower())
    called = {f"{before}{end}" for before in befores for end in ("version", "tag")}
    return [
        path
        for key, path in spot.around.paths.items()
        if spot.beside[key] and key.replace("-", "").replace("_", "").lower() in called
    ]


def _spelled(paths: Collection[Path]) -> list[str]:
    return [path_text(path) for path in paths]


_OPEN = "{{"  # a template, which is filled in later


def check_read_by_argo(spots: Collection[Spot]) -> None:
    """Pass where none of the helm values of an Application is overridden beside them; raises ConfigError."""
    written = [(spot.file.name, spot.place.document, spot.place.path) for spot in spots]
    for spot in spots:
        if found := _helm_values(spot):
            document, helm, key = found
            texts = dict(document_texts(spot.file, document))
            argo = texts.get(("apiVersion",), "").startswith("argoproj.io/")
            for over in _over(spot, helm, key, texts) if argo else ():
                told = (spot.file.name, document, over)
                if not any((*one[:2], one[2][: len(over)]) == told for one in written):
                    raise ConfigError(
                        f"{spot.text} is not read, since {path_text(over)} stands over it",
                        where=spot.place.source.where(spot.place.node.start),
                        hint="write that one, or take it out",
                    )


def overriding(spots: Iterable[Spot], files: Mapping[str, bytes]) -> Iterator[str]:
    """What to say of each value of a chart inside of another, whose own values set it to something else."""
    for spot in spots:
        for file, key, values in values_around(spot.file.name, files):
            there = text_at(values, *parse_dotted(spot.text))
            if there and not _says(there, spot):
                yield f"{file} sets {key}.{spot.text}, which stands over what {spot.file.name} has"


def _helm_values(spot: Spot) -> tuple[int, Path, str] | None:
    """The document and the path of the `helm` map whose values hold a spot, and the spot's key in these; None for any other."""
    place = spot.place
    below = (*place.path, *map(str, place.missing))
    if len(place.inside) == 1:
        document, path = place.inside[0]
        return (document, path[:-1], path_text(below)) if path[-2:] == ("helm", "values") else None
    for depth in range(2, len(below)):
        if not place.inside and below[depth - 2 : depth] == ("helm", "valuesObject"):
            return place.document, below[: depth - 1], path_text(below[depth:])
    return None


def _over(spot: Spot, helm: Path, key: str, texts: Mapping[Path, str]) -> Iterator[Path]:
    """What stands over the spot called `key` in the values of the map at `helm`: parameters, and an object over a text."""
    objects = (*helm, "valuesObject")
    if spot.place.inside and any(path[: len(objects)] == objects for path in texts):
        yield objects
    parameters = (*helm, "parameters")
    for path, text in texts.items():
        if path[:-2] == parameters and path[-1] == "name" and text == key:
            value = (*path[:-1], "value")
            there = texts.get(value, _OPEN)
            if _OPEN not in there and not _says(there, spot):
                yield value


def _says(text: str, spot: Spot) -> bool:
    """Whether a text has what a spot wants; a repository may stand in another form, beside a registry for one."""
    wanted = spot.wanted
    if isinstance(wanted, ImagePart) and wanted.part in ("repository", "name", REGISTRY):
        return wanted.part == REGISTRY or last_of(text) == last_of(wanted.image.name)
    return text == str(wanted)
