"""Pure.

Which part of a text is the image, where one is written into it: what stands around stays, and a
text that leaves it open is refused.

An override of kustomize (`name=image`), a flag (`--image=...`), a scheme (`docker://`, `oci://`),
quotes, blanks, a list with commas, and JSON all hold more than the image. Nothing is known of such
a text but its characters, so that an image among others is recognised by its repository.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from towline.errors import RenderError

Put = Callable[[str, str], str]
"""What becomes of a text (first) when something (second) is written into it; raises RenderError."""

_WORD = r"""[^\s,;|"'`=\[\]]*+"""
_ITEM = re.compile(
    rf"""(?P<key>(?>(?:{_WORD}=["']?)*))(?P<scheme>(?:[A-Za-z][A-Za-z0-9+.-]*+://)?)(?P<own>{_WORD})"""
)
_DEFAULT = re.compile(r"\$\{\w+:?[-?+]")
_OVERRIDE = re.compile(r"(?:^|\.)kustomize\.images\[[^\]]*\]$")
_HINT = "write it alone there, or give the path of a place that holds nothing else"


@dataclass(frozen=True, kw_only=True)
class _Item:
    """A word of a text from `start` to `end`, with what stands before it by `=` and a scheme; `own` is the rest, an image if it is one."""

    start: int
    end: int
    own: str

    @property
    def repository(self) -> str:
        """`[host/]name` without tag and digest."""
        name = self.own.partition("@")[0]
        folder, slash, last = name.rpartition("/")
        return folder + slash + last.partition(":")[0]

    @property
    def last(self) -> str:
        """The last part of the repository's path."""
        return self.repository.rpartition("/")[2]


def instead(_text: str, value: str) -> str:
    """`value`, whatever stood there."""
    return value


def with_image(text: str, image: str) -> str:
    """`text` with `image` in the place of its own; raises RenderError where it holds several things, and none or more than one could be meant."""
    items = _items(text)
    if len(items) < 2:
        return with_value(text, image)
    wanted = _items(image)[0]
    chosen = [item for item in items if item.repository == wanted.repository]
    if not chosen:
        chosen = [item for item in items if item.last == wanted.last and item.own != item.last]
        if len({item.repository for item in chosen}) != 1:
            count = "several" if chosen else "none"
            raise RenderError(
                f"{_short(text)} holds more than an image, and {count} that {wanted.repository}"
                " could take the place of",
                hint=_HINT,
            )
    for item in reversed(chosen):
        text = text[: item.start] + image + text[item.end :]
    return text


def with_value(text: str, value: str) -> str:
    """`text`, a single word with what belongs to it, with `value` in its place; raises RenderError where it is more than one."""
    items = _items(text)
    if len(items) > 1 or _DEFAULT.search(text):
        raise RenderError(f"{_short(text)} holds more than what is written there", hint=_HINT)
    return text[: items[0].start] + value + text[items[0].end :] if items else value


def image_put(path: str) -> Put:
    """How an image is written at a dotted path."""
    return _with_override if _OVERRIDE.search(path) else with_image


def _with_override(text: str, image: str) -> str:
    """An entry of an Argo CD Application's `kustomize.images` keeps its name: `web:1.0` becomes `web=host/web:2.0`."""
    items = _items(text)
    changed = with_image(text, image)
    if (
        len(items) != 1
        or items[0].start
        or items[0].end != len(text)
        or items[0].repository == _items(image)[0].repository
    ):
        return changed
    return f"{items[0].repository}={changed}"


def words(text: str) -> list[str]:
    """The words of a text, without flags, names and schemes before them."""
    return [item.own for item in _items(text)]


def _items(text: str) -> list[_Item]:
    """The words of a text in their order; behind a `=` an empty one counts too."""
    return [
        _Item(start=found.start("own"), end=found.end(), own=found["own"])
        for found in _ITEM.finditer(text)
        if found.group()
    ]


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")
