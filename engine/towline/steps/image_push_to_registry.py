"""imagePushToRegistry: from the build's short-lived staging registry to the one that clusters pull from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from posixpath import commonpath

from towline.config.resolve import Settings
from towline.errors import ConfigError
from towline.image import Image, Reference, Registry, parse_platform, parse_registry
from towline.registry.client import RegistryClient
from towline.registry.copy import Copying, copy_images
from towline.registry.job import COPIED, MOUNTED, SKIPPED, CopyJob, CopyReport
from towline.registry.progress import Progress
from towline.registry.verify import verify_images
from towline.steps.registry_access import network, registry_login
from towline.steps.task import Task
from towline.steps.wanted_images import Wanted, wanted_images
from towline.transport import Transport
from towline.wire import SUCCESS, UNCHANGED, Outcome

_PLATFORMS = "container/targetPlatformDigests"


def run(task: Task) -> Outcome:
    """Plan the copies that the settings ask for, perform them and say where the images are now."""
    settings = task.settings
    source, targets = _place(settings, "sourceRegistryUrl"), _target_places(settings)
    jobs = tuple(_job(task, source, targets, wanted) for wanted in wanted_images(task))
    with Transport(limit=settings.number("copyDeadline"), network=network(task), hide=task.console.hide) as transport:
        copying = Copying(
            source=_client(task, transport, source[0], role="source", names=[job.repository for job in jobs]),
            targets={registry: _client(task, transport, registry, role="target" if registry == targets[0][0] else "", names=names)
                     for registry, names in _target_names(jobs).items()},
            progress=Progress(task.console, transport.clock), dry_run=task.dry_run,
        )
        reports = copy_images(jobs, copying)
        if settings.flag("verify") and not task.dry_run:
            verify_images(jobs, reports, copying.targets)
    if len(reports) > 1:
        for report in reports:
            task.console.say(f"  {_line(report, dry_run=task.dry_run)}")
    return _outcome(task, reports)


_Place = tuple[Registry, str]


def _place(settings: Settings, name: str) -> _Place:
    if not settings.given(name):
        raise ConfigError(f"no {name} is known", hint=f"the step that builds the image leaves it in container/registryUrl, or set {name}")
    return parse_registry(settings.text(name))


def _target_places(settings: Settings) -> tuple[_Place, ...]:
    """The registry that the step is about, and those that get the images beside it."""
    return tuple(dict.fromkeys((_place(settings, "targetRegistryUrl"), *map(parse_registry, settings.texts("targetRegistries")))))


def _job(task: Task, source: _Place, targets: Sequence[_Place], wanted: Wanted) -> CopyJob:
    reference = _reference(source, wanted.source)
    platform = task.settings.text("targetArchitecture")
    known = _known_platform(task, wanted.digest, platform) if platform else wanted.digest
    return CopyJob(
        repository=reference.image.name, target=reference.target, name=str(reference),
        targets=tuple(_reference(place, image) for place in targets for image in wanted.targets),
        digest=known or wanted.digest,
        platform=parse_platform(platform) if platform and not known else None,
        referrers=task.settings.flag("copyReferrers"),
    )


def _known_platform(task: Task, digest: str, platform: str) -> str:
    """The digest that an earlier push took out of the index `digest` for `platform`: with it a second run needs no staging registry."""
    known = task.pipeline_environment.get(_PLATFORMS)
    return str(known.get(f"{digest} {parse_platform(platform)}", "")) if digest and isinstance(known, Mapping) else ""


def _reference(place: _Place, image: Image) -> Reference:
    registry, path = place
    return Reference(registry=registry, image=replace(image, name=f"{path}/{image.name}" if path else image.name))


def _target_names(jobs: Sequence[CopyJob]) -> Mapping[Registry, Sequence[str]]:
    """The names of the images that each target registry gets."""
    names: dict[Registry, list[str]] = {}
    for target in (target for job in jobs for target in job.targets):
        names.setdefault(target.registry, []).append(target.image.name)
    return names


def _client(task: Task, transport: Transport, registry: Registry, *, role: str, names: Sequence[str]) -> RegistryClient:
    """The client for a registry, with the login for the path that the images share.

    Without a `role` it is a further target, which the login of the first one is not meant for.
    """
    found = registry_login(task, registry, role=role, path=commonpath(names))
    client = RegistryClient(registry, role=role or "target", login=found, transport=transport, allow_plain_http=task.settings.flag("allowPlainHttp"))
    client.want(names)
    return client


def _line(report: CopyReport, *, dry_run: bool) -> str:
    """What happened to one image, for people."""
    tags = ", ".join(str(target) for target in report.job.targets)
    platforms = f" ({', '.join(report.platforms)})" if report.platforms else ""
    if not report.changed:
        why = "the target holds it already" if report.source_asked else "the target holds it already, the source was not asked"
        return f"{tags}: {report.digest}{platforms}: {why}"
    if not report.count(COPIED) + report.count(MOUNTED) + report.count(SKIPPED):
        return f"{tags}: {report.digest}{platforms}: the target {'will get' if dry_run else 'got'} the tag, it holds the image already"
    done = "to move" if dry_run else "moved"
    blobs = f"{report.count(COPIED)} blobs copied, {report.count(MOUNTED)} mounted, {report.count(SKIPPED)} skipped"
    along = f", with {len(report.referrers)} that refer to it" if report.referrers else ""
    return f"{tags}: {report.digest}{platforms}{along}: {report.size(COPIED)} bytes {done}, {report.size(SKIPPED)} skipped ({blobs})"


def _outcome(task: Task, reports: Sequence[CopyReport]) -> Outcome:
    changed = [report for report in reports if report.changed]
    moved, skipped = sum(report.size(COPIED) for report in reports), sum(report.size(SKIPPED) for report in reports)
    several = f"{len(changed)} of {len(reports)} images {'to push' if task.dry_run else 'pushed'}, {moved} bytes, {skipped} skipped"
    return Outcome(
        status=SUCCESS if changed else UNCHANGED,
        summary=several if len(reports) > 1 else _line(reports[0], dry_run=task.dry_run),
        pipeline_environment={} if task.dry_run else _published(task, reports),
        outputs={
            "images": [_record(report) for report in reports],
            "bytes": {"moved": moved, "skipped": skipped},
            **({"plan": [entry for report in reports for entry in report.plan]} if task.dry_run else {}),
            "blobs": {kind: sum(report.count(kind) for report in reports) for kind in (COPIED, MOUNTED, SKIPPED)},
        },
    )


def _published(task: Task, reports: Sequence[CopyReport]) -> Mapping[str, object]:
    """Where the images are now, for the steps that deploy them; under `publishTargetAsRegistry` by the keys of Piper's own steps as well."""
    settings = task.settings
    url = settings.text("targetRegistryUrl").rstrip("/")
    prefix = parse_registry(url)[1]
    names = [str(report.job.targets[0].image).removeprefix(f"{prefix}/" if prefix else "") for report in reports]
    digests = [report.digest for report in reports]
    ours: dict[str, object] = {"container/targetRegistryUrl": url, "container/targetImageNameTag": names[0], "container/targetImageNameTags": names,
            "container/targetImageDigests": digests}
    platform = settings.text("targetArchitecture")
    known = {f"{report.job.digest} {parse_platform(platform)}": report.digest for report in reports if report.job.platform and report.job.digest}
    ours |= {_PLATFORMS: known} if known else {}
    if not settings.flag("publishTargetAsRegistry"):
        return ours
    return ours | {"container/registryUrl": url, "container/imageNameTag": names[0], "container/imageNameTags": names,
                   "container/imageNames": [name.partition(":")[0] for name in names], "container/imageDigest": digests[0], "container/imageDigests": digests}


def _record(report: CopyReport) -> dict[str, object]:
    blobs = [{"registry": blob.registry, "repository": blob.repository, "digest": blob.digest, "bytes": blob.size, "how": blob.way.how,
              "seconds": round(blob.way.seconds, 3), "requests": blob.way.requests, "retries": blob.way.retries} for blob in report.blobs]
    along = {"referrers": [_record(referrer) for referrer in report.referrers]} if report.referrers else {}
    return {"source": report.job.name, "target": str(report.job.targets[0]), "targets": [str(target) for target in report.job.targets],
            "digest": report.digest, "platforms": list(report.platforms), "tags": list(dict.fromkeys(target.image.tag for target in report.job.targets)),
            "blobs": blobs, **along}
