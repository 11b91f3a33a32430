"""Pure.

What else beside a tag or a whole image says which version runs: a digest, which becomes the new
one's or empty, and a tag, which is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from towline.errors import ConfigError
from towline.gitops.beside import where_at
from towline.gitops.image_parts import ImagePart, digest_stem, is_digest, is_filled_later, stem
from towline.gitops.plain_data import texts_at
from towline.gitops.value_images import Beside, Spot, map_in
from towline.image import parse_familiar

_VERSIONED = ("tag", "image")  # parts that a digest beside would win over
_IMAGE_KEY = re.compile(r"(?:image|tag|repository)$", re.IGNORECASE)
_DIGEST_NAME = re.compile(r"@sha\d+$")  # `name@sha256`, with the rest of the digest as the tag


def digests_beside(spots: Sequence[Spot], base: Mapping[str, Any]) -> list[Beside]:
    """The digests that a chart would run instead of what `spots`, of one image in one map, become; each with what it becomes itself.

    It is the image's own where that is pinned; else it is emptied. `base` are the values of the
    chart around.
    """
    found: dict[str, Beside] = {}
    written = {spot.leaf for spot in spots}
    for spot in spots:
        below = texts_at(map_in(base, spot))
        for key, old in {**below, **spot.beside}.items():
            if key not in written and _is_digest_of(spot, key, old):
                new = _instead(spot, old)
                found.setdefault(
                    key, Beside(spot=spot, key=key, old=spot.beside.get(key, ""), new=new)
                )
    return list(found.values())


def check_joined(spots: Sequence[Spot], base: Mapping[str, Any]) -> None:
    """Pass where nothing beside is put behind the image once more; raises ConfigError."""
    for spot in spots:
        texts = {**texts_at(map_in(base, spot)), **spot.beside}
        part = _part(spot)
        if part == "image" and spot.old and not _versioned(spot.old):
            _check_tag(spot, texts)
        if part == "tag":
            written = {one.leaf for one in spots}
            names = {key: text for key, text in texts.items() if key not in written}
            _check_name(spot, names)


def _check_tag(spot: Spot, texts: Mapping[str, str]) -> None:
    """Pass where a whole image is written in the place of a whole image."""
    for key, text in texts.items():
        is_tag = key.lower().endswith("tag") and stem(key) == stem(spot.leaf)
        if is_tag and text:
            path, own = spot.beside_path(key), spot.text
            raise ConfigError(
                f"{own} has no tag in it so far, and {path} beside it has one: a chart that joins"
                " the two would run none that is there",
                where=where_at(spot.place.source, spot.place.document, spot.place.path),
                hint=(
                    f"valuesPaths: {{{own}: repository, {path}: tag}}; if the chart reads {own}"
                    f" alone, take {path} out"
                ),
            )


def _check_name(spot: Spot, texts: Mapping[str, str]) -> None:
    """Pass where a tag is not the rest of a digest."""
    for key, text in texts.items():
        if _DIGEST_NAME.search(text) and stem(key) == stem(spot.leaf):
            path = spot.beside_path(key)
            raise ConfigError(
                f"{path} ends with {text.rpartition('@')[2]}, so that {spot.text} beside it is the"
                " rest of a digest, not a tag",
                where=where_at(spot.place.source, spot.place.document, spot.parent),
                hint=f"valuesPaths: {{{path}: repository, {spot.text}: tag}} writes both",
            )


def _is_digest_of(spot: Spot, key: str, text: str) -> bool:
    """Whether a key holds the digest of what a spot is a part of."""
    called, own = digest_stem(key), stem(spot.leaf)
    if called is None or not text or _part(spot) not in _VERSIONED:
        return False
    if not ("digest" in key.lower() or is_digest(text)):
        return False
    if any(text.startswith(("http://", "https://")) for text in spot.beside.values()):
        return False  # the checksum of a download
    others = {stem(one) for one in spot.beside if _IMAGE_KEY.search(one)} - {own}
    return called == own or (not called and not others)


def _part(spot: Spot) -> str:
    """Which part of an image a spot is; empty for none."""
    return spot.wanted.part if isinstance(spot.wanted, ImagePart) else ""


def _instead(spot: Spot, old: str) -> str:
    """What becomes of a digest beside a spot; a whole image that is pinned has its own in itself."""
    assert isinstance(spot.wanted, ImagePart)
    image, part = spot.wanted.image, spot.wanted.part
    known = image.digest if part == "tag" and "@" in image.whole else ""
    return known if ":" in old else known.rpartition(":")[2]


def _versioned(text: str) -> bool:
    """Whether an image has a tag or a digest of its own, or may get one."""
    there = parse_familiar(text)
    return is_filled_later(text) or bool(there and (there.image.tag or there.image.digest))
