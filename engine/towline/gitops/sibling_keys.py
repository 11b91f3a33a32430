"""Pure.

Keys beside the written ones that decide which image runs: a registry beside the name or for all
images of a chart, a digest or a tag beside the version, and the index in a list.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from towline.errors import ConfigError
from towline.gitops.candidates import last_part_of, repository_of
from towline.gitops.helm.chart_values import merge_values
from towline.gitops.image_parts import (
    REPOSITORY_PARTS,
    ImagePart,
    ImageParts,
    digest_key_stem,
    global_registry_paths,
    is_digest,
    is_template,
    key_stem,
    registries_above,
    registry_before,
)
from towline.gitops.manifest_images import compose_image
from towline.gitops.value_targets import SiblingEdit, ValueTarget, default_map, registry_key
from towline.gitops.yaml_lookup import (
    document_texts,
    line_at,
    map_texts,
    scalar_text,
)
from towline.image import has_registry, parse_familiar
from towline.suggest import list_some
from towline.yaml import plain_data
from towline.yaml.edit import path_text
from towline.yaml.marks import Path
from towline.yaml.paths import parse_dotted
from towline.yaml.plain_data import texts_at


def check_list_indexes(targets: Iterable[ValueTarget]) -> None:
    """Pass if no list index leads to another image while the wanted image is in another item.

    An item chosen by `[name=...]` is not checked. Raises ConfigError.
    """
    for target in targets:
        if not (indexes := list(_indexes(target))):
            continue
        texts = dict(document_texts(target.path_match.source, target.path_match.document))
        old = texts.get(target.path_match.path, "")
        if others := _paths_of_image(target, texts, old, indexes):
            raise ConfigError(
                f"{target.text} holds another image, and {target.wanted} belongs at"
                f" {list_some(others)}",
                where=target.path_match.source.where(target.path_match.node.start),
                hint=("correct the index; [name=...] chooses the item of the list by its name"),
            )


def _paths_of_image(
    target: ValueTarget, texts: Mapping[Path, str], old: str, indexes: Collection[int]
) -> list[str]:
    """Paths in the same list with a target's image, if `old` is the text of another image."""
    if not isinstance(target.wanted, ImagePart) or target.wanted.part != "image":
        return []
    wanted = target.wanted.image.whole
    if not repository_of(old) or last_part_of(old) == last_part_of(wanted):
        return []
    return [
        path_text(path)
        for path, text in texts.items()
        if any(_differ_at(index, path, target.path_match.path) for index in indexes)
        and repository_of(text) == repository_of(wanted)
    ]


def _indexes(target: ValueTarget) -> Iterator[int]:
    """Positions of list indexes in a target's path, counted from its end (-1 is the last step)."""
    path, steps = target.path_match.path, parse_dotted(target.text)
    for distance in range(1, min(len(path), len(steps)) + 1):
        if isinstance(steps[-distance], int) and steps[-distance] == path[-distance]:
            yield -distance


def _differ_at(index: int, path: Path, other: Path) -> bool:
    """Whether two paths differ in nothing but the step at `index`."""
    if len(path) != len(other) or path[index] == other[index]:
        return False
    return (*path[:index], 0, *path[len(path) + index + 1 :]) == (
        *other[:index],
        0,
        *other[len(other) + index + 1 :],
    )


_UNSET_TEXT = re.compile(
    r"|~|null|<[^<>]*>|todo|tbd|placeholder|(?:change|replace)[-_ ]?me", re.IGNORECASE
)


def part_texts(
    targets: Sequence[ValueTarget],
    base: Mapping[str, Any],
    others: Sequence[ValueTarget] = (),
    *,
    joined: bool | None = None,
) -> tuple[dict[str, str], list[SiblingEdit]]:
    """The texts that targets of one image in one map get, by path, and the registries beside them.

    `base` are the default values of the chart, `others` all targets of the file. `joined` says
    whether the chart puts the registry that the values have for all images before this image; it is
    None if that is not known. Raises ConfigError if the values have another registry for all
    images.
    """
    texts: dict[str, str] = {}
    registries: dict[str, SiblingEdit] = {}
    for target in targets:
        assert isinstance(target.wanted, ImagePart)
        image, part = target.wanted.image, target.wanted.part
        texts[target.text] = str(target.wanted)
        if part not in REPOSITORY_PARTS:
            continue
        key, defaults = registry_key(target.key), plain_data.texts_at(default_map(base, target))
        registry_beside = target.sibling_texts.get(key, defaults.get(key, ""))
        # A template gets its value elsewhere, and shows that the chart joins the two.
        if is_template(registry_beside):
            texts[target.text] = str(target.wanted).removeprefix(f"{image.host}/")
            continue
        text = target.old or defaults.get(target.key, "")
        if text and not registry_beside and image.repository in _prefixed_names(text, target, base):
            texts[target.text] = text + _version(target)
            continue
        common = "" if joined is False else _global_registry(target, base, others)
        if joined is None and _is_registry_unknown(image, registry_beside, text, common):
            # Nothing shows that the chart puts it before this image: the name keeps its host.
            common = ""
        # An empty text in the file replaces that of the chart's default values.
        current = text if target.path_match.missing else target.old
        registry, name = image.split_for(current, registry_beside, common)
        _check_global_registry(
            target, registry_before(name, registry or registry_beside, common), name, common
        )
        texts[target.text] = name + _version(target)
        if registry and registry != registry_beside and all(other.key != key for other in targets):
            registries[key] = SiblingEdit(
                target=target, key=key, old=target.sibling_texts.get(key, ""), new=registry
            )
    return texts, list(registries.values())


def _prefixed_names(name: str, target: ValueTarget, base: Mapping[str, Any]) -> list[str]:
    """The name with each registry before it that the maps around it have, in keys of any name."""
    return [f"{above}/{name}" for above in _registries_above(name, target, base)]


def _registries_above(name: str, target: ValueTarget, base: Mapping[str, Any]) -> list[str]:
    """The registries that the maps around a name have; none if the name has a host."""
    if has_registry(name):
        return []
    path = target.map_path
    maps = [_registries_at(target, path[:depth]) for depth in range(1, len(path))]
    maps.append(merge_values(base, _registries_at(target, ())))
    return [above for texts in maps for above in registries_above(texts)]


def _registries_at(target: ValueTarget, path: Path) -> Mapping[str, Any]:
    """The texts of a map in a target's document, with those of the `global` map in it."""
    source, document = target.path_match.source, target.path_match.document
    image = map_texts(source, document, (*path, "global", "image"))
    common = {**map_texts(source, document, (*path, "global")), "image": image}
    return {**map_texts(source, document, path), "global": common}


def _version(target: ValueTarget) -> str:
    """The tag and digest that follow the repository if a whole image is wanted; else empty."""
    assert isinstance(target.wanted, ImagePart)
    image = target.wanted.image
    return image.whole.removeprefix(image.repository) if target.wanted.part == "image" else ""


def registry_warnings(
    targets: Sequence[ValueTarget],
    base: Mapping[str, Any],
    others: Sequence[ValueTarget],
    *,
    joined: bool | None,
) -> list[str]:
    """Warnings that an unknown chart may put another registry before an image that is written.

    They are for images that get a name with a host while the values have a registry for several
    images.
    """
    found: list[str] = []
    for target in targets:
        if not isinstance(target.wanted, ImagePart) or target.wanted.part not in REPOSITORY_PARTS:
            continue
        image, defaults = target.wanted.image, plain_data.texts_at(default_map(base, target))
        key, common = registry_key(target.key), _global_registry(target, base, others)
        registry_beside, text = (
            target.sibling_texts.get(key, defaults.get(key, "")),
            target.old or defaults.get(target.key, ""),
        )
        if common and joined is None and _is_registry_unknown(image, registry_beside, text, common):
            found.append(
                f"{target.text} was empty, and gets {image.repository}; a chart that puts"
                f" global.imageRegistry before it would run {common}/{image.repository}"
                " (valuesPaths can set the registry: registry)"
            )
        registries_above_name = (
            _registries_above(text, target, base)
            if not (registry_beside or common or _UNSET_TEXT.fullmatch(text))
            else []
        )
        if (
            registries_above_name
            and image.repository not in _prefixed_names(text, target, base)
            and not is_template(registries_above_name[0])
        ):
            found.append(
                f"{target.text} was {text}, and gets {image.repository}; a chart that puts the"
                " registry of its values before it would run"
                f" {registries_above_name[0]}/{image.repository}"
                " (valuesPaths can set this registry: registry)"
            )
    return found


def _is_registry_unknown(image: ImageParts, registry_beside: str, text: str, common: str) -> bool:
    """Whether nothing shows that the chart puts the common registry before that text."""
    fits = image.repository.startswith(f"{common}/") or is_template(common)
    return not registry_beside and not fits and _UNSET_TEXT.fullmatch(text) is not None


def _global_registry(
    target: ValueTarget, base: Mapping[str, Any], others: Sequence[ValueTarget]
) -> str:
    """The registry that the values have for all images after `others` are written.

    Empty for none.
    """
    paths = global_registry_paths(tuple(map(str, target.map_path)))
    found = next(filter(None, (_final_text(target, path, others) for path in paths)), "")
    if found or not paths or _has_text(target, paths[-1]):
        return found
    return plain_data.text_at(base, *paths[-1])


def _has_text(target: ValueTarget, path: Path) -> bool:
    """Whether a target's document has a text at a path.

    Even an empty text hides the chart's default.
    """
    return path[-1] in map_texts(target.path_match.source, target.path_match.document, path[:-1])


def _final_text(target: ValueTarget, path: Path, others: Sequence[ValueTarget]) -> str:
    """The text at a path of a target's document after `others` are written."""
    path_match = target.path_match
    wanted = (target.file.name, path_match.inside, path_match.document, path)
    for other in others:
        whole_path = (*other.path_match.path, *map(str, other.path_match.missing))
        if (
            other.file.name,
            other.path_match.inside,
            other.path_match.document,
            whole_path,
        ) == wanted:
            return str(other.wanted)
    return scalar_text(path_match.source, path_match.document, path)


def _check_global_registry(target: ValueTarget, above: str, name: str, common: str) -> None:
    """Pass if the common registry, if it is `above` the image, makes it the wanted one.

    Raises ConfigError.
    """
    assert isinstance(target.wanted, ImagePart)
    image = target.wanted.image
    repository = compose_image(above, name, "", "")
    if not common or above != common or is_template(common) or repository == image.repository:
        return
    paths = global_registry_paths(tuple(map(str, target.map_path)))
    path_match = target.path_match
    set_paths = [
        path for path in paths if scalar_text(path_match.source, path_match.document, path)
    ]
    key = path_text((set_paths or paths[-1:])[0])
    raise ConfigError(
        f"{key} is {common}, so that a chart would run {repository}, not {image.repository}",
        where=line_at(path_match.source, path_match.document, set_paths[0])
        if set_paths
        else target.file.name,
        hint=(
            f"set {key} to {image.host} (valuesPaths may have {{{key}: registry}}), or, "
            f"if the chart does not put it before this image, give {target.text} a host in the file"
        ),
    )


_VERSIONED = ("tag", "image")  # parts that a digest beside them overrides
_IMAGE_KEY = re.compile(r"(?:image|tag|repository)$", re.IGNORECASE)
_DIGEST_NAME = re.compile(r"@sha\d+$")  # `name@sha256`: the tag is the rest of the digest


def sibling_digests(targets: Sequence[ValueTarget], base: Mapping[str, Any]) -> list[SiblingEdit]:
    """Edits of the digests beside targets of one image and map that a chart would run.

    The new text is the image's own digest if that is pinned, else it is empty. `base` are the
    default values of the chart.
    """
    found: dict[str, SiblingEdit] = {}
    written = {target.key for target in targets}
    for target in targets:
        defaults = texts_at(default_map(base, target))
        for key, old in {**defaults, **target.sibling_texts}.items():
            if key not in written and _is_digest_of(target, key, old):
                new = _new_digest(target, old)
                found.setdefault(
                    key,
                    SiblingEdit(
                        target=target, key=key, old=target.sibling_texts.get(key, ""), new=new
                    ),
                )
    return list(found.values())


def check_sibling_versions(targets: Sequence[ValueTarget], base: Mapping[str, Any]) -> None:
    """Pass if no key beside a target adds a second version to the image; raises ConfigError."""
    for target in targets:
        texts = {**texts_at(default_map(base, target)), **target.sibling_texts}
        part = _part(target)
        if part == "image" and target.old and not _has_version(target.old):
            _check_tag(target, texts)
        if part == "tag":
            written = {other.key for other in targets}
            names = {key: text for key, text in texts.items() if key not in written}
            _check_not_digest(target, names)


def _check_tag(target: ValueTarget, texts: Mapping[str, str]) -> None:
    """Pass if no tag stands beside a whole image that had no tag in itself so far."""
    for key, text in texts.items():
        is_tag = key.lower().endswith("tag") and key_stem(key) == key_stem(target.key)
        if is_tag and text:
            path, image_path = target.sibling_path(key), target.text
            raise ConfigError(
                f"{image_path} has no tag in it so far, and {path} beside it has one: a chart that"
                " joins the two would run an image that does not exist",
                where=line_at(
                    target.path_match.source, target.path_match.document, target.path_match.path
                ),
                hint=(
                    f"valuesPaths: {{{image_path}: repository, {path}: tag}}; if the chart reads"
                    f" {image_path} alone, take {path} out"
                ),
            )


def _check_not_digest(target: ValueTarget, texts: Mapping[str, str]) -> None:
    """Pass if a written tag is not the rest of a digest, as of `name@sha256` beside it."""
    for key, text in texts.items():
        if _DIGEST_NAME.search(text) and key_stem(key) == key_stem(target.key):
            path = target.sibling_path(key)
            raise ConfigError(
                f"{path} ends with {text.rpartition('@')[2]}, so that {target.text} beside it is"
                " the rest of a digest, not a tag",
                where=line_at(target.path_match.source, target.path_match.document, target.parent),
                hint=f"valuesPaths: {{{path}: repository, {target.text}: tag}} writes both",
            )


def _is_digest_of(target: ValueTarget, key: str, text: str) -> bool:
    """Whether a key holds the digest of the image that a target is a part of."""
    stem, own_stem = digest_key_stem(key), key_stem(target.key)
    if stem is None or not text or _part(target) not in _VERSIONED:
        return False
    if not ("digest" in key.lower() or is_digest(text)):
        return False
    if any(text.startswith(("http://", "https://")) for text in target.sibling_texts.values()):
        return False  # it is the checksum of a download
    others = {
        key_stem(sibling) for sibling in target.sibling_texts if _IMAGE_KEY.search(sibling)
    } - {own_stem}
    return stem == own_stem or (not stem and not others)


def _part(target: ValueTarget) -> str:
    """The part of an image that a target wants; empty for a plain text."""
    return target.wanted.part if isinstance(target.wanted, ImagePart) else ""


def _new_digest(target: ValueTarget, old: str) -> str:
    """The new text of a digest beside a target.

    It is empty if a whole image is written, which has its digest in itself.
    """
    assert isinstance(target.wanted, ImagePart)
    image, part = target.wanted.image, target.wanted.part
    digest = image.digest if part == "tag" and "@" in image.whole else ""
    return digest if ":" in old else digest.rpartition(":")[2]


def _has_version(text: str) -> bool:
    """Whether an image has a tag or a digest in itself, or may get one later as a template."""
    reference = parse_familiar(text)
    return is_template(text) or bool(reference and (reference.image.tag or reference.image.digest))
