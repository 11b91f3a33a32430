"""Pure.

An image in the parts that charts have keys for: registry, repository, tag and digest, and how the
first two are written beside each other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from towline.gitops import plain_data
from towline.image import has_registry

REGISTRY = "registry"
PARTS = ("image", "repository", REGISTRY, "name", "tag", "digest")
JOINED = ("repository", "image")  # parts that a registry may stand apart from
_OPEN = re.compile(r"\{\{|\$[({A-Z]")
_DIGEST = re.compile(r"(?:sha\d+:)?[0-9a-f]{64,128}")
_PARAMETER = re.compile(r"(.*)\[name=([^\]]*)\]\.value")
_ABOVE = (
    ("registry",),
    ("imageRegistry",),
    ("global", "registry"),
    ("global", "image", "registry"),
)
_DIGEST_KEY = re.compile(r"digest|sha(?:256|512)?")
_KEY_WORD = re.compile(
    r"digest|sha(?:256|512)?|image|container|tag|version|repository|repo|name|reference|ref|url|uri|[^a-z0-9]"
)


@dataclass(frozen=True, kw_only=True)
class ImageParts:
    """An image: `host`, `name` in it, `tag`, `digest`; what is not written is empty.

    `whole` is all of it in one.
    """

    host: str
    name: str
    tag: str = ""
    digest: str = ""
    whole: str = ""

    @property
    def repository(self) -> str:
        """`host/name`."""
        return f"{self.host}/{self.name}"

    def spread(self, repository: str, registry: str, common: str = "") -> tuple[str, str]:
        """What registry and repository become where they hold these texts now, `common` being what a chart puts before all its images.

        The registry is empty where it is not to be written: where it has no key of its own, or a
        chart that joins the two would not have run so far.
        """
        above = registry or common
        if registry and repository.startswith(f"{registry}/"):
            return self.host, self.repository
        if common and registry and self.repository.startswith(f"{common}/"):
            return common, self.repository.removeprefix(f"{common}/")
        if not above or has_registry(repository):
            return "", self.repository
        if self.repository.startswith(f"{above}/"):
            return registry, self.repository.removeprefix(f"{above}/")
        return self.host if registry else "", self.name


@dataclass(frozen=True, kw_only=True)
class ImagePart:
    """The `part` of an image that a path asks for."""

    image: ImageParts
    part: str

    def __str__(self) -> str:
        return {
            "image": self.image.whole,
            "repository": self.image.repository,
            REGISTRY: self.image.host,
            "name": self.image.name,
            "tag": self.image.tag,
            "digest": self.image.digest,
        }[self.part]


def map_of(path: str) -> str:
    """The map that a dotted path leads into, also by the name of a parameter in a list; empty for the top."""
    named = _PARAMETER.fullmatch(path)
    return (f"{named[1]}.{named[2]}" if named else path).rpartition(".")[0]


def stem(key: str) -> str:
    """What a key is called without the words that say which part of an image it is: `web` of webImageTag."""
    return _KEY_WORD.sub("", key.lower())


def digest_stem(key: str) -> str | None:
    """The same of a key that is called as a digest: sha256, imageDigest; None for any other."""
    return stem(key) if _DIGEST_KEY.search(key.lower()) else None


def is_filled_later(text: str) -> bool:
    """Whether a text is a template, or has a variable that is filled in later."""
    return _OPEN.search(text) is not None


def is_digest(text: str) -> bool:
    """Whether a text is a digest, with or without its algorithm."""
    return _DIGEST.fullmatch(text) is not None


def global_paths(parent: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Where the values above a map may name one registry for all images, the nearest first."""
    return [
        (*parent[:depth], "global", "imageRegistry") for depth in range(len(parent) - 1, -1, -1)
    ]


def registries_above(values: object) -> tuple[str, ...]:
    """Registries that a map of values has in keys of charts' own choice, for the images below it."""
    if plain_data.map_at(values).keys() & {"repository", "tag"}:
        return ()  # that of one image
    found = (plain_data.text_at(values, *path) for path in _ABOVE)
    return tuple(dict.fromkeys(text.strip("/") for text in found if text))


def before(name: str, registry: str, common: str) -> str:
    """What a chart puts before a name: `common`, what it has for all images, over the `registry` beside the name; a name with a host needs neither."""
    return common if common and (registry or not has_registry(name)) else registry
