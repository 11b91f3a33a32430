"""The check that a deployment has an effect.

After the change, a place that a cluster or a renderer reads must name the deployed image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from towline.config.settings import Settings
from towline.errors import ConfigError
from towline.file_patterns import match_files
from towline.git.remote import host_and_path
from towline.gitops import argo_images
from towline.gitops.helm import chart_values
from towline.gitops.helm.chart import HelmChart
from towline.gitops.helm.chart_values import chart_folder
from towline.gitops.helm.image_forms import ChartHint
from towline.gitops.helm.image_values import images_over_defaults, values_of_charts
from towline.gitops.image_parts import parent_path
from towline.gitops.manifest_images import (
    WHOLE_DOCUMENT,
    FoundImage,
    container_images,
    images_in_file,
    is_end_of_image,
    is_other_image,
    is_same_image,
    is_used,
    last_part,
    nearest_images,
    stale_containers,
)
from towline.image import Reference
from towline.record import frozen, replace
from towline.steps.deployment.images import DeployedImage
from towline.steps.deployment.tools import DEFAULT_KEY, TargetPlan
from towline.suggest import close, list_some
from towline.yaml.paths import parse_dotted
from towline.yaml.plain_data import first_mapping

WARN, OFF = "warn", "off"
HELM, VALUES = "helm", "helm-values"
_HINT = "name in containers or valuesPaths the key from which the chart takes the image"


@frozen
class Effect:
    """The images that the files which match `pattern` must name, with their known digests.

    `level` is the value of imageCheck. A chart reads values: only the images at `value_paths` (of
    maps) count, and a missing image is an error only if the chart lies beside the values and the
    image was written as a `whole`, not its tag alone. `placed` has the image for each of these
    paths, which is checked separately. `keys` are the top-level keys of these paths; with
    `new_keys`, they may be new. `repository` is host and path of the changed repository.
    `values_files` override the values of a rendered chart; the content is None for files of the
    repository.
    """

    pattern: str
    images: tuple[Reference, ...]
    tool: str
    level: str
    value_paths: tuple[str, ...] = ()
    values_files: tuple[tuple[str, bytes | None], ...] = ()
    whole: bool = True
    placed: tuple[tuple[str, Reference], ...] = ()
    keys: tuple[str, ...] = ()
    new_keys: bool = False
    repository: str = ""

    def context(self, listing: Sequence[str], files: Mapping[str, bytes]) -> set[str]:
        """The paths of other files that show whether the images are read."""
        found: set[str] = set()
        if self.level == OFF or not self.images:
            return found
        for path in match_files(self.pattern, sorted(files)):
            found |= argo_images.override_paths(files[path], files, self._is_ours)
            if self.tool == VALUES and self.keys:
                found |= chart_values.reader_folders(path, self.keys, files, new=self.new_keys)
        folders = tuple(path for path in found if f"/{path}".endswith("/templates/"))
        return found | {path for path in listing if path.startswith(folders)}

    def check_readers(
        self, contents: Mapping[str, bytes], listing: Sequence[str], warn: Callable[[str], None]
    ) -> None:
        """Warn of values and overrides that contain an image and are not read."""
        if self.level == OFF:
            return
        for path in match_files(self.pattern, sorted(contents)):
            if self.tool == VALUES and self.keys:
                unread, read = chart_values.unread_keys(path, self.keys, contents, listing)
                for key in unread:
                    near = close(key, read)
                    guess = f"; did you mean {near}?" if near else ""
                    warn(
                        f"{path} has the image in {key}, which the chart does not read: its"
                        f" templates read {list_some(sorted(read)) or 'no values'}{guess}"
                    )
            for override in argo_images.overrides(contents[path], self._is_ours):
                run = argo_images.images_of_override(override, contents)
                entry = FoundImage(location=path, text=override.image)
                is_ours = any(is_same_image(entry, image) for image in self.images)
                if is_ours and run is not None and override.name not in run:
                    warn(
                        f"{path} has an entry for an image called {override.name}, which no"
                        f" resource of {override.folder} runs; known images:"
                        f" {list_some(sorted(run)) or 'none'}"
                    )

    def _is_ours(self, url: str) -> bool:
        """Whether the URL is that of the changed repository."""
        return bool(self.repository) and host_and_path(url) == self.repository

    def check(
        self, contents: Mapping[str, bytes], listing: Sequence[str], warn: Callable[[str], None]
    ) -> None:
        """Look for each image in the changed files; raises ConfigError if one is in none."""
        if self.level == OFF or not self.images:
            return
        paths = match_files(self.pattern, sorted(contents))
        by_file = self._images_by_file(contents, paths)
        found = [image for images in by_file for image in images or ()]
        if self.placed:
            names = self._last_parts()
            over_defaults = [
                image_found
                for path in paths
                for image_found in images_over_defaults(path, contents, names)
            ]
            self._check_paths([*found, *over_defaults], warn)
        for image in self.images:
            stale = stale_containers(found, image) if self.tool == HELM else []
            for image_found in stale:
                warn(
                    f"{image_found.location} in {list_some(paths)} runs {image_found.text}, not"
                    f" {_image_text(image)}"
                )
            named = any(is_same_image(image_found, image) for image_found in found)
            if (named and (not stale or is_used(found, image))) or None in by_file:
                continue  # in a file that cannot be read, only the edit itself is proven
            has_chart = any(chart_folder(path, listing) is not None for path in paths)
            instead = [str(image_found) for image_found in stale]
            if not named:
                instead = self._images_instead(found, image, unknown=not has_chart)
            if not instead and self.tool == VALUES and _contains_version(image, contents, paths):
                continue
            reader = "no container" if named else "no value that is read"
            message = f"{reader} in {list_some(paths)} names {_image_text(image)}"
            message += f": it names {list_some(instead)}" if instead else ", nor any image"
            hint = self._hint(contents, found, image)
            is_certain = self.tool != VALUES or (has_chart and self.whole)
            if is_certain and self.level != WARN:
                hint = f"{hint}; imageCheck: warn makes it a warning"
                raise ConfigError(message, where=self.pattern, hint=hint)
            warn(f"{message} ({hint})")

    def _images_by_file(
        self, contents: Mapping[str, bytes], paths: Sequence[str]
    ) -> list[Sequence[FoundImage] | None]:
        """The images in each file, None for a file that cannot be read.

        The images of containers are enough if all deployed images are among them; else all texts
        that are images count.
        """
        of_containers = [container_images(contents[path]) for path in paths]
        container_images_found = [
            image_found for images in of_containers for image_found in images or ()
        ]
        has_all = all(
            any(is_same_image(image_found, image) for image_found in container_images_found)
            for image in self.images
        )
        if has_all and not self.placed:
            return [*of_containers]
        names = self._last_parts()
        found: list[Sequence[FoundImage] | None] = []
        for path in paths:
            joined = chart_values.prepends_global_registry(path, contents) is not False
            found.append(images_in_file(contents[path], names, joined=joined))
        return found

    def _last_parts(self) -> set[str]:
        """The last part of each image's name."""
        return {last_part(image.image.name) for image in self.images}

    def _check_paths(self, found: Sequence[FoundImage], warn: Callable[[str], None]) -> None:
        """Check each written place; raises ConfigError if another image stands there."""
        for path, image in self.placed:
            at_place = [image_found for image_found in found if image_found.location == path]
            if any(is_same_image(image_found, image) for image_found in at_place):
                continue  # several places have this path, and the others were left alone
            others = [
                str(image_found) for image_found in at_place if is_other_image(image_found, image)
            ]
            if not others:
                continue
            message = (
                f"{path} belongs to another image: {list_some(others)}, not {_image_text(image)}"
            )
            if self.level != WARN:
                raise ConfigError(
                    message,
                    where=self.pattern,
                    hint=(
                        "name the right image in valuesPaths, as tag of NAME, or leave the path"
                        " out; imageCheck: warn makes it a warning"
                    ),
                )
            warn(message)

    def _images_instead(
        self, found: Sequence[FoundImage], image: Reference, *, unknown: bool
    ) -> list[str]:
        """The images that stand where `image` should be.

        An `unknown` chart may complete the end of an image's name by a text before it.
        """
        if self.tool != VALUES:
            return nearest_images(found, image)
        at_paths = [
            image_found for image_found in found if image_found.location in self.value_paths
        ]
        if unknown and not self.whole:
            at_paths = [
                image_found for image_found in at_paths if not is_end_of_image(image, image_found)
            ]
        return [str(image_found) for image_found in at_paths]

    def _hint(
        self, contents: Mapping[str, bytes], found: Sequence[FoundImage], image: Reference
    ) -> str:
        """The hint for a missing image."""
        if self.tool == HELM:
            values_maps = (
                first_mapping(data or contents.get(name, b""))
                for name, data in reversed(self.values_files)
            )
            values = [*values_maps, *values_of_charts(contents)]
            rendered = [contents[path] for path in match_files(self.pattern, sorted(contents))]
            chart = ChartHint(files=contents, values=values, tried=self.value_paths)
            return chart.text(rendered, found, image)
        if self.tool == VALUES and not self.value_paths:
            return "name the image in the template"
        return _HINT if self.tool == VALUES else "correct the place of the image"


def effect_of(settings: Settings, plan: TargetPlan) -> Effect:
    """The effect that a target must have."""
    images = dict.fromkeys(_with_known_digest(image) for image in plan.images.values())
    parts = {part.partition(" of ")[0] for part in settings.mapping("valuesPaths").values()}
    return Effect(
        pattern=settings.text("filePath"),
        images=tuple(images),
        tool=settings.text("tool"),
        level=settings.text("imageCheck"),
        value_paths=_value_paths(settings, plan),
        values_files=_chart_values_files(plan),
        placed=_placed(settings, plan),
        whole=not parts or bool(parts & {"image", "repository"}),
        keys=_keys(settings, plan),
        new_keys=settings.flag("createPaths"),
        repository=host_and_path(settings.text("serverUrl")),
    )


def _chart_values_files(plan: TargetPlan) -> tuple[tuple[str, bytes | None], ...]:
    """The values files of a rendered chart, in their order."""
    chart = plan.change if isinstance(plan.change, HelmChart) else None
    return tuple((file.name, file.content) for file in chart.values_files) if chart else ()


def _keys(settings: Settings, plan: TargetPlan) -> tuple[str, ...]:
    """The top-level keys of the values that get the images; none for a template."""
    if settings.given("valuesTemplate"):
        return ()
    first = (parse_dotted(path)[0] for path in plan.images)
    return tuple(dict.fromkeys(key for key in first if isinstance(key, str)))


def _value_paths(settings: Settings, plan: TargetPlan) -> tuple[str, ...]:
    """The maps of values that the images were written into; none for a template."""
    if settings.given("valuesTemplate"):
        return ()
    if settings.given("valuesPaths"):
        return tuple(parent_path(path) or WHOLE_DOCUMENT for path in plan.images)
    if settings.text("tool") == HELM and not settings.given("containers"):
        return (DEFAULT_KEY,)
    return tuple(plan.images)


def _placed(settings: Settings, plan: TargetPlan) -> tuple[tuple[str, Reference], ...]:
    """Each path of values, with the image that was written there and its known digest."""
    paths = _value_paths(settings, plan) if settings.text("tool") == VALUES else ()
    images = (_with_known_digest(image) for image in plan.images.values())
    return tuple(dict.fromkeys(zip(paths, images, strict=False)))  # no paths: no pairs


def _with_known_digest(deployed: DeployedImage) -> Reference:
    """The image with its known digest."""
    return replace(
        deployed.reference, image=replace(deployed.reference.image, digest=deployed.digest)
    )


def _image_text(image: Reference) -> str:
    """The image for messages: with its tag alone, if it has a tag."""
    name_and_tag = image.image
    return str(
        replace(
            image,
            image=replace(name_and_tag, digest="" if name_and_tag.tag else name_and_tag.digest),
        )
    )


def _contains_version(
    image: Reference, contents: Mapping[str, bytes], paths: Sequence[str]
) -> bool:
    """Whether a file contains the part of the image that changes with each build."""
    part = (image.image.tag or image.image.digest).encode()
    return any(part in contents[path] for path in paths)
