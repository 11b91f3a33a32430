"""Places of a file at which parts of one image are set."""

from __future__ import annotations

from towline.gitops.image_parts import ImagePart, ImageParts
from towline.gitops.value_targets import ValueTarget
from towline.yaml.paths import find_matches, parse_dotted
from towline.yaml.source import read_source

WEB = ImageParts(
    host="reg.io", name="team/web", tag="2", digest="sha256:0", whole="reg.io/team/web:2"
)


def targets(text: str, **parts: str) -> list[ValueTarget]:
    """The places of a file `f` with this text, for parts of WEB by their paths: `a_b="tag"` is
    `a.b`.
    """
    source = read_source("f", text.encode())
    asked = {
        path.replace("_", "."): ImagePart(image=WEB, part=part) for path, part in parts.items()
    }
    return [
        ValueTarget(text=path, file=source, path_match=path_match, wanted=part)
        for path, part in asked.items()
        for path_match in find_matches(source, parse_dotted(path))
    ]
