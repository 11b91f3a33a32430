"""Tool `helm-values` with a template: a Jinja template of the workspace becomes a values file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from towline.errors import RenderError
from towline.gitops.render.process import RenderLimits, render_document
from towline.record import asdict, field, frozen
from towline.yaml.marks import YamlFault, parse
from towline.yaml.source import is_json


@frozen
class TemplateImage:
    """The variable `image`: `registry` is host[:port], `repository` the name in that registry.

    `tag` and `digest` are empty if unknown; `reference` is the whole image, as a container runtime
    takes it.
    """

    registry: str
    repository: str
    tag: str
    digest: str
    reference: str


@frozen
class TemplateBuild:
    """The variable `build`: number, URL, source commit; a file with them changes each time."""

    number: str = ""
    url: str = ""
    commit: str = ""


@frozen
class TemplateVariables:
    """All variables of a template; `stage` and `deployment` are names."""

    image: TemplateImage
    stage: str = ""
    deployment: str = ""
    build: TemplateBuild = TemplateBuild()


@frozen
class ValuesTemplate:
    """A Change: the rendered template becomes the file `file_path`.

    Its filter `yaml` (also called `tojson`) writes a value as quoted YAML.
    """

    template_name: str
    template_text: str
    file_path: str
    variables: TemplateVariables
    limits: RenderLimits = field(default_factory=RenderLimits)

    def wants(self, listing: Sequence[str]) -> Sequence[str]:
        """The path of the file to write, if it exists."""
        return [path for path in listing if path == self.file_path]

    def apply(self, _files: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """`file_path` with the rendered template as its content; raises RenderError."""
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
                f"the template does not give YAML: {fault.problem}",
                where=f"{self.file_path}:{fault.line}:{fault.column}",
                hint=f"pass values through the filter `yaml` in {self.template_name}",
            ) from fault
        if self.file_path.endswith(".json") and not is_json(text):
            raise RenderError(
                f"the template does not give JSON for {self.file_path}",
                where=self.template_name,
                hint=(
                    f"write it as JSON, values through the filter `tojson`, or let {self.file_path}"
                    " end with .yaml"
                ),
            )
        if all(document.root is None for document in documents):
            raise RenderError(
                "the template gives an empty file",
                where=self.template_name,
                hint="look for a condition that leaves everything out",
            )
        return {self.file_path: text.encode()}
