"""From a tool's parameters to its Change: what each of them needs, and where it puts name, tag and digest of the images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from towline import dispatch
from towline.config.settings import Settings
from towline.console import silent
from towline.errors import ConfigError, MachineError, placed
from towline.files import in_workspace
from towline.gitops.candidates import Choice
from towline.gitops.change import Change, Note, Together, check_path
from towline.gitops.helm.chart import HelmChart, ValuesFile
from towline.gitops.helm.chart_files import Dependency
from towline.gitops.helm.image_values import ImageValues
from towline.gitops.helm.renderer import Cluster, Renderer, choose_renderer
from towline.gitops.helm_values import PathValues
from towline.gitops.image_parts import (
    PARTS,
    ImagePart,
    ImageParts,
    TextWriter,
    image_writer,
    with_value,
)
from towline.gitops.kubectl import ContainerImage
from towline.gitops.kustomize import KustomizeImage
from towline.gitops.provenance import BranchHistory
from towline.gitops.values_template import TemplateVariables, ValuesTemplate
from towline.process import find
from towline.record import frozen, replace
from towline.steps.deployment.commit import template_build, template_image
from towline.steps.deployment.images import DeployedImage, KnownImages
from towline.steps.task import Task
from towline.steps.workspace_files import find_file
from towline.suggest import nearest
from towline.yaml.aliases import AliasPolicy

_Edit = ContainerImage | KustomizeImage | PathValues
_HELM = "TOWLINE_HELM"
DEFAULT_KEY = "image"  # where a chart's values usually have it


@frozen
class TargetPlan:
    """What is to be written: the Change, and the images by the container or key that they are for.

    `lasting` are as `Together` has them; `renders` is the path of a file that is written as a
    whole, `renderer` is Helm where it writes it.
    """

    change: Change
    images: Mapping[str, DeployedImage]
    lasting: tuple[Change, ...] = ()
    renders: str = ""
    renderer: Renderer | None = None


def plan_target(
    task: Task,
    settings: Settings,
    note: Note,
    warn: Callable[[str], None],
    past: BranchHistory | None = None,
) -> TargetPlan:
    """The Change of the chosen tool; `note` is told what it replaces, `warn` what may go wrong, `past` knows what was deployed; raises ConfigError."""
    images = KnownImages(settings=settings, environment=task.pipeline_environment)
    call = _Call(
        task=task,
        settings=settings,
        images=images,
        note=note,
        warn=warn,
        past=past or BranchHistory(),
    )
    planned = _TOOLS[settings.text("tool")](call)
    if path := images.idle_path():
        warn(
            f"the path {path!r} of containerRegistryUrl does not count"
            f" ({settings.origin('containerRegistryUrl')}), since imagePushToRegistry did not push"
            f" there; if it belongs to the image's name, write it there: {path}/name:tag"
        )
    return planned


@frozen
class _Call:
    task: Task
    settings: Settings
    images: KnownImages
    note: Note
    warn: Callable[[str], None]
    past: BranchHistory

    def needed(self, name: str) -> str:
        """A parameter that the chosen tool cannot do without; raises ConfigError."""
        settings = self.settings
        if not settings.given(name):
            raise ConfigError(
                f"tool {settings.text('tool')} needs {name}",
                where=settings.origin("tool"),
                hint=f"set {name} for the step or the stage",
            )
        return settings.text(name)

    @property
    def file(self) -> str:
        """The file, or the pattern of files, that is changed."""
        with placed(self.settings.origin("filePath")):
            return check_path(self.settings.text("filePath"))

    @property
    def deployment(self) -> str:
        """What the deployment is called."""
        return self.settings.text("deploymentName")

    @property
    def sharing(self) -> AliasPolicy:
        """What becomes of aliases in the files that are edited."""
        return AliasPolicy(policy=self.settings.text("yamlAliases"), say=self.task.console.say)

    @property
    def choice(self) -> Choice:
        """Which of several places that fit are meant."""
        return Choice(
            resource=self.settings.text("resource"),
            deployed_before=self.past.images,
            say=_once(self.task.console.say),
            warn=self.warn,
        )

    def planned(self, images: Mapping[str, DeployedImage], changes: Iterable[_Edit]) -> TargetPlan:
        """Edits of files, all of which must hold in the end."""
        every = tuple(changes)
        lasting = tuple(_again(one) for one in every)
        return TargetPlan(
            change=Together(changes=every, lasting=lasting), images=images, lasting=lasting
        )

    def paths(
        self,
        images: Mapping[str, DeployedImage],
        values: Mapping[str, str | ImagePart],
        *,
        writers: Mapping[str, TextWriter],
    ) -> TargetPlan:
        """Edits of paths in files."""
        change = PathValues(
            pattern=self.file,
            values=values,
            writers=writers,
            note=self.note,
            sharing=self.sharing,
            choice=self.choice,
            create=self.settings.flag("createPaths"),
        )
        return self.planned(images, [change])

    def workspace_file(self, name: str, parameter: str) -> bytes | None:
        """The content of a file of the workspace, None where it is not there."""
        with placed(self.settings.origin(parameter)):
            return find_file(
                self.task.folder,
                check_path(name, inside="workspace"),
                where=self.settings.origin(parameter),
            )


def _again(change: _Edit) -> _Edit:
    """The same edit, of which nothing is told."""
    quiet = replace(
        change,
        note=silent,
        sharing=replace(change.sharing, say=silent),
        choice=replace(change.choice, say=silent, warn=silent),
    )
    return replace(quiet, check_use=False) if isinstance(quiet, KustomizeImage) else quiet


def _once(say: Callable[[str], None]) -> Callable[[str], None]:
    """Says each text once, however often a Change is made again."""
    said: set[str] = set()

    def tell(text: str) -> None:
        if text not in said:
            said.add(text)
            say(text)

    return tell


def _manifest(call: _Call) -> TargetPlan:
    if call.settings.given("imagePath"):
        image = call.images.single()
        path = call.settings.text("imagePath")
        return call.paths(
            {path: image}, {path: _part(image, "image")}, writers={path: image_writer(path)}
        )
    images = call.images.by_container(
        "" if call.settings.given("containers") else call.needed("containerName")
    )
    changes = (
        ContainerImage(
            pattern=call.file,
            container=name,
            image=image.written,
            note=call.note,
            sharing=call.sharing,
            choice=call.choice,
        )
        for name, image in images.items()
    )
    return call.planned(images, changes)


def _kustomize(call: _Call) -> TargetPlan:
    images = call.images.by_container(call.needed("deploymentName"))
    level = call.settings.text("imageCheck")
    changes = (
        KustomizeImage(
            pattern=call.file,
            name=name,
            new_name=image.repository,
            new_tag=image.tag,
            digest=image.digest if image.pinned or not image.tag else "",
            note=call.note,
            sharing=call.sharing,
            choice=call.choice,
            warn=call.warn,
            check_use=level != "off",
            strict=level == "error",
        )
        for name, image in images.items()
    )
    return call.planned(images, changes)


def _helm(call: _Call) -> TargetPlan:
    settings, environ = call.settings, call.task.environ
    images = call.images.by_container(DEFAULT_KEY)
    change = HelmChart(
        chart_path=call.needed("chartPath").strip("/"),
        file_path=call.file,
        release=call.needed("deploymentName"),
        namespace=settings.text("namespace"),
        images={
            key: ImageValues(
                repository=one.repository, tag=one.tag, digest=one.digest if one.pinned else ""
            )
            for key, one in images.items()
        },
        values_files=tuple(
            ValuesFile(name=name, content=call.workspace_file(name, "helmValues"))
            for name in settings.texts("helmValues")
        ),
        cluster=Cluster(
            kube_version=settings.text("kubeVersion"), api_versions=settings.texts("apiVersions")
        ),
        renderer=choose_renderer(_helm_program(environ) or find("helm", environ)),
        note=call.note,
        warn=call.warn,
        say=call.task.console.say,
        fetch=_fetcher(call.task),
        choice=replace(call.choice, resource=""),
    )
    return TargetPlan(
        change=change,
        images=images if settings.given("containers") else {call.deployment: images[DEFAULT_KEY]},
        renders=call.file,
        renderer=change.renderer,
    )


def _helm_program(environ: Mapping[str, str]) -> str:
    """The program that TOWLINE_HELM names, empty where it names none; raises MachineError for one that a pull request can change."""
    named = environ.get(_HELM, "")
    if named and (not Path(named).is_absolute() or in_workspace(Path(named), Path.cwd())):
        raise MachineError(
            "helm is not run from the workspace, where a pull request can change it",
            where=_HELM,
            hint=(
                "name a program outside of every workspace by its absolute path, or have helm on"
                " PATH"
            ),
        )
    return named


def _fetcher(task: Task) -> Callable[[Dependency, str], bytes]:
    """What brings charts from elsewhere; the network is loaded with the first."""
    repositories: list[Any] = []

    def fetch(wanted: Dependency, where: str) -> bytes:
        if not repositories:
            repositories.append(dispatch.part("chart_repositories").ChartRepositories(task))
        data: bytes = repositories[0].fetch(wanted, where=where)
        return data

    return fetch


def _values(call: _Call) -> TargetPlan:
    if call.settings.given("valuesTemplate"):
        return _template(call)
    if call.settings.given("valuesPaths"):
        return _values_paths(call)
    images = call.images.by_container(DEFAULT_KEY)
    values: dict[str, str | ImagePart] = {}
    for key, image in images.items():
        values[f"{key}.repository"] = _part(image, "repository")
        values |= {f"{key}.tag": _part(image, "tag")} if image.tag else {}
        values |= {f"{key}.digest": _part(image, "digest")} if image.pinned or not image.tag else {}
    return call.paths(images, values, writers=dict.fromkeys(values, with_value))


def _part(image: DeployedImage, part: str) -> ImagePart:
    reference = image.reference
    parts = ImageParts(
        host=reference.registry.host,
        name=reference.image.name,
        tag=image.tag,
        digest=image.digest,
        whole=image.written,
    )
    return ImagePart(image=parts, part=part)


def _values_paths(call: _Call) -> TargetPlan:
    """Each path with the part of an image that it asks for: `tag`, or `tag of NAME` where there are several; `version` is the build's own."""
    values: dict[str, str | ImagePart] = {}
    writers: dict[str, TextWriter] = {}
    images: dict[str, DeployedImage] = {}
    for path, wanted in call.settings.mapping("valuesPaths").items():
        part, _, name = wanted.partition(" of ")
        if part == "version" and not name:
            values[path] = call.needed("artifactVersion")
            continue
        if part not in PARTS:
            raise ConfigError(
                f"{wanted!r} is no part of an image",
                where=call.settings.origin("valuesPaths"),
                hint=nearest(part, [*PARTS, "version"]),
            )
        images[path] = call.images.named(name, "valuesPaths") if name else call.images.single()
        values[path] = _part(images[path], part)
        writers[path] = image_writer(path) if part == "image" else with_value
        if not str(values[path]):
            raise ConfigError(
                f"no {part} is known of {images[path].reference}",
                where=call.settings.origin("valuesPaths"),
                hint=f"leave {path} out",
            )
    return call.paths(images, values, writers=writers)


def _template(call: _Call) -> TargetPlan:
    settings, task, deployed = call.settings, call.task, call.images.single()
    name = settings.text("valuesTemplate")
    content = call.workspace_file(name, "valuesTemplate")
    if content is None:
        raise ConfigError(
            f"there is no template {name} in the workspace",
            where=settings.origin("valuesTemplate"),
            hint="give the path of a file there",
        )
    change = ValuesTemplate(
        template_name=name,
        template_text=_decoded(name, content),
        file_path=call.file,
        variables=TemplateVariables(
            image=template_image(deployed),
            stage=task.stage,
            deployment=call.deployment,
            build=template_build(task),
        ),
    )
    return TargetPlan(change=change, images={call.deployment or name: deployed}, renders=call.file)


def _decoded(name: str, content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as fault:
        raise ConfigError(f"{name} is not UTF-8", hint="save it as UTF-8") from fault


_TOOLS: Mapping[str, Callable[[_Call], TargetPlan]] = {
    "kubectl": _manifest,
    "kustomize": _kustomize,
    "helm": _helm,
    "helm-values": _values,
}
