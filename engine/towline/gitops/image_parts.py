"""Pure.

An image in parts (registry, repository, tag, digest), as charts have keys for them, and an image
inside a text.

A text may hold more than the image: an override of kustomize (`name=image`), a flag
(`--image=...`), a scheme (`docker://`, `oci://`), quotes, blanks, a list with commas, JSON. Nothing
is known of such a text but its characters, so an image among others is recognised by its
repository. What surrounds the image stays, and a text in which several things may be the image is
refused.

A repository and a tag under keys of their own are read as one image if no other text may be its
tag; else a message names their places.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from towline.errors import RenderError
from towline.image import Reference, has_registry, parse_familiar, without_version
from towline.record import frozen
from towline.suggest import list_some
from towline.yaml import plain_data
from towline.yaml.plain_data import load_documents, texts_below

REGISTRY = "registry"
PARTS = ("image", "repository", REGISTRY, "name", "tag", "digest")
REPOSITORY_PARTS = ("repository", "image")  # parts whose registry may have a key of its own
_TEMPLATE = re.compile(r"\{\{|\$[({A-Z]")
# Laxer than image.py: a chart's old digest may have any algorithm, or none, and must be emptied.
_DIGEST = re.compile(r"(?:sha\d+:)?[0-9a-f]{64,128}")
_PARAMETER = re.compile(r"(.*)\[name=([^\]]*)\]\.value")
_REGISTRY_PATHS = (
    ("registry",),
    ("imageRegistry",),
    ("global", "registry"),
    ("global", "image", "registry"),
)
_DIGEST_KEY = re.compile(r"digest|sha(?:256|512)?")
_KEY_WORD = re.compile(
    r"digest|sha(?:256|512)?|image|container|tag|version"
    r"|repository|repo|name|reference|ref|url|uri|[^a-z0-9]"
)


@frozen
class ImageParts:
    """An image in parts: `host`, `name` on this host, `tag`, `digest`; a part not written is empty.

    `whole` is the image in one text.
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

    def split_for(self, repository: str, registry: str, common: str = "") -> tuple[str, str]:
        """The new texts of a registry and a repository in two keys, by the old texts of these keys.

        `common` is the registry that a chart puts before all its images. The new registry is empty
        if it is not to be written: it has no key of its own, or a chart that joins the two would
        not have run so far.
        """
        prefix = registry or common
        if registry and repository.startswith(f"{registry}/"):
            return self.host, self.repository
        if common and registry and self.repository.startswith(f"{common}/"):
            return common, self.repository.removeprefix(f"{common}/")
        if not prefix or has_registry(repository):
            return "", self.repository
        if self.repository.startswith(f"{prefix}/"):
            return registry, self.repository.removeprefix(f"{prefix}/")
        return self.host if registry else "", self.name


@frozen
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


def parent_path(path: str) -> str:
    """The map that a dotted path leads into, also by a parameter's name; empty for the top."""
    named = _PARAMETER.fullmatch(path)
    return (f"{named[1]}.{named[2]}" if named else path).rpartition(".")[0]


def key_stem(key: str) -> str:
    """A key without the words for parts of an image: `web` of webImageTag."""
    return _KEY_WORD.sub("", key.lower())


def digest_key_stem(key: str) -> str | None:
    """The stem of a key that is named as a digest (sha256, imageDigest); None for another key."""
    return key_stem(key) if _DIGEST_KEY.search(key.lower()) else None


def is_template(text: str) -> bool:
    """Whether a text is a template, or has a variable that gets its value later."""
    return _TEMPLATE.search(text) is not None


def is_digest(text: str) -> bool:
    """Whether a text is a digest, with or without its algorithm."""
    return _DIGEST.fullmatch(text) is not None


def global_registry_paths(parent: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The paths above a map where values may name one registry for all images, nearest first."""
    return [
        (*parent[:depth], "global", "imageRegistry") for depth in range(len(parent) - 1, -1, -1)
    ]


def registries_above(values: object) -> tuple[str, ...]:
    """The registries that a map of values has, under keys of any name, for the images below it."""
    if plain_data.map_at(values).keys() & {"repository", "tag"}:
        return ()  # they are the parts of one image
    found = (plain_data.text_at(values, *path) for path in _REGISTRY_PATHS)
    return tuple(dict.fromkeys(text.strip("/") for text in found if text))


def registry_before(name: str, registry: str, common: str) -> str:
    """The registry that a chart puts before a name: `common` for all images, else `registry`.

    `registry` stands beside the name. A name with a host needs neither, but `common` wins over a
    registry beside it.
    """
    return common if common and (registry or not has_registry(name)) else registry


TextWriter = Callable[[str, str], str]
"""Writes a value (second) into a text (first); returns the new text, raises RenderError."""

_WORD = r"""[^\s,;|"'`=\[\]]*+"""
_ITEM = re.compile(
    rf"""(?P<key>(?>(?:{_WORD}=["']?)*))(?P<scheme>(?:[A-Za-z][A-Za-z0-9+.-]*+://)?)"""
    rf"(?P<own>{_WORD})"
)
_DEFAULT = re.compile(r"\$\{\w+:?[-?+]")
_OVERRIDE = re.compile(r"(?:^|\.)kustomize\.images\[[^\]]*\]$")
_HINT = "let the text hold that value alone, or give the path of such a text"


@frozen
class _Item:
    """A word of a text, from `start` to `end`; `own` is the word without flags, names and scheme.

    It is an image if it can be read as one.
    """

    start: int
    end: int
    own: str

    @property
    def repository(self) -> str:
        """`[host/]name` without tag and digest."""
        return without_version(self.own)

    @property
    def last(self) -> str:
        """The last part of the repository's path."""
        return self.repository.rpartition("/")[2]


def replace_text(_text: str, value: str) -> str:
    """The new text `value`, whatever stood there."""
    return value


def with_image(text: str, image: str) -> str:
    """`text` with `image` in the place of its own image.

    Raises RenderError if it holds several things, and none or more than one may be the image.
    """
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
                f"{_short(text)} holds more than an image, and {count} of its words may be"
                f" {wanted.repository}",
                hint=_HINT,
            )
    for item in reversed(chosen):
        text = text[: item.start] + image + text[item.end :]
    return text


def with_value(text: str, value: str) -> str:
    """`text`, which is one word with its surroundings, with `value` in the place of the word.

    Raises RenderError if it holds more than one word.
    """
    items = _items(text)
    if len(items) > 1 or _DEFAULT.search(text):
        raise RenderError(f"{_short(text)} holds more than the value that is written", hint=_HINT)
    return text[: items[0].start] + value + text[items[0].end :] if items else value


def image_writer(path: str) -> TextWriter:
    """The function that writes an image into the text at a dotted path."""
    return _with_override if _OVERRIDE.search(path) else with_image


def _with_override(text: str, image: str) -> str:
    """An entry of `kustomize.images` with a new image; it keeps the name that it replaces.

    In an Argo CD Application `web:1.0` becomes `web=host/web:2.0`.
    """
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


def image_words(text: str) -> list[str]:
    """The words of a text, without the flags, names and schemes before them."""
    return [item.own for item in _items(text)]


def _items(text: str) -> list[_Item]:
    """The words of a text in their order; an empty word behind a `=` counts too."""
    return [
        _Item(start=found.start("own"), end=found.end(), own=found["own"])
        for found in _ITEM.finditer(text)
        if found.group()
    ]


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


_FLAG = re.compile(r"--?([A-Za-z][\w.-]*)=(.*)", re.DOTALL)


def images_in_map(texts: Mapping[str, str]) -> Iterator[str]:
    """The images that the texts of one map make: each repository with its tag or digest.

    A tag belongs to a repository if its key is named alike (`APP_IMAGE` and `APP_TAG`), else if it
    has no name of its own (`version`), else if the map has no other tag.
    """
    for key in filter(lambda other_key: _is_repository(texts[other_key]), texts):
        text = texts[key]
        tags = {other for other in _beside(key, texts, _is_tag) if not is_digest(other)}
        digests = {other for other in _beside(key, texts, _is_digest) if is_digest(other)}
        if len(tags) < 2 and len(digests) < 2 and tags | digests:
            tag_text = "".join(f":{tag}" for tag in tags)
            digest_text = "".join(f"@{_with_algorithm(digest)}" for digest in digests)
            yield text + tag_text + digest_text


def flag_values(items: Sequence[Any]) -> dict[str, str]:
    """The values of the arguments `--name=value` in a list, by name."""
    found = (_FLAG.fullmatch(item) for item in items if isinstance(item, str))
    return {flag[1]: flag[2] for flag in found if flag}


def separate_keys(data: bytes, image: Reference) -> str:
    """A message with the separate keys of an image and its tag; empty if there are none."""
    name = f"{image.registry.host}/{image.image.name}"
    repositories: dict[str, None] = {}
    tags: dict[str, None] = {}
    for path, text in _texts(load_documents(data) or []):
        words = image_words(text)
        repositories |= {path: None} if name in words else {}
        tags |= {path: None} if image.image.tag and image.image.tag in words else {}
    if not repositories:
        return ""
    tag = f"the tag at {list_some(list(tags))}" if tags else "its tag nowhere"
    repository = f"the repository at {list_some(list(repositories))}"
    return f"repository and tag stand apart: {repository}, {tag}"


def _is_repository(text: str) -> bool:
    """Whether a text is an image's name with its registry and nothing else."""
    found = parse_familiar(text) if "/" in text else None
    return bool(found and not found.image.tag and not found.image.digest)


def _beside(key: str, texts: Mapping[str, str], has_wanted_name: Callable[[str], bool]) -> set[str]:
    """The texts of keys that have a wanted name and belong to a repository's key."""
    keys = [other for other in texts if texts[other] and other != key and has_wanted_name(other)]
    same_stem = [other for other in keys if key_stem(other) == key_stem(key)]
    plain = [other for other in keys if not key_stem(other)]
    return {texts[other] for other in same_stem or plain or keys}


def _is_tag(key: str) -> bool:
    return key.lower().endswith(("tag", "version"))


def _is_digest(key: str) -> bool:
    return digest_key_stem(key) is not None


def _with_algorithm(digest: str) -> str:
    return digest if ":" in digest else f"sha256:{digest}"


def _texts(documents: list[Any]) -> Iterator[tuple[str, str]]:
    """Each text of loaded documents with its path; a text that aliases repeat comes once."""
    for (_, *path), text in texts_below(documents):
        steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
        yield "".join(steps).lstrip("."), text
