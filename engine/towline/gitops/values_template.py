"""Tool `helm-values`: a Jinja template of the workspace, filled in with what is deployed, becomes a values file of the repository."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from towline.errors import RenderError
from towline.gitops.render.process import RenderLimits, render_document
from towline.record import asdict, field, frozen
from towline.yaml.marks import YamlFault, parse
from towline.yaml.source import is_json


@frozen
class TemplateImage:
    """`image` in a template: `registry` is host[:port], `repository` the name in it; `tag` and `digest` are empty where unknown.

    `reference` is all of it in one, as a container runtime takes it.
    """

    registry: str
    repository: str
    tag: str
    digest: str
    reference: str


@frozen
class TemplateBuild:
    """`build` in a template: its number, its URL and the commit that was built.

    A file that names them changes with every build.
    """

    number: str = ""
    url: str = ""
    commit: str = ""


@frozen
class TemplateVariables:
    """Every variable that a template is offered; the stage and the deployment are names."""

    image: TemplateImage
    stage: str = ""
    deployment: str = ""
    build: TemplateBuild = TemplateBuild()


@frozen
class ValuesTemplate:
    """A Change: the template, filled in, becomes `file_path`.

    Filters beside Jinja's own: `yaml` (also named `tojson`) writes a value as quoted YAML.
    """

    template_name: str
    template_text: str
    file_path: str
    variables: TemplateVariables
    limits: RenderLimits = field(default_factory=RenderLimits)

    def wants(self, listing: Sequence[str]) -> Sequence[str]:
        """The file to write, where it is there already."""
        return [path for path in listing if path == self.file_path]

    def apply(self, files: Mapping[str, bytes]) -> Mapping[str, bytes]:  # noqa: ARG002 - a template starts from nothing
        """`file_path` as the template gives it now; raises RenderError."""
        request = {
            "name": self.template_name,
            "text": self.template_text,
            "variables": asdict(self.variables),
        }
        text = render_document("jinja", request, limits=self.limits)
        try:
            documents = parse(text)
        except YamlFault as fault:
            raise RenderError(
                f"the template gives no YAML: {fault.problem}",
                where=f"{self.file_path}:{fault.line}:{fault.column}",
                hint=f"pass values through the filter `yaml` in {self.template_name}",
            ) from fault
        if self.file_path.endswith(".json") and not is_json(text):
            raise RenderError(
                f"the template gives no JSON for {self.file_path}",
                where=self.template_name,
                hint=(
                    f"write it as JSON, values through the filter `tojson`, or let {self.file_path}"
                    " end with .yaml"
                ),
            )
        if all(one.root is None for one in documents):
            raise RenderError(
                "the template gives an empty file",
                where=self.template_name,
                hint="look for a condition that leaves everything out",
            )
        return {self.file_path: text.encode()}
