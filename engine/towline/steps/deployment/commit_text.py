"""What the commit of a deployment says: a text for people, where it comes from, whose it is, and what signs it."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from dataclasses import asdict

from towline.config.settings import Settings
from towline.errors import ConfigError
from towline.git.checkout import described
from towline.git.key import parse_key
from towline.git.repository import Author
from towline.git.signing import SSH, SigningKey
from towline.gitops.provenance import Provenance, default_message
from towline.gitops.render import Limits, document
from towline.gitops.template import TemplateBuild, TemplateImage
from towline.gitops.update import CommitText
from towline.steps.deployment.images import Deployed
from towline.steps.deployment.keys import key_text
from towline.steps.task import Task

_TEMPLATE = re.compile(r"\{\{|\{%")


def commit_text(task: Task, settings: Settings, names: Sequence[str], images: Sequence[Deployed]) -> CommitText:
    """The commit that deploys `images` under `names`; raises RenderError for a message that is a faulty template, CredentialError for a key."""
    author = Author(name=_name(settings), email=settings.text("authorEmail"), key=_key(task, settings))
    usual = _usual(images) or f"Updated {', '.join(names)} to version {settings.text('artifactVersion')}"
    return CommitText(text=_wanted(task, settings, names, images) or usual, provenance=_provenance(task, names, images), author=author)


def _name(settings: Settings) -> str:
    """Who commits; raises ConfigError for a name of which git would leave nothing."""
    name = settings.text("authorName").strip()
    if name and not any(sign.isalnum() for sign in name):
        raise ConfigError(f"authorName is {name!r}, which git takes for no name", where=settings.origin("authorName"), hint="write a name with letters")
    return name or settings.text("username") or "Towline"


def template_image(deployed: Deployed) -> TemplateImage:
    """An image as templates have it."""
    image = deployed.reference.image
    return TemplateImage(registry=deployed.reference.registry.host, repository=image.name, tag=image.tag, digest=deployed.digest, reference=deployed.written)


def template_build(task: Task) -> TemplateBuild:
    """The build as templates have it."""
    return TemplateBuild(number=task.build.number, url=task.build.url, commit=task.build.source_commit)


def _usual(images: Sequence[Deployed]) -> str:
    """Piper's sentence for the first image, and one line for each further one below it; empty without an image."""
    lines = [default_message(image.repository, image.tag or image.digest) for image in images]
    return "\n\n".join(part for part in ("".join(lines[:1]), "\n".join(lines[1:])) if part)


def _wanted(task: Task, settings: Settings, names: Sequence[str], images: Sequence[Deployed]) -> str:
    """The configured text, empty where there is none; one with `{{` or `{%` is a template."""
    text = settings.text("commitMessage").strip()
    if not _TEMPLATE.search(text):
        return text
    found = [asdict(template_image(image)) for image in images]
    variables = {"image": found[0] if found else None, "images": found, "stage": task.stage, "deployment": ", ".join(names),
                 "version": settings.text("artifactVersion"), "build": asdict(template_build(task))}
    return document("child_jinja", {"name": "commitMessage", "text": text, "variables": variables}, limits=Limits(output=64 * 1024)).strip()


def _provenance(task: Task, names: Sequence[str], images: Sequence[Deployed]) -> Provenance:
    """With what the workspace's own checkout knows of the commit that was built."""
    build = task.build
    commit = described(task.folder, task.environ, build.source_commit)
    return Provenance(
        deployment=", ".join(names), stage=task.stage, images=tuple(image.full for image in images),
        build=build.url, build_number=build.number, source=build.source_repository, source_commit=build.source_commit,
        source_time=build.source_time or commit.time, source_author=commit.author, source_date=commit.date,
        source_subject=commit.subject, source_body=commit.body, request=uuid.uuid4().hex,
    )


def _key(task: Task, settings: Settings) -> SigningKey | None:
    text, origin, kind = key_text(task, "signingPrivateKey"), settings.origin("signingPrivateKey"), settings.text("signingFormat")
    if not text:
        return None
    private = parse_key(text, origin=origin, what="signing key").private if kind == SSH else text
    task.console.hide(private)
    return SigningKey(private=private, format=kind, origin=origin)
