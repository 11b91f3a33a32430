"""Pure.

What to do if a chart renders no container with the image: where it takes its registry from, and
which keys are left to name.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from towline.gitops.chart_images import image_keys
from towline.gitops.chart_prefix import holding, put_before, with_host
from towline.gitops.image_apart import stand_apart
from towline.gitops.image_effect import Found
from towline.image import Reference
from towline.suggest import some

_READ = re.compile(rb"\.Values\)?((?:\.\w+\)?)*\.\w*[rR]egistry\b)")


@dataclass(frozen=True, kw_only=True)
class ChartHint:
    """What is known of a chart: its `files`, the `values` that it was rendered with, the strongest first, and the keys `tried` for the image."""

    files: Mapping[str, bytes]
    values: Sequence[Mapping[str, Any]]
    tried: Collection[str]

    def text(self, rendered: Sequence[bytes], found: Sequence[Found], image: Reference) -> str:
        """What makes the chart run the image, by what was rendered and the images that were found in it."""
        for before in put_before(found, image)[:1]:
            others = _others(found, before, image)
            return f"the chart puts {before} before the name{self._registry(before, image, others)}"
        for apart in filter(None, (stand_apart(data, image) for data in rendered)):
            return (
                f"{apart}; let the chart write them in one, or beside each other with no other tag"
                " or digest there"
            )
        if keys := [key for key in image_keys(self.files) if key not in self.tried]:
            named = "name in containers the key of its values from which the chart takes the image"
            return f"{named}; its values have {some(keys)}"
        parts = some([f"{key}.repository and {key}.tag" for key in self.tried])
        return f"the chart does not take the image from {parts}: let its templates do so"

    def _registry(self, before: str, image: Reference, others: str) -> str:
        """How the chart gets another registry than the one that it puts before the name."""
        host = image.registry.host
        for values in self.values:
            for path in holding(values, before):
                value: Any = with_host(values, path, host)
                for key in path:
                    value = value[key]
                there = ".".join(path)
                return (
                    f", from {there} of its values: set {there}: {value} in a file of"
                    f" helmValues{others}"
                )
        read = [
            key[1].decode().replace(")", "").lstrip(".")
            for path, data in self.files.items()
            if "templates/" in path
            for key in _READ.finditer(data)
        ]
        if read:
            return (
                f", and its templates read {read[0]}: set {read[0]}: {host} in a file of"
                f" helmValues{others}"
            )
        return " by itself: let its templates take the registry from the values"


def _others(found: Sequence[Found], before: str, image: Reference) -> str:
    """The other images that would come from another registry then, as a condition."""
    ours = f"/{image.image.name}"
    texts = [
        one.text
        for one in found
        if one.runs and one.text.startswith(f"{before}/") and ours not in one.text
    ]
    others = list(dict.fromkeys(texts))
    return f", if {some(others)} can be pulled from there too" if others else ""
