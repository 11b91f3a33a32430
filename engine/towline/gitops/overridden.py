"""Pure.

Whether something stands over a value that is written, so that nothing reads it: Argo CD's
parameters, and the values of a chart around.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from towline.errors import ConfigError
from towline.gitops.beside import document_texts
from towline.gitops.chart_beside import values_around
from towline.gitops.choice import last_of
from towline.gitops.document import spell
from towline.gitops.dotted import parse_dotted
from towline.gitops.image_parts import REGISTRY, ImagePart
from towline.gitops.plain_data import text_at
from towline.gitops.value_images import Spot
from towline.yaml_marks import Path

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
                        f"{spot.text} is not read, since {spell(over)} stands over it",
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
        return (document, path[:-1], spell(below)) if path[-2:] == ("helm", "values") else None
    for depth in range(2, len(below)):
        if not place.inside and below[depth - 2 : depth] == ("helm", "valuesObject"):
            return place.document, below[: depth - 1], spell(below[depth:])
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
