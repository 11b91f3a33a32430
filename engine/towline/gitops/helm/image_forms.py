"""Pure.

Forms in which a chart may take its images, tried until the manifests name them; the registry that a
chart puts before names by itself, and the values that hold it; and the hint if no container has the
image.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from towline.gitops.helm.chart_values import merge_values
from towline.gitops.helm.image_values import (
    ImageValues,
    found_and_wanted,
    image_keys,
    misplaced_keys,
    unused_keys,
    values_for_images,
)
from towline.gitops.image_parts import separate_keys
from towline.gitops.manifest_images import FoundImage, in_other_registry
from towline.image import Reference
from towline.record import frozen
from towline.suggest import list_some
from towline.yaml.paths import parse_dotted

_MOST_TRIALS = 4  # each costs one or two renderings
_REGISTRY = "registry"
_WORD = r"""[^\s"'=,]*"""
# The start of a word: a long word is searched once, not again from each of its letters.
_BEGIN = r"""(?<![^\s"'=,])"""


def registry_prefixes(found: Iterable[FoundImage], wanted: Reference) -> list[str]:
    """The texts before the wanted image's name where another registry stands, each once."""
    name, host = wanted.image.name, wanted.registry.host
    texts = (image.text for image in in_other_registry(found, wanted))
    heads = (text[: text.rindex(f"/{name}")] for text in texts if f"/{name}" in text)
    return list(
        dict.fromkeys(filter(None, (head.removesuffix(host).rstrip("/") for head in heads)))
    )


def paths_with_text(values: Mapping[str, Any], text: str) -> list[tuple[str, ...]]:
    """Paths of values that are a text, perhaps with a slash at its end; registries come first."""
    found = [path for path, value in _texts_below(values) if value.rstrip("/") == text]
    return sorted(found, key=lambda path: _REGISTRY not in path[-1].lower())[:_MOST_TRIALS]


def with_registry(values: Mapping[str, Any], path: tuple[str, ...], host: str) -> dict[str, Any]:
    """Values that set the host at a path, with a slash at its end if the text there has one."""
    text: Any = values
    for key in path:
        text = text[key]
    nested: Any = f"{host}/" if text.endswith("/") else host
    for key in reversed(path):
        nested = {key: nested}
    return dict(nested)


def keeps_other_images(before: str, after: str, text: str, images: Collection[Reference]) -> bool:
    """Whether a text occurs as often in both renderings, not counting the images themselves."""
    ends = "|".join(re.escape(f"/{image.image.name}") for image in images)
    own_images = re.compile(rf"{_BEGIN}{_WORD}(?:{ends})[:@]{_WORD}")
    return own_images.sub("", before).count(text) == own_images.sub("", after).count(text)


def _texts_below(values: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """The texts of nested maps with their paths; a map that aliases repeat comes once."""
    seen: set[int] = set()
    waiting: list[tuple[tuple[str, ...], Any]] = [((), values)]
    while waiting:
        path, node = waiting.pop(0)
        if isinstance(node, str) and path:
            yield path, node
        if isinstance(node, Mapping) and id(node) not in seen:
            seen.add(id(node))
            waiting += [((*path, str(key)), value) for key, value in node.items()]


@frozen
class FormTrial:
    """A trial of one form: the `values` that override those of the chart.

    If `before` is not empty, it is the registry that the chart puts before images, and `values`
    replace it at the dotted key `key`.
    """

    values: Mapping[str, Any]
    before: str = ""
    key: str = ""


@frozen
class ImageForms:
    """The forms of a chart with the default values `base` for the `images` that it gets."""

    base: Mapping[str, Any]
    images: Mapping[str, ImageValues]

    def values(self, otherwise: Sequence[str] = ()) -> dict[str, Any]:
        """The images as values; for the keys `otherwise` in the other form."""
        return values_for_images(self.images, self.base, otherwise)

    def others(self, rendered: str) -> Iterator[FormTrial]:
        """The forms to try if the default form gave `rendered`."""
        missing = unused_keys(self.images, rendered.encode())
        if missing:
            yield FormTrial(values=self.values(missing))
        found, wanted = found_and_wanted(self.images, rendered.encode())
        for key, image in wanted.items():
            for text in registry_prefixes(found, image):
                if self.images[key].repository.startswith(f"{text}/"):
                    yield FormTrial(values=self._without_registry(key, text))
                for path in paths_with_text(self.base, text):
                    yield from self._with_own_registry(
                        path, text, self.images[key].repository.partition("/")[0]
                    )

    def _without_registry(self, key: str, before: str) -> dict[str, Any]:
        """The images as values.

        The one of `key` without the registry that the chart puts before it.
        """
        rest = self.images[key].repository.removeprefix(f"{before}/")
        nested: dict[str, Any] = {"repository": rest}
        for step in reversed(parse_dotted(key)):
            nested = {str(step): nested}
        return merge_values(self.values(), nested)

    def _with_own_registry(
        self, path: tuple[str, ...], before: str, host: str
    ) -> Iterator[FormTrial]:
        """The images in both forms, with their registry where the chart has another one."""
        over = with_registry(self.base, path, host)
        base = merge_values(self.base, over)
        for otherwise in ((), tuple(self.images)):
            values = merge_values(over, values_for_images(self.images, base, otherwise))
            yield FormTrial(values=values, before=before, key=".".join(path))

    def is_better(self, attempt: FormTrial, rendered: str, before: str) -> bool:
        """Whether a trial names more images than before, and changes no other image."""
        missing_before, missing_after = (
            set(unused_keys(self.images, text.encode())) for text in (before, rendered)
        )
        if not attempt.before:
            return missing_after < missing_before
        misplaced_before, misplaced_after = (
            set(misplaced_keys(self.images, text.encode())) for text in (before, rendered)
        )
        images = list(found_and_wanted(self.images, b"")[1].values())
        return (
            missing_after <= missing_before
            and misplaced_after < misplaced_before
            and keeps_other_images(before, rendered, attempt.before, images)
        )


_READ_REGISTRY = re.compile(rb"\.Values\)?((?:\.\w+\)?)*\.\w*[rR]egistry\b)")


@frozen
class ChartHint:
    """A hint on a chart: its `files`, its `values` (strongest first), and the keys `tried`."""

    files: Mapping[str, bytes]
    values: Sequence[Mapping[str, Any]]
    tried: Collection[str]

    def text(self, rendered: Sequence[bytes], found: Sequence[FoundImage], image: Reference) -> str:
        """Return a hint how to change the chart so that it runs `image`.

        `rendered` is what it renders now, `found` are the images there.
        """
        for before in registry_prefixes(found, image)[:1]:
            others = _other_images_condition(found, before, image)
            hint = self._registry_hint(before, image, others)
            return f"the chart puts {before} before the name{hint}"
        for separate in filter(None, (separate_keys(data, image) for data in rendered)):
            return (
                f"{separate}; let the chart write them as one text, or beside each other without"
                " another tag or digest"
            )
        if keys := [key for key in image_keys(self.files) if key not in self.tried]:
            named = "name in containers the key of its values from which the chart takes the image"
            return f"{named}; its values have {list_some(keys)}"
        parts = list_some([f"{key}.repository and {key}.tag" for key in self.tried])
        return f"the chart does not take the image from {parts}: let its templates do so"

    def _registry_hint(self, before: str, image: Reference, others: str) -> str:
        """How the chart gets another registry than the one that it puts before the name."""
        host = image.registry.host
        for values in self.values:
            for path in paths_with_text(values, before):
                value: Any = with_registry(values, path, host)
                for key in path:
                    value = value[key]
                key_path = ".".join(path)
                return (
                    f", from {key_path} of its values: set {key_path}: {value} in a file of"
                    f" helmValues{others}"
                )
        read = [
            key[1].decode().replace(")", "").lstrip(".")
            for path, data in self.files.items()
            if "templates/" in path
            for key in _READ_REGISTRY.finditer(data)
        ]
        if read:
            return (
                f", and its templates read {read[0]}: set {read[0]}: {host} in a file of"
                f" helmValues{others}"
            )
        return " by itself: let its templates take the registry from the values"


def _other_images_condition(found: Sequence[FoundImage], before: str, image: Reference) -> str:
    """A condition that names the other images which would then use the new registry too."""
    own_name = f"/{image.image.name}"
    texts = [
        other.text
        for other in found
        if other.runs and other.text.startswith(f"{before}/") and own_name not in other.text
    ]
    others = list(dict.fromkeys(texts))
    return f", if {list_some(others)} can be pulled from there too" if others else ""
