"""Pure.

Whether a path leads by its index to another image, while its own stands in another item of the same
list.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from towline.errors import ConfigError
from towline.gitops.beside import document_texts
from towline.gitops.choice import last_of, repository_of
from towline.gitops.document import spell
from towline.gitops.dotted import parse_dotted
from towline.gitops.image_parts import ImagePart
from towline.gitops.value_images import Spot
from towline.suggest import some
from towline.yaml_marks import Path


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
        spell(path)
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
