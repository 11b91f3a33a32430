"""Pure.

What `helm template` prints, from what the templates of a chart render to (Helm 4.2:
pkg/release/v1/util, pkg/cmd/template).

Documents in the order in which Helm installs kinds, hooks last; without notes, partials and empty
documents.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

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


class HeadFault(ValueError):
    """A rendered document that Kubernetes could not read: `path` in the chart and what is wrong with it."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path
        self.problem = problem


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """One document: the template it came from, its text, its kind and the hooks that it asks for."""

    path: str
    text: str
    kind: str
    hooks: tuple[str, ...] = ()


def assemble(files: Mapping[str, str], load: Callable[[str], Any]) -> str:
    """Template path -> rendered text to one stream, empty where nothing was rendered; `load` reads a YAML document; raises HeadFault."""
    manifests = [
        manifest
        for path in sorted(files)
        if _printed(path)
        for manifest in _manifests(path, files[path], load)
    ]
    plain = sorted((manifest for manifest in manifests if not manifest.hooks), key=_place)
    hooks = sorted(
        (
            manifest
            for manifest in manifests
            if manifest.hooks and _HOOKS.issuperset(manifest.hooks)
        ),
        key=_place,
    )
    first = _print(plain).strip()
    return (f"{first}\n" if first else "") + _print(hooks)


def _printed(path: str) -> bool:
    return not path.endswith("NOTES.txt") and not path.rpartition("/")[2].startswith("_")


def _manifests(path: str, text: str, load: Callable[[str], Any]) -> list[Manifest]:
    documents = (part.lstrip() for part in _SEPARATOR.split(text.lstrip()))
    return [_manifest(path, document, load) for document in documents if document]


def _manifest(path: str, text: str, load: Callable[[str], Any]) -> Manifest:
    try:
        loaded = load(text)
    except ValueError as fault:
        raise HeadFault(path, str(fault)) from fault
    head = _mapping(loaded, path, "a document")
    metadata = _mapping(head.get("metadata"), path, "metadata")
    annotations = _mapping(metadata.get("annotations"), path, "metadata.annotations")
    texts = {name: _text(value, path, f"annotation {name}") for name, value in annotations.items()}
    hooks = texts.get("helm.sh/hook", "")
    return Manifest(
        path=path,
        text=text,
        kind=_text(head.get("kind"), path, "kind"),
        hooks=(
            tuple(hook.strip().lower() for hook in hooks.split(","))
            if "helm.sh/hook" in texts
            else ()
        ),
    )


def _mapping(value: Any, path: str, what: str) -> dict[str, Any]:
    if value is not None and not isinstance(value, dict):
        raise HeadFault(path, f"{what} is not a mapping")
    return value or {}


def _text(value: Any, path: str, what: str) -> str:
    """A scalar as Helm reads it where a text is expected: numbers and booleans as they are written in JSON."""
    if isinstance(value, (dict, list)):
        raise HeadFault(path, f"{what} is not a text")
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _place(manifest: Manifest) -> tuple[int, str]:
    """Known kinds by rank, unknown ones behind them by name; `sorted` keeps the order of equals."""
    return (_RANK[manifest.kind], "") if manifest.kind in _RANK else (len(_RANK), manifest.kind)


def _print(manifests: list[Manifest]) -> str:
    return "".join(f"---\n# Source: {manifest.path}\n{manifest.text}\n" for manifest in manifests)
