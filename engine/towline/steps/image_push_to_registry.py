"""imagePushToRegistry: copy images from the build's short-lived staging registry, or a local image.

They go to the registry that clusters pull from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack

from towline import dispatch
from towline.config.merge import CHANGED, UNPROVEN
from towline.config.settings import Settings
from towline.contract import SUCCESS, UNCHANGED, Outcome
from towline.errors import ConfigError, placed
from towline.files import Outside, open_inside
from towline.http.client import Transport
from towline.image import Image, Platform, RegistryUrl, parse_registry
from towline.pipeline.environment import proven_values
from towline.record import replace
from towline.registry.client import RegistryClient
from towline.registry.copy.copying import Copying
from towline.registry.copy.images import copy_images
from towline.registry.copy.job import (
    CopyJob,
    CopyReport,
    outputs,
    report_line,
    summary,
    target_repositories,
)
from towline.registry.copy.progress import Progress
from towline.registry.copy.verify import verify_images
from towline.registry.local.locations import DaemonImage, parse_local_location
from towline.registry.source import LOCAL, ImageSource
from towline.steps.images import (
    local_targets,
    wanted_images,
    wanted_platforms,
    wanted_referrers,
)
from towline.steps.registry_access import begin_copy_deadline, network, registry_client
from towline.steps.task import Task

_PLATFORMS = "container/targetPlatformDigests"


def run(task: Task) -> Outcome:
    """Copy the images that the settings name, and report where they are now."""
    settings = task.settings
    begin_copy_deadline(settings)
    targets = _target_urls(settings)
    source = None if settings.flag("pushLocalDockerImage") else _source_url(settings)
    jobs = _jobs(task, source, targets)
    with (
        Transport(
            limit=settings.number("copyDeadline"), network=network(task), hide=task.console.hide
        ) as transport,
        ExitStack() as opened,
    ):
        copying = Copying(
            source=(
                _source_client(task, transport, source, jobs)
                if source
                else opened.enter_context(_local_source(task, transport))
            ),
            targets={
                registry: registry_client(
                    task,
                    transport,
                    registry,
                    role="target" if registry == targets[0].registry else "",
                    repositories=repositories,
                )
                for registry, repositories in target_repositories(jobs).items()
            },
            progress=Progress(task.console, transport.clock),
            dry_run=task.dry_run,
            warn=task.console.warn,
        )
        reports = copy_images(jobs, copying)
        if settings.flag("verify"):
            reports = verify_images(reports, copying)
    for report in reports if len(reports) > 1 else ():
        task.console.say(f"  {report_line(report, dry_run=task.dry_run)}")
    return Outcome(
        status=SUCCESS if any(report.changed for report in reports) else UNCHANGED,
        summary=summary(reports, dry_run=task.dry_run),
        pipeline_environment={} if task.dry_run else _published(settings, targets[0], reports),
        outputs=outputs(reports, dry_run=task.dry_run),
    )


def leaves(task: Task) -> bool:
    """Whether the step writes into the pipeline environment: always."""
    del task
    return True


def _source_url(settings: Settings) -> RegistryUrl:
    return _registry_url(settings, "sourceRegistryUrl")


def _target_urls(settings: Settings) -> tuple[RegistryUrl, ...]:
    """The registry of `targetRegistryUrl`, then the further ones of `targetRegistries`."""
    with placed(settings.origin("targetRegistries")):
        others = tuple(map(parse_registry, settings.texts("targetRegistries")))
    return tuple(dict.fromkeys((_registry_url(settings, "targetRegistryUrl"), *others)))


def _registry_url(settings: Settings, name: str) -> RegistryUrl:
    """The registry that the parameter `name` holds; raises ConfigError."""
    if not settings.given(name):
        raise ConfigError(
            f"{name} is not set",
            hint=(
                f"the step that builds the image leaves it in container/registryUrl, or set {name}"
            ),
        )
    with placed(settings.origin(name)):
        return parse_registry(settings.text(name))


def _source_client(
    task: Task, transport: Transport, source: RegistryUrl, jobs: Sequence[CopyJob]
) -> RegistryClient:
    repositories = list(dict.fromkeys(job.source.repository for job in jobs))
    return registry_client(
        task, transport, source.registry, role="source", repositories=repositories
    )


def _local_source(task: Task, transport: Transport) -> AbstractContextManager[ImageSource]:
    """The local image that `localDockerImagePath` names.

    Raises ConfigError if a pull request can change that setting, and it names an image of the
    Docker daemon or leads out of the workspace.
    """
    settings, local = task.settings, dispatch.part("local_images")
    location = parse_local_location(settings.text("localDockerImagePath"))
    where = settings.origin("localDockerImagePath")
    trusted = settings.trusted("localDockerImagePath")
    if isinstance(location, DaemonImage) and not trusted:
        raise ConfigError(
            f"{location} may be another build's image: a setting that a pull request can change may"
            " not name an image of the Docker daemon",
            where=where,
            hint=(
                "name it in the call of the step or by PIPER_localDockerImagePath, or save it in"
                " the workspace and name that file"
            ),
        )

    def opener(path: str) -> int:
        try:
            return open_inside(task.folder, path)
        except Outside as fault:
            hint = "keep the image in the workspace, or name it in the call of the step"
            raise ConfigError(
                f"{path} leads out of the workspace", where=where, hint=hint
            ) from fault

    opened: AbstractContextManager[ImageSource] = local.open_source(
        location,
        environ=task.environ,
        transport=transport,
        opener=local.open_path if trusted else opener,
    )
    return opened


def _jobs(
    task: Task, source: RegistryUrl | None, targets: Sequence[RegistryUrl]
) -> tuple[CopyJob, ...]:
    """A job for each image of the source registry, or one for the local image."""
    platforms = wanted_platforms(task.settings)
    referrers = wanted_referrers(task.settings)
    if source is None:
        local = CopyJob(
            source=LOCAL.reference(""),
            name=task.settings.text("localDockerImagePath"),
            targets=local_targets(task, targets),
            platforms=platforms,
            referrers=referrers,
        )
        return (local,)
    jobs = []
    for job in wanted_images(task, source, targets):
        chosen = _chosen(task, job.digest, platforms)
        jobs.append(
            replace(
                job,
                claimed=not chosen and _is_claimed(task, job),
                platforms=platforms,
                chosen=chosen,
                referrers=referrers,
            )
        )
    return tuple(jobs)


def _chosen(task: Task, digest: str, platforms: Sequence[Platform]) -> str:
    """The digest of the image that was selected by platform out of the index `digest`, else empty.

    It is known if this pipeline has pushed it before; then a second run needs no staging registry.
    """
    known = proven_values(task.pipeline_environment).get(_PLATFORMS)
    if not digest or not platforms or not isinstance(known, Mapping):
        return ""
    return str(known.get(_choice(digest, platforms), ""))


def _is_claimed(task: Task, job: CopyJob) -> bool:
    """Whether the job's digest may belong to any image.

    That is so if no step of this build is known to have written the digest or pushed it before.
    """
    pushed = proven_values(task.pipeline_environment).get("container/targetImageDigests")
    ours = isinstance(pushed, list) and job.digest in pushed
    return (
        task.settings.layer("sourceImageDigests") in (CHANGED, UNPROVEN)
        and job.digest != job.source.image.digest
        and not ours
    )


def _choice(digest: str, platforms: Sequence[Platform]) -> str:
    return f"{digest} {','.join(map(str, platforms))}"


def _published(
    settings: Settings, target: RegistryUrl, reports: Sequence[CopyReport]
) -> Mapping[str, object]:
    """The values for the pipeline environment: the pushed images, for the steps that deploy them.

    With `publishTargetAsRegistry` also under the keys of Piper's own steps.
    """
    url = settings.text("targetRegistryUrl").rstrip("/")
    prefix = f"{target.path}/" if target.path else ""
    names: list[str] = []
    digests: list[str] = []
    for report in reports:
        for image in _first_names(report):
            names.append(str(image).removeprefix(prefix))
            digests.append(report.digest)
    values: dict[str, object] = {
        "container/targetRegistryUrl": url,
        "container/targetImageNameTag": names[0],
        "container/targetImageNameTags": names,
        "container/targetImageDigests": digests,
    }
    choices = {
        _choice(report.job.digest, report.job.platforms): report.digest
        for report in reports
        if report.job.platforms and report.job.digest
    }
    if choices:
        values[_PLATFORMS] = choices
    if settings.flag("publishTargetAsRegistry"):
        values |= {
            "container/registryUrl": url,
            "container/imageNameTag": names[0],
            "container/imageNameTags": names,
            "container/imageNames": [name.partition(":")[0] for name in names],
            "container/imageDigest": digests[0],
            "container/imageDigests": digests,
        }
    return values


def _first_names(report: CopyReport) -> tuple[Image, ...]:
    """The first name of an image in each repository of the first target registry."""
    targets = report.job.targets
    names: dict[str, Image] = {}
    for target in targets:
        if target.registry == targets[0].registry:
            names.setdefault(target.image.name, target.image)
    return tuple(names.values())
