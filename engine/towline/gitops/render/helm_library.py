"""The renderer process for charts: Helm 4 as a library, with the output of `helm template`.

The library is helm-python-sdk. Documents come in the order in which Helm installs kinds, hooks
last, without notes, partials and empty documents (Helm 4.2: pkg/release/v1/util, pkg/cmd/template).

Request: `charts` (folders), `release`, `namespace`, `values` (list of [name, YAML text], weakest
first), `limits`. Without charts the answer is Helm's version.
"""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Callable, Mapping
from typing import Any

from helm_python import Chart, HelmError, helm_sdk_version, values_from_yaml

from towline.gitops.render.child import RendererFault, serve_request
from towline.record import frozen

_KINDS = (
    "PriorityClass",
    "Namespace",
    "NetworkPolicy",
    "ResourceQuota",
    "LimitRange",
    "PodSecurityPolicy",
    "PodDisruptionBudget",
    "ServiceAccount",
    "Secret",
    "SecretList",
    "ConfigMap",
    "StorageClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "CustomResourceDefinition",
    "ClusterRole",
    "ClusterRoleList",
    "ClusterRoleBinding",
    "ClusterRoleBindingList",
    "Role",
    "RoleList",
    "RoleBinding",
    "RoleBindingList",
    "Service",
    "DaemonSet",
    "Pod",
    "ReplicationController",
    "ReplicaSet",
    "Deployment",
    "HorizontalPodAutoscaler",
    "StatefulSet",
    "Job",
    "CronJob",
    "IngressClass",
    "Ingress",
    "APIService",
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
)
_RANK = {kind: rank for rank, kind in enumerate(_KINDS)}
_HOOKS = frozenset(
    (
        "pre-install",
        "post-install",
        "pre-delete",
        "post-delete",
        "pre-upgrade",
        "post-upgrade",
        "pre-rollback",
        "post-rollback",
        "test",
        "test-success",
    )
)
_SEPARATOR = re.compile(r"(?:^|[\t\n\f\r ]*\n)---[\t\n\f\r ]*")


class ManifestFault(ValueError):
    """A rendered document that Kubernetes cannot read: its `path` in the chart, the `problem`."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path
        self.problem = problem


@frozen
class RenderedManifest:
    """One document: its template, text and kind, and the hooks that it is for."""

    path: str
    text: str
    kind: str
    hooks: tuple[str, ...] = ()


def assemble(files: Mapping[str, str], load: Callable[[str], Any]) -> str:
    """Rendered texts by template path to one stream; empty if nothing was rendered.

    `load` reads a YAML document. Raises ManifestFault.
    """
    manifests = [
        manifest
        for path in sorted(files)
        if _is_printed(path)
        for manifest in _manifests(path, files[path], load)
    ]
    plain = sorted((manifest for manifest in manifests if not manifest.hooks), key=_install_order)
    hooks = sorted(
        (
            manifest
            for manifest in manifests
            if manifest.hooks and _HOOKS.issuperset(manifest.hooks)
        ),
        key=_install_order,
    )
    first = _print(plain).strip()
    return (f"{first}\n" if first else "") + _print(hooks)


def _is_printed(path: str) -> bool:
    return not path.endswith("NOTES.txt") and not path.rpartition("/")[2].startswith("_")


def _manifests(path: str, text: str, load: Callable[[str], Any]) -> list[RenderedManifest]:
    documents = (part.lstrip() for part in _SEPARATOR.split(text.lstrip()))
    return [_manifest(path, document, load) for document in documents if document]


def _manifest(path: str, text: str, load: Callable[[str], Any]) -> RenderedManifest:
    try:
        loaded = load(text)
    except ValueError as fault:
        raise ManifestFault(path, str(fault)) from fault
    head = _mapping(loaded, path, "a document")
    metadata = _mapping(head.get("metadata"), path, "metadata")
    annotations = _mapping(metadata.get("annotations"), path, "metadata.annotations")
    texts = {name: _text(value, path, f"annotation {name}") for name, value in annotations.items()}
    hooks = texts.get("helm.sh/hook", "")
    return RenderedManifest(
        path=path,
        text=text,
        kind=_text(head.get("kind"), path, "kind"),
        hooks=(
            tuple(hook.strip().lower() for hook in hooks.split(","))
            if "helm.sh/hook" in texts
            else ()
        ),
    )


def _mapping(value: Any, path: str, name: str) -> dict[str, Any]:
    if value is not None and not isinstance(value, dict):
        raise ManifestFault(path, f"{name} is not a mapping")
    return value or {}


def _text(value: Any, path: str, name: str) -> str:
    """A scalar as Helm reads it as a text: numbers and booleans as JSON writes them."""
    if isinstance(value, (dict, list)):
        raise ManifestFault(path, f"{name} is not a text")
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _install_order(manifest: RenderedManifest) -> tuple[int, str]:
    """The sort key of a manifest: known kinds by rank, then unknown kinds by name.

    `sorted` keeps the order of equal keys.
    """
    return (_RANK[manifest.kind], "") if manifest.kind in _RANK else (len(_RANK), manifest.kind)


def _print(manifests: list[RenderedManifest]) -> str:
    return "".join(f"---\n# Source: {manifest.path}\n{manifest.text}\n" for manifest in manifests)


_OTHER_VERSION = "put a fitting `helm` on PATH: this library knows one version of Kubernetes only"
_PROBE = {
    "Chart.yaml": "apiVersion: v2\nname: probe\nversion: 0.0.0\n",
    "templates/probe.yaml": (
        "{{ semverCompare .Values.range .Capabilities.KubeVersion.Version }} {{"
        " .Capabilities.KubeVersion.Version }}"
    ),
}


def render(request: Any) -> str:
    """The charts' documents as `helm template` prints them, one chart after the other.

    Raises RendererFault.
    """
    if not helm_sdk_version().startswith("v4."):
        raise RendererFault(
            f"the Helm library has version {helm_sdk_version()}, not 4",
            hint="install the extra `helm` of this Towline",
            machine=True,
        )
    if not request["charts"]:
        return helm_sdk_version()
    try:
        values = _values(request["values"])
        return "".join(_rendered(folder, values, request) for folder in request["charts"])
    except ManifestFault as fault:
        raise RendererFault(
            f"rendered document is not valid: {fault.problem}", where=fault.path
        ) from fault
    except HelmError as fault:
        raise RendererFault(fault.detail or str(fault)) from fault


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
            raise RendererFault(f"not a values file: {fault.detail}", where=name) from fault
    return merged


def _merge(weak: dict[str, Any], strong: dict[str, Any]) -> dict[str, Any]:
    """Values with `strong` over them: maps merge, other values replace.

    Null replaces too; Helm deletes a key by it.
    """
    merged = dict(weak)
    for key, value in strong.items():
        old = merged.get(key)
        merged[key] = (
            _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
        )
    return merged


def _check(chart: Chart) -> None:
    """The checks that the program makes before it renders, and the library does not.

    Raises RendererFault.
    """
    metadata = chart.metadata
    if metadata.get("type") == "library":
        raise RendererFault("a library chart renders nothing of its own", where="Chart.yaml")
    bundled = {dependency.get("name") for dependency in chart.dependencies}
    missing = [
        dependency["name"]
        for dependency in metadata.get("dependencies") or ()
        if dependency["name"] not in bundled
    ]
    if missing:
        raise RendererFault(
            f"charts/ lacks what Chart.yaml depends on: {', '.join(missing)}",
            where="Chart.yaml",
            hint="run `helm dependency build` and commit charts/",
        )
    if wanted := metadata.get("kubeVersion"):
        _check_version(wanted)


def _check_version(wanted: str) -> None:
    """Let Helm itself compare the versions, by rendering a small chart made in memory."""
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
        raise RendererFault(
            f"the chart needs Kubernetes {wanted}, and the library knows only {version}",
            where="Chart.yaml",
            hint=_OTHER_VERSION,
        )


if __name__ == "__main__":
    serve_request(render)
