"""The inside of a renderer process for charts: Helm 4 as a library (helm-python-sdk), made to answer as `helm template` does.

Request: `charts` (folders), `release`, `namespace`, `values` (list of [name, YAML text], weakest
first), `limits`. Without charts the answer is Helm's version.
"""

from __future__ import annotations

import io
import tarfile
from typing import Any

from helm_python import Chart, HelmError, helm_sdk_version, values_from_yaml

from towline.gitops.child import Fault, serve
from towline.gitops.install_order import HeadFault, assemble

_ANOTHER = "put a fitting `helm` on PATH: this library knows one version of Kubernetes only"
_PROBE = {
    "Chart.yaml": "apiVersion: v2\nname: probe\nversion: 0.0.0\n",
    "templates/probe.yaml": (
        "{{ semverCompare .Values.range .Capabilities.KubeVersion.Version }} {{"
        " .Capabilities.KubeVersion.Version }}"
    ),
}


def render(request: Any) -> str:
    """The charts' documents as `helm template` prints them, one chart after the other; raises Fault."""
    if not helm_sdk_version().startswith("v4."):
        raise Fault(
            f"the Helm library has version {helm_sdk_version()}, not 4",
            hint="install the extra `helm` of this Towline",
            machine=True,
        )
    if not request["charts"]:
        return helm_sdk_version()
    try:
        values = _values(request["values"])
        return "".join(_rendered(folder, values, request) for folder in request["charts"])
    except HeadFault as fault:
        raise Fault(f"rendered document is not valid: {fault.problem}", where=fault.path) from fault
    except HelmError as fault:
        raise Fault(fault.detail or str(fault)) from fault


def _rendered(folder: str, values: dict[str, Any], request: Any) -> str:
    with Chart.load(folder) as chart:
        _check(chart)
        files = chart.render(values, name=request["release"], namespace=request["namespace"])
    return assemble(files, values_from_yaml)


def _values(documents: list[tuple[str, str]]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for name, text in documents:
        try:
            merged = _merge(merged, values_from_yaml(text))
        except HelmError as fault:
            raise Fault(f"not a values file: {fault.detail}", where=name) from fault
    return merged


def _merge(weak: dict[str, Any], strong: dict[str, Any]) -> dict[str, Any]:
    """Maps merge, everything else of `strong` replaces, null included (Helm deletes a key by it)."""
    merged = dict(weak)
    for key, value in strong.items():
        old = merged.get(key)
        merged[key] = (
            _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
        )
    return merged


def _check(chart: Chart) -> None:
    """What the program checks before it renders, and the library does not; raises Fault."""
    metadata = chart.metadata
    if metadata.get("type") == "library":
        raise Fault("a library chart renders nothing of its own", where="Chart.yaml")
    there = {one.get("name") for one in chart.dependencies}
    missing = [
        one["name"] for one in metadata.get("dependencies") or () if one["name"] not in there
    ]
    if missing:
        raise Fault(
            f"charts/ lacks what Chart.yaml depends on: {', '.join(missing)}",
            where="Chart.yaml",
            hint="run `helm dependency build` and commit charts/",
        )
    if wanted := metadata.get("kubeVersion"):
        _check_version(wanted)


def _check_version(wanted: str) -> None:
    """Let Helm itself compare: a chart made up in memory asks."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for path, text in _PROBE.items():
            member = tarfile.TarInfo(f"probe/{path}")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    with Chart.load_archive(archive.getvalue()) as probe:
        answer, _, version = probe.render({"range": wanted})[
            "probe/templates/probe.yaml"
        ].partition(" ")
    if answer != "true":
        raise Fault(
            f"the chart asks for Kubernetes {wanted}, the library stands for {version}",
            where="Chart.yaml",
            hint=_ANOTHER,
        )


if __name__ == "__main__":
    serve(render)
