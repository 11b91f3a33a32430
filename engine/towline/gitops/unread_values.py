"""Pure.

Values that would not be read: a new key while the image stands under other keys of the document,
and a value that Argo CD's parameters or the values of a parent chart override.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from towline.errors import ConfigError
from towline.gitops.candidates import last_part_of
from towline.gitops.helm.chart_values import parent_chart_values
from towline.gitops.image_parts import REGISTRY, ImagePart, ImageParts, digest_key_stem, key_stem
from towline.gitops.manifest_images import last_part
from towline.gitops.value_targets import ValueTarget
from towline.gitops.yaml_lookup import document_texts, is_image_key
from towline.image import Reference, parse_familiar
from towline.yaml.edit import path_text
from towline.yaml.marks import Path
from towline.yaml.paths import parse_dotted
from towline.yaml.plain_data import text_at

_IMAGE_KEYS = {REGISTRY, "repository", "tag", "digest"}
_NAME_PARTS = ("image", "repository", "name")  # parts with the image's name


def same_image_paths(target: ValueTarget, targets: Collection[ValueTarget]) -> list[str]:
    """The paths that hold the image of a missing key; empty if the key may be added.

    It may be added if one of `targets` (all targets that are written) is among these paths; a tag,
    digest or registry also beside the repository, and a repository also beside one of these.
    """
    if not isinstance(target.wanted, ImagePart):
        return []
    image, part = target.wanted.image, target.wanted.part
    written = [
        other.path_match.path
        for other in targets
        if _in_same_document(other, target) and not other.path_match.missing
    ]
    with_image = {
        path: reference
        for path, text in document_texts(target.path_match.source, target.path_match.document)
        if path not in written
        and "metadata" not in path
        and (reference := _same_repository(text, image))
    }
    beside = {
        path: reference for path, reference in with_image.items() if path[:-1] == target.parent
    }
    if beside and part in _NAME_PARTS:
        return _path_texts(beside)
    if part == "tag" and (
        tagged := [path for path, reference in beside.items() if reference.image.tag]
    ):
        return _path_texts(tagged)
    if _IMAGE_KEYS & {key for key, text in target.sibling_texts.items() if text}:
        return []
    return (
        _path_texts(_version_keys(target, image) if part == "tag" else [])
        if beside
        else _path_texts(with_image)
    )


def other_image_paths(target: ValueTarget, targets: Collection[ValueTarget]) -> list[str]:
    """Paths of the document's images if a missing key is beside no part of an image.

    The key may be added, and the result is empty, if the document has no image at all, if the map
    is named like an image or after this one, and if the maps beside it have this key.
    """
    if not isinstance(target.wanted, ImagePart) or len(target.path_match.missing) > 1:
        return []
    steps = (*map(str, target.parent), target.key)
    image_stems = {key_stem(last_part(target.wanted.image.name))} - {""}
    if image_stems & {key_stem(step) for step in steps} or is_image_key("".join(steps[-2:-1])):
        return []
    if target.wanted.part == REGISTRY and steps[-2:-1] == ("global",):
        return []
    own_stem = key_stem(target.key)
    if any(
        _is_part(key) and key_stem(key) == own_stem for key, text in target.sibling_texts.items()
    ):
        return []
    if any(other.map_key == target.map_key and not other.path_match.missing for other in targets):
        return []
    paths = {
        path
        for path, text in document_texts(target.path_match.source, target.path_match.document)
        if "metadata" not in path and is_image_key(str(path[-1])) and text
    }
    if any(
        path[-1] == target.key and path[:-2] == target.parent[:-1] for path in paths if path[1:]
    ):
        return []
    return _path_texts(sorted(paths, key=str))


def _is_part(key: str) -> bool:
    """Whether the name of a key says that it is a part of an image."""
    is_named = is_image_key(key) or digest_key_stem(key) is not None
    return is_named or key.lower() in (REGISTRY, *_NAME_PARTS)


def _in_same_document(target: ValueTarget, other: ValueTarget) -> bool:
    """Whether two targets are in the same document."""
    return (target.file.name, target.path_match.inside, target.path_match.document) == (
        other.file.name,
        other.path_match.inside,
        other.path_match.document,
    )


def _same_repository(text: str, image: ImageParts) -> Reference | None:
    """The image that a text is, if it is of the repository of `image`; else None."""
    reference = parse_familiar(text) if "/" in text else None
    ours = parse_familiar(image.repository)
    same = (
        reference
        and ours
        and (reference.registry, reference.image.name) == (ours.registry, ours.image.name)
    )
    return reference if same else None


def _version_keys(target: ValueTarget, image: ImageParts) -> list[Path]:
    """Paths beside a missing tag that seem to hold it: webVersion (image web), version."""
    prefixes = ("", "image", last_part(image.name).replace("-", "").lower())
    names = {f"{prefix}{end}" for prefix in prefixes for end in ("version", "tag")}
    return [
        path
        for key, path in target.siblings.paths.items()
        if target.sibling_texts[key] and key.replace("-", "").replace("_", "").lower() in names
    ]


def _path_texts(paths: Collection[Path]) -> list[str]:
    return [path_text(path) for path in paths]


_TEMPLATE = "{{"  # begins a template, which gets its value later


def check_argo_overrides(targets: Collection[ValueTarget]) -> None:
    """Pass if an Argo CD Application overrides none of the helm values that are written in it.

    Raises ConfigError.
    """
    written = [
        (target.file.name, target.path_match.document, target.path_match.path) for target in targets
    ]
    for target in targets:
        if found := _helm_value(target):
            document, helm, key = found
            texts = dict(document_texts(target.file, document))
            argo = texts.get(("apiVersion",), "").startswith("argoproj.io/")
            for overriding in _overriding_paths(target, helm, key, texts) if argo else ():
                location = (target.file.name, document, overriding)
                if not any(
                    (*place_written[:2], place_written[2][: len(overriding)]) == location
                    for place_written in written
                ):
                    raise ConfigError(
                        f"{target.text} is not read, since {path_text(overriding)} overrides it",
                        where=target.path_match.source.where(target.path_match.node.start),
                        hint="write that path, or remove it",
                    )


def parent_chart_warnings(
    targets: Iterable[ValueTarget], files: Mapping[str, bytes]
) -> Iterator[str]:
    """A warning for each value of a subchart that the values of its parent chart override."""
    for target in targets:
        for file, key, values in parent_chart_values(target.file.name, files):
            text = text_at(values, *parse_dotted(target.text))
            if text and not _is_wanted_text(text, target):
                name = f"{key}.{target.text}"
                yield f"{file} sets {name}, which overrides the value in {target.file.name}"


def _helm_value(target: ValueTarget) -> tuple[int, Path, str] | None:
    """Document and path of the `helm` map with a target, and the target's key in its values.

    None if the target is not in such values.
    """
    path_match = target.path_match
    whole_path = (*path_match.path, *map(str, path_match.missing))
    if len(path_match.inside) == 1:
        document, path = path_match.inside[0]
        return (
            (document, path[:-1], path_text(whole_path))
            if path[-2:] == ("helm", "values")
            else None
        )
    for depth in range(2, len(whole_path)):
        if not path_match.inside and whole_path[depth - 2 : depth] == ("helm", "valuesObject"):
            return path_match.document, whole_path[: depth - 1], path_text(whole_path[depth:])
    return None


def _overriding_paths(
    target: ValueTarget, helm: Path, key: str, texts: Mapping[Path, str]
) -> Iterator[Path]:
    """Paths that override the value `key` of the map at `helm`: a valuesObject, parameters."""
    objects = (*helm, "valuesObject")
    if target.path_match.inside and any(path[: len(objects)] == objects for path in texts):
        yield objects
    parameters = (*helm, "parameters")
    for path, text in texts.items():
        if path[:-2] == parameters and path[-1] == "name" and text == key:
            value = (*path[:-1], "value")
            parameter = texts.get(value, _TEMPLATE)
            if _TEMPLATE not in parameter and not _is_wanted_text(parameter, target):
                yield value


def _is_wanted_text(text: str, target: ValueTarget) -> bool:
    """Whether a text is the one that a target wants.

    A repository may stand in another form, for example beside a registry.
    """
    wanted = target.wanted
    if isinstance(wanted, ImagePart) and wanted.part in ("repository", "name", REGISTRY):
        return wanted.part == REGISTRY or last_part_of(text) == last_part_of(wanted.image.name)
    return text == str(wanted)
