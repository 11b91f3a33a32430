"""Pure.

What a new rendering of a file no longer has: resources, and containers of those that stay, by their
names alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from towline.gitops.plain_data import load, text_at
from towline.gitops.pods import pods_of
from towline.suggest import close

_RENDERED = b"# Source: "  # in front of each document that Helm renders
_LONG = 100
_MANY = 50  # names of which each is compared with all new ones


def losses(old: bytes, new: bytes) -> list[str]:
    """The resources (`kind/name`) and containers of `old` that `new` does not have.

    In a rendering, one that another of its kind and with a like name takes the place of is none: a
    Job that is named after its version. What cannot be read has none.
    """
    before, after = load(old), load(new)
    if before is None or after is None or old == new:
        return []
    there, now = dict.fromkeys(_resources(before)), dict.fromkeys(_resources(after))
    gone = [one for one in there if one not in now]
    if _RENDERED in old and len(gone) <= _MANY:
        gone = _without_renamed(gone, [one for one in now if one not in there])
    return [f"{kind}/{name}"[:_LONG] for kind, name in gone] + _containers(before, after)


def _resources(documents: list[Any]) -> list[tuple[str, str]]:
    """Kind and name of each resource; those of one name in several namespaces are counted."""
    found = dict.fromkeys(place for document in documents for place in _places(document))
    counted = Counter[tuple[str, str]]()
    named = list[tuple[str, str]]()
    for kind, name, _ in found:
        counted[kind, name] += 1
        number = counted[kind, name]
        named.append((kind, name if number == 1 else f"{name} ({number})"))
    return named


def _places(document: Any) -> Iterator[tuple[str, str, str]]:
    """Kind, name and namespace of a resource, or of those in a List."""
    if not isinstance(document, dict):
        return
    if isinstance(items := document.get("items"), list):
        for item in items:
            yield from _places(item)
        return
    kind, name = text_at(document, "kind"), text_at(document, "metadata", "name")
    if kind and name:
        yield kind, name, text_at(document, "metadata", "namespace")


def _without_renamed(
    gone: list[tuple[str, str]], come: list[tuple[str, str]]
) -> list[tuple[str, str]]:
    """Those of `gone` whose place nothing in `come` takes."""
    left = list(come)
    kept = []
    for kind, name in gone:
        heir = close(name, [other for same, other in left if same == kind])
        if heir:
            left.remove((kind, heir))
        else:
            kept.append((kind, name))
    return kept


def _containers(before: list[Any], after: list[Any]) -> list[str]:
    """Containers that are gone from pods that stay."""
    now: dict[str, set[str]] = {}
    for pod in pods_of(after):
        now.setdefault(pod.owner, set()).update(name for name, _ in pod.images)
    there = [(pod.owner, name) for pod in pods_of(before) for name, _ in pod.images]
    return [
        f"container {name} of {owner}"[:_LONG]
        for owner, name in dict.fromkeys(there)
        if name not in now.get(owner, {name})
    ]
