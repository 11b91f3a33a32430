"""Which images imagePushToRegistry is about, from the pipeline environment or the configuration, by their names at the source and at the target."""

from __future__ import annotations

from collections.abc import Sequence

from towline.config.settings import Settings
from towline.errors import ConfigError, placed
from towline.image import Image, Platform, parse_digest, parse_image, parse_platforms
from towline.record import frozen, replace
from towline.registry.copy.job import DEMANDED, LEFT, TAKEN
from towline.steps.task import Task


@frozen
class WantedImage:
    """One image by its source and its target names, each still without the registry's path, and the digest it is known to have."""

    source: Image
    targets: tuple[Image, ...]
    digest: str = ""


def wanted_images(task: Task) -> tuple[WantedImage, ...]:
    """The images of the pipeline environment or of the configuration, in their order; raises ConfigError where there are none."""
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
    _check_apart(settings, images)
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
    return tuple(
        replace(image, digest=image.source.digest or digest)
        for image, digest in zip(images, known, strict=True)
    )


def wanted_platforms(settings: Settings) -> tuple[Platform, ...]:
    """The platforms of `targetArchitecture` in their order, none for all that there are; raises ConfigError."""
    with placed(settings.origin("targetArchitecture")):
        return parse_platforms(settings.text("targetArchitecture"))


def wanted_referrers(settings: Settings) -> str:
    """What becomes of what refers to an image: by default it travels along where it can, where `copyReferrers` is set to true it has to."""
    if not settings.flag("copyReferrers"):
        return LEFT
    return DEMANDED if settings.chosen("copyReferrers") else TAKEN


def local_targets(task: Task) -> tuple[Image, ...]:
    """What the one image of this machine is called at the target: each value of `targetImages` with its tags, else `targetImageNameTags` or `sourceImages`."""
    settings = task.settings
    if settings.flag("useImageNameTags"):
        name = (
            "targetImageNameTags"
            if settings.given("targetImageNameTags")
            else "sourceImageNameTags"
        )
        images = [_image(settings, name, text) for text in settings.texts(name)]
        targets = [target for image in images for target in _targets(settings, image, image.tag)]
    else:
        name = "targetImages" if settings.given("targetImages") else "sourceImages"
        texts = settings.mapping("targetImages").values() or settings.texts("sourceImages")
        images = [_image(settings, name, text) for text in texts]
        targets = [
            target
            for image in images
            for target in _targets(settings, image, _own_tag(settings, image, image))
        ]
    if not targets:
        raise ConfigError(
            "no name is known that the image could be pushed under", hint=f"name it in {name}"
        )
    return tuple(dict.fromkeys(targets))


def _check_apart(settings: Settings, images: Sequence[WantedImage]) -> None:
    """Pass where no two images would get the same name and tag: only the one that happens to come last would keep it; raises ConfigError."""
    owners: dict[Image, Image] = {}
    for image in images:
        for target in image.targets:
            owner = owners.setdefault(target, image.source)
            if owner != image.source:
                names = ("targetImages", "targetImageNameTags", "tagLatest", "additionalTags")
                where = next((settings.origin(name) for name in names if settings.given(name)), "")
                raise ConfigError(
                    f"both {owner} and {image.source} would become {target}",
                    where=where,
                    hint="give each a name or a tag of its own",
                )


def _of_one_build(settings: Settings, *, by_tags: bool) -> bool:
    """Whether the digests belong to the images: the build's digests say nothing of an image or a tag that somebody else has named."""
    names = ("sourceImageNameTags",) if by_tags else ("sourceImages", "sourceImageTag")
    by_build = [settings.left(name) for name in ("sourceImageDigests", *names)]
    return not by_build[0] or all(by_build)


def _by_names(settings: Settings) -> list[WantedImage]:
    renamed = settings.mapping("targetImages")
    images = []
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
        images.append(
            WantedImage(
                source=source,
                targets=_targets(settings, target, _own_tag(settings, target, source)),
            )
        )
    return images


def _own_tag(settings: Settings, target: Image, source: Image) -> str:
    """The target's tag beside `latest`: the configured one, else the image's own unless `latest` alone is asked for."""
    if settings.given("targetImageTag"):
        return _tagged(settings, target, "targetImageTag").tag
    return "" if settings.flag("tagLatest") else target.tag or source.tag


def _targets(settings: Settings, image: Image, tag: str) -> tuple[Image, ...]:
    """The target under its tag, under the further ones, and under `latest` where that is asked for or no tag is known."""
    further = [
        _image(settings, "additionalTags", f"{image.name}:{one}").tag
        for one in settings.texts("additionalTags")
    ]
    tags = (
        [tag] * bool(tag)
        + further
        + ["latest"] * (settings.flag("tagLatest") or not (tag or further))
    )
    return tuple(replace(image, tag=one, digest="") for one in dict.fromkeys(tags))


def _by_name_tags(settings: Settings) -> list[WantedImage]:
    names, renamed = settings.texts("sourceImageNameTags"), settings.texts("targetImageNameTags")
    if renamed and len(renamed) != len(names):
        raise ConfigError(
            f"targetImageNameTags has {len(renamed)} entries for {len(names)} of"
            " sourceImageNameTags",
            where=settings.origin("targetImageNameTags"),
            hint="give one target for each source, in the same order",
        )
    images = []
    for name, other in zip(names, renamed or names, strict=True):
        target = _image(
            settings, "targetImageNameTags" if renamed else "sourceImageNameTags", other
        )
        images.append(
            WantedImage(
                source=_image(settings, "sourceImageNameTags", name),
                targets=_targets(settings, target, target.tag),
            )
        )
    return images


def _tagged(settings: Settings, image: Image, name: str) -> Image:
    """The image with the tag that the parameter `name` holds; raises ConfigError where it holds none."""
    if not settings.given(name):
        raise ConfigError(
            f"no tag is known for {image.name!r}",
            hint=f"set {name}, or leave artifactVersion in the pipeline environment",
        )
    return _image(settings, name, f"{image.name}:{settings.text(name)}")


def _image(settings: Settings, name: str, text: str) -> Image:
    """`text` of the parameter `name` as an image; a version's `+` is no character of a tag and becomes `-`, as when the image is built."""
    with placed(settings.origin(name)):
        return parse_image(text.replace("+", "-"))
