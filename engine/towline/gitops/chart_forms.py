"""Pure.

The forms in which a chart may be given its images, one after the other until what it renders names
them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from towline.gitops.chart_beside import merged
from towline.gitops.chart_images import (
    ImageValues,
    looked_for,
    misnamed,
    unnamed,
    values_of,
)
from towline.gitops.chart_prefix import holding, others_stay, put_before, with_host
from towline.gitops.dotted import parse_dotted


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """The `values` that lie over those of a chart in one form.

    They set what holds the text `before` that the chart puts before images, if it is not empty,
    at the dotted key `key`.
    """

    values: Mapping[str, Any]
    before: str = ""
    key: str = ""


@dataclass(frozen=True, kw_only=True)
class Form:
    """The values `base` that a chart has of its own, and the `images` that it is given over them."""

    base: Mapping[str, Any]
    images: Mapping[str, ImageValues]

    def values(self, otherwise: Sequence[str] = ()) -> dict[str, Any]:
        """The images as its values; for the keys `otherwise` in the other form."""
        return values_of(self.images, self.base, otherwise)

    def others(self, rendered: str) -> Iterator[Attempt]:
        """What may be tried if that is what the values gave."""
        missing = unnamed(self.images, rendered.encode())
        if missing:
            yield Attempt(values=self.values(missing))
        found, wanted = looked_for(self.images, rendered.encode())
        for key, image in wanted.items():
            for text in put_before(found, image):
                if self.images[key].repository.startswith(f"{text}/"):
                    yield Attempt(values=self._below(key, text))
                for path in holding(self.base, text):
                    yield from self._with(path, text, self.images[key].repository.partition("/")[0])

    def _below(self, key: str, before: str) -> dict[str, Any]:
        """The images as values, that of a key without what the chart puts before it."""
        rest = self.images[key].repository.removeprefix(f"{before}/")
        made: dict[str, Any] = {"repository": rest}
        for step in reversed(parse_dotted(key)):
            made = {str(step): made}
        return merged(self.values(), made)

    def _with(self, path: tuple[str, ...], before: str, host: str) -> Iterator[Attempt]:
        """The images in both forms, with their registry where the chart has another one."""
        over = with_host(self.base, path, host)
        base = merged(self.base, over)
        for otherwise in ((), tuple(self.images)):
            values = merged(over, values_of(self.images, base, otherwise))
            yield Attempt(values=values, before=before, key=".".join(path))

    def is_better(self, attempt: Attempt, rendered: str, before: str) -> bool:
        """Whether more images are named in what an attempt gave than before, and nothing else is another one."""
        missing, left = (set(unnamed(self.images, text.encode())) for text in (before, rendered))
        if not attempt.before:
            return left < missing
        wrong, still = (set(misnamed(self.images, text.encode())) for text in (before, rendered))
        images = list(looked_for(self.images, b"")[1].values())
        return (
            left <= missing
            and still < wrong
            and others_stay(before, rendered, attempt.before, images)
        )
