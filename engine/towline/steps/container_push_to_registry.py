"""containerPushToRegistry: the older name of imagePushToRegistry, with parameters of its own."""

from __future__ import annotations

from collections.abc import Mapping

from towline.config.metadata import load_schema
from towline.config.settings import Settings
from towline.contract import Outcome
from towline.errors import ConfigError, DigestMismatch, placed
from towline.image import parse_image, parse_registry
from towline.pipeline.environment import proven_values
from towline.record import replace
from towline.steps import image_push_to_registry
from towline.steps.task import Task

_STEP = "imagePushToRegistry"
_TO, _FROM, _FROM_IMAGES = (
    "container/promotedTo",
    "container/promotedFrom",
    "container/promotedImages",
)
_SAME = {  # as facts/steps.md section 6.1 maps them
    "sourceRegistryUser": "sourceRegistryUser",
    "sourceRegistryPassword": "sourceRegistryPassword",
    "targetRegistryUser": "dockerRegistryUser",
    "targetRegistryPassword": "dockerRegistryPassword",
    "tagLatest": "tagLatest",
    "copyReferrers": "copyReferrers",
    "verify": "verify",
    "copyDeadline": "copyDeadline",
    "allowPlainHttp": "allowPlainHttp",
    "targetRegistryCredentialsId": "dockerCredentialsId",
    "sourceRegistryCredentialsId": "sourceCredentialsId",
    "dockerConfigJSON": "dockerConfigJSON",
    "customTlsCertificateLinks": "customTlsCertificateLinks",
    "clientCertificates": "clientCertificates",
    "clientKeys": "clientKeys",
    "insecureRegistries": "insecureRegistries",
}
_MADE_FROM = {"targetRegistryUrl": "dockerRegistryUrl", "sourceRegistryUrl": "sourceRegistryUrl"}


def run(task: Task) -> Outcome:
    """Translate the parameters to those of imagePushToRegistry, and run that step."""
    settings = task.settings
    if settings.given("dockerArchive"):
        raise ConfigError(
            "this step does not push dockerArchive",
            where=settings.origin("dockerArchive"),
            hint=f"use {_STEP} with pushLocalDockerImage: true and localDockerImagePath",
        )
    if not settings.text("sourceImage"):
        raise ConfigError(
            "no image is known that could be pushed",
            where=settings.origin("sourceImage"),
            hint=(
                "the step that builds or pushes the image leaves it in the pipeline environment;"
                " else set sourceImage"
            ),
        )
    task.console.say(
        f"containerPushToRegistry: {_STEP} is its new name: dockerRegistryUrl is targetRegistryUrl"
        " there, dockerCredentialsId is targetRegistryCredentialsId, sourceImage and dockerImage"
        " are sourceImageNameTags and targetImageNameTags"
    )
    releases, images = _host(task, "dockerRegistryUrl"), _images(task)
    registry, sources = _from(task, releases, images)
    values: Mapping[str, object] = {
        "sourceRegistryUrl": registry,
        "targetRegistryUrl": releases,
        "useImageNameTags": True,
        "sourceImageNameTags": sources,
        "targetImageNameTags": [settings.text("dockerImage") or images[0], *images[1:]],
        "additionalTags": _version(task),
    }
    outcome = image_push_to_registry.run(
        replace(task, settings=settings.translated(load_schema(_STEP), _SAME, values, _MADE_FROM))
    )
    promoted = (
        {_TO: releases, _FROM: registry, _FROM_IMAGES: sources}
        if outcome.pipeline_environment
        else {}
    )
    return replace(outcome, pipeline_environment={**outcome.pipeline_environment, **promoted})


def leaves(task: Task) -> bool:
    """Whether the step writes into the pipeline environment: always."""
    del task
    return True


def _images(task: Task) -> list[str]:
    """All images that were pushed last, unless a setting or a script names one image."""
    images: list[str] = []
    if _pushed_last(task) and not task.settings.given("dockerImage"):
        images = _list(task.pipeline_environment, "container/targetImageNameTags")
    return images or [task.settings.text("sourceImage")]


def _from(task: Task, releases: str, images: list[str]) -> tuple[str, list[str]]:
    """The registry to copy from and its images, by the digests that were pushed and tested.

    On a re-run, if it is proven that this step wrote the environment, it repeats the first copy.
    """
    registry = task.settings.text("sourceRegistryUrl")
    facts = proven_values(task.pipeline_environment)
    if not _pushed_last(task):
        return registry, images
    origin, before = facts.get(_FROM), _list(facts, _FROM_IMAGES)
    if registry == releases == facts.get(_TO) and origin and len(before) == len(images):
        return str(origin), before
    known = _digests(facts)
    for image in images:
        _check_digest(task, image, known)
    pushed = {**_digests(task.pipeline_environment), **known}
    return registry, [f"{image}@{pushed[image]}" if image in pushed else image for image in images]


def _check_digest(task: Task, text: str, known: Mapping[str, str]) -> None:
    """Raise DigestMismatch if an image names another digest than was pushed by its name and tag."""
    with placed(task.settings.origin("sourceImage")):
        image = parse_image(text)
    pushed = known.get(str(replace(image, digest="")), image.digest)
    if image.digest and image.digest != pushed:
        raise DigestMismatch(
            f"{text} is not the image that a step of this build has pushed, which is {pushed}",
            where=task.settings.origin("sourceImage"),
            hint="find out what changed the pipeline environment, and build again",
        )


def _digests(values: Mapping[str, object]) -> dict[str, str]:
    """The digest of each image that was pushed last."""
    names = _list(values, "container/targetImageNameTags")
    digests = _list(values, "container/targetImageDigests")
    return dict(zip(names, digests, strict=True)) if len(names) == len(digests) else {}


def _list(values: Mapping[str, object], key: str) -> list[str]:
    """A list in the pipeline environment, empty if there is none."""
    texts = values.get(key)
    return list(map(str, texts)) if isinstance(texts, list) else []


def _pushed_last(task: Task) -> bool:
    """Whether image and registry are those of the last push of this pipeline."""
    origins = [
        task.settings.origin(name).partition(" ")[0]
        for name in ("sourceRegistryUrl", "sourceImage")
    ]
    return origins == ["container/targetRegistryUrl", "container/targetImageNameTag"]


def _host(task: Task, name: str) -> str:
    """The registry of a URL; this step has always ignored the path."""
    with placed(task.settings.origin(name)):
        registry, path = parse_registry(task.settings.text(name))
    if path:
        task.console.warn(
            f"the path {path!r} of {name} is ignored ({task.settings.origin(name)}); {_STEP} takes"
            " a path in targetRegistryUrl"
        )
    return str(registry)


def _version(task: Task) -> list[str]:
    """The version of the build, if it is to be a tag, too."""
    settings: Settings = task.settings
    if not settings.flag("tagArtifactVersion"):
        return []
    if not settings.given("artifactVersion"):
        raise ConfigError(
            "tagArtifactVersion is set, and no version is known",
            where=settings.origin("tagArtifactVersion"),
            hint="artifactPrepareVersion leaves artifactVersion in the pipeline environment",
        )
    return [settings.text("artifactVersion")]
