"""Whether a deployment has an effect: after the change, something that a cluster or a renderer reads names the image that was to be deployed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from towline.config.settings import Settings
from towline.errors import ConfigError
from towline.gitops.change import match
from towline.gitops.chart_beside import chart_folder
from towline.gitops.image_effect import WHOLE, images_in, last_part, names, near, strays
from towline.image import Reference
from towline.steps.deployment.tools import Planned
from towline.suggest import some

WARN, OFF = "warn", "off"
HELM, VALUES = "helm", "helm-values"
_LOOK = {
    HELM: "name the key of its values from which the chart takes the image in containers, web.image for example",
    VALUES: "say in containers or valuesPaths where the chart takes the image from",
}


@dataclass(frozen=True, kw_only=True)
class Effect:
    """What is looked for in the files that fit `pattern`: each of `images`, with its digest where that is known; `level` is that of imageCheck.

    Values are read by a chart: of them it counts what stands at `places` (paths of maps), and it is an error only where that chart lies beside them.
    """

    pattern: str
    images: tuple[Reference, ...]
    tool: str
    level: str
    places: tuple[str, ...] = ()

    def check(
        self, contents: Mapping[str, bytes], listing: Sequence[str], warn: Callable[[str], None]
    ) -> None:
        """Look at what the files are in the end; raises ConfigError, or warns, where an image is nowhere."""
        if self.level == OFF or not self.images:
            return
        paths = match(self.pattern, sorted(contents))
        found = {
            path: images_in(contents[path], {last_part(image.image.name) for image in self.images})
            for path in paths
        }
        if any(one is None for one in found.values()):
            return  # what cannot be read is not judged: that an edit says what it should is proven
        every = [one for listed in found.values() for one in listed or ()]
        unread = self.tool == VALUES and not any(chart_folder(path, listing) is not None for path in paths)
        for image in self.images:
            for one in strays(every, image) if self.tool == HELM else ():
                warn(f"{one.place} in {some(paths)} runs {one.text}, not {image}")
            if any(names(one, image) for one in every):
                continue
            there = (
                near(every, image)
                if self.tool != VALUES
                else [str(one) for one in every if one.place in self.places]
            )
            if (
                there
                or self.tool != VALUES
                or not any(_part_of(image) in contents[path] for path in paths)
            ):
                self._nowhere(
                    f"nothing that is read in {some(paths)} names {image}",
                    there,
                    warn if unread or self.level == WARN else None,
                )

    def _nowhere(
        self, message: str, there: Sequence[str], warn: Callable[[str], None] | None
    ) -> None:
        told = f"{message}: {f'it names {some(there)}' if there else 'no image is named there'}"
        hint = _LOOK.get(self.tool, "correct the place")
        if warn is None:
            raise ConfigError(
                told, where=self.pattern, hint=f"{hint}; imageCheck: warn makes it a warning"
            )
        warn(f"{told} ({hint})")


def effect_of(settings: Settings, planned: Planned) -> Effect:
    """The effect that a target is to have."""
    images = dict.fromkeys(
        replace(one.reference, image=replace(one.reference.image, digest=one.digest))
        for one in planned.images.values()
    )
    paths = (
        [path.rpartition(".")[0] or WHOLE for path in planned.images]
        if settings.given("valuesPaths")
        else planned.images
    )
    return Effect(
        pattern=settings.text("filePath"),
        images=tuple(images),
        tool=settings.text("tool"),
        level=settings.text("imageCheck"),
        places=tuple(paths),
    )


def _part_of(image: Reference) -> bytes:
    """What of an image changes with each build."""
    return (image.image.tag or image.image.digest).encode()
