"""Tool `helm`: the chart of the repository, rendered with the pushed image into the file that the cluster follows.

The rendering is what `helm template` prints. It is done by the `helm` program where one is named, else by Helm as a library; both in a renderer process.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from towline.errors import ConfigError, MachineError, RenderError
from towline.gitops.change import check_path
from towline.gitops.render import Limits, document, run
from towline.suggest import nearest

_CHART = "chart"
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_PLACE = re.compile(r"[^\s/():\"]+/((?:templates|charts)/[^\s:()\"]+)(?::(\d+))?")
_IMAGE = "the image of this deployment"


@dataclass(frozen=True, kw_only=True)
class ValuesFile:
    """A values document: its `content`, or None where the file `name` of the repository is meant."""

    name: str
    content: bytes | None = None


@dataclass(frozen=True, kw_only=True)
class Rendering:
    """A chart on disk (`folder`/chart, in a folder of this rendering alone) and what it is rendered with; `values` are (name, YAML), weakest first."""

    folder: Path
    release: str
    namespace: str
    values: tuple[tuple[str, bytes], ...]


class Renderer(Protocol):
    """Helm, in whichever form."""

    def render(self, rendering: Rendering) -> str:
        """What `helm template` prints; raises RenderError (`where` and paths as Helm names them) and MachineError."""


@dataclass(frozen=True, kw_only=True)
class HelmLibrary:
    """Helm 4 as a Python package (the extra `helm`), in a renderer process. It knows Kubernetes in the one version that it was built with."""

    limits: Limits = field(default_factory=Limits)

    def render(self, rendering: Rendering) -> str:
        """What `helm template` of the same version prints; raises RenderError and MachineError."""
        if find_spec("helm_python") is None:
            raise MachineError("neither a `helm` program nor the Helm library is there", hint="install Towline with the extra `helm`, or put `helm` on PATH")
        values = [(name, _text(name, content)) for name, content in rendering.values]
        request = {"chart": str(rendering.folder / _CHART), "release": rendering.release, "namespace": rendering.namespace, "values": values}
        return document("child_helm", request, limits=self.limits, folder=rendering.folder)


@dataclass(frozen=True, kw_only=True)
class HelmProgram:
    """The `helm` program (3 or 4) at an absolute path, with a home and caches of its own below the rendering's folder."""

    program: str
    limits: Limits = field(default_factory=Limits)

    def render(self, rendering: Rendering) -> str:
        """What `helm template` prints; raises RenderError and MachineError."""
        folder = rendering.folder
        command = [self.program, "template", rendering.release, str(folder / _CHART), "--namespace", rendering.namespace]
        names = {}
        for number, (name, content) in enumerate(rendering.values):
            path = folder / f"values-{number}.yaml"
            path.write_bytes(content)
            names[str(path)] = name
            command += ["--values", str(path)]
        ended = run("child_program", {"command": command}, limits=self.limits, environment={"HOME": str(folder / "home")}, folder=folder)
        if ended.code != 0:
            raise RenderError(_replaced(ended.err.decode(errors="replace").strip() or f"helm ended with code {ended.code}", names))
        return _text("the output of helm", ended.out)


def renderer(program: str | None) -> Renderer:
    """The program where its path is given, else the library."""
    return HelmProgram(program=program) if program else HelmLibrary()


@dataclass(frozen=True, kw_only=True)
class HelmChart:
    """A Change: the chart at `chart_path`, rendered with `image.repository` and `image.tag`, becomes `file_path`.

    `values_files` lie over the chart's own values in their order, the image over all of them.
    """

    chart_path: str
    file_path: str
    release: str
    image_repository: str
    image_tag: str
    namespace: str = "default"
    values_files: tuple[ValuesFile, ...] = ()
    renderer: Renderer = field(default_factory=HelmLibrary)

    def wants(self, listing: Sequence[str]) -> Sequence[str]:
        """The chart's files, the repository's values files and the file to write, of those in `listing`; raises ConfigError."""
        self._check()
        chart = self._folder()
        if f"{chart}Chart.yaml" not in listing:
            raise ConfigError(f"chart {self.chart_path!r} does not exist in the repository", hint=_charts(self.chart_path, listing))
        values = [values.name for values in self.values_files if values.content is None]
        for name in values:
            if name not in listing:
                raise ConfigError(f"values file {name!r} does not exist in the repository", hint=nearest(name, listing))
        wanted = {self.file_path, *values}
        return [path for path in listing if path.startswith(chart) or path in wanted]

    def apply(self, files: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """`file_path` as the chart renders it now; raises RenderError and MachineError."""
        values = tuple((one.name, files[one.name] if one.content is None else one.content) for one in self.values_files)
        image = {"image": {"repository": self.image_repository, "tag": self.image_tag}}
        with TemporaryDirectory(prefix="towline-chart-") as name:
            rendering = Rendering(folder=Path(name), release=self.release, namespace=self.namespace or "default",
                                  values=(*values, (_IMAGE, json.dumps(image).encode())))
            self._write(files, rendering.folder / _CHART)
            try:
                text = self.renderer.render(rendering)
            except RenderError as fault:
                raise self._located(fault, rendering.folder) from fault
        if not text.strip():
            raise RenderError(f"chart {self.chart_path!r} renders to nothing", where=self.chart_path,
                              hint="look for a condition that leaves every template out")
        return {self.file_path: text.encode()}

    def _folder(self) -> str:
        """The chart's folder with a slash behind it; empty where the repository itself is the chart."""
        path = self.chart_path.removeprefix("./").strip("/")
        return "" if path in ("", ".") else f"{check_path(path)}/"

    def _check(self) -> None:
        for name, value, longest in (("deploymentName", self.release, 53), ("namespace", self.namespace or "default", 63)):
            if not _NAME.fullmatch(value) or len(value) > longest:
                raise ConfigError(f"{value!r} cannot be the {name} of a Helm release", where=name,
                                  hint=f"at most {longest} lower-case letters, digits, '-' and '.', with a letter or a digit at both ends")
        if not self.image_tag or ":" in self.image_tag.partition("@")[0]:  # a digest alone would make name:sha256:..., which is no image
            raise ConfigError(f"no tag is known for {self.image_repository}", where="containerImageNameTag",
                              hint="a chart is given image.repository and image.tag")
        if self.file_path.startswith((f"{self._folder()}templates/", f"{self._folder()}charts/")):
            raise ConfigError(f"{self.file_path!r} is a template of the chart itself", where="filePath", hint="name a file outside of the chart's templates")

    def _write(self, files: Mapping[str, bytes], folder: Path) -> None:
        """The chart's files below `folder`; what this Change writes itself is no part of the chart."""
        start = self._folder()
        for path, content in files.items():
            if path.startswith(start) and path != self.file_path:
                target = folder / check_path(path.removeprefix(start))
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)

    def _located(self, fault: RenderError, folder: Path) -> RenderError:
        """`fault` with the repository's paths instead of Helm's, and the template's line as its place."""
        chart = self._folder()
        message = _short(_replaced(fault.message, {f"{folder / _CHART}/": chart, str(folder / _CHART): self.chart_path}))
        place = _PLACE.search(fault.where) or _PLACE.search(message)
        if place:
            where = f"{chart}{place.group(1)}" + (f":{place.group(2)}" if place.group(2) else "")
        else:
            where = f"{chart}{fault.where}" if fault.where == "Chart.yaml" else fault.where or self.chart_path
        return RenderError(message, where=where, hint=fault.hint or "try it with `helm template`")


def _charts(wanted: str, listing: Sequence[str]) -> str:
    """A hint with the charts that are there, those inside of others left out."""
    found = {path.rpartition("/")[0] or "." for path in listing if path == "Chart.yaml" or path.endswith("/Chart.yaml")}
    there = [chart for chart in found if "/charts/" not in f"/{chart}" or (f"/{chart}".rpartition("/charts/")[0][1:] or ".") not in found]
    return nearest(wanted, there) if there else "no folder of the repository holds a Chart.yaml"


def _text(name: str, content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as fault:
        raise RenderError(f"{name} is not UTF-8", where=name, hint="save it as UTF-8") from fault


def _replaced(text: str, names: Mapping[str, str]) -> str:
    for path, name in names.items():
        text = text.replace(path, name)
    return text


def _short(text: str) -> str:
    """One line; of a chain of templates that call each other the beginning and the end, where the cause stands."""
    line = " ".join(text.removeprefix("Error: ").removesuffix("Use --debug flag to render out invalid YAML").split())
    return line if len(line) <= 700 else f"{line[:300]} ... {line[-390:]}"
