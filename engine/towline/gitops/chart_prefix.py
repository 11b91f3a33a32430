"""Pure.

What a chart puts before the names of images by itself, and which of its values hold that.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from towline.gitops.image_effect import Found, elsewhere
from towline.image import Reference

_MOST = 4  # values that are tried, each at the price of a rendering or two
_REGISTRY = "registry"
_WORD = r"""[^\s"'=,]*"""
# of a word: a long one is looked through once, not from each of its letters on
_BEGIN = r"""(?<![^\s"'=,])"""


def put_before(found: Iterable[Found], wanted: Reference) -> list[str]:
    """What stands before the name of the wanted image where another registry does, each text once."""
    name, host = wanted.image.name, wanted.registry.host
    texts = (one.text for one in elsewhere(found, wanted))
    heads = (text[: text.rindex(f"/{name}")] for text in texts if f"/{name}" in text)
    return list(
        dict.fromkeys(filter(None, (head.removesuffix(host).rstrip("/") for head in heads)))
    )


def holding(values: Mapping[str, Any], text: str) -> list[tuple[str, ...]]:
    """Paths of the values that are a text, with a slash behind it or not; registries first."""
    found = [path for path, value in _leaves(values) if value.rstrip("/") == text]
    return sorted(found, key=lambda path: _REGISTRY not in path[-1].lower())[:_MOST]


def with_host(values: Mapping[str, Any], path: tuple[str, ...], host: str) -> dict[str, Any]:
    """Values that have a host at a path, with a slash behind it if the text there has one."""
    there: Any = values
    for key in path:
        there = there[key]
    made: Any = f"{host}/" if there.endswith("/") else host
    for key in reversed(path):
        made = {key: made}
    return dict(made)


def others_stay(before: str, after: str, text: str, images: Collection[Reference]) -> bool:
    """Whether a text stands in two renderings as often as ever, but for the images themselves."""
    ends = "|".join(re.escape(f"/{one.image.name}") for one in images)
    ours = re.compile(rf"{_BEGIN}{_WORD}(?:{ends})[:@]{_WORD}")
    return ours.sub("", before).count(text) == ours.sub("", after).count(text)


def _leaves(values: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """The texts of maps in maps with their paths; what aliases repeat once."""
    seen: set[int] = set()
    waiting: list[tuple[tuple[str, ...], Any]] = [((), values)]
    while waiting:
        path, node = waiting.pop(0)
        if isinstance(node, str) and path:
            yield path, node
        if isinstance(node, Mapping) and id(node) not in seen:
            seen.add(id(node))
            waiting += [((*path, str(key)), value) for key, value in node.items()]
