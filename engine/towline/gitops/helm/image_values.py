"""Pure.

Images as values of a chart, in the form that its default values have, so that it renders the whole
image.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from towline.gitops.helm.chart_values import (
    chart_folder,
    default_values,
    effective_values,
    nest,
    prepends_global_registry,
)
from towline.gitops.image_parts import REGISTRY, ImageParts, global_registry_paths
from towline.gitops.manifest_images import (
    FoundImage,
    compose_image,
    images_in_documents,
    images_in_file,
    in_other_registry,
    is_used,
    last_part,
)
from towline.image import Reference, parse_familiar
from towline.record import frozen
from towline.yaml.paths import parse_dotted
from towline.yaml.plain_data import first_mapping, text_at, texts_at, value_at


@frozen
class ImageValues:
    """An image as values of a chart: `repository`, `tag`, and `digest` if it is not empty."""

    repository: str
    tag: str
    digest: str = ""

    @property
    def text(self) -> str:
        """The image as one text."""
        return f"{self.repository}:{self.tag}{f'@{self.digest}' if self.digest else ''}"


def values_for_images(
    images: Mapping[str, ImageValues], base: Mapping[str, Any], otherwise: Collection[str] = ()
) -> dict[str, Any]:
    """The values that override `base` for images, which are given by the dotted keys of their maps.

    For the keys `otherwise` the registry has the other form.
    """
    values: dict[str, Any] = {}
    for key, image in images.items():
        *above, last = [str(step) for step in parse_dotted(key)]
        nested = values
        for part in above:
            nested = nested.setdefault(part, {})
        existing = value_at(base, *above, last)
        new = (
            image.text
            if isinstance(existing, str) and existing
            else _image_map(
                image, existing, _global_registry(base, (*above, last)), other=key in otherwise
            )
        )
        nested[last] = {**nested.get(last, {}), **new} if isinstance(new, dict) else new
    return values


def current_image(base: Mapping[str, Any], key: str) -> str:
    """The image that the values `base` have at a dotted key; empty if its name is not known."""
    path = [str(step) for step in parse_dotted(key)]
    if text := text_at(base, *path):
        return text
    name = text_at(base, *path, "repository")
    registry = text_at(base, *path, REGISTRY) or _global_registry(base, tuple(path))
    return compose_image(registry, name, "latest", "") if name else ""


def is_other_image(image: ImageValues, text: str) -> bool:
    """Whether a text is an image of the same registry whose name has another last part."""
    ours, theirs = parse_familiar(image.text), parse_familiar(text)
    return bool(
        ours
        and theirs
        and ours.registry.host == theirs.registry.host
        and last_part(ours.image.name) != last_part(theirs.image.name)
    )


def unused_keys(images: Mapping[str, ImageValues], rendered: bytes) -> list[str]:
    """The keys of images that the rendered manifests do not use."""
    found, wanted = found_and_wanted(images, rendered)
    return [key for key, reference in wanted.items() if not is_used(found, reference)]


def misplaced_keys(images: Mapping[str, ImageValues], rendered: bytes) -> list[str]:
    """The keys of images that the manifests do not use, or have behind another registry."""
    found, wanted = found_and_wanted(images, rendered)
    return [
        key
        for key, reference in wanted.items()
        if not is_used(found, reference) or in_other_registry(found, reference)
    ]


def found_and_wanted(
    images: Mapping[str, ImageValues], rendered: bytes
) -> tuple[Sequence[FoundImage], dict[str, Reference]]:
    """The images that rendered manifests name, and those they should name, by key."""
    found = (
        images_in_file(rendered, {last_part(image.repository) for image in images.values()}) or ()
    )
    wanted = {key: parse_familiar(image.text) for key, image in images.items()}
    return found, {key: reference for key, reference in wanted.items() if reference}


def images_over_defaults(
    path: str, files: Mapping[str, bytes], like: Collection[str]
) -> Sequence[FoundImage]:
    """The images that a chart gets from its default values with the values file `path` over them.

    There are none for a file outside charts, and for the default values themselves.
    """
    if not default_values(path, files):
        return ()
    values = effective_values(files, chart_folder(path, files) or "", [files[path]])
    joined = prepends_global_registry(path, files) is not False
    return images_in_documents([values], like, joined=joined)


def image_keys(files: Mapping[str, bytes]) -> list[str]:
    """Keys of the values of charts that seem to hold images; a subchart's are below its name."""
    found = (_keys_below(values, (), set()) for values in values_of_charts(files))
    return list(dict.fromkeys(key for keys in found for key in keys))


def values_of_charts(files: Mapping[str, bytes]) -> Iterator[Mapping[str, Any]]:
    """The values of each chart among files; a subchart's are below its name."""
    for path, data in sorted(files.items()):
        *folders, name = path.split("/")
        if name == "values.yaml":
            subcharts = [folder for above, folder in pairwise(folders) if above == "charts"]
            yield nest(subcharts, first_mapping(data))


def _keys_below(values: Any, path: tuple[str, ...], seen: set[int]) -> Iterator[str]:
    """The keys of images below a path; a map that aliases repeat counts where it comes first."""
    if id(values) in seen:
        return
    seen.add(id(values))
    for key, value in values.items() if isinstance(values, Mapping) else ():
        if (isinstance(value, Mapping) and {"repository", "registry"} & value.keys()) or (
            key.lower().endswith("image") and isinstance(value, str) and value
        ):
            yield ".".join((*path, key))
        else:
            yield from _keys_below(value, (*path, key), seen)


def _image_map(image: ImageValues, existing: Any, common: str, *, other: bool) -> dict[str, str]:
    """The parts of an image in the form of the `existing` map, or in the other form."""
    old_texts = texts_at(existing)
    host, _, name = image.repository.partition("/")
    registry, repository = ImageParts(host=host, name=name).split_for(
        old_texts.get("repository", ""), old_texts.get(REGISTRY, ""), common
    )
    if other:
        registry, repository = (
            (host, name) if repository == image.repository else ("", image.repository)
        )
    parts = {REGISTRY: registry, "repository": repository, "tag": image.tag, "digest": image.digest}
    emptied = {
        key for key in (REGISTRY, "digest") if old_texts.get(key) and not parts[key]
    }  # without an empty text the chart would use the old one
    return {key: value for key, value in parts.items() if value or key in emptied}


def _global_registry(base: Mapping[str, Any], path: tuple[str, ...]) -> str:
    return next(filter(None, (text_at(base, *keys) for keys in global_registry_paths(path))), "")
