"""Renderers of charts: the `helm` program, or Helm as a library.

Both run in a process of their own.

A time zone file (tzfile(5)) gives a rendering another local time.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from towline.errors import MachineError, RenderError
from towline.gitops.render.process import RenderLimits, render_document, run_renderer
from towline.private_folder import PrivateFolder
from towline.record import field, frozen

_OUTPUT = 48 * 1024 * 1024  # bytes; manifests of some charts exceed 10 MB
_VERSION = re.compile(r"v[0-9]+[\w.+-]*")


@frozen
class Cluster:
    """The Kubernetes version and API versions that Helm is to assume; empty for its own."""

    kube_version: str = ""
    api_versions: tuple[str, ...] = ()


@frozen
class Rendering:
    """A request to render: charts below a `folder` of this rendering alone, and their values.

    `values` are (name, YAML), the weakest first.
    """

    folder: Path
    charts: tuple[Path, ...]
    release: str
    namespace: str
    values: tuple[tuple[str, bytes], ...]
    cluster: Cluster = Cluster()
    zone: Path | None = None  # a file of tzfile(5) with the local time zone

    @property
    def environment(self) -> dict[str, str]:
        """Variables for the renderer process."""
        return {"TZ": str(self.zone)} if self.zone else {}


class Renderer(Protocol):
    """Helm as a program or as a library."""

    def version(self) -> str:
        """The name and version of the renderer; raises RenderError and MachineError."""

    def render(self, rendering: Rendering) -> str:
        """The output of `helm template` for one chart after the other.

        Raises RenderError (`where` and paths as Helm names them) and MachineError.
        """


@frozen
class HelmLibrary:
    """Helm 4 as a Python package (the extra `helm`), in one renderer process.

    It knows one version of Kubernetes, the one that it was built with.
    """

    limits: RenderLimits = field(default_factory=lambda: RenderLimits(output=_OUTPUT))

    def render(self, rendering: Rendering) -> str:
        """The output of `helm template` of the same version.

        Raises RenderError and MachineError.
        """
        if find_spec("helm_python") is None:
            raise MachineError(
                "neither a `helm` program nor the Helm library is installed",
                hint="install Towline with the extra `helm`, or put `helm` on PATH",
            )
        if rendering.cluster != Cluster():
            raise MachineError(
                "kubeVersion and apiVersions need the `helm` program: the library knows one version"
                " of Kubernetes only",
                hint="put `helm` on PATH, or name it in TOWLINE_HELM",
            )
        values = [(name, _text(name, content)) for name, content in rendering.values]
        request = {
            "charts": [str(chart) for chart in rendering.charts],
            "release": rendering.release,
            "namespace": rendering.namespace,
            "values": values,
        }
        return render_document(
            "helm_library",
            request,
            limits=self.limits,
            folder=rendering.folder,
            environment=rendering.environment,
        )

    def version(self) -> str:
        """`helm v4.2.3 (library)`, for example; raises MachineError."""
        return (
            f"helm {render_document('helm_library', {'charts': []}, limits=self.limits)} (library)"
        )


@frozen
class HelmProgram:
    """The `helm` program (3 or 4) at an absolute path.

    Its home and caches are below the rendering's folder.
    """

    program: str
    limits: RenderLimits = field(default_factory=lambda: RenderLimits(output=_OUTPUT))

    def render(self, rendering: Rendering) -> str:
        """The output of `helm template`; raises RenderError and MachineError."""
        options, names = ["--namespace", rendering.namespace], {}
        options += (
            ["--kube-version", rendering.cluster.kube_version]
            if rendering.cluster.kube_version
            else []
        )
        options += [
            word
            for version in rendering.cluster.api_versions
            for word in ("--api-versions", version)
        ]
        for number, (name, content) in enumerate(rendering.values):
            path = rendering.folder / f"values-{number}.yaml"
            path.write_bytes(content)
            names[str(path)] = name
            options += ["--values", str(path)]
        texts, remaining = [], self.limits.output
        for chart in rendering.charts:
            texts.append(
                self._template(rendering, [rendering.release, str(chart), *options], names)
            )
            remaining -= len(texts[-1])
            if remaining < 0:
                raise RenderError(
                    f"the charts give more than {self.limits.output} bytes together",
                    where=str(chart),
                    hint="name fewer charts in chartPath",
                )
        return "".join(texts)

    def _template(self, rendering: Rendering, options: list[str], names: Mapping[str, str]) -> str:
        folder = rendering.folder
        request = {"command": [self.program, "template", *options]}
        ended = run_renderer(
            "program",
            request,
            limits=self.limits,
            environment={"HOME": str(folder / "home"), **rendering.environment},
            folder=folder,
        )
        if ended.code != 0:
            raise RenderError(
                with_names(
                    ended.err.decode(errors="replace").strip()
                    or f"helm ended with code {ended.code}",
                    names,
                )
            )
        return _text("the output of helm", ended.out)

    def version(self) -> str:
        """`helm v3.22.0`, for example, or `helm` alone if the program does not tell its version.

        Raises RenderError and MachineError.
        """
        with closing(PrivateFolder({})) as private:
            request = {"command": [self.program, "version", "--template", "{{.Version}}"]}
            ended = run_renderer(
                "program",
                request,
                limits=self.limits,
                environment={"HOME": str(private.path)},
                folder=private.path,
            )
        found = (
            _VERSION.match(ended.out.decode(errors="replace").strip()) if not ended.code else None
        )
        return f"helm {found[0]}" if found else "helm"


def choose_renderer(program: str | None) -> Renderer:
    """The renderer by the program's path, or the library if there is no path."""
    return HelmProgram(program=program) if program else HelmLibrary()


def _text(name: str, content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as fault:
        raise RenderError(f"{name} is not UTF-8", where=name, hint="save it as UTF-8") from fault


def with_names(text: str, names: Mapping[str, str]) -> str:
    """`text` with other names for these paths."""
    for path, name in names.items():
        text = text.replace(path, name)
    return text


def timezone_file(seconds: int) -> bytes:
    """A time zone that is always `seconds` east of UTC, as the content of a file."""
    return (
        b"TZif"
        + bytes(16)
        + struct.pack(">6l", 0, 0, 0, 0, 1, 4)
        + struct.pack(">lBB", seconds, 0, 0)
        + b"FAR\0"
    )
