"""Tool `helm`: renders charts of the repository with the pushed images into one manifest file.

The result is what `helm template` prints. The `helm` program renders if it is on PATH or named,
else Helm as a library; both run in a renderer process.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from towline.console import silent
from towline.errors import ConfigError, RenderError
from towline.file_patterns import clean_path, match_files
from towline.gitops.candidates import ANY_CHOICE, Candidate, Choice
from towline.gitops.helm.chart_files import (
    Dependency,
    chart_tree,
    check_schemas,
    further_paths,
    structural_paths,
)
from towline.gitops.helm.chart_values import effective_values
from towline.gitops.helm.image_forms import ImageForms
from towline.gitops.helm.image_values import (
    ImageValues,
    current_image,
    is_other_image,
    misplaced_keys,
)
from towline.gitops.helm.manifests import removed_resources
from towline.gitops.helm.packed_chart import repack_charts, unpack_chart
from towline.gitops.helm.random_values import keep_random_values
from towline.gitops.helm.renderer import (
    Cluster,
    HelmLibrary,
    Renderer,
    Rendering,
    timezone_file,
    with_names,
)
from towline.gitops.manifest_images import pods_in_file
from towline.gitops.notes import Note, Replaced
from towline.printable import masked
from towline.private_folder import PrivateFolder
from towline.record import field, frozen, replace
from towline.retry import Clock
from towline.suggest import list_some, nearest
from towline.yaml.paths import parse_dotted

_RELEASE_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_TEMPLATE_LINE = re.compile(r"[^\s/():\"]+/((?:templates|charts)/[^\s:()\"]+)(?::(\d+))?")
_TIME_FUNCTIONS = re.compile(rb"\b(?:now|ago|date|htmlDate|date_?[iI]n_?[zZ]one|htmlDateInZone)\b")
_IMAGE_VALUES = "the image of this deployment"
# Charts rendered together, and their paths in the repository.
_RenderedCharts = tuple[Rendering, Sequence[str]]
# Seconds that change day, hour, minute and second; Python has no zone a day away.
_FAR_OFFSET = 23 * 3600 + 61


@frozen
class ValuesFile:
    """A values document: its `content`, or None if it is the file `name` of the repository."""

    name: str
    content: bytes | None = None


@frozen
class HelmChart:
    """A Change that renders the charts matching `chart_path`, in order, into `file_path`.

    `values_files` override the charts' own values in their order, and `images` (by the dotted key
    of their map, usually `image`) override all of them. Values that a chart renders differently
    each time stay as the repository has them (`random_values`): `say` gets the documents that kept
    theirs, `warn` those that got new ones. `fetch` downloads a packed chart that the named
    Chart.yaml depends on. `choice` selects the charts that an image is for.
    """

    chart_path: str
    file_path: str
    release: str
    images: Mapping[str, ImageValues]
    namespace: str = "default"
    values_files: tuple[ValuesFile, ...] = ()
    cluster: Cluster = field(default_factory=Cluster)
    renderer: Renderer = field(default_factory=HelmLibrary)
    note: Note = silent
    warn: Callable[[str], None] = silent
    say: Callable[[str], None] = silent
    fetch: Callable[[Dependency, str], bytes] | None = None
    choice: Choice = ANY_CHOICE
    clock: Clock = field(default_factory=Clock)

    def wants(self, listing: Sequence[str]) -> Sequence[str]:
        """The charts' files, the repository's values files and the file to write, if they exist.

        Raises ConfigError.
        """
        self._check_names()
        charts = tuple(self._charts(listing))
        for chart in charts:
            if self.file_path.startswith((f"{chart}templates/", f"{chart}charts/")):
                raise ConfigError(
                    f"{self.file_path!r} is a template of the chart itself",
                    where="filePath",
                    hint="name a file outside of the chart's templates",
                )
        values = [values.name for values in self.values_files if values.content is None]
        for name in values:
            if name not in listing:
                raise ConfigError(
                    f"values file {name!r} is neither in the workspace nor in the repository",
                    hint=nearest(name, listing),
                )
        wanted = {
            self.file_path,
            *values,
            *(path.removesuffix("/") for path in charts),
            *(path for chart in charts for path in structural_paths(chart, listing)),
        }
        return [path for path in listing if path in wanted]

    def dependencies(self, listing: Sequence[str], files: Mapping[str, bytes]) -> Sequence[str]:
        """Further files that the charts need: files that templates read, and local dependencies.

        Raises ConfigError.
        """
        return list(
            dict.fromkeys(
                path
                for chart in self._charts(listing)
                for path in further_paths(chart, listing, files)
            )
        )

    def apply(self, files: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """`file_path` with the new rendering; raises RenderError and MachineError."""
        charts = self._charts(sorted(files))
        trees = [repack_charts(self._tree(files, chart), chart) for chart in charts]
        for chart, tree in zip(charts, trees, strict=True):
            check_schemas(tree, chart)
        values = tuple(
            (tree.name, files[tree.name] if tree.content is None else tree.content)
            for tree in self.values_files
        )
        with closing(PrivateFolder({})) as private:
            folder = private.path
            for number, tree in enumerate(trees):
                _write(tree, _chart_folder(folder, number))
            rendering = Rendering(
                folder=folder,
                charts=tuple(_chart_folder(folder, number) for number in range(len(charts))),
                release=self.release,
                namespace=self.namespace or "default",
                values=values,
                cluster=self.cluster,
            )
            overrides = [content for _, content in values]
            forms = self._forms(charts, [effective_values(tree, "", overrides) for tree in trees])
            renderings, text = self._rendered_with_images(rendering, charts, forms)
            if not text.strip():
                raise RenderError(
                    f"chart {self.chart_path!r} renders to nothing",
                    where=self.chart_path,
                    hint="look for a condition that leaves every template out",
                )
            text = self._with_stable_values(
                files, text, lambda: self._rendered_at_another_time(rendering, renderings)
            )
        data, old = text.encode(), files.get(self.file_path, b"")
        self._note_images(old, data)
        if removed := removed_resources(old, data):
            self.warn(
                f"no longer in {self.file_path}, which chart {self.chart_path} writes as a whole:"
                f" {list_some(removed)}"
            )
        return {self.file_path: data}

    def _with_stable_values(
        self, files: Mapping[str, bytes], text: str, render_again: Callable[[], str]
    ) -> str:
        """The rendering with random values as the repository has them.

        It reports the documents with such values, never their content.
        """
        old = files.get(self.file_path, b"").decode(errors="replace")
        if old == text:
            return text
        stable = keep_random_values(old, text, render_again)
        if stable.kept:
            self.say(
                f"  chart {self.chart_path} renders random values, and {self.file_path} keeps its"
                f" own in {list_some(stable.kept)}; remove them there to renew them"
            )
        if stable.renewed:
            self.warn(
                f"chart {self.chart_path} renders random values, and the text around them has"
                f" changed, so this commit has new ones in {list_some(stable.renewed)}"
            )
        return stable.text

    def _note_images(self, old: bytes, new: bytes) -> None:
        """Note the image of each rendered container, by owner and name."""
        before, after = (
            {(pod.owner, name): image for pod in pods_in_file(data) for name, image in pod.images}
            for data in (old, new)
        )
        for (owner, name), image in after.items():
            self.note(
                Replaced(
                    file=self.file_path,
                    name=f"{owner}, {name}",
                    old=before.get((owner, name), ""),
                    new=image,
                )
            )

    def _forms(self, charts: Sequence[str], bases: Sequence[Mapping[str, Any]]) -> list[ImageForms]:
        """The default values of each chart, and the images that it gets.

        A chart does not get an image if it has another one in that place, and another chart has
        this one.
        """
        excluded: set[tuple[int, str]] = set()
        for key, image in self.images.items():
            images = {
                number: text
                for number, base in enumerate(bases)
                if (text := current_image(base, key))
            }
            names = {
                number: Candidate(file=f"{charts[number]}values.yaml", resource="", image=text)
                for number, text in images.items()
            }
            foreign = {number for number, text in images.items() if is_other_image(image, text)}
            if foreign and len(foreign) < len(bases):
                self.choice.say(
                    f"  {key} is left alone where another image stands:"
                    f" {list_some([str(names.pop(number)) for number in sorted(foreign)])}"
                )
                excluded |= {(number, key) for number in foreign}
            try:
                selected = self.choice.select(key, tuple(names.values()), image.text)
            except ConfigError as fault:
                if names.keys() <= foreign:
                    raise ConfigError(
                        fault.message,
                        where=fault.where,
                        hint="name one of the charts in chartPath, or correct their values",
                    ) from fault
                self.warn(f"{fault.message}; all of them are rendered with it")
                continue
            excluded |= {
                (number, key) for number, keep in zip(names, selected, strict=True) if not keep
            }
        return [
            ImageForms(
                base=base,
                images={
                    key: image
                    for key, image in self.images.items()
                    if (number, key) not in excluded
                },
            )
            for number, base in enumerate(bases)
        ]

    def _rendered_with_images(
        self, rendering: Rendering, charts: Sequence[str], forms: Sequence[ImageForms]
    ) -> tuple[list[_RenderedCharts], str]:
        """The renderings with the images among their values, and the resulting text.

        Each chart gets its images in the form in which its manifests name them, if there is one.
        Charts of one form are rendered together; they are rendered one by one only if the result
        names an image wrongly.
        """
        values = forms[0].values()
        if all(form.values() == values for form in forms[1:]):
            first = _with_images(rendering, values)
            text = self._rendered(first, charts)
            if not misplaced_keys(forms[0].images, text.encode()):
                return [(first, charts)], text
            if len(charts) == 1:
                return self._in_another_form(rendering, charts, forms[0], (first, text))
        each = [
            self._rendered_with_images(replace(rendering, charts=(folder,)), [chart], [form])
            for folder, chart, form in zip(rendering.charts, charts, forms, strict=True)
        ]
        return [part for parts, _ in each for part in parts], "".join(text for _, text in each)

    def _in_another_form(
        self,
        rendering: Rendering,
        charts: Sequence[str],
        form: ImageForms,
        first: tuple[Rendering, str],
    ) -> tuple[list[_RenderedCharts], str]:
        """A chart rendered with the images in the first other form that makes it name more of them.

        If no form does, the result is `first`: the rendering and the text so far.
        """
        best, text = first
        for attempt in form.others(text):
            other = _with_images(rendering, attempt.values)
            try:
                other_text = self._rendered(other, charts)
            except RenderError:
                continue
            if form.is_better(attempt, other_text, text):
                best, text = other, other_text
                if attempt.before:
                    self.say(
                        f"  chart {charts[0] or '.'} has {attempt.before} in {attempt.key}, and"
                        " puts it before the image: it is rendered with the image's registry there"
                    )
            if not misplaced_keys(form.images, text.encode()):
                break
        return [(best, charts)], text

    def _rendered_at_another_time(self, whole: Rendering, parts: Sequence[_RenderedCharts]) -> str:
        """The text that the charts give at another time."""
        zone = _at_another_time(whole, self.clock).zone
        return "".join(
            self._rendered(replace(rendering, zone=zone), charts) for rendering, charts in parts
        )

    def _rendered(self, rendering: Rendering, charts: Sequence[str]) -> str:
        """The text of all charts, rendered together.

        If that fails, one by one to find the failing one.

        Raises RenderError and MachineError.
        """
        try:
            return self.renderer.render(rendering)
        except RenderError as fault:
            if len(charts) == 1:
                raise _located_fault(fault, rendering.charts[0], charts[0]) from fault
            for folder, chart in zip(rendering.charts, charts, strict=True):
                self._rendered(replace(rendering, charts=(folder,)), [chart])
            raise

    def _charts(self, listing: Sequence[str]) -> list[str]:
        """The charts' folders, each with a slash at its end.

        Empty if the repository itself is the chart.

        Raises ConfigError with near names.
        """
        path = self.chart_path.removeprefix("./").strip("/")
        path = "" if path in ("", ".") else clean_path(path)
        known = {
            file.removesuffix("Chart.yaml").rstrip("/")
            for file in listing
            if file == "Chart.yaml" or file.endswith("/Chart.yaml")
        }
        if path.endswith(".tgz"):
            known |= {file for file in listing if file.endswith(".tgz")}
        charts = [path] if path in known else []
        if path and not charts:
            charts = _outermost(set(match_files(path, sorted(known))))
        if not charts:
            others = [chart or "." for chart in _outermost(known)]
            without = "no folder of the repository holds a Chart.yaml"
            raise ConfigError(
                f"chart {self.chart_path!r} does not exist in the repository",
                hint=nearest(self.chart_path, others) if others else without,
            )
        return [f"{chart}/" if chart else "" for chart in charts]

    def _check_names(self) -> None:
        for name, value, longest in (
            ("deploymentName", self.release, 53),
            ("namespace", self.namespace or "default", 63),
        ):
            if not _RELEASE_NAME.fullmatch(value) or len(value) > longest:
                raise ConfigError(
                    f"{value!r} cannot be the {name} of a Helm release",
                    where=name,
                    hint=(
                        f"at most {longest} lower-case letters, digits, '-' and '.', with a letter"
                        " or a digit at both ends"
                    ),
                )
        for image in self.images.values():
            # A digest alone would make name:sha256:..., which is not an image.
            if not image.tag or ":" in image.tag.partition("@")[0]:
                raise ConfigError(
                    f"no tag is known for {image.repository}",
                    where="containerImageNameTag",
                    hint="a chart is given image.repository and image.tag",
                )
        for key in self.images:
            if not all(isinstance(part, str) for part in parse_dotted(key)):
                raise ConfigError(
                    f"{key!r} is not a key of a chart's values",
                    where="containers",
                    hint="expected keys with dots between them, app.image for example",
                )

    def _tree(self, files: Mapping[str, bytes], chart: str) -> Mapping[str, bytes]:
        """A chart's files, unpacked, with its dependencies, and without the file that is written.

        Raises ConfigError and RenderError.
        """
        packed = chart.removesuffix("/")
        if packed in files:
            return unpack_chart(packed, files[packed])
        found = chart_tree(chart, files, without=self.file_path)
        where = f"{chart}Chart.yaml"
        if found.missing and self.fetch is None:
            raise RenderError(
                "charts/ lacks what Chart.yaml depends on:"
                f" {', '.join(dependency.name for dependency in found.missing)}",
                where=where,
                hint="run `helm dependency build` and commit charts/",
            )
        fetched = {
            f"{dependency.folder}charts/{dependency.name}-{number}.tgz": self.fetch(
                dependency, where
            )
            for number, dependency in enumerate(found.missing)
            if self.fetch
        }
        return {**found.files, **fetched}


def _write(files: Mapping[str, bytes], folder: Path) -> None:
    """Write the files below `folder`."""
    for path, content in files.items():
        target = folder / clean_path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def _with_images(rendering: Rendering, values: Mapping[str, Any]) -> Rendering:
    """The same rendering with `values` over all others."""
    return replace(
        rendering, values=(*rendering.values, (_IMAGE_VALUES, json.dumps(values).encode()))
    )


def _chart_folder(folder: Path, number: int) -> Path:
    """The path of chart `number` on disk."""
    return folder / f"chart-{number}"


def _outermost(charts: set[str]) -> list[str]:
    """The charts that are not inside another chart."""
    return sorted(
        chart
        for chart in charts
        if "/charts/" not in f"/{chart}" or f"/{chart}".rpartition("/charts/")[0][1:] not in charts
    )


def _located_fault(fault: RenderError, folder: Path, chart: str) -> RenderError:
    """`fault` with the repository's paths instead of Helm's, and the template's line as `where`."""
    name = chart.rstrip("/") or "."
    message = _one_line(with_names(fault.message, {f"{folder}/": chart, str(folder): name}))
    template_line = _TEMPLATE_LINE.search(fault.where) or _TEMPLATE_LINE.search(message)
    if template_line:
        where = f"{chart}{template_line.group(1)}" + (
            f":{template_line.group(2)}" if template_line.group(2) else ""
        )
    else:
        where = f"{chart}{fault.where}" if fault.where == "Chart.yaml" else fault.where or name
    return RenderError(message, where=where, hint=fault.hint or "try it with `helm template`")


def _at_another_time(rendering: Rendering, clock: Clock) -> Rendering:
    """The same rendering at another time.

    Its clock differs in each part (day, hour, minute), and is a second later for templates that
    count seconds.
    """
    file = rendering.folder / "zone"
    if not file.exists():  # later renderings are at a later time anyway
        if any(
            _asks_for_the_time(file_of_chart)
            for chart in rendering.charts
            for file_of_chart in chart.rglob("*")
            if file_of_chart.is_file()
        ):
            clock.sleep(1.0 - clock.wall() % 1.0)
        file.write_bytes(
            timezone_file(_FAR_OFFSET if time.gmtime(clock.wall()).tm_hour else -_FAR_OFFSET)
        )
    return replace(rendering, zone=file)


def _asks_for_the_time(file: Path) -> bool:
    """Whether a template may ask for the time; a packed chart may."""
    return file.suffix == ".tgz" or (
        "templates" in file.parts and _TIME_FUNCTIONS.search(file.read_bytes()) is not None
    )


def _one_line(text: str) -> str:
    """The message on one line.

    Of a long message, as from a chain of templates, it has the start, and the end with the cause.
    """
    line = " ".join(
        masked(text)
        .removeprefix("Error: ")
        .removesuffix("Use --debug flag to render out invalid YAML")
        .split()
    )
    return line if len(line) <= 700 else f"{line[:300]} ... {line[-390:]}"
