"""imagePushToRegistry: from the build's short-lived staging registry to the one that clusters pull from."""

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
from towline.image import Image, Platform, Reference, Registry, parse_registry
from towline.pipeline.environment import proven_values
from towline.record import replace
from towline.registry.client import RegistryClient
from towline.registry.copy.images import copy_images
from towline.registry.copy.job import CopyJob, CopyReport, line, outputs, summary, target_names
from towline.registry.copy.plan import ImageSource
from towline.registry.copy.progress import Progress
from towline.registry.copy.survey import Copying
from towline.registry.copy.verify import verify_images
from towline.registry.local.locations import DaemonImage, parse_local_location
from towline.steps.images import (
    WantedImage,
    local_targets,
    wanted_images,
    wanted_platforms,
    wanted_referrers,
)
from towline.steps.registry_access import limit_copy, network, registry_client
from towline.steps.task import Task

_PLATFORMS = "container/targetPlatformDigests"


def run(task: Task) -> Outcome:
    """Plan the copies that the settings ask for, perform them and say where the images are now."""
    limit_copy(task.settings)
    settings, targets = task.settings, _target_places(task.settings)
    local = settings.flag("pushLocalDockerImage")
    jobs = (_local_job(task, targets),) if local else _jobs(task, targets)
    with (
        Transport(
            limit=settings.number("copyDeadline"), network=network(task), hide=task.console.hide
        ) as transport,
        ExitStack() as opened,
    ):
        copying = Copying(
            source=(
                opened.enter_context(_local_source(task, transport))
                if local
                else _source(task, transport, jobs)
            ),
            targets={
                registry: registry_client(
                    task,
                    transport,
                    registry,
                    role="target" if registry == targets[0][0] else "",
                    names=names,
                )
                for registry, names in target_names(jobs).items()
            },
            progress=Progress(task.console, transport.clock),
            dry_run=task.dry_run,
            warn=task.console.warn,
        )
        reports = copy_images(jobs, copying)
        if settings.flag("verify"):
            reports = verify_images(reports, copying)
    for report in reports if len(reports) > 1 else ():
        task.console.say(f"  {line(report, dry_run=task.dry_run)}")
    return Outcome(
        status=SUCCESS if any(report.changed for report in reports) else UNCHANGED,
        summary=summary(reports, dry_run=task.dry_run),
        pipeline_environment={} if task.dry_run else _published(task, reports),
        outputs=outputs(reports, dry_run=task.dry_run),
    )


def leaves(task: Task) -> bool:
    """Whether the step writes into the pipeline environment: always."""
    del task
    return True


_Place = tuple[Registry, str]


def _place(settings: Settings, name: str) -> _Place:
    if not settings.given(name):
        raise ConfigError(
            f"no {name} is known",
            hint=(
                f"the step that builds the image leaves it in container/registryUrl, or set {name}"
            ),
        )
    with placed(settings.origin(name)):
        return parse_registry(settings.text(name))


def _target_places(settings: Settings) -> tuple[_Place, ...]:
    """The registry that the step is about, and those that get the images beside it."""
    with placed(settings.origin("targetRegistries")):
        others = tuple(map(parse_registry, settings.texts("targetRegistries")))
    return tuple(dict.fromkeys((_place(settings, "targetRegistryUrl"), *others)))


def _source(task: Task, transport: Transport, jobs: Sequence[CopyJob]) -> RegistryClient:
    names = list(dict.fromkeys(job.repository for job in jobs))
    return registry_client(
        task, transport, _place(task.settings, "sourceRegistryUrl")[0], role="source", names=names
    )


def _local_source(task: Task, transport: Transport) -> AbstractContextManager[ImageSource]:
    """The image of this machine that `localDockerImagePath` names; raises ConfigError, what a pull request can change leads to the workspace only."""
    settings, local = task.settings, dispatch.part("local_images")
    place, where = (
        parse_local_location(settings.text("localDockerImagePath")),
        settings.origin("localDockerImagePath"),
    )
    trusted = settings.trusted("localDockerImagePath")
    if isinstance(place, DaemonImage) and not trusted:
        raise ConfigError(
            f"{place} may be another build's image: what a pull request can change names none of"
            " the Docker daemon",
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
        place,
        environ=task.environ,
        transport=transport,
        opener=local.open_anywhere if trusted else opener,
    )
    return opened


def _local_job(task: Task, targets: Sequence[_Place]) -> CopyJob:
    """The one image of this machine to all its names."""
    return CopyJob(
        repository="",
        target="",
        name=task.settings.text("localDockerImagePath"),
        targets=tuple(
            _reference(place, image) for place in targets for image in local_targets(task)
        ),
        platforms=wanted_platforms(task.settings),
        referrers=wanted_referrers(task.settings),
    )


def _jobs(task: Task, targets: Sequence[_Place]) -> tuple[CopyJob, ...]:
    source = _place(task.settings, "sourceRegistryUrl")
    return tuple(_job(task, source, targets, wanted) for wanted in wanted_images(task))


def _job(task: Task, source: _Place, targets: Sequence[_Place], wanted: WantedImage) -> CopyJob:
    reference, chosen = _reference(source, wanted.source), _chosen(task, wanted.digest)
    return CopyJob(
        repository=reference.image.name,
        target=reference.target,
        name=str(reference),
        targets=tuple(_reference(place, image) for place in targets for image in wanted.targets),
        digest=wanted.digest,
        claimed=not chosen and _claimed(task, wanted),
        platforms=wanted_platforms(task.settings),
        chosen=chosen,
        referrers=wanted_referrers(task.settings),
    )


def _chosen(task: Task, digest: str) -> str:
    """The digest of what an earlier push of this pipeline has chosen out of the index `digest`: with it a second run needs no staging registry."""
    known, platforms = (
        proven_values(task.pipeline_environment).get(_PLATFORMS),
        wanted_platforms(task.settings),
    )
    return (
        str(known.get(_choice(digest, platforms), ""))
        if digest and platforms and isinstance(known, Mapping)
        else ""
    )


def _claimed(task: Task, wanted: WantedImage) -> bool:
    """Whether the digest may be of any image: no step of this build is known to have written it, and none has pushed it before."""
    pushed = proven_values(task.pipeline_environment).get("container/targetImageDigests")
    ours = isinstance(pushed, list) and wanted.digest in pushed
    return (
        task.settings.layer("sourceImageDigests") in (CHANGED, UNPROVEN)
        and wanted.digest != wanted.source.digest
        and not ours
    )


def _choice(digest: str, platforms: Sequence[Platform]) -> str:
    return f"{digest} {','.join(map(str, platforms))}"


def _reference(place: _Place, image: Image) -> Reference:
    registry, path = place
    return Reference(
        registry=registry, image=replace(image, name=f"{path}/{image.name}" if path else image.name)
    )


def _published(task: Task, reports: Sequence[CopyReport]) -> Mapping[str, object]:
    """Where the images are now, for the steps that deploy them; under `publishTargetAsRegistry` by the keys of Piper's own steps as well."""
    settings = task.settings
    url = settings.text("targetRegistryUrl").rstrip("/")
    prefix = parse_registry(url)[1]
    named = [(image, report.digest) for report in reports for image in _first_names(report)]
    names, digests = (
        [str(image).removeprefix(f"{prefix}/" if prefix else "") for image, _ in named],
        [digest for _, digest in named],
    )
    ours: dict[str, object] = {
        "container/targetRegistryUrl": url,
        "container/targetImageNameTag": names[0],
        "container/targetImageNameTags": names,
        "container/targetImageDigests": digests,
    }
    known = {
        _choice(report.job.digest, report.job.platforms): report.digest
        for report in reports
        if report.job.platforms and report.job.digest
    }
    ours |= {_PLATFORMS: known} if known else {}
    if not settings.flag("publishTargetAsRegistry"):
        return ours
    return ours | {
        "container/registryUrl": url,
        "container/imageNameTag": names[0],
        "container/imageNameTags": names,
        "container/imageNames": [name.partition(":")[0] for name in names],
        "container/imageDigest": digests[0],
        "container/imageDigests": digests,
    }


def _first_names(report: CopyReport) -> tuple[Image, ...]:
    """What an image is called first in each repository of the first registry."""
    targets = report.job.targets
    return tuple(
        {
            target.image.name: target.image
            for target in reversed(targets)
            if target.registry == targets[0].registry
        }.values()
    )[::-1]
