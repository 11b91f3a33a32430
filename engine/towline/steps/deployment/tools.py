"""The plan of one target: from the parameters of its tool to the Change that writes the images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from towline import dispatch
from towline.config.settings import Settings
from towline.errors import ConfigError, MachineError, placed
from towline.file_patterns import clean_path
from towline.files import in_workspace
from towline.gitops.candidates import Choice
from towline.gitops.change import Change, Together
from towline.gitops.deployment_history import BranchHistory
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
from towline.gitops.notes import Notes
from towline.gitops.values_template import TemplateVariables, ValuesTemplate
from towline.process import find
from towline.record import frozen, replace
from towline.steps.deployment.commit import template_build, template_image
from towline.steps.deployment.images import DeployedImage, KnownImages
from towline.steps.task import Task
from towline.steps.workspace_files import find_file
from towline.suggest import nearest
from towline.yaml.aliases import AliasPolicy

_HELM = "TOWLINE_HELM"
DEFAULT_KEY = "image"  # where a chart's values usually have it


@frozen
class TargetPlan:
    """The plan of one target: its Change, and its images by container, key or deployment.

    `edits` are the changes of single values in the Change (`Together`). `whole_file` is the path of
    a file that is written as a whole, `renderer` the Helm that renders it.
    """

    change: Change
    images: Mapping[str, DeployedImage]
    edits: tuple[Change, ...] = ()
    whole_file: str = ""
    renderer: Renderer | None = None

    @property
    def distinct_images(self) -> tuple[DeployedImage, ...]:
        """The images, each once."""
        return tuple(dict.fromkeys(self.images.values()))


def plan_target(task: Task, notes: Notes, history: BranchHistory) -> TargetPlan:
    """The plan of a target, whose settings are those of `task`: the Change of the chosen tool.

    The Change makes its notes in `notes`. `history` is that of the branch, once it is fetched.
    Raises ConfigError and MachineError.
    """
    settings = task.settings
    images = KnownImages(settings=settings, environment=task.pipeline_environment)
    tool = _Tool(task=task, images=images, notes=notes, history=history)
    plan = _TOOLS[settings.text("tool")](tool)
    if path := images.ignored_path():
        task.console.warn(
            f"the path {path!r} of containerRegistryUrl is ignored"
            f" ({settings.origin('containerRegistryUrl')}), since imagePushToRegistry did not push"
            f" there; if it belongs to the image's name, write it there: {path}/name:tag"
        )
    return plan


@frozen
class _Tool:
    """The inputs of a tool, and the parts of a Change that several tools need."""

    task: Task
    images: KnownImages
    notes: Notes
    history: BranchHistory

    @property
    def settings(self) -> Settings:
        """The target's settings."""
        return self.task.settings

    def needed(self, name: str) -> str:
        """The value of a parameter that the chosen tool requires; raises ConfigError."""
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
        """The path or glob of the files to change; raises ConfigError."""
        with placed(self.settings.origin("filePath")):
            return clean_path(self.settings.text("filePath"))

    @property
    def deployment(self) -> str:
        """The name of the deployment."""
        return self.settings.text("deploymentName")

    @property
    def sharing(self) -> AliasPolicy:
        """The policy for aliases in the edited files."""
        return AliasPolicy(policy=self.settings.text("yamlAliases"), say=self.notes.say)

    @property
    def choice(self) -> Choice:
        """The choice among several places that fit."""
        return Choice(
            resource=self.settings.text("resource"),
            deployed_before=self.history.images,
            say=self.notes.say,
            warn=self.notes.warn,
        )

    def plan(self, images: Mapping[str, DeployedImage], changes: Iterable[Change]) -> TargetPlan:
        """A plan of edits, all of which must hold in the end."""
        edits = tuple(changes)
        together = Together(changes=edits, edits=edits, notes=(self.notes,))
        return TargetPlan(change=together, images=images, edits=edits)

    def plan_paths(
        self,
        images: Mapping[str, DeployedImage],
        values: Mapping[str, str | ImagePart],
        *,
        writers: Mapping[str, TextWriter],
    ) -> TargetPlan:
        """A plan that edits the values at paths."""
        change = PathValues(
            pattern=self.file,
            values=values,
            writers=writers,
            note=self.notes.replaced.append,
            sharing=self.sharing,
            choice=self.choice,
            create=self.settings.flag("createPaths"),
        )
        return self.plan(images, [change])

    def workspace_file(self, name: str, parameter: str) -> bytes | None:
        """The content of a file in the workspace, None if it does not exist; raises ConfigError."""
        with placed(self.settings.origin(parameter)):
            return find_file(
                self.task.folder,
                clean_path(name, inside="workspace"),
                where=self.settings.origin(parameter),
            )


def _manifest(tool: _Tool) -> TargetPlan:
    if tool.settings.given("imagePath"):
        image = tool.images.single()
        path = tool.settings.text("imagePath")
        return tool.plan_paths(
            {path: image}, {path: _part(image, "image")}, writers={path: image_writer(path)}
        )
    images = tool.images.by_container(
        "" if tool.settings.given("containers") else tool.needed("containerName")
    )
    changes = (
        ContainerImage(
            pattern=tool.file,
            container=name,
            image=image.written,
            note=tool.notes.replaced.append,
            sharing=tool.sharing,
            choice=tool.choice,
        )
        for name, image in images.items()
    )
    return tool.plan(images, changes)


def _kustomize(tool: _Tool) -> TargetPlan:
    images = tool.images.by_container(tool.needed("deploymentName"))
    level = tool.settings.text("imageCheck")
    changes = (
        KustomizeImage(
            pattern=tool.file,
            name=name,
            new_name=image.repository,
            new_tag=image.tag,
            digest=image.digest if image.pinned or not image.tag else "",
            note=tool.notes.replaced.append,
            sharing=tool.sharing,
            choice=tool.choice,
            warn=tool.notes.warn,
            check_use=level != "off",
            strict=level == "error",
        )
        for name, image in images.items()
    )
    return tool.plan(images, changes)


def _helm(tool: _Tool) -> TargetPlan:
    settings, environ = tool.settings, tool.task.environ
    images = tool.images.by_container(DEFAULT_KEY)
    change = HelmChart(
        chart_path=tool.needed("chartPath").strip("/"),
        file_path=tool.file,
        release=tool.needed("deploymentName"),
        namespace=settings.text("namespace"),
        images={
            key: ImageValues(
                repository=image.repository,
                tag=image.tag,
                digest=image.digest if image.pinned else "",
            )
            for key, image in images.items()
        },
        values_files=tuple(
            ValuesFile(name=name, content=tool.workspace_file(name, "helmValues"))
            for name in settings.texts("helmValues")
        ),
        cluster=Cluster(
            kube_version=settings.text("kubeVersion"), api_versions=settings.texts("apiVersions")
        ),
        renderer=choose_renderer(_helm_program(environ) or find("helm", environ)),
        note=tool.notes.replaced.append,
        warn=tool.notes.warn,
        say=tool.notes.say,
        fetch=_fetcher(tool.task),
        choice=replace(tool.choice, resource=""),
    )
    return TargetPlan(
        change=change,
        images=images if settings.given("containers") else {tool.deployment: images[DEFAULT_KEY]},
        whole_file=tool.file,
        renderer=change.renderer,
    )


def _helm_program(environ: Mapping[str, str]) -> str:
    """The program that TOWLINE_HELM names, empty without it.

    Raises MachineError for a program that a pull request can change.
    """
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
    """A function that downloads charts; HTTP is loaded with the first of them."""
    repositories: list[Any] = []

    def fetch(dependency: Dependency, where: str) -> bytes:
        if not repositories:
            repositories.append(dispatch.part("chart_repositories").ChartRepositories(task))
        data: bytes = repositories[0].fetch(dependency, where=where)
        return data

    return fetch


def _values(tool: _Tool) -> TargetPlan:
    if tool.settings.given("valuesTemplate"):
        return _template(tool)
    if tool.settings.given("valuesPaths"):
        return _values_paths(tool)
    images = tool.images.by_container(DEFAULT_KEY)
    values: dict[str, str | ImagePart] = {}
    for key, image in images.items():
        values[f"{key}.repository"] = _part(image, "repository")
        values |= {f"{key}.tag": _part(image, "tag")} if image.tag else {}
        values |= {f"{key}.digest": _part(image, "digest")} if image.pinned or not image.tag else {}
    return tool.plan_paths(images, values, writers=dict.fromkeys(values, with_value))


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


def _values_paths(tool: _Tool) -> TargetPlan:
    """The plan for valuesPaths: each path gets the part of an image that it names.

    A part is `tag`, or `tag of NAME` if there are several images; `version` is artifactVersion.
    """
    values: dict[str, str | ImagePart] = {}
    writers: dict[str, TextWriter] = {}
    images: dict[str, DeployedImage] = {}
    for path, wanted in tool.settings.mapping("valuesPaths").items():
        part, _, name = wanted.partition(" of ")
        if part == "version" and not name:
            values[path] = tool.needed("artifactVersion")
            continue
        if part not in PARTS:
            raise ConfigError(
                f"{wanted!r} is not a part of an image",
                where=tool.settings.origin("valuesPaths"),
                hint=nearest(part, [*PARTS, "version"]),
            )
        images[path] = tool.images.named(name, "valuesPaths") if name else tool.images.single()
        values[path] = _part(images[path], part)
        writers[path] = image_writer(path) if part == "image" else with_value
        if not str(values[path]):
            raise ConfigError(
                f"the {part} of {images[path].reference} is not known",
                where=tool.settings.origin("valuesPaths"),
                hint=f"leave {path} out",
            )
    return tool.plan_paths(images, values, writers=writers)


def _template(tool: _Tool) -> TargetPlan:
    settings, task, deployed = tool.settings, tool.task, tool.images.single()
    name = settings.text("valuesTemplate")
    content = tool.workspace_file(name, "valuesTemplate")
    if content is None:
        raise ConfigError(
            f"there is no template {name} in the workspace",
            where=settings.origin("valuesTemplate"),
            hint="give the path of a file there",
        )
    change = ValuesTemplate(
        template_name=name,
        template_text=_decoded(name, content),
        file_path=tool.file,
        variables=TemplateVariables(
            image=template_image(deployed),
            stage=task.stage,
            deployment=tool.deployment,
            build=template_build(task.build),
        ),
    )
    return TargetPlan(
        change=change, images={tool.deployment or name: deployed}, whole_file=tool.file
    )


def _decoded(name: str, content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as fault:
        raise ConfigError(f"{name} is not UTF-8", hint="save it as UTF-8") from fault


_TOOLS: Mapping[str, Callable[[_Tool], TargetPlan]] = {
    "kubectl": _manifest,
    "kustomize": _kustomize,
    "helm": _helm,
    "helm-values": _values,
}
