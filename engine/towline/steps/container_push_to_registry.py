"""containerPushToRegistry: the older step for the same, by its own names; its story is that of imagePushToRegistry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from towline.config.layers import load_schema
from towline.config.settings import Settings
from towline.errors import ConfigError, placed
from towline.image import parse_registry
from towline.steps import image_push_to_registry
from towline.steps.task import Task
from towline.wire import Outcome

_STEP = "imagePushToRegistry"
_TO, _FROM, _FROM_IMAGE = "container/promotedTo", "container/promotedFrom", "container/promotedImage"
_NAMES = {  # as facts/steps.md section 6.1 maps them
    "sourceRegistryUser": "sourceRegistryUser", "sourceRegistryPassword": "sourceRegistryPassword",
    "targetRegistryUser": "dockerRegistryUser", "targetRegistryPassword": "dockerRegistryPassword", "tagLatest": "tagLatest",
    "copyReferrers": "copyReferrers", "verify": "verify", "copyDeadline": "copyDeadline", "allowPlainHttp": "allowPlainHttp",
    "credentialHosts": "credentialHosts", "dockerConfigJSON": "dockerConfigJSON",
    "customTlsCertificateLinks": "customTlsCertificateLinks", "clientCertificates": "clientCertificates", "clientKeys": "clientKeys",
    "insecureRegistries": "insecureRegistries",
}


def run(task: Task) -> Outcome:
    """Say what the step is called today, and let that one do it."""
    settings = task.settings
    if settings.given("dockerArchive"):
        raise ConfigError("dockerArchive is not pushed by this step", where=settings.origin("dockerArchive"),
                          hint=f"use {_STEP} with pushLocalDockerImage: true and localDockerImagePath")
    registry, image, releases = settings.text("sourceRegistryUrl"), settings.text("sourceImage"), _host(task, "dockerRegistryUrl")
    if not image:
        raise ConfigError("no image is known that could be pushed", where=settings.origin("sourceImage"),
                          hint="the step that builds or pushes the image leaves it in the pipeline environment; else set sourceImage")
    task.console.say(f"containerPushToRegistry: {_STEP} is its new name: dockerRegistryUrl is targetRegistryUrl there, dockerCredentialsId is"
                     " targetRegistryCredentialsId, sourceImage and dockerImage are sourceImageNameTags and targetImageNameTags")
    more: Mapping[str, object] = {
        "targetRegistryUrl": releases, "useImageNameTags": True, "targetImageNameTags": [settings.text("dockerImage") or image],
        "additionalTags": _version(task),
    }
    if _is_promoted(task, registry, releases):
        registry, image = str(task.pipeline_environment[_FROM]), str(task.pipeline_environment[_FROM_IMAGE])
    more = {**more, "sourceRegistryUrl": registry, "sourceImageNameTags": [image]}
    outcome = image_push_to_registry.run(replace(task, settings=settings.translated(load_schema(_STEP), _NAMES, more)))
    promoted = {_TO: releases, _FROM: registry, _FROM_IMAGE: image} if outcome.pipeline_environment else {}
    return replace(outcome, pipeline_environment={**outcome.pipeline_environment, **promoted})


def _is_promoted(task: Task, registry: str, releases: str) -> bool:
    """Whether the pipeline environment names what this step itself has pushed, when it ran before: then it does the same once more."""
    settings, known = task.settings, task.pipeline_environment
    by_build = all(settings.origin(name).endswith("in the pipeline environment") for name in ("sourceRegistryUrl", "sourceImage"))
    return by_build and registry == releases == known.get(_TO) and all(isinstance(known.get(name), str) for name in (_FROM, _FROM_IMAGE))


def _host(task: Task, name: str) -> str:
    """The registry of a URL; its path has never counted for this step."""
    with placed(task.settings.origin(name)):
        registry, path = parse_registry(task.settings.text(name))
    if path:
        task.console.warn(f"the path {path!r} of {name} does not count ({task.settings.origin(name)}); {_STEP} has one in targetRegistryUrl")
    return str(registry)


def _version(task: Task) -> list[str]:
    """The version of the build, where it is to be a tag too."""
    settings: Settings = task.settings
    if not settings.flag("tagArtifactVersion"):
        return []
    if not settings.given("artifactVersion"):
        raise ConfigError("tagArtifactVersion is set, and no version is known", where=settings.origin("tagArtifactVersion"),
                          hint="artifactPrepareVersion leaves artifactVersion in the pipeline environment")
    return [settings.text("artifactVersion")]
