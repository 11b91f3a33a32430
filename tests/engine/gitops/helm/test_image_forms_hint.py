from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from towline.gitops.helm.image_forms import ChartHint
from towline.gitops.manifest_images import images_in_file
from towline.image import parse_reference

WEB = parse_reference("h.io/team/web:2")
POD = "---\nkind: Pod\nspec: {containers: [{name: a, image: '%s'}]}\n"


def hint(
    rendered: str, files: Mapping[str, bytes] | None = None, *values: Mapping[str, Any]
) -> str:
    data = rendered.encode()
    found = images_in_file(data, {"web"}) or ()
    return ChartHint(files=files or {}, values=values, tried=["image"]).text([data], found, WEB)


def test_the_key_that_holds_the_registry_is_named_with_its_value() -> None:
    first, second = {"hub": "x"}, {"global": {"imageRegistry": "q.io/"}}
    rendered = POD % "q.io/team/web:2"
    told = "the chart puts q.io before the name, from global.imageRegistry of its values: "
    told += "set global.imageRegistry: h.io/ in a file of helmValues"
    assert hint(rendered, {}, first, second) == told
    others = ", if q.io/redis:7 can be pulled from there too"
    assert hint(rendered + POD % "q.io/redis:7", {}, first, second) == told + others


def test_a_registry_that_templates_have_is_told() -> None:
    rendered = POD % "q.io/h.io/team/web:2"
    template = (
        b"{{ (.Values.global).imageRegistry | default `q.io` }}/{{ .Values.image.repository }}"
    )
    assert (
        hint(rendered, {"c/templates/a.yaml": template})
        == "the chart puts q.io before the name, and its templates read global.imageRegistry: "
        "set global.imageRegistry: h.io in a file of helmValues"
    )
    assert hint(rendered).endswith("by itself: let its templates take the registry from the values")


@pytest.mark.parametrize(
    ("rendered", "values", "told"),
    [
        (
            "a: {x: h.io/team/web}\nb: '2'\n",
            b"",
            "stand apart: the repository at a.x, the tag at b",
        ),
        (POD % "x:1", b"app: {image: {repository: x}}", "; its values have app.image"),
        (POD % "x:1", b"image: {repository: x}", "not take the image from image.repository and "),
    ],
)
def test_else_the_places_or_the_keys_that_are_left_are_told(
    rendered: str, values: bytes, told: str
) -> None:
    assert told in hint(rendered, {"c/values.yaml": values})
