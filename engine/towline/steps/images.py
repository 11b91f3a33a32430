"""The images that imagePushToRegistry copies, with their names at the source and at the targets.

They come from the pipeline environment or from the configuration.
"""

from __future__ import annotations

from collections.abc import Sequence

from towline.config.settings import Settings
from towline.errors import ConfigError, placed
from towline.image import (
    Image,
    Platform,
    Reference,
    RegistryUrl,
    parse_digest,
    parse_image,
    parse_platforms,
)
from towline.record import replace
from towline.registry.copy.job import NOT_COPIED, OPTIONAL, REQUIRED, CopyJob
from towline.steps.task import Task


def wanted_images(
    task: Task, source: RegistryUrl, targets: Sequence[RegistryUrl]
) -> tuple[CopyJob, ...]:
    """A copy from `source` to all `targets` for each image that the settings name, in their order.

    Raises ConfigError, also if the settings name no image.
    """
    settings = task.settings
    by_tags = settings.flag("useImageNameTags")
    images = _by_name_tags(settings) if by_tags else _by_names(settings)
    if not images:
        name = "sourceImageNameTags" if by_tags else "sourceImages"
        raise ConfigError(
            "no image is known that could be pushed",
            where=settings.origin(name),
            hint=(
                "the step that builds the image leaves its name in the pipeline environment; else"
                f" set {name}"
            ),
        )
    _check_distinct(settings, images)
    digests = (
        settings.texts("sourceImageDigests") if _of_one_build(settings, by_tags=by_tags) else ()
    )
    if digests and len(digests) != len(images):
        task.console.warn(
            f"{len(digests)} digests are known for {len(images)} images, so none is used"
            f" ({settings.origin('sourceImageDigests')})"
        )
        digests = ()
    with placed(settings.origin("sourceImageDigests")):
        known = [parse_digest(digest) for digest in digests] or [""] * len(images)
    jobs = []
    for (image, names), digest in zip(images, known, strict=True):
        reference = source.reference(image)
        jobs.append(
            CopyJob(
                source=reference,
                name=str(reference),
                targets=_references(targets, names),
                digest=image.digest or digest,
            )
        )
    return tuple(jobs)


def wanted_platforms(settings: Settings) -> tuple[Platform, ...]:
    """The platforms of `targetArchitecture` in their order, none for all; raises ConfigError."""
    with placed(settings.origin("targetArchitecture")):
        return parse_platforms(settings.text("targetArchitecture"))


def wanted_referrers(settings: Settings) -> str:
    """The treatment of an image's referrers: LEFT, TAKEN (the default) or DEMANDED.

    DEMANDED means that `copyReferrers: true` was set explicitly.
    """
    if not settings.flag("copyReferrers"):
        return NOT_COPIED
    return REQUIRED if settings.chosen("copyReferrers") else OPTIONAL


def local_targets(task: Task, targets: Sequence[RegistryUrl]) -> tuple[Reference, ...]:
    """The references of the one local image in all `targets`.

    Its names are those of `targetImages`, each with its tags, else `targetImageNameTags` or
    `sourceImages`. Raises ConfigError, also if there is no name.
    """
    settings = task.settings
    if settings.flag("useImageNameTags"):
        name = (
            "targetImageNameTags"
            if settings.given("targetImageNameTags")
            else "sourceImageNameTags"
        )
        images = [_image(settings, name, text) for text in settings.texts(name)]
        names = [target for image in images for target in _targets(settings, image, image.tag)]
    else:
        name = "targetImages" if settings.given("targetImages") else "sourceImages"
        texts = settings.mapping("targetImages").values() or settings.texts("sourceImages")
        images = [_image(settings, name, text) for text in texts]
        names = [
            target
            for image in images
            for target in _targets(settings, image, _own_tag(settings, image, image))
        ]
    if not names:
        raise ConfigError("no target image name", hint=f"name it in {name}")
    return _references(targets, tuple(dict.fromkeys(names)))


# an image by its name at the source and its names at the targets, all without the registry's path
_Names = tuple[Image, tuple[Image, ...]]


def _references(
    registries: Sequence[RegistryUrl], images: Sequence[Image]
) -> tuple[Reference, ...]:
    """Every image in every registry."""
    return tuple(registry.reference(image) for registry in registries for image in images)


def _check_distinct(settings: Settings, images: Sequence[_Names]) -> None:
    """Raise ConfigError if two images would get the same name and tag.

    Only the image that happens to be pushed last would keep it.
    """
    owners: dict[Image, Image] = {}
    for source, targets in images:
        for target in targets:
            owner = owners.setdefault(target, source)
            if owner != source:
                names = ("targetImages", "targetImageNameTags", "tagLatest", "additionalTags")
                where = next((settings.origin(name) for name in names if settings.given(name)), "")
                raise ConfigError(
                    f"both {owner} and {source} would become {target}",
                    where=where,
                    hint="give each a name or a tag of its own",
                )


def _of_one_build(settings: Settings, *, by_tags: bool) -> bool:
    """Whether `sourceImageDigests` belong to the images.

    The build's digests do not belong to an image or tag that the configuration or a script names.
    """
    names = ("sourceImageNameTags",) if by_tags else ("sourceImages", "sourceImageTag")
    by_build = [settings.left(name) for name in ("sourceImageDigests", *names)]
    return not by_build[0] or all(by_build)


def _by_names(settings: Settings) -> list[_Names]:
    """The images of `sourceImages`, renamed by `targetImages`."""
    renamed = settings.mapping("targetImages")
    images: list[_Names] = []
    for name in settings.texts("sourceImages"):
        source = _image(settings, "sourceImages", name)
        if renamed and name not in renamed:
            raise ConfigError(
                f"targetImages has no name for {name!r}",
                where=settings.origin("targetImages"),
                hint="name every image of sourceImages",
            )
        if not source.tag and not source.digest:
            source = _tagged(settings, source, "sourceImageTag")
        target = _image(settings, "targetImages", renamed[name]) if renamed else source
        images.append((source, _targets(settings, target, _own_tag(settings, target, source))))
    return images


def _own_tag(settings: Settings, target: Image, source: Image) -> str:
    """The target's tag beside `latest`: `targetImageTag`, else the image's own.

    Empty if the image has none, or if `tagLatest` is set and `targetImageTag` is not.
    """
    if settings.given("targetImageTag"):
        return _tagged(settings, target, "targetImageTag").tag
    return "" if settings.flag("tagLatest") else target.tag or source.tag


def _targets(settings: Settings, image: Image, tag: str) -> tuple[Image, ...]:
    """The target under `tag`, `additionalTags`, and `latest` if `tagLatest` is set or no tag is."""
    tags = [tag] if tag else []
    tags += [
        _image(settings, "additionalTags", f"{image.name}:{text}").tag
        for text in settings.texts("additionalTags")
    ]
    if settings.flag("tagLatest") or not tags:
        tags.append("latest")
    return tuple(replace(image, tag=each, digest="") for each in dict.fromkeys(tags))


def _by_name_tags(settings: Settings) -> list[_Names]:
    """The images of `sourceImageNameTags`, renamed by `targetImageNameTags`."""
    names, renamed = settings.texts("sourceImageNameTags"), settings.texts("targetImageNameTags")
    if renamed and len(renamed) != len(names):
        raise ConfigError(
            f"targetImageNameTags has {len(renamed)} entries for {len(names)} of"
            " sourceImageNameTags",
            where=settings.origin("targetImageNameTags"),
            hint="give one target for each source, in the same order",
        )
    images: list[_Names] = []
    for name, other in zip(names, renamed or names, strict=True):
        target = _image(
            settings, "targetImageNameTags" if renamed else "sourceImageNameTags", other
        )
        source = _image(settings, "sourceImageNameTags", name)
        images.append((source, _targets(settings, target, target.tag)))
    return images


def _tagged(settings: Settings, image: Image, name: str) -> Image:
    """The image with the tag of the parameter `name`; raises ConfigError if that is not set."""
    if not settings.given(name):
        raise ConfigError(
            f"no tag is known for {image.name!r}",
            hint=f"set {name}, or leave artifactVersion in the pipeline environment",
        )
    return _image(settings, name, f"{image.name}:{settings.text(name)}")


def _image(settings: Settings, name: str, text: str) -> Image:
    """The image that `text` of the parameter `name` names.

    A version may have a `+`, which a tag may not: it becomes `-`, as when the image is built.
    """
    with placed(settings.origin(name)):
        return parse_image(text.replace("+", "-"))
