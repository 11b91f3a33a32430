"""The text, trailers, author and signing key of the commit that deploys images."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from towline.config.settings import Settings
from towline.contract import Build
from towline.errors import ConfigError
from towline.git.checkout import describe_commit, origin_url
from towline.git.objects import Author
from towline.git.remote import host_and_path, parse_ssh_key
from towline.git.signing import SSH, SigningKey
from towline.gitops.commit_message import default_message
from towline.gitops.deployment_history import is_plausible_time
from towline.gitops.provenance import Provenance
from towline.gitops.render.process import RenderLimits, render_document
from towline.gitops.update import CommitText
from towline.gitops.values_template import TemplateBuild, TemplateImage
from towline.limits import amount
from towline.record import asdict
from towline.steps.deployment.images import DeployedImage
from towline.steps.deployment.repository import key_text
from towline.steps.task import Task

# Bytes. Each later deployment to the repository reads the message again.
LONGEST_MESSAGE = 64 * 1024
_TEMPLATE = re.compile(r"\{\{|\{%")
_ADDRESS = re.compile(r"[A-Za-z0-9._+-]+@[A-Za-z0-9.-]+")
_NOT_IN_ADDRESS = re.compile(r"[^A-Za-z0-9._+-]+")


def commit_text(task: Task, names: Sequence[str], images: Sequence[DeployedImage]) -> CommitText:
    """The text of the commit that deploys `images` under `names`, and its author.

    Raises RenderError (a message template with an error), ConfigError, and CredentialError for a
    key.
    """
    settings = task.settings
    author = Author(
        name=_author_name(settings),
        email=settings.text("authorEmail") or _author_address(settings),
        key=_signing_key(task),
    )
    default = _default_text(images, task.stage) or default_message(
        ", ".join(names), settings.text("artifactVersion"), stage=task.stage
    )
    return CommitText(
        text=_configured_text(task, names, images) or default,
        provenance=_provenance(task, names, images),
        author=author,
    )


def _author_name(settings: Settings) -> str:
    """The author's name; raises ConfigError for a name that git would strip to nothing."""
    name = settings.text("authorName").strip()
    if name and not any(sign.isalnum() for sign in name):
        raise ConfigError(
            f"authorName is {name!r}, which git takes for an empty name",
            where=settings.origin("authorName"),
            hint="write a name with letters",
        )
    return name or settings.text("username") or "Towline"


def _author_address(settings: Settings) -> str:
    """The author's address if none is configured: the user at the host of the git server.

    Code hosts refuse commits without an address.
    """
    user = settings.text("username")
    host = host_and_path(settings.text("serverUrl")).partition("/")[0]
    return (
        user
        if _ADDRESS.fullmatch(user)
        else f"{_NOT_IN_ADDRESS.sub('-', user).strip('.-') or 'towline'}@{host}"
    )


def template_image(deployed: DeployedImage) -> TemplateImage:
    """The variable `image` of templates."""
    image = deployed.reference.image
    return TemplateImage(
        registry=deployed.reference.registry.host,
        repository=image.name,
        tag=image.tag,
        digest=deployed.digest,
        reference=deployed.written,
    )


def template_build(build: Build) -> TemplateBuild:
    """The variable `build` of templates."""
    return TemplateBuild(number=build.number, url=build.url, commit=build.source_commit)


def _default_text(images: Sequence[DeployedImage], stage: str) -> str:
    """Piper's sentence for the first image, with the stage, then a line for each further image.

    Empty without an image.
    """
    lines = [
        default_message(image.repository, image.tag or image.digest, stage="" if number else stage)
        for number, image in enumerate(images)
    ]
    return "\n\n".join(part for part in ("".join(lines[:1]), "\n".join(lines[1:])) if part)


def _configured_text(task: Task, names: Sequence[str], images: Sequence[DeployedImage]) -> str:
    """The configured text, empty if there is none; a text with `{{` or `{%` is a template.

    Raises ConfigError if it is too long, and RenderError.
    """
    settings = task.settings
    text = settings.text("commitMessage").strip()
    if len(text.encode("utf-8", "surrogatepass")) > LONGEST_MESSAGE:
        raise ConfigError(
            f"commitMessage has more than {amount(LONGEST_MESSAGE)}",
            where=settings.origin("commitMessage"),
            hint="write a shorter message",
        )
    if not _TEMPLATE.search(text):
        return text
    template_images = [asdict(template_image(image)) for image in images]
    variables = {
        "image": template_images[0] if template_images else None,
        "images": template_images,
        "stage": task.stage,
        "deployment": ", ".join(names),
        "version": settings.text("artifactVersion"),
        "build": asdict(template_build(task.build)),
    }
    return render_document(
        "jinja",
        {"name": "commitMessage", "text": text, "variables": variables},
        limits=RenderLimits(output=LONGEST_MESSAGE),
    ).strip()


def _provenance(task: Task, names: Sequence[str], images: Sequence[DeployedImage]) -> Provenance:
    """The provenance by the build, and by the workspace's checkout, which has the source commit."""
    build = task.build
    commit = describe_commit(task.folder, task.environ, build.source_commit)
    return Provenance(
        deployment=", ".join(names),
        stage=task.stage,
        images=tuple(image.full for image in images),
        build=build.url,
        build_number=build.number,
        job=build.job,
        started_by=build.started_by,
        source=build.source_repository or origin_url(task.folder, task.environ),
        source_commit=build.source_commit or commit.id,
        source_time=_source_time(task, build.source_time or commit.time),
        source_author=commit.author,
        source_date=commit.date,
        source_subject=commit.subject,
        source_body=commit.body,
        request=secrets.token_hex(16),
    )


def _source_time(task: Task, text: str) -> str:
    """The time of the source commit, empty if it is in the future.

    With such a time, no later build would be deployed until that time.
    """
    if not text or is_plausible_time(text, datetime.fromtimestamp(time.time(), UTC)):
        return text
    task.console.warn(
        f"the commit that was built is of {text!r}, which is not a time in the past: it is"
        " ignored for the order of builds; check the clock where it was made"
    )
    return ""


def _signing_key(task: Task) -> SigningKey | None:
    settings = task.settings
    text, origin, kind = (
        key_text(task, "signingPrivateKey"),
        settings.origin("signingPrivateKey"),
        settings.text("signingFormat"),
    )
    if not text:
        return None
    private = (
        parse_ssh_key(text, origin=origin, what="signing key").private if kind == SSH else text
    )
    task.console.hide(private)
    return SigningKey(private=private, format=kind, origin=origin)
