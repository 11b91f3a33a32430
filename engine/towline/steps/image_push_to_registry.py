"""imagePushToRegistry: from the build's short-lived staging registry to the one that clusters pull from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from towline.config.resolve import Settings
from towline.errors import ConfigError
from towline.image import Image, Reference, Registry, parse_digest, parse_image, parse_platform, parse_registry
from towline.registry.client import RegistryClient
from towline.registry.copy import CopyJob, CopyReport, copy_images
from towline.registry.credentials import read_docker_config
from towline.secret import Login
from towline.steps.logins import login
from towline.steps.task import Task
from towline.steps.workspace import named_file
from towline.transport import Transport
from towline.wire import SUCCESS, UNCHANGED, Outcome


def run(task: Task) -> Outcome:
    """Plan the copies that the settings ask for, perform them and say where the images are now."""
    settings = task.settings
    source, target = _place(settings, "sourceRegistryUrl"), _place(settings, "targetRegistryUrl")
    jobs = tuple(_job(settings, source, target, wanted) for wanted in _wanted(task))
    with Transport(hide=task.console.hide) as transport:
        reports = copy_images(
            jobs,
            source=_client(task, transport, source[0], role="source"),
            target=_client(task, transport, target[0], role="target"),
            dry_run=task.dry_run,
        )
    if len(reports) > 1:
        for report in reports:
            task.console.say(f"  {_line(report, dry_run=task.dry_run)}")
    return _outcome(settings, reports, dry_run=task.dry_run)


_Place = tuple[Registry, str]


def _place(settings: Settings, name: str) -> _Place:
    if not settings.given(name):
        raise ConfigError(f"no {name} is known", hint=f"the step that builds the image leaves it in container/registryUrl, or set {name}")
    return parse_registry(settings.text(name))


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """One image by its source and its target names, each still without the registry's path, and the digest it is known to have."""

    source: Image
    targets: tuple[Image, ...]
    digest: str = ""


def _wanted(task: Task) -> tuple[Wanted, ...]:
    """The images of the pipeline environment or of the configuration, in their order; raises ConfigError where there are none."""
    settings = task.settings
    by_tags = settings.flag("useImageNameTags")
    images = _by_name_tags(settings) if by_tags else _by_names(settings)
    if not images:
        name = "sourceImageNameTags" if by_tags else "sourceImages"
        raise ConfigError("no image is known that could be pushed", where=settings.origin(name),
                          hint=f"the step that builds the image leaves its name in the pipeline environment; else set {name}")
    digests = settings.texts("sourceImageDigests") if _of_one_build(settings, by_tags=by_tags) else ()
    if digests and len(digests) != len(images):
        task.console.warn(f"{len(digests)} digests are known for {len(images)} images, so none is used ({settings.origin('sourceImageDigests')})")
        digests = ()
    known = [parse_digest(digest) for digest in digests] or [""] * len(images)
    return tuple(replace(image, digest=image.source.digest or digest) for image, digest in zip(images, known, strict=True))


def _of_one_build(settings: Settings, *, by_tags: bool) -> bool:
    """Whether the digests belong to the images: the build's digests say nothing of an image or a tag that somebody else has named."""
    names = ("sourceImageNameTags",) if by_tags else ("sourceImages", "sourceImageTag")
    by_build = [settings.origin(name).endswith("in the pipeline environment") for name in ("sourceImageDigests", *names)]
    return not by_build[0] or all(by_build)


def _by_names(settings: Settings) -> list[Wanted]:
    renamed = settings.mapping("targetImages")
    images = []
    for name in settings.texts("sourceImages"):
        source = _image(settings, "sourceImages", name)
        if renamed and name not in renamed:
            raise ConfigError(f"targetImages has no name for {name!r}", where=settings.origin("targetImages"), hint="name every image of sourceImages")
        if not source.tag and not source.digest:
            source = _tagged(settings, source, "sourceImageTag")
        target = _image(settings, "targetImages", renamed[name]) if renamed else source
        images.append(Wanted(source=source, targets=_targets(settings, target, _own_tag(settings, target, source))))
    return images


def _own_tag(settings: Settings, target: Image, source: Image) -> str:
    """The target's tag beside `latest`: the configured one, else the image's own unless `latest` alone is asked for."""
    if settings.given("targetImageTag"):
        return _tagged(settings, target, "targetImageTag").tag
    return "" if settings.flag("tagLatest") else target.tag or source.tag


def _targets(settings: Settings, image: Image, tag: str) -> tuple[Image, ...]:
    """The target under its tag, and under `latest` where that is asked for or no tag is known."""
    tags = [tag] * bool(tag) + ["latest"] * (settings.flag("tagLatest") or not tag)
    return tuple(replace(image, tag=one, digest="") for one in dict.fromkeys(tags))


def _by_name_tags(settings: Settings) -> list[Wanted]:
    names, renamed = settings.texts("sourceImageNameTags"), settings.texts("targetImageNameTags")
    if renamed and len(renamed) != len(names):
        raise ConfigError(f"targetImageNameTags has {len(renamed)} entries for {len(names)} of sourceImageNameTags",
                          where=settings.origin("targetImageNameTags"), hint="give one target for each source, in the same order")
    images = []
    for name, other in zip(names, renamed or names, strict=True):
        target = _image(settings, "targetImageNameTags" if renamed else "sourceImageNameTags", other)
        images.append(Wanted(source=_image(settings, "sourceImageNameTags", name), targets=_targets(settings, target, target.tag)))
    return images


def _tagged(settings: Settings, image: Image, name: str) -> Image:
    """The image with the tag that the parameter `name` holds; raises ConfigError where it holds none."""
    if not settings.given(name):
        raise ConfigError(f"no tag is known for {image.name!r}", hint=f"set {name}, or leave artifactVersion in the pipeline environment")
    return _image(settings, name, f"{image.name}:{settings.text(name)}")


def _image(settings: Settings, name: str, text: str) -> Image:
    """`text` of the parameter `name` as an image; a version's `+` is no character of a tag and becomes `-`, as when the image is built."""
    try:
        return parse_image(text.replace("+", "-"))
    except ConfigError as fault:
        raise ConfigError(fault.message, where=settings.origin(name), hint=fault.hint) from fault


def _job(settings: Settings, source: _Place, target: _Place, wanted: Wanted) -> CopyJob:
    platform = settings.text("targetArchitecture")
    return CopyJob(
        source=_reference(source, wanted.source),
        targets=tuple(_reference(target, image) for image in wanted.targets),
        digest=wanted.digest,
        platform=parse_platform(platform) if platform else None,
    )


def _reference(place: _Place, image: Image) -> Reference:
    registry, path = place
    return Reference(registry=registry, image=replace(image, name=f"{path}/{image.name}" if path else image.name))


def _client(task: Task, transport: Transport, registry: Registry, *, role: str) -> RegistryClient:
    settings = task.settings
    found = login(settings, (f"{role}RegistryUser", f"{role}RegistryPassword"), host=registry.host) or _configured(task, registry)
    if found:
        task.console.hide(found.password)
    return RegistryClient(registry, role=role, login=found, transport=transport, allow_plain_http=settings.flag("allowPlainHttp"))


def _configured(task: Task, registry: Registry) -> Login | None:
    """The login for `registry` from the Docker configuration that the settings name; raises ConfigError."""
    settings = task.settings
    if not settings.given("dockerConfigJSON"):
        return None
    text = named_file(task, "dockerConfigJSON").decode("utf-8", "replace")
    found = read_docker_config(text, registry, origin=settings.origin("dockerConfigJSON"))
    return replace(found, hosts=settings.texts("credentialHosts")) if found else None


def _line(report: CopyReport, *, dry_run: bool) -> str:
    """What happened to one image, for people."""
    tags = ", ".join(str(target) for target in report.job.targets)
    platforms = f" ({', '.join(report.platforms)})" if report.platforms else ""
    if not report.changed:
        why = "the target holds it already" if report.source_asked else "the target holds it already, the source was not asked"
        return f"{tags}: {report.digest}{platforms}: {why}"
    done = "to move" if dry_run else "moved"
    blobs = f"{report.copied} blobs copied, {report.mounted} mounted, {report.skipped} skipped"
    return f"{tags}: {report.digest}{platforms}: {report.bytes_moved} bytes {done}, {report.bytes_skipped} skipped ({blobs})"


def _outcome(settings: Settings, reports: Sequence[CopyReport], *, dry_run: bool) -> Outcome:
    url = settings.text("targetRegistryUrl").rstrip("/")
    prefix = parse_registry(url)[1]
    names = [str(report.job.targets[0].image).removeprefix(f"{prefix}/" if prefix else "") for report in reports]
    changed = [report for report in reports if report.changed]
    moved, skipped = sum(report.bytes_moved for report in reports), sum(report.bytes_skipped for report in reports)
    several = f"{len(changed)} of {len(reports)} images {'to push' if dry_run else 'pushed'}, {moved} bytes, {skipped} skipped"
    return Outcome(
        status=SUCCESS if changed else UNCHANGED,
        summary=several if len(reports) > 1 else _line(reports[0], dry_run=dry_run),
        pipeline_environment={} if dry_run else {
            "container/targetRegistryUrl": url,
            "container/targetImageNameTag": names[0],
            "container/targetImageNameTags": names,
            "container/targetImageDigests": [report.digest for report in reports],
        },
        outputs={
            "images": [_record(report) for report in reports],
            "bytes": {"moved": moved, "skipped": skipped},
            **({"plan": [entry for report in reports for entry in report.plan]} if dry_run else {}),
            "blobs": {kind: sum(getattr(report, kind) for report in reports) for kind in ("copied", "mounted", "skipped")},
        },
    )


def _record(report: CopyReport) -> dict[str, object]:
    return {"source": str(report.job.source), "target": str(report.job.targets[0]), "digest": report.digest, "platforms": list(report.platforms),
            "tags": [target.image.tag for target in report.job.targets]}
