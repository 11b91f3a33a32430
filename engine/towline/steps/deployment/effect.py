"""Whether a deployment has an effect: after the change, something that a cluster or a renderer reads names the image that was to be deployed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from towline.config.settings import Settings
from towline.errors import ConfigError
from towline.git.repository_url import host_and_path
from towline.gitops import argo_images
from towline.gitops.change import match
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
_LOOK = "say in containers or valuesPaths where the chart takes the image from"


@frozen
class Effect:
    """What is looked for in the files that fit `pattern`: each of `images`, with its known digest.

    `level` is that of imageCheck. Values are read by a chart: of them it counts what stands at
    `places` (paths of maps), and it is an error only if that chart lies beside them and the
    image was written as a `whole`, not its tag alone. `placed` says which image is at which of
    these places: each of them is judged for itself. `keys` are those at the top of the values
    that it was written below, some `new` if paths may be created. `repository` is the identity
    of the one that is changed. A chart is rendered with the files `over` its values, of which the
    content is None if they are in the repository.
    """

    pattern: str
    images: tuple[Reference, ...]
    tool: str
    level: str
    places: tuple[str, ...] = ()
    over: tuple[tuple[str, bytes | None], ...] = ()
    whole: bool = True
    placed: tuple[tuple[str, Reference], ...] = ()
    keys: tuple[str, ...] = ()
    new_keys: bool = False
    repository: str = ""

    def context(self, listing: Sequence[str], files: Mapping[str, bytes]) -> set[str]:
        """What else tells whether something reads the images."""
        found: set[str] = set()
        if self.level == OFF or not self.images:
            return found
        for path in match(self.pattern, sorted(files)):
            found |= argo_images.override_paths(files[path], files, self._is_ours)
            if self.tool == VALUES and self.keys:
                found |= chart_values.reader_folders(path, self.keys, files, new=self.new_keys)
        folders = tuple(one for one in found if one.endswith("/templates/") or one == "templates/")
        return found | {path for path in listing if path.startswith(folders)}

    def check_readers(
        self, contents: Mapping[str, bytes], listing: Sequence[str], warn: Callable[[str], None]
    ) -> None:
        """Say of values and overrides that name an image that nothing reads them."""
        if self.level == OFF:
            return
        for path in match(self.pattern, sorted(contents)):
            if self.tool == VALUES and self.keys:
                lost, read = chart_values.unread_keys(path, self.keys, contents, listing)
                for key in lost:
                    near = close(key, read)
                    guess = f"; did you mean {near}?" if near else ""
                    told = f"its templates read {list_some(sorted(read)) or 'no values'}{guess}"
                    warn(f"{path} has the image in {key}, which the chart does not read: {told}")
            for one in argo_images.overrides(contents[path], self._is_ours):
                there = argo_images.images_of_override(one, contents)
                ours = any(
                    is_same_image(FoundImage(location=path, text=one.image), image)
                    for image in self.images
                )
                if ours and there is not None and one.name not in there:
                    warn(
                        f"{path} has an entry for an image called {one.name}, which no resource of "
                        f"{one.folder} runs; known images: "
                        f"{list_some(sorted(there)) or 'none'}"
                    )

    def _is_ours(self, url: str) -> bool:
        """Whether a URL is that of the repository that is changed."""
        return bool(self.repository) and host_and_path(url) == self.repository

    def check(
        self, contents: Mapping[str, bytes], listing: Sequence[str], warn: Callable[[str], None]
    ) -> None:
        """Look at what the files are in the end; raises ConfigError if an image is nowhere."""
        if self.level == OFF or not self.images:
            return
        paths = match(self.pattern, sorted(contents))
        like = {last_part(image.image.name) for image in self.images}
        found = [container_images(contents[path]) for path in paths]
        if self.placed or not all(
            any(is_same_image(one, image) for listed in found for one in listed or ())
            for image in self.images
        ):
            joined = [
                chart_values.prepends_global_registry(path, contents) is not False for path in paths
            ]
            read = zip(paths, joined, strict=True)
            found = [images_in_file(contents[path], like, joined=one) for path, one in read]
        every = [one for listed in found for one in listed or ()]
        over = [one for path in paths for one in images_over_defaults(path, contents, like)]
        self._check_places([*every, *over] if self.placed else every, warn)
        for image in self.images:
            wrong = stale_containers(every, image) if self.tool == HELM else []
            for one in wrong:
                warn(f"{one.location} in {list_some(paths)} runs {one.text}, not {_shown(image)}")
            named = any(is_same_image(one, image) for one in every)
            if (named and (not wrong or is_used(every, image))) or None in found:
                continue  # what cannot be read is not judged: an edit is proven by itself
            beside = any(chart_folder(path, listing) is not None for path in paths)
            there = (
                [str(one) for one in wrong]
                if named
                else self._instead(every, image, unknown=not beside)
            )
            if there or self.tool != VALUES or not _holds_part(image, contents, paths):
                sure = self.tool != VALUES or (beside and self.whole)
                reader = "no container" if named else "nothing that is read"
                message = f"{reader} in {list_some(paths)} names {_shown(image)}"
                told = (
                    f"{message}: it names {list_some(there)}"
                    if there
                    else f"{message}, nor any image"
                )
                hint = self._hint(contents, every, image)
                if sure and self.level != WARN:
                    hint = f"{hint}; imageCheck: warn makes it a warning"
                    raise ConfigError(told, where=self.pattern, hint=hint)
                warn(f"{told} ({hint})")

    def _check_places(self, found: Sequence[FoundImage], warn: Callable[[str], None]) -> None:
        """Look at each place that was written; raises ConfigError if one is another image's."""
        for place, image in self.placed:
            there = [one for one in found if one.location == place]
            if any(is_same_image(one, image) for one in there):
                continue  # of several of that path, the others were left alone
            if others := [str(one) for one in there if is_other_image(one, image)]:
                told = f"{place} is another image's place: {list_some(others)}, not {_shown(image)}"
                if self.level != WARN:
                    hint = (
                        "say in valuesPaths which image is meant, as tag of NAME, or leave it out"
                    )
                    hint += "; imageCheck: warn makes it a warning"
                    raise ConfigError(told, where=self.pattern, hint=hint)
                warn(told)

    def _instead(
        self, found: Sequence[FoundImage], image: Reference, *, unknown: bool
    ) -> list[str]:
        """What is named instead, where the image should be; an `unknown` chart may put the rest before the end of its name."""
        if self.tool != VALUES:
            return nearest_images(found, image)
        there = [one for one in found if one.location in self.places]
        may_join = unknown and not self.whole
        return [str(one) for one in there if not (may_join and is_end_of_image(image, one))]

    def _hint(
        self, contents: Mapping[str, bytes], found: Sequence[FoundImage], image: Reference
    ) -> str:
        """What to do about it."""
        if self.tool == HELM:
            over = (
                first_mapping(data or contents.get(name, b"")) for name, data in reversed(self.over)
            )
            values = [*over, *values_of_charts(contents)]
            rendered = [contents[path] for path in match(self.pattern, sorted(contents))]
            chart = ChartHint(files=contents, values=values, tried=self.places)
            return chart.text(rendered, found, image)
        if self.tool == VALUES and not self.places:
            return "name it in the template"
        return _LOOK if self.tool == VALUES else "correct the place"


def effect_of(settings: Settings, plan: TargetPlan) -> Effect:
    """The effect that a target is to have."""
    images = dict.fromkeys(_known(one) for one in plan.images.values())
    parts = {part.partition(" of ")[0] for part in settings.mapping("valuesPaths").values()}
    return Effect(
        pattern=settings.text("filePath"),
        images=tuple(images),
        tool=settings.text("tool"),
        level=settings.text("imageCheck"),
        places=_places(settings, plan),
        over=_over(plan),
        placed=_placed(settings, plan),
        whole=not parts or bool(parts & {"image", "repository"}),
        keys=_keys(settings, plan),
        new_keys=settings.flag("createPaths"),
        repository=host_and_path(settings.text("serverUrl")),
    )


def _over(plan: TargetPlan) -> tuple[tuple[str, bytes | None], ...]:
    """The files over the values of a chart that is rendered."""
    chart = plan.change if isinstance(plan.change, HelmChart) else None
    return tuple((one.name, one.content) for one in chart.values_files) if chart else ()


def _keys(settings: Settings, plan: TargetPlan) -> tuple[str, ...]:
    """The keys at the top of values that the images are written below; none for a template."""
    if settings.given("valuesTemplate"):
        return ()
    first = (parse_dotted(path)[0] for path in plan.images)
    return tuple(dict.fromkeys(key for key in first if isinstance(key, str)))


def _places(settings: Settings, plan: TargetPlan) -> tuple[str, ...]:
    """The maps of values that the images were written into; none for a template, which may do as it likes."""
    if settings.given("valuesTemplate"):
        return ()
    if settings.given("valuesPaths"):
        return tuple(parent_path(path) or WHOLE_DOCUMENT for path in plan.images)
    if settings.text("tool") == HELM and not settings.given("containers"):
        return (DEFAULT_KEY,)
    return tuple(plan.images)


def _placed(settings: Settings, plan: TargetPlan) -> tuple[tuple[str, Reference], ...]:
    """Each place of values with the image, and its known digest, that was written there."""
    places = _places(settings, plan) if settings.text("tool") == VALUES else ()
    images = (_known(one) for one in plan.images.values())
    return tuple(dict.fromkeys(zip(places, images, strict=False)))  # no places: no pairs


def _known(one: DeployedImage) -> Reference:
    """The image with its known digest."""
    return replace(one.reference, image=replace(one.reference.image, digest=one.digest))


def _shown(image: Reference) -> str:
    """An image for people: by its tag, if it has one."""
    known = image.image
    return str(replace(image, image=replace(known, digest="" if known.tag else known.digest)))


def _holds_part(image: Reference, contents: Mapping[str, bytes], paths: Sequence[str]) -> bool:
    """Whether what changes of an image with each build stands in one of the files at all."""
    part = (image.image.tag or image.image.digest).encode()
    return any(part in contents[path] for path in paths)
