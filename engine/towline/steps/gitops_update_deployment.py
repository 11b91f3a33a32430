"""gitOpsUpdateDeployment: the pushed image into the stage's GitOps repository, as one commit."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace

from towline.config.resolve import Settings
from towline.errors import ConfigError
from towline.git.remote import Remote, parse_remote
from towline.git.repository import Author, Repository
from towline.gitops.change import Change, check_path
from towline.gitops.helm import HelmChart, ValuesFile, renderer
from towline.gitops.kustomize import KustomizeImage
from towline.gitops.manifest import ContainerImage
from towline.gitops.provenance import Provenance, default_message
from towline.gitops.template import TemplateBuild, TemplateImage, TemplateVariables, ValuesTemplate
from towline.gitops.update import CommitText, Terms, Update, update
from towline.image import Reference, parse_image, parse_reference, parse_registry
from towline.process import find
from towline.registry.credentials import basic
from towline.retry import Clock, Deadline
from towline.steps.logins import login
from towline.steps.task import Task
from towline.steps.workspace import find_file
from towline.wire import SUCCESS, UNCHANGED, Outcome


def run(task: Task) -> Outcome:
    """Plan the change that the tool makes, push it as one commit, and say what came of it."""
    settings = task.settings
    deployed = _deployed(task)
    change = _TOOLS[settings.text("tool")](task, deployed)
    deadline = Deadline.after(settings.number("pushDeadline"), Clock())
    remote = _remote(settings)
    if remote.login:  # git sends it as one, and a server may repeat it
        task.console.hide(basic(remote.login).removeprefix("Basic "))
    with Repository(remote, environ=task.environ, deadline=deadline) as repository:
        terms = Terms(max_attempts=settings.number("maxPushAttempts"), dry_run=task.dry_run, console=task.console)
        done = update(repository, branch=settings.text("branchName"), change=change, text=_text(task, deployed), terms=terms)
    return _outcome(task, deployed, done)


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """The image that is written: as a runtime names it, and the digest that was pushed where it is known."""

    reference: Reference
    digest: str

    @property
    def repository(self) -> str:
        """`host/name` without tag and digest."""
        return f"{self.reference.registry.host}/{self.reference.image.name}"

    @property
    def tag(self) -> str:
        """The tag; raises nothing: `_deployed` has seen to it that there is one, or a digest."""
        return self.reference.image.tag


def _deployed(task: Task) -> Deployed:
    """The image to deploy, from the settings; raises ConfigError."""
    settings, environment = task.settings, task.pipeline_environment
    text, url = settings.text("containerImageNameTag"), settings.text("containerRegistryUrl")
    if not text:
        raise ConfigError("no image is known that could be deployed", where=settings.origin("containerImageNameTag"),
                          hint="imagePushToRegistry leaves it in the pipeline environment; else set containerImageNameTag")
    reference = _within(text, url, pushed=_same_place(url, environment.get("container/targetRegistryUrl")))
    if not reference.image.tag and not reference.image.digest:
        raise ConfigError(f"{text!r} has neither a tag nor a digest", where=settings.origin("containerImageNameTag"), hint="expected name:tag")
    return Deployed(reference=reference, digest=reference.image.digest or _digest(text, environment))


def _same_place(url: str, pushed: object) -> bool:
    """Whether both URLs mean one registry and path, however they are written."""
    return bool(url) and isinstance(pushed, str) and bool(pushed) and parse_registry(url) == parse_registry(pushed)


def _within(text: str, url: str, *, pushed: bool) -> Reference:
    """`text` as it is where it names a registry, else in the registry at `url`; raises ConfigError.

    Of the URL the path counts only where Towline pushed to it: Piper's builders put the whole URL into the environment and then
    push to its host alone.
    """
    first, slash, _ = text.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return parse_reference(text)
    image = parse_image(text)
    if not url:
        raise ConfigError(f"no registry is known for {text!r}", hint="imagePushToRegistry leaves it in the pipeline environment; else set containerRegistryUrl")
    registry, path = parse_registry(url)
    return Reference(registry=registry, image=replace(image, name=f"{path}/{image.name}") if path and pushed else image)


def _digest(text: str, environment: Mapping[str, object]) -> str:
    """The digest that imagePushToRegistry left for this very name and tag, else empty."""
    names, digests = environment.get("container/targetImageNameTags"), environment.get("container/targetImageDigests")
    if isinstance(names, list) and isinstance(digests, list) and len(names) == len(digests) and text in names:
        return str(digests[names.index(text)])
    return ""


def _manifest(task: Task, deployed: Deployed) -> Change:
    return ContainerImage(pattern=_file(task), container=_needed(task, "containerName"), image=str(deployed.reference))


def _kustomize(task: Task, deployed: Deployed) -> Change:
    return KustomizeImage(pattern=_file(task), name=_needed(task, "deploymentName"), new_name=deployed.repository, new_tag=deployed.tag,
                          digest="" if deployed.tag else deployed.digest)


def _helm(task: Task, deployed: Deployed) -> Change:
    settings = task.settings
    return HelmChart(
        chart_path=_needed(task, "chartPath").strip("/"),
        file_path=_file(task),
        release=_needed(task, "deploymentName"),
        namespace=settings.text("namespace"),
        image_repository=deployed.repository,
        image_tag=deployed.tag,
        values_files=tuple(_values_file(task, name) for name in settings.texts("helmValues")),
        renderer=renderer(task.environ.get("TOWLINE_HELM") or find("helm", task.environ)),
    )


def _values_file(task: Task, name: str) -> ValuesFile:
    """A values file of the workspace where it is there, as in Piper, else of the repository."""
    check_path(name)
    return ValuesFile(name=name, content=find_file(task.folder, name, where=task.settings.origin("helmValues")))


def _decoded(name: str, content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as fault:
        raise ConfigError(f"{name} is not UTF-8", hint="save it as UTF-8") from fault


def _values(task: Task, deployed: Deployed) -> Change:
    settings = task.settings
    name = _needed(task, "valuesTemplate")
    content = find_file(task.folder, check_path(name), where=settings.origin("valuesTemplate"))
    if content is None:
        raise ConfigError(f"there is no template {name} in the workspace", where=settings.origin("valuesTemplate"), hint="give the path of a file there")
    image = deployed.reference.image
    return ValuesTemplate(template_name=name, template_text=_decoded(name, content), file_path=_file(task), variables=TemplateVariables(
        image=TemplateImage(registry=deployed.reference.registry.host, repository=image.name, tag=image.tag, digest=deployed.digest,
                            reference=str(deployed.reference)),
        stage=task.stage, deployment=settings.text("deploymentName"),
        build=TemplateBuild(number=task.build.number, url=task.build.url, commit=task.build.source_commit),
    ))


_TOOLS = {"kubectl": _manifest, "kustomize": _kustomize, "helm": _helm, "helm-values": _values}


def _needed(task: Task, name: str) -> str:
    """A parameter that the chosen tool cannot do without; raises ConfigError."""
    settings = task.settings
    if not settings.given(name):
        raise ConfigError(f"tool {settings.text('tool')} needs {name}", where=settings.origin("tool"), hint=f"set {name} for the step or the stage")
    return settings.text(name)


def _file(task: Task) -> str:
    return check_path(task.settings.text("filePath"))


def _remote(settings: Settings) -> Remote:
    url, allowed = settings.text("serverUrl"), settings.flag("allowPlainHttp")
    host = parse_remote(url).host  # a URL that is none must not come as far as the login
    return parse_remote(url, login=login(settings, ("username", "password"), host=host), allow_plain_http=allowed)


def _text(task: Task, deployed: Deployed) -> CommitText:
    settings, build = task.settings, task.build
    provenance = Provenance(
        deployment=settings.text("deploymentName") or settings.text("filePath"), stage=task.stage, images=(_full(deployed),),
        build=build.url, build_number=build.number, source=build.source_repository, source_commit=build.source_commit,
        source_time=build.source_time, request=uuid.uuid4().hex,
    )
    user = settings.text("username") or "Towline"
    return CommitText(text=settings.text("commitMessage") or default_message(deployed.repository, deployed.tag or deployed.digest),
                      provenance=provenance, author=Author(name=user))


def _full(deployed: Deployed) -> str:
    """The image with everything that is known of it, for the trailers."""
    return str(replace(deployed.reference, image=replace(deployed.reference.image, digest=deployed.digest)))


def _outcome(task: Task, deployed: Deployed, done: Update) -> Outcome:
    outputs: dict[str, object] = {"commit": done.commit, "branch": done.branch, "files": list(done.files),
                                  "images": [{"name": task.settings.text("containerName") or task.settings.text("deploymentName"), "image": _full(deployed)}]}
    if task.dry_run:
        return Outcome(status=SUCCESS, summary=f"would change {', '.join(done.files) or 'nothing'} on {done.branch}", outputs={**outputs, "diff": done.diff})
    if not done.commit:
        return Outcome(status=UNCHANGED, summary=f"{task.settings.text('filePath')} on {done.branch} holds {deployed.reference} already", outputs=outputs)
    return Outcome(status=SUCCESS, outputs=outputs, summary=f"{', '.join(done.files)}: {deployed.reference}, commit {done.commit[:12]} on {done.branch}")
