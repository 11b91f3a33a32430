"""Pure.

An image whose repository and tag stand in keys of their own: read as one if nothing else may be its
tag, else told by its places.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from towline.gitops.image_parts import digest_stem, is_digest, stem
from towline.gitops.image_text import words
from towline.gitops.plain_data import load
from towline.image import Reference, parse_familiar
from towline.suggest import some

_FLAG = re.compile(r"--?([A-Za-z][\w.-]*)=(.*)", re.DOTALL)


def together(texts: Mapping[str, str]) -> Iterator[str]:
    """The images that the texts of one map make: each repository with its tag, or digest, if there is one.

    A tag belongs to it if it is called alike (`APP_IMAGE` and `APP_TAG`), else by no name of its
    own (`version`), else if no other is there.
    """
    for key in filter(lambda one: _repository(texts[one]), texts):
        text = texts[key]
        tags = {other for other in _beside(key, texts, _is_tag) if not is_digest(other)}
        digests = {other for other in _beside(key, texts, _is_digest) if is_digest(other)}
        if len(tags) < 2 and len(digests) < 2 and tags | digests:
            tag = "".join(f":{one}" for one in tags)
            yield text + tag + "".join(f"@{_whole(one)}" for one in digests)


def flags(items: Sequence[Any]) -> dict[str, str]:
    """The arguments `--name=value` of a list by their names."""
    found = (_FLAG.fullmatch(item) for item in items if isinstance(item, str))
    return {one[1]: one[2] for one in found if one}


def stand_apart(data: bytes, image: Reference) -> str:
    """Where the repository and the tag of an image stand in a file, each in a place of its own; empty for nowhere."""
    name = f"{image.registry.host}/{image.image.name}"
    repositories: dict[str, None] = {}
    tags: dict[str, None] = {}
    for path, text in _texts(load(data) or ()):
        held = words(text)
        repositories |= {path: None} if name in held else {}
        tags |= {path: None} if image.image.tag and image.image.tag in held else {}
    if not repositories:
        return ""
    there = f"the tag at {some(list(tags))}" if tags else "its tag nowhere"
    return f"repository and tag stand apart: the repository at {some(list(repositories))}, {there}"


def _repository(text: str) -> bool:
    """Whether a text is an image's name with its registry, and no more."""
    found = parse_familiar(text) if "/" in text else None
    return bool(found and not found.image.tag and not found.image.digest)


def _beside(key: str, texts: Mapping[str, str], called: Callable[[str], bool]) -> set[str]:
    """What stands in the keys that are `called` so, of these in those that belong to a repository's key."""
    keys = [one for one in texts if texts[one] and one != key and called(one)]
    own = [one for one in keys if stem(one) == stem(key)]
    plain = [one for one in keys if not stem(one)]
    return {texts[one] for one in own or plain or keys}


def _is_tag(key: str) -> bool:
    return key.lower().endswith(("tag", "version"))


def _is_digest(key: str) -> bool:
    return digest_stem(key) is not None


def _whole(digest: str) -> str:
    return digest if ":" in digest else f"sha256:{digest}"


def _texts(root: Any) -> Iterator[tuple[str, str]]:
    """Every text of plain data with its path; what aliases repeat once."""
    seen: set[int] = set()
    waiting: list[tuple[str, Any]] = [("", one) for one in reversed(root)]
    while waiting:
        path, node = waiting.pop()
        if isinstance(node, str):
            yield path, node
        if not isinstance(node, dict | list) or id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, dict):
            below = [(f"{path}.{key}".lstrip("."), value) for key, value in node.items()]
        else:
            below = [(f"{path}[{number}]", value) for number, value in enumerate(node)]
        waiting += reversed(below)
