"""Pure.

The pod specifications in a file that a cluster reads: which images they run, and whether they can
pull them from a private registry.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from towline.gitops.plain_data import load, map_at, maps_at, text_at

_LISTS = ("initContainers", "containers", "ephemeralContainers")


@dataclass(frozen=True, kw_only=True)
class Pod:
    """One pod specification: kind and name of what it belongs to, its images by container, and whether it names a pull secret or a service account."""

    owner: str
    images: tuple[tuple[str, str], ...]
    may_pull: bool


def pods(data: bytes) -> tuple[Pod, ...]:
    """Every pod specification of a YAML file, in its order; none where it cannot be read, a chart's template for example."""
    return pods_of(load(data) or ())


def pods_of(documents: Iterable[Any]) -> tuple[Pod, ...]:
    """Every pod specification of documents that were read, in their order."""
    seen = set[int]()
    return tuple(pod for document in documents for pod in _below(document, "", seen))


def _below(node: Any, owner: str, seen: set[int]) -> Iterator[Pod]:
    """Pods of `node` and below, each place once: aliases repeat places."""
    if not isinstance(node, dict | list) or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, dict):
        if kind := text_at(node, "kind"):
            owner = f"{kind} {text_at(node, 'metadata', 'name')}".strip()
        specification = map_at(node, "spec")
        if isinstance(specification.get("containers"), list):
            yield _pod(specification, owner)
    for child in node.values() if isinstance(node, dict) else node:
        yield from _below(child, owner, seen)


def _pod(specification: Mapping[str, Any], owner: str) -> Pod:
    containers = [one for key in _LISTS for one in maps_at(specification, key)]
    account = specification.get("serviceAccountName") or specification.get("serviceAccount")
    return Pod(
        owner=owner,
        images=tuple((text_at(one, "name"), text_at(one, "image")) for one in containers),
        may_pull=bool(specification.get("imagePullSecrets"))
        or account not in (None, "", "default"),
    )
